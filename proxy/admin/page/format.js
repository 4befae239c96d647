/** Numbers, bytes, durations and times as the page writes them. */

const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const COMPACT = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** 12,345. */
export function whole(value) {
  return WHOLE.format(value);
}

/** 950, 12.3K, 1.2M: for columns; `whole` goes into the title. */
export function compact(value) {
  return value < 10_000 ? WHOLE.format(value) : COMPACT.format(value);
}

/** A rate without its unit: 0, 0.4, 12, 1.2K. */
export function rate(value) {
  if (value === null || value === undefined) return '–';
  if (value === 0) return '0';
  if (value < 0.1) return '<0.1';
  return value < 10 ? value.toFixed(1) : compact(Math.round(value));
}

export function bytes(value) {
  if (value === null || value === undefined) return '–';
  let amount = value;
  let unit = 0;
  while (amount >= 1024 && unit < BYTE_UNITS.length - 1) {
    amount /= 1024;
    unit++;
  }
  return `${unit === 0 || amount >= 100 ? Math.round(amount) : amount.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** 0.4 ms, 12 ms, 1.3 s, 4 min: for latencies and ages. */
export function seconds(value) {
  if (value === null || value === undefined) return '–';
  if (value === 0) return '0 ms';
  if (value < 0.001) return `${(value * 1000).toFixed(2)} ms`;
  if (value < 0.01) return `${(value * 1000).toFixed(1)} ms`;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 10) return `${value.toFixed(1)} s`;
  return span(value);
}

/** 42 s, 3 min, 2 h 5 min, 3 d 4 h. */
export function span(value) {
  const total = Math.max(0, Math.floor(value));
  if (total < 60) return `${total} s`;
  if (total < 3600) return `${Math.floor(total / 60)} min`;
  if (total < 86_400) return joined(Math.floor(total / 3600), 'h', Math.floor((total % 3600) / 60), 'min');
  return joined(Math.floor(total / 86_400), 'd', Math.floor((total % 86_400) / 3600), 'h');
}

/** A share of 1: 0 %, 0.3 %, 12 %. */
export function share(value) {
  if (value === null || value === undefined) return '–';
  const percent = value * 100;
  if (percent === 0) return '0 %';
  if (percent < 0.1) return '<0.1 %';
  return `${percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
}

/** 14:03:09, in the reader's own time zone. */
export function clock(date) {
  return date.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

/** 14:03:09 CET, and with its day where that is another one than `now`: for moments that people act on. */
export function moment(date, now) {
  const day = date.toDateString() === now.toDateString() ? {} : { day: 'numeric', month: 'short' };
  return date.toLocaleString('en-GB', { ...day, hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short' });
}

function joined(large, largeUnit, small, smallUnit) {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}
