/** Columns for people: as wide as what stands in them, numbers to the right. */

const GAP = '  ';

/** Rows of cells; a column is set to the right where its title begins with `>`, which is not printed. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const right = titles.map((title) => title.startsWith('>'));
  const shown = [titles.map((title) => title.replace(/^>/, '')), ...rows.map((row) => row.map(printable))];
  const widths = titles.map((_, column) => Math.max(...shown.map((row) => (row[column] ?? '').length)));
  return shown.map((row) => {
    const cells = row.map((cell, column) => (right[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)));
    return cells.join(GAP).trimEnd();
  });
}

/** What came from traffic may hold bytes that would move a terminal's cursor. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g, '?');
}

/** `1.2 MiB`, `830 B`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A count or a rate in few characters. */
export function numberText(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}

/** `3d 4h`, `2m 5s`. */
export function secondsText(seconds: number): string {
  const whole = Math.floor(seconds);
  const parts = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0s';
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ');
}
