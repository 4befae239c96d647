/**
 * Prefixes nest or stand apart, never overlap otherwise. One pass over them in order yields both the tree of what they tell apart
 * (a signature: the parent's signature and what a prefix adds to it) and the address ranges with equal signatures.
 */
import type { Mention } from './sources.ts';

/** Ranges of one family: `starts` holds four words a range, `signatures[i]` holds from there up to the next start. */
export interface Ranges {
  readonly starts: number[];
  readonly signatures: number[];
}

/** Signature 0 is that of an address in no prefix. Parents have smaller numbers than their children. */
export class Signatures {
  readonly parents: number[] = [0];
  /** What the prefix adds: codes of mentions. */
  readonly added: (readonly number[])[] = [[]];
  readonly #known = new Map<number | string, number>();

  of(parent: number, added: readonly number[]): number {
    const key = added.length === 1 ? parent * 2 ** 26 + added[0]! : `${parent}:${added.join()}`;
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
  const sorted = mentions.filter((mention) => mention.family === family).sort(family === 4 ? byIpv4 : byIpv6);
  const floor = family === 4 ? [0, 0, 0xffff, 0] : [0, 0, 0, 0];
  const ranges: Ranges = { starts: [...floor], signatures: [0] };
  const open: Open[] = [];
  const closeBefore = (start: readonly number[] | null) => {
    while (open.length > 0 && (start === null || compare(open[open.length - 1]!.last, start) < 0)) {
      const after = successor(open.pop()!.last, family);
      if (after !== null) emit(ranges, after, open[open.length - 1]?.signature ?? 0);
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
    emit(ranges, words, signature);
    open.push({ last: lastOf(words, family === 4 ? bits + 96 : bits), signature });
  }
  closeBefore(null);
  return ranges;
}

/** A range that starts where the previous one did takes its place. */
function emit({ starts, signatures }: Ranges, start: readonly number[], signature: number): void {
  const at = starts.length - 4;
  const same = starts[at] === start[0] && starts[at + 1] === start[1] && starts[at + 2] === start[2] && starts[at + 3] === start[3];
  if (same) signatures[signatures.length - 1] = signature;
  else {
    starts.push(start[0]!, start[1]!, start[2]!, start[3]!);
    signatures.push(signature);
  }
}

function byIpv4(a: Mention, b: Mention): number {
  return a.words[3] - b.words[3] || a.bits - b.bits || a.code - b.code;
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

/** null after the last address of the family. */
function successor(words: readonly number[], family: 4 | 6): number[] | null {
  const next = [...words];
  for (let i = 3; i >= (family === 4 ? 3 : 0); i--) {
    next[i] = (next[i]! + 1) >>> 0;
    if (next[i] !== 0) return next;
  }
  return null;
}
