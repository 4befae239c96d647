/**
 * Prefixes nest or stand apart, never overlap otherwise. One pass over them in order yields both the tree of what they tell apart
 * (a signature: the parent's signature and what a prefix adds to it) and the address ranges with equal signatures.
 */
import type { Mention } from './sources.ts';

/** The third word of an IPv4 address, at its mapped place. */
const MAPPED = 0xffff;
/** Bits of a code; the six above them hold the length of a prefix. Twice as many nodes as a file of 32 MiB can name. */
const CODE_BITS = 26;

/** Ranges of one family: `starts` holds four words a range, `signatures[i]` holds from there up to the next start. */
export interface Ranges {
  readonly starts: Uint32Array;
  readonly signatures: Uint32Array;
}

/** Ranges on their way, in memory of the size that they can come to: a hundred thousand numbers in lists would be copied as these grow. */
export class RangeList {
  readonly #starts: Uint32Array;
  readonly #signatures: Uint32Array;
  #count = 0;

  constructor(most: number) {
    this.#starts = new Uint32Array(most * 4);
    this.#signatures = new Uint32Array(most);
  }

  /** A range that starts where the previous one did takes its place. */
  emit(w0: number, w1: number, w2: number, w3: number, signature: number): void {
    const starts = this.#starts;
    const last = this.#count * 4 - 4;
    if (last < 0 || starts[last] !== w0 || starts[last + 1] !== w1 || starts[last + 2] !== w2 || starts[last + 3] !== w3) {
      const at = last + 4;
      starts[at] = w0;
      starts[at + 1] = w1;
      starts[at + 2] = w2;
      starts[at + 3] = w3;
      this.#count++;
    }
    this.#signatures[this.#count - 1] = signature;
  }

  get ranges(): Ranges {
    return { starts: this.#starts.subarray(0, this.#count * 4), signatures: this.#signatures.subarray(0, this.#count) };
  }
}

/** Signature 0 is that of an address in no prefix. Parents have smaller numbers than their children. */
export class Signatures {
  readonly parents: number[] = [0];
  /** What the prefix adds: codes of mentions. */
  readonly added: (readonly number[])[] = [[]];
  readonly #known = new Map<number | string, number>();

  of(parent: number, added: readonly number[]): number {
    const key = added.length === 1 ? parent * 2 ** CODE_BITS + added[0]! : `${parent}:${added.join()}`;
    let signature = this.#known.get(key);
    if (signature === undefined) {
      signature = this.parents.length;
      this.parents.push(parent);
      this.added.push(added);
      this.#known.set(key, signature);
    }
    return signature;
  }
}

interface Open {
  readonly last: readonly number[];
  readonly signature: number;
}

export function rangesOf(mentions: readonly Mention[], family: 4 | 6, signatures: Signatures): Ranges {
  return family === 4 ? rangesOfIpv4(mentions, signatures) : rangesOfIpv6(mentions, signatures);
}

/** Of IPv4 a prefix is one word, so that a hundred thousand of them are sorted and walked as numbers. */
function rangesOfIpv4(mentions: readonly Mention[], signatures: Signatures): Ranges {
  const sorted = sortedIpv4(mentions);
  // A prefix begins a range, and ends one.
  const ranges = new RangeList(sorted.length + 1);
  ranges.emit(0, 0, MAPPED, 0, 0);
  // Prefixes that the walk is inside of, outermost first: their last addresses and signatures. At most 33.
  const lasts: number[] = [];
  const open: number[] = [0];
  const closeBefore = (start: number) => {
    while (lasts.length > 0 && lasts[lasts.length - 1]! < start) {
      const last = lasts.pop()!;
      open.pop();
      if (last !== 0xffffffff) ranges.emit(0, 0, MAPPED, last + 1, open[open.length - 1]!);
    }
  };
  for (let i = 0; i < sorted.length; ) {
    const start = sorted[i + 1]!;
    const bits = sorted[i]! >>> CODE_BITS;
    const codes: number[] = [];
    for (; i < sorted.length && sorted[i + 1] === start && sorted[i]! >>> CODE_BITS === bits; i += 2) {
      const code = sorted[i]! & (2 ** CODE_BITS - 1);
      if (codes[codes.length - 1] !== code) codes.push(code);
    }
    closeBefore(start);
    const signature = signatures.of(open[open.length - 1]!, codes);
    ranges.emit(0, 0, MAPPED, start, signature);
    lasts.push(start + 2 ** (32 - bits) - 1);
    open.push(signature);
  }
  closeBefore(2 ** 32);
  return ranges.ranges;
}

/** Two words a mention, sorted by address, length and code: length and code, then the address. */
function sortedIpv4(mentions: readonly Mention[]): Uint32Array {
  let count = 0;
  for (let i = 0; i < mentions.length; i++) if (mentions[i]!.family === 4) count++;
  const words = new Uint32Array(count * 2);
  let at = 0;
  for (let i = 0; i < mentions.length; i++) {
    const { family, words: address, bits, code } = mentions[i]!;
    if (family !== 4) continue;
    words[at++] = ((bits << CODE_BITS) | code) >>> 0;
    words[at++] = address[3];
  }
  // The second word is the greater one, as these machines keep numbers (little-endian): sorted by the engine, without a function.
  new BigUint64Array(words.buffer).sort();
  return words;
}

function rangesOfIpv6(mentions: readonly Mention[], signatures: Signatures): Ranges {
  const sorted = mentions.filter((mention) => mention.family === 6).sort(byIpv6);
  const ranges = new RangeList(sorted.length * 2 + 1);
  const emit = ([w0, w1, w2, w3]: readonly number[], signature: number) => ranges.emit(w0!, w1!, w2!, w3!, signature);
  ranges.emit(0, 0, 0, 0, 0);
  const open: Open[] = [];
  const closeBefore = (start: readonly number[] | null) => {
    while (open.length > 0 && (start === null || compare(open[open.length - 1]!.last, start) < 0)) {
      const after = successor(open.pop()!.last);
      if (after !== null) emit(after, open[open.length - 1]?.signature ?? 0);
    }
  };
  for (let i = 0; i < sorted.length; ) {
    const { words, bits } = sorted[i]!;
    const codes: number[] = [];
    for (; i < sorted.length && sorted[i]!.bits === bits && compare(sorted[i]!.words, words) === 0; i++) {
      const { code } = sorted[i]!;
      if (codes[codes.length - 1] !== code) codes.push(code);
    }
    closeBefore(words);
    const signature = signatures.of(open[open.length - 1]?.signature ?? 0, codes);
    emit(words, signature);
    open.push({ last: lastOf(words, bits), signature });
  }
  closeBefore(null);
  return ranges.ranges;
}

function byIpv6(a: Mention, b: Mention): number {
  return compare(a.words, b.words) || a.bits - b.bits || a.code - b.code;
}

function compare(a: readonly number[], b: readonly number[]): number {
  return a[0]! - b[0]! || a[1]! - b[1]! || a[2]! - b[2]! || a[3]! - b[3]!;
}

function lastOf(words: readonly number[], bits: number): number[] {
  return words.map((word, i) => {
    const kept = Math.min(32, Math.max(0, bits - i * 32));
    return kept === 32 ? word : (word | (0xffffffff >>> kept)) >>> 0;
  });
}

/** null after the last address. */
function successor(words: readonly number[]): number[] | null {
  const next = [...words];
  for (let i = 3; i >= 0; i--) {
    next[i] = (next[i]! + 1) >>> 0;
    if (next[i] !== 0) return next;
  }
  return null;
}
