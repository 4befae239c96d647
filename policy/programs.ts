/**
 * Programs: for a list of rules, a port and an atom, the rules that hold there up to the first that asks nothing further, and the
 * outcome for each protocol. Equal programs of a list are written once.
 *
 * In the image: a word of flags and size; the outcomes (one word, or one a protocol); then pairs of word number and bits of the rules,
 * with many conditions also the bits of those rules that no pattern
 * leads to, and the number of the first pair from here on that has such bits.
 */
import { PROTOCOLS } from '../config/protocols.ts';
import { ALL_PROTOCOLS, outcomesByProtocol, type RuleFacts } from './outcome.ts';
import type { Partition } from './partition.ts';
import { type SourcedRule, sweep } from './sweep.ts';

/** The outcome depends on the protocol: one outcome a protocol. */
export const BY_PROTOCOL = 1;
/** A rule asks of the request. */
export const BY_REQUEST = 2;
/** A `pass` for some protocols only: two protocols together can then come to what neither does alone. */
export const PASS_BY_PROTOCOL = 4;
/** So many rules ask of the request that they are found by their patterns. Pairs then have four words. */
export const MANY_CONDITIONS = 8;
/** A rule has a demand, see demand.ts: the list is walked. */
export const BY_DEMAND = 16;
/** Above the flags: the number of pairs. */
export const PAIRS_SHIFT = 5;

/** Conditions that are walked faster than patterns are looked up. */
const CONDITIONS_WALKED = 16;

/** Rows of all lists: row r spans `starts[r]` to `starts[r + 1]` in `atoms` and `programs`. */
export class ProgramTable {
  readonly starts: number[] = [0];
  readonly atoms: number[] = [];
  readonly programs: number[] = [];
  readonly words: number[] = [];
  /** Words of the longest list with many conditions. */
  listWords = 0;
  #emptyRow = -1;

  /** Writes the programs of a list at one port; returns the row. `facts[i]` is what rule i asks. */
  addRow(rules: readonly SourcedRule[], facts: readonly RuleFacts[], port: number, partition: Partition): number {
    if (rules.length === 0 && this.#emptyRow >= 0) return this.#emptyRow;
    const unconditional = new Uint32Array((rules.length + 31) >>> 5);
    for (const [i, fact] of facts.entries()) {
      if (!fact.conditional && fact.protocols === ALL_PROTOCOLS) unconditional[i >>> 5]! |= 1 << (i & 31);
    }
    const known = new Map<number, number[]>();
    const pairs: number[] = [];
    let previous = -1;
    sweep(rules, port, partition, (atom, holding) => {
      pairs.length = 0;
      let hash = 0;
      for (let word = 0; word < holding.length; word++) {
        let bits = holding[word]!;
        const last = bits & unconditional[word]!;
        // Everything above the lowest unconditional rule is out of reach.
        if (last !== 0) bits &= (last & -last) | ((last & -last) - 1);
        if (bits !== 0) pairs.push(word, bits | 0);
        hash = (Math.imul(hash ^ bits, 0x9e3779b1) ^ (hash >>> 15)) | 0;
        if (last !== 0) break;
      }
      const program = this.#find(known, hash, pairs) ?? this.#write(known, hash, pairs, facts);
      if (program === previous) return;
      previous = program;
      this.atoms.push(atom);
      this.programs.push(program);
    });
    this.starts.push(this.atoms.length);
    const row = this.starts.length - 2;
    if (rules.length === 0) this.#emptyRow = row;
    return row;
  }

  #find(known: Map<number, number[]>, hash: number, pairs: readonly number[]): number | undefined {
    return known.get(hash)?.find((program) => {
      const at = program + 1 + outcomeWords(this.words[program]!);
      const step = pairWords(this.words[program]!);
      if (this.words[program]! >>> PAIRS_SHIFT !== pairs.length / 2) return false;
      return pairs.every((word, i) => this.words[at + (i >>> 1) * step + (i & 1)] === word);
    });
  }

  #write(known: Map<number, number[]>, hash: number, pairs: readonly number[], facts: readonly RuleFacts[]): number {
    const program = this.words.length;
    const outcomes = outcomesByProtocol(indexesOf(pairs), (index) => facts[index]!);
    let flags = 0;
    let conditions = 0;
    if (outcomes.some((outcome) => outcome !== outcomes[0])) flags |= BY_PROTOCOL;
    for (const index of indexesOf(pairs)) {
      const { conditional, demanding, asksHttp, protocols, action } = facts[index]!;
      if (asksHttp) flags |= BY_REQUEST;
      if (demanding) flags |= BY_DEMAND;
      if (asksHttp && ++conditions > CONDITIONS_WALKED) flags |= MANY_CONDITIONS;
      // A request's condition on a narrower protocol counts as well, even where the outcomes look alike.
      if (conditional && protocols !== ALL_PROTOCOLS) flags |= BY_PROTOCOL;
      if (action === 2 && protocols !== ALL_PROTOCOLS) flags |= PASS_BY_PROTOCOL;
    }
    this.words.push(flags | ((pairs.length / 2) << PAIRS_SHIFT));
    if (flags & BY_PROTOCOL) for (const outcome of outcomes) this.words.push(outcome);
    else this.words.push(outcomes[0]!);
    if (flags & MANY_CONDITIONS) this.listWords = Math.max(this.listWords, pairs[pairs.length - 2]! + 1);
    if (flags & MANY_CONDITIONS) this.#writeIndexed(pairs, facts);
    else for (const word of pairs) this.words.push(word);
    const alike = known.get(hash);
    if (alike === undefined) known.set(hash, [program]);
    else alike.push(program);
    return program;
  }

  #writeIndexed(pairs: readonly number[], facts: readonly RuleFacts[]): void {
    const rest = pairs.flatMap((word, i) => (i % 2 === 0 ? [withoutPattern(word, pairs[i + 1]!, facts)] : []));
    const next = new Array<number>(rest.length);
    for (let i = rest.length - 1; i >= 0; i--) next[i] = rest[i] !== 0 ? i : (next[i + 1] ?? rest.length);
    for (const [i, bits] of rest.entries()) this.words.push(pairs[i * 2]!, pairs[i * 2 + 1]!, bits, next[i]!);
  }
}

/** Words of outcomes in a program, by its first word. */
export function outcomeWords(head: number): number {
  return head & BY_PROTOCOL ? PROTOCOLS.length : 1;
}

/** Words of a pair, by the program's first word. */
export function pairWords(head: number): number {
  return head & MANY_CONDITIONS ? 4 : 2;
}

function withoutPattern(word: number, bits: number, facts: readonly RuleFacts[]): number {
  let left = 0;
  for (const index of indexesOf([word, bits])) if (!facts[index]!.byPattern) left |= 1 << (index & 31);
  return left;
}

/** Numbers of the rules in pairs of word and bits, ascending. */
export function* indexesOf(pairs: readonly number[]): Generator<number> {
  for (let i = 0; i < pairs.length; i += 2) {
    for (let bits = pairs[i + 1]! >>> 0; bits !== 0; bits &= bits - 1) yield pairs[i]! * 32 + 31 - Math.clz32(bits & -bits);
  }
}
