/**
 * Maglev hashing (Eisenbud et al., NSDI 2016, §3.4): a table in which every server has its share of entries and keeps nearly all of them
 * when another comes or goes.
 */

/** Primes; the table has at least 100 entries for the lightest server, so that shares are right within a percent or so. */
const SIZES = [251, 1_021, 4_093, 16_381, 65_521];

/** Entries are indices into `names`; servers of weight 0 get none. null where no server has weight. */
export function maglevTable(names: readonly string[], weights: readonly number[]): Uint16Array | null {
  const heaviest = Math.max(0, ...weights);
  if (heaviest === 0) return null;
  const lightest = Math.min(...weights.filter((weight) => weight > 0));
  const shares = weights.reduce((sum, weight) => sum + weight, 0) / lightest;
  const size = SIZES.find((prime) => prime >= shares * 100) ?? SIZES.at(-1)!;
  const table = new Uint16Array(new SharedArrayBuffer(size * 2));
  const taken = new Uint8Array(size);
  const offsets = names.map((name) => hashText(name, 0x9e3779b9) % size);
  const skips = names.map((name) => (hashText(name, 0x85ebca6b) % (size - 1)) + 1);
  const next = new Array<number>(names.length).fill(0);
  // A server of half the weight takes its turn every second round.
  const credit = new Array<number>(names.length).fill(0);
  let filled = 0;
  while (filled < size) {
    for (let i = 0; i < names.length && filled < size; i++) {
      credit[i] = credit[i]! + weights[i]!;
      if (credit[i]! < heaviest) continue;
      credit[i] = credit[i]! - heaviest;
      let entry: number;
      do {
        entry = (offsets[i]! + next[i]! * skips[i]!) % size;
        next[i] = next[i]! + 1;
      } while (taken[entry] === 1);
      taken[entry] = 1;
      table[entry] = i;
      filled++;
    }
  }
  return table;
}

/** FNV-1a with a finish that spreads; 32 bits, unsigned. */
export function hashText(text: string, seed: number): number {
  let h = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix(h);
}

/** hot: hash of an address's words; `attempt` gives the next choice when the first is not to be had. */
export function hashWords(a: number, b: number, c: number, d: number, attempt: number): number {
  return mix(Math.imul(mix(a ^ attempt) ^ b, 0x85ebca6b) ^ Math.imul(mix(c) ^ d, 0xc2b2ae35));
}

function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
