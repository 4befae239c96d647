/** Durations, sizes and percentages as people write them. */

const DURATION = /^(0|[1-9][0-9]{0,11})(ms|s|m|h|d)$/;
const SIZE = /^(0|[1-9][0-9]{0,14})(B|KiB|MiB|GiB)$/;
const PERCENT = /^(0|[1-9][0-9]{0,2})%$/;

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const UNIT_BYTES = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

/** A year: longer waits are written by mistake. */
export const DURATION_MS_MAX = 365 * UNIT_MS.d;

/** A tebibyte: more than any buffer or journal here should hold. */
export const SIZE_BYTES_MAX = 1024 ** 4;

export const DURATION_PATTERN = DURATION.source;
export const SIZE_PATTERN = SIZE.source;
export const PERCENT_PATTERN = PERCENT.source;

/** Milliseconds of `250ms`, `2s`, `5m`, `12h`, `7d`; null where the text is no duration. */
export function parseDuration(text: string): number | null {
  const match = DURATION.exec(text);
  return match === null ? null : Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
}

/** The shortest text that `parseDuration` reads as this many milliseconds. */
export function formatDuration(ms: number): string {
  const unit = (['d', 'h', 'm', 's'] as const).find((name) => ms !== 0 && ms % UNIT_MS[name] === 0) ?? 'ms';
  return `${ms / UNIT_MS[unit]}${unit}`;
}

/** `100/s`, `20/m`: so many in every unit of time; null where the text is no rate, or one of zero. */
export function parseRate(text: string): { readonly amount: number; readonly perMs: number } | null {
  const match = /^([1-9][0-9]{0,11})\/(s|m|h|d)$/.exec(text);
  return match === null ? null : { amount: Number(match[1]), perMs: UNIT_MS[match[2] as keyof typeof UNIT_MS] };
}

/** `1MiB/s`: so many bytes in every unit of time; null where the text is no rate, or one of zero. */
export function parseByteRate(text: string): { readonly amount: number; readonly perMs: number } | null {
  const match = /^([^/]+)\/(s|m|h|d)$/.exec(text);
  const amount = match === null ? null : parseSize(match[1]!);
  return amount === null || amount === 0 ? null : { amount, perMs: UNIT_MS[match![2] as keyof typeof UNIT_MS] };
}

/** Bytes of `64KiB`, `1MiB`, `2GiB`, `512B`; null where the text is no size. */
export function parseSize(text: string): number | null {
  const match = SIZE.exec(text);
  return match === null ? null : Number(match[1]) * UNIT_BYTES[match[2] as keyof typeof UNIT_BYTES];
}

/** The shortest text that `parseSize` reads as this many bytes. */
export function formatSize(bytes: number): string {
  const unit = (['GiB', 'MiB', 'KiB'] as const).find((name) => bytes !== 0 && bytes % UNIT_BYTES[name] === 0) ?? 'B';
  return `${bytes / UNIT_BYTES[unit]}${unit}`;
}

/** The share (0 to 1) of `20%`; null where the text is no percentage from 0% to 100%. */
export function parsePercent(text: string): number | null {
  const match = PERCENT.exec(text);
  return match === null || Number(match[1]) > 100 ? null : Number(match[1]) / 100;
}

/** What was probably meant by a duration that cannot be read: `5 s`, `5sec`, `5S`, `1.5s`, `5`. */
export function suggestDuration(text: string): string | undefined {
  const match = /^\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|milliseconds?|msecs?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)\s*$/i.exec(
    text,
  );
  if (match === null) return undefined;
  const word = match[2]!.toLowerCase();
  const unit = word.startsWith('ms') || word.startsWith('milli') ? 'ms' : (word[0] as 's' | 'm' | 'h' | 'd');
  const ms = Number(match[1]) * UNIT_MS[unit];
  return Number.isSafeInteger(ms) ? formatDuration(ms) : undefined;
}

/** What was probably meant by a size that cannot be read: `64KB`, `64 kib`, `64k`, `1M`. */
export function suggestSize(text: string): string | undefined {
  const match = /^\s*([1-9][0-9]*)\s*([kmg])i?b?\s*$/i.exec(text);
  return match === null ? undefined : `${match[1]}${match[2]!.toUpperCase()}iB`;
}
