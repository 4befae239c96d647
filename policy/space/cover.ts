/**
 * Address ranges as the fewest prefixes with exceptions, in the way of the optimal routing table constructor (Draves et al., 1999):
 * bottom-up which labels cost least, top-down the ones that differ from what a wider prefix said.
 */
import type { Address } from '../../config/address.ts';
import { formatPrefix, type Prefix } from '../../config/address.ts';

/** Both ends included, as numbers of the family's width. */
export interface AddressRange {
  readonly family: 4 | 6;
  readonly first: bigint;
  readonly last: bigint;
}

/** Addresses in `prefix` and in none of `except`. */
export interface SourceTerm {
  readonly prefix: Prefix;
  readonly except: readonly Prefix[];
}

const IN = 1;
const OUT = 2;

interface Branch {
  readonly labels: number;
  readonly low: Branch | null;
  readonly high: Branch | null;
}

const INSIDE: Branch = { labels: IN, low: null, high: null };
const OUTSIDE: Branch = { labels: OUT, low: null, high: null };

export function prefixRange({ family, words: [a, b, c, d], bits }: Prefix): AddressRange {
  const first = family === 4 ? BigInt(d) : (BigInt(a) << 96n) | (BigInt(b) << 64n) | (BigInt(c) << 32n) | BigInt(d);
  return { family, first, last: first + (1n << BigInt((family === 4 ? 32 : 128) - bits)) - 1n };
}

/** `ranges` ascend and don't touch; terms come in order of their addresses. */
export function coverOf(ranges: readonly AddressRange[], family: 4 | 6): SourceTerm[] {
  const own = ranges.filter((range) => range.family === family);
  if (own.length === 0) return [];
  const width = family === 4 ? 32 : 128;
  const terms: { prefix: Prefix; except: Prefix[] }[] = [];
  const emit = (branch: Branch, base: bigint, bits: number, around: { label: number; term: { except: Prefix[] } | null }) => {
    let here = around;
    if ((branch.labels & around.label) === 0) {
      const prefix = prefixAt(base, bits, family);
      if (around.label === OUT) {
        const term = { prefix, except: [] };
        terms.push(term);
        here = { label: IN, term };
      } else {
        around.term!.except.push(prefix);
        here = { label: OUT, term: null };
      }
    }
    if (branch.low === null || branch.high === null) return;
    emit(branch.low, base, bits + 1, here);
    emit(branch.high, base + (1n << BigInt(width - bits - 1)), bits + 1, here);
  };
  emit(branchOf(own, 0, own.length, 0n, width), 0n, 0, { label: OUT, term: null });
  return terms;
}

/** The ranges from `from` to before `to` that touch the block of 2^size addresses at `base`. */
function branchOf(ranges: readonly AddressRange[], from: number, to: number, base: bigint, size: number): Branch {
  const last = base + (1n << BigInt(size)) - 1n;
  let low = from;
  let high = to;
  while (low < high && ranges[low]!.last < base) low = firstFrom(ranges, low, high, base);
  while (low < high && ranges[high - 1]!.first > last) high = firstBehind(ranges, low, high, last);
  if (low >= high) return OUTSIDE;
  if (ranges[low]!.first <= base && ranges[low]!.last >= last) return INSIDE;
  const left = branchOf(ranges, low, high, base, size - 1);
  const right = branchOf(ranges, low, high, base + (1n << BigInt(size - 1)), size - 1);
  const both = left.labels & right.labels;
  return { labels: both !== 0 ? both : left.labels | right.labels, low: left, high: right };
}

function firstFrom(ranges: readonly AddressRange[], low: number, high: number, base: bigint): number {
  let from = low;
  let to = high;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (ranges[middle]!.last < base) from = middle + 1;
    else to = middle;
  }
  return from;
}

function firstBehind(ranges: readonly AddressRange[], low: number, high: number, last: bigint): number {
  let from = low;
  let to = high;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (ranges[middle]!.first <= last) from = middle + 1;
    else to = middle;
  }
  return from;
}

export function addressAt(value: bigint, family: 4 | 6): Address {
  if (family === 4) return { family, words: [0, 0, 0xffff, Number(value)] };
  const word = (shift: bigint) => Number((value >> shift) & 0xffffffffn);
  return { family, words: [word(96n), word(64n), word(32n), word(0n)] };
}

function prefixAt(base: bigint, bits: number, family: 4 | 6): Prefix {
  const { words } = addressAt(base, family);
  const prefix = { family, words, bits, text: '' };
  return { ...prefix, text: formatPrefix(prefix) };
}

/** `10.0.0.0/8 except 10.0.0.9/32`; a whole address without its length. */
export function sourceTermText({ prefix, except }: SourceTerm): string {
  return except.length === 0 ? prefixText(prefix) : `${prefixText(prefix)} except ${except.map(prefixText).join(' and ')}`;
}

export function prefixText({ text, family, bits }: Prefix): string {
  return bits === (family === 4 ? 32 : 128) ? text.replace(/\/\d+$/, '') : text;
}
