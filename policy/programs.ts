/**
 * Programs: for a list of rules, a port and an atom, the rules that hold there up to the first that asks nothing further, and the
 * outcome for each protocol. Equal programs of a list are written once.
 *
 * In the image: a word of flags and size; the outcomes (one word, or one a protocol); then pairs of word number and bits of the rules. With
 * many conditions each pair goes on, for each level of patterns.ts, with the bits of those rules that are looked at whatever the flow is,
 * and the number of the first pair from here on that has such bits.
 */
import { PROTOCOLS } from '../config/protocols.ts';
import { ALL_PROTOCOLS, outcomesByProtocol, type RuleFacts } from './outcome.ts';
import type { Partition } from './partition.ts';
import { KNOWN_AT, LEVELS } from './patterns.ts';
import { type SourcedRule, sweep } from './sweep.ts';

/** The outcome depends on the protocol: one outcome a protocol. */
export const BY_PROTOCOL = 1;
/** A rule asks of the request. */
export const BY_REQUEST = 2;
/** A `pass` for some protocols only: two protocols together can then come to what neither does alone. */
export const PASS_BY_PROTOCOL = 4;
/** So many rules ask for more than source and port that they are found by their patterns. Pairs then have INDEXED_PAIR_WORDS words. */
export const MANY_CONDITIONS = 8;
/** A rule has a demand, see demand.ts: the list is walked. */
export const BY_DEMAND = 16;
/** Above the flags: the number of pairs. */
export const PAIRS_SHIFT = 5;

/** Conditions that are walked faster than patterns are looked up. */
const CONDITIONS_WALKED = 16;

/** Word and bits, and two words a level. */
export const INDEXED_PAIR_WORDS = 2 + LEVELS * 2;

/** Rows of all lists: row r spans `starts[r]` to `starts[r + 1]` in `atoms` and `programs`. */
export class ProgramTable {
  readonly starts: number[] = [0];
  readonly atoms: number[] = [];
  readonly programs: number[] = [];
  readonly words: number[] = [];
  readonly #conditionsWalked: number;
  #emptyRow = -1;

  /** `conditionsWalked`: with more conditions a program is indexed. It changes what a decision costs, and no decision. */
  constructor(conditionsWalked = CONDITIONS_WALKED) {
    this.#conditionsWalked = conditionsWalked;
  }

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
      if ((asksHttp || demanding || protocols !== ALL_PROTOCOLS) && ++conditions > this.#conditionsWalked) flags |= MANY_CONDITIONS;
      // A request's condition on a narrower protocol counts as well, even where the outcomes look alike.
      if (conditional && protocols !== ALL_PROTOCOLS) flags |= BY_PROTOCOL;
      if (action === 2 && protocols !== ALL_PROTOCOLS) flags |= PASS_BY_PROTOCOL;
    }
    this.words.push(flags | ((pairs.length / 2) << PAIRS_SHIFT));
    if (flags & BY_PROTOCOL) for (const outcome of outcomes) this.words.push(outcome);
    else this.words.push(outcomes[0]!);
    if (flags & MANY_CONDITIONS) this.#writeIndexed(pairs, facts, (flags & BY_DEMAND) !== 0);
    else for (const word of pairs) this.words.push(word);
    const alike = known.get(hash);
    if (alike === undefined) known.set(hash, [program]);
    else alike.push(program);
    return program;
  }

  #writeIndexed(pairs: readonly number[], facts: readonly RuleFacts[], demanding: boolean): void {
    const count = pairs.length / 2;
    const first = this.words.length;
    for (let pair = 0; pair < count; pair++) {
      this.words.push(pairs[pair * 2]!, pairs[pair * 2 + 1]!);
      for (let level = 0; level < LEVELS; level++) this.words.push(0, count);
    }
    for (let level = 0; level < LEVELS; level++) {
      // Without demands a program is asked with a request or without.
      if (!demanding && level < LEVELS - 2) continue;
      const rest = restAt(level, pairs, facts);
      let next = count;
      for (let pair = count - 1; pair >= 0; pair--) {
        if (rest[pair] !== 0) next = pair;
        this.words[first + pair * INDEXED_PAIR_WORDS + 2 + level * 2] = rest[pair]!;
        this.words[first + pair * INDEXED_PAIR_WORDS + 3 + level * 2] = next;
      }
    }
  }
}

/** Words of outcomes in a program, by its first word. */
export function outcomeWords(head: number): number {
  return head & BY_PROTOCOL ? PROTOCOLS.length : 1;
}

/** Words of a pair, by the program's first word. */
export function pairWords(head: number): number {
  return head & MANY_CONDITIONS ? INDEXED_PAIR_WORDS : 2;
}

/**
 * For each pair the bits of the rules that are looked at at a level whatever the flow is: those that ask for what is known, and that the
 * index does not lead to; and of those that ask for nothing that is known, enough to tell what they come to. Of rules that are alike the first
 * says what all of them may come to; a later one says something new only by standing behind a rule of the other verdict that none of them
 * stood behind before, see pending.ts.
 */
function restAt(level: number, pairs: readonly number[], facts: readonly RuleFacts[]): Int32Array {
  const rest = new Int32Array(pairs.length / 2);
  const known = KNOWN_AT[level]!;
  /** By kind, how many of the other verdict there were when one was last kept. */
  const kept = new Map<number, number>();
  const kinds = [0, 0, 0];
  let lastAlike = -1;
  for (let pair = 0; pair < rest.length; pair++) {
    for (let bits = pairs[pair * 2 + 1]!; bits !== 0; bits &= bits - 1) {
      const bit = bits & -bits;
      const { asks, alike, levels, action } = facts[pairs[pair * 2]! * 32 + 31 - Math.clz32(bit)]!;
      if ((asks & known) !== 0) {
        // Where more than one fact is not known, one that is found may leave open another fact than those around it.
        if (level === 1 && (asks & ~known) !== 0) {
          kinds[action]!++;
          lastAlike = -1;
        }
        if (((levels >>> level) & 1) !== 0) continue;
      } else {
        if (alike === lastAlike) continue;
        lastAlike = alike;
        const others = action < 2 ? kinds[1 - action]! : 0;
        const behind = kept.get(alike);
        // One that asks for nothing ends the list, or is of another protocol as are all of its kind.
        if (behind !== undefined && (asks === 0 || behind === others)) continue;
        if (behind === undefined) kinds[action]!++;
        kept.set(alike, others);
      }
      rest[pair]! |= bit;
    }
  }
  return rest;
}

/** Numbers of the rules in pairs of word and bits, ascending. */
export function* indexesOf(pairs: readonly number[]): Generator<number> {
  for (let i = 0; i < pairs.length; i += 2) {
    for (let bits = pairs[i + 1]! >>> 0; bits !== 0; bits &= bits - 1) yield pairs[i]! * 32 + 31 - Math.clz32(bits & -bits);
  }
}
