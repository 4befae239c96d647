/**
 * Programs: for a list of rules, a port and an atom, the rules that hold there up to the first that asks nothing further, and the
 * outcome for each protocol. Equal programs of a list are written once.
 *
 * In the image: a word of flags and size; the outcomes (one word, or one a protocol); then pairs of word number and bits of the rules. With
 * many conditions there follow two rows + 1 (0: none), see `Parts`, and the groups of groups.ts.
 */
import { PROTOCOLS } from '../config/protocols.ts';
import { writeGroups } from './groups.ts';
import { ALL_PROTOCOLS, outcomesByProtocol, type RuleFacts } from './outcome.ts';
import type { Partition } from './partition.ts';
import { LEVELS } from './patterns.ts';
import { type SourcedRule, sweep } from './sweep.ts';
import { Words } from './words.ts';

/** The outcome depends on the protocol: one outcome a protocol. */
export const BY_PROTOCOL = 1;
/** A rule asks of the request. */
export const BY_REQUEST = 2;
/** A `pass` for some protocols only: two protocols together can then come to what neither does alone. */
export const PASS_BY_PROTOCOL = 4;
/** So many rules ask for more than source and port that they are found by their patterns. */
export const MANY_CONDITIONS = 8;
/** A rule has a demand, see demand.ts: the list is walked. */
export const BY_DEMAND = 16;
/** Above the flags: the number of pairs. */
export const PAIRS_SHIFT = 5;

/** Conditions that are walked faster than patterns are looked up. */
const CONDITIONS_WALKED = 16;

/**
 * Rows of those rules of a list whose source depends on identities, from the addresses from where it doesn't: -1 for none. While it is not known who a client is, `certain`
 * are those that its address is enough for. Once it is known, `byAddress` are those that none of its identities leads to.
 */
export interface Parts {
  readonly certain: number;
  readonly byAddress: number;
}

export const NO_PARTS: Parts = { certain: -1, byAddress: -1 };
/** Words of these. */
export const PARTS_WORDS = 2;

/** Rows of all lists: row r spans `starts[r]` to `starts[r + 1]` in `atoms` and `programs`. */
export class ProgramTable {
  readonly starts: number[] = [0];
  readonly atoms: number[] = [];
  readonly programs: number[] = [];
  readonly words = new Words();
  readonly #conditionsWalked: number;
  #emptyRow = -1;

  /** `conditionsWalked`: with more conditions a program is indexed. It changes what a decision costs, and no decision. */
  constructor(conditionsWalked = CONDITIONS_WALKED) {
    this.#conditionsWalked = conditionsWalked;
  }

  /**
   * Writes the programs of a list at one port; returns the row. `facts[i]` is what rule i asks. `decides` is false for lists that are not asked what they come to.
   */
  addRow(
    rules: readonly SourcedRule[],
    facts: readonly RuleFacts[],
    port: number,
    partition: Partition,
    parts = NO_PARTS,
    decides = true,
  ): number {
    if (rules.length === 0 && this.#emptyRow >= 0) return this.#emptyRow;
    const unconditional = new Uint32Array((rules.length + 31) >>> 5);
    for (let i = 0; decides && i < facts.length; i++) {
      if (!facts[i]!.conditional && facts[i]!.protocols === ALL_PROTOCOLS) unconditional[i >>> 5]! |= 1 << (i & 31);
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
      const program = this.#find(known, hash, pairs) ?? this.#write(known, hash, pairs, facts, parts, decides);
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
      const at = program + 1 + outcomeWords(this.words.at(program));
      if (this.words.at(program) >>> PAIRS_SHIFT !== pairs.length / 2) return false;
      return pairs.every((word, i) => this.words.at(at + i) === word >>> 0);
    });
  }

  #write(
    known: Map<number, number[]>,
    hash: number,
    pairs: readonly number[],
    facts: readonly RuleFacts[],
    parts: Parts,
    decides: boolean,
  ): number {
    const program = this.words.length;
    const flags = decides ? this.#writeDeciding(pairs, facts) : this.#writeCollected(pairs);
    for (let i = 0; i < pairs.length; i++) this.words.push(pairs[i]!);
    if (flags & MANY_CONDITIONS) {
      this.words.push(parts.certain + 1);
      this.words.push(parts.byAddress + 1);
      // Without demands a program is asked with a request or without.
      writeGroups(this.words, pairs, facts, decides && (flags & BY_DEMAND) === 0 ? LEVELS - 2 : 0);
    }
    const alike = known.get(hash);
    if (alike === undefined) known.set(hash, [program]);
    else alike.push(program);
    return program;
  }

  /** The first word, and the outcomes. Returns the flags. */
  #writeDeciding(pairs: readonly number[], facts: readonly RuleFacts[]): number {
    const outcomes = outcomesByProtocol(pairs, facts);
    let flags = 0;
    let conditions = 0;
    if (outcomes.some((outcome) => outcome !== outcomes[0])) flags |= BY_PROTOCOL;
    for (let i = 0; i < pairs.length; i += 2) {
      for (let bits = pairs[i + 1]!; bits !== 0; bits &= bits - 1) {
        const { conditional, demanding, asksHttp, protocols, action } = facts[pairs[i]! * 32 + 31 - Math.clz32(bits & -bits)]!;
        if (asksHttp) flags |= BY_REQUEST;
        if (demanding) flags |= BY_DEMAND;
        if (asksHttp || demanding || protocols !== ALL_PROTOCOLS) conditions++;
        // A request's condition on a narrower protocol counts as well, even where the outcomes look alike.
        if (conditional && protocols !== ALL_PROTOCOLS) flags |= BY_PROTOCOL;
        if (action === 2 && protocols !== ALL_PROTOCOLS) flags |= PASS_BY_PROTOCOL;
      }
    }
    if (conditions > this.#conditionsWalked) flags |= MANY_CONDITIONS;
    this.words.push(flags | ((pairs.length / 2) << PAIRS_SHIFT));
    const count = flags & BY_PROTOCOL ? outcomes.length : 1;
    for (let i = 0; i < count; i++) this.words.push(outcomes[i]!);
    return flags;
  }

  /** The first word of a program that is not asked what it comes to, and a word in place of the outcome. */
  #writeCollected(pairs: readonly number[]): number {
    let rules = 0;
    for (let i = 1; i < pairs.length; i += 2) for (let bits = pairs[i]!; bits !== 0; bits &= bits - 1) rules++;
    const flags = rules > this.#conditionsWalked ? MANY_CONDITIONS : 0;
    this.words.push(flags | ((pairs.length / 2) << PAIRS_SHIFT));
    this.words.push(0);
    return flags;
  }
}

/** Words of outcomes in a program, by its first word. */
export function outcomeWords(head: number): number {
  return head & BY_PROTOCOL ? PROTOCOLS.length : 1;
}
