/** A prefix with host bits set reads as one address and stands for a network: worth a warning wherever it is written. */
import type { Prefix } from './address.ts';
import { formatPrefix, hasHostBits } from './address.ts';
import { shown } from './problem.ts';
import type { Path, Report } from './tree.ts';

/** Warns of each prefix of a list at `path`. */
export function warnOfHostBits(prefixes: readonly Prefix[], path: Path, report: Report): void {
  for (const [index, prefix] of prefixes.entries()) {
    if (prefix.text.includes('/') && hasHostBits(prefix)) warnOne(prefix, [...path, index], report);
  }
}

/** Warns of the prefix that stands at `path`. */
export function warnOfHostBit(prefix: Prefix, path: Path, report: Report): void {
  if (prefix.text.includes('/') && hasHostBits(prefix)) warnOne(prefix, path, report);
}

function warnOne(prefix: Prefix, path: Path, report: Report): void {
  const canonical = formatPrefix(prefix);
  const message = `${shown(prefix.text)} has bits set beyond its length, and stands for all of ${canonical}. Write ${canonical}, or the single address without a length.`;
  report.warning('host-bits', path, message, { suggestion: canonical });
}
