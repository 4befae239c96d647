/** The addresses of atoms, as ranges. */
import type { Partition } from '../partition.ts';
import type { Ranges } from '../prefixes.ts';
import type { AddressRange } from './cover.ts';

export class AtomRanges {
  readonly #ranges: readonly AddressRange[];
  /** Numbers of ranges by atom: those of atom a are starts[a] to starts[a + 1] in `order`. */
  readonly #starts: Uint32Array;
  readonly #order: Uint32Array;

  constructor({ ipv4, ipv6, atomCount }: Partition) {
    const atoms = [...ipv4.signatures, ...ipv6.signatures];
    this.#ranges = [...rangesOf(ipv4, 4), ...rangesOf(ipv6, 6)];
    this.#starts = new Uint32Array(atomCount + 1);
    for (const atom of atoms) this.#starts[atom + 1]!++;
    for (let atom = 0; atom < atomCount; atom++) this.#starts[atom + 1]! += this.#starts[atom]!;
    const next = this.#starts.slice();
    this.#order = new Uint32Array(atoms.length);
    for (const [range, atom] of atoms.entries()) this.#order[next[atom]!++] = range;
  }

  /** The ranges of runs of atoms (first and behind the last, alternating), ascending, those that touch joined; IPv4 first. */
  of(runs: readonly number[]): AddressRange[] {
    const numbers: number[] = [];
    for (let i = 0; i < runs.length; i += 2) {
      for (let at = this.#starts[runs[i]!]!; at < this.#starts[runs[i + 1]!]!; at++) numbers.push(this.#order[at]!);
    }
    numbers.sort((a, b) => a - b);
    const joined: AddressRange[] = [];
    let previous = -2;
    for (const number of numbers) {
      const range = this.#ranges[number]!;
      const before = joined[joined.length - 1];
      if (before !== undefined && number === previous + 1 && before.family === range.family) {
        joined[joined.length - 1] = { ...before, last: range.last };
      } else joined.push(range);
      previous = number;
    }
    return joined;
  }
}

function rangesOf({ starts, signatures }: Ranges, family: 4 | 6): AddressRange[] {
  const end = (1n << (family === 4 ? 32n : 128n)) - 1n;
  const firstOf = (range: number) => {
    const at = range * 4;
    if (family === 4) return BigInt(starts[at + 3]!);
    return (BigInt(starts[at]!) << 96n) | (BigInt(starts[at + 1]!) << 64n) | (BigInt(starts[at + 2]!) << 32n) | BigInt(starts[at + 3]!);
  };
  return Array.from(signatures, (_, i) => ({ family, first: firstOf(i), last: i + 1 < signatures.length ? firstOf(i + 1) - 1n : end }));
}

/** Joins runs of atoms that touch or overlap. */
export function joinRuns(runs: readonly (readonly [number, number])[]): number[] {
  const joined: number[] = [];
  for (const [first, end] of [...runs].sort((a, b) => a[0] - b[0])) {
    if (joined.length > 0 && joined[joined.length - 1]! >= first) joined[joined.length - 1] = Math.max(joined[joined.length - 1]!, end);
    else joined.push(first, end);
  }
  return joined;
}
