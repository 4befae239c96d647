/**
 * An index for programs with many conditions. A rule is attached to the patterns of one thing that it asks for (a path, an identity, the
 * name in a ClientHello, …), whichever fewest rules share, so that of ten thousand rules only those are looked at whose pattern the flow
 * meets. The index proposes, the condition itself decides; so patterns are known by their hashes alone.
 */
import { ASKS_IDENTITY, ASKS_TLS } from './demand.ts';

/** What patterns speak of. Users of all databases share a space, as do names: what is proposed in vain costs a look. */
export const SPACES = ['host', 'path', 'sni', 'alpn', 'ja4', 'identity', 'kind', 'user', 'name', 'key'] as const;
export type Space = (typeof SPACES)[number];

/**
 * How much is known of a flow, by which rules are found: level 0 nothing, 1 the ClientHello, 2 who the client is too, 3 the request too.
 * A rule is attached anew at each level from 1 on.
 */
export const LEVELS = 4;
export const ATTACHED_LEVELS = LEVELS - 1;

/** The facts that are known at a level, as bits of what rules ask. */
export const KNOWN_AT: readonly number[] = [0, ASKS_TLS, ASKS_TLS | ASKS_IDENTITY, -1];

/**
 * Words of a space: its prefix lengths (offset and count); the length of its longest whole pattern, and bits of the lengths of all whole ones
 * (modulo 32); bits of the levels that use it; bits of how patterns begin. What these bits rule out needn't be read.
 */
export const SPACE_WORDS = 6;
/** Words of a slot: hash, node + 1. Open addressing, at most half full, a power of two of slots. */
export const SLOT_WORDS = 2;

/** Patterns that match whole have a hash of their own, beside the prefix of the same text; and so has a fact that cannot be told. */
export const WHOLE = 0x5bd1e995;
export const UNTOLD = 0x2545f491;

/** hot */
export function seedOf(space: number): number {
  return Math.imul(space + 1, 0x9e3779b1);
}

/** hot: the hash of a text and one more code unit (FNV-1a). */
export function hashOn(hash: number, unit: number): number {
  return Math.imul(hash ^ unit, 0x01000193);
}

/** hot: of the first two code units that are read, as one of 32. */
export function beginningOf(first: number, second: number): number {
  return (first + second * 3) & 31;
}

/** hot */
export function slotOf(hash: number, slots: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) & (slots - 1);
}

/** A thing that a rule asks for: for each case that it may be, lists of patterns of which each list is met by one at least. */
export interface Handle {
  /** The fact that it speaks of, a bit of what rules ask. */
  readonly asks: number;
  readonly cases: readonly (readonly (readonly number[])[])[];
}

export class PatternIndex {
  readonly #hashes: number[] = [];
  readonly #spaceOf: number[] = [];
  /** Rules whose pattern a node is. */
  readonly #uses: number[] = [];
  readonly #nodes = new Map<number, number>();
  readonly #lengths: Set<number>[] = SPACES.map(() => new Set());
  readonly #longest: number[] = SPACES.map(() => 0);
  readonly #wholeLengths: number[] = SPACES.map(() => 0);
  readonly #beginnings: number[] = SPACES.map(() => 0);
  readonly #attached: { record: number; handles: readonly Handle[] }[] = [];

  /** The node of a text that is met whole. */
  whole(space: Space, text: string): number {
    const number = SPACES.indexOf(space);
    this.#longest[number] = Math.max(this.#longest[number]!, text.length);
    this.#wholeLengths[number]! |= 1 << (text.length & 31);
    this.#begin(number, text);
    return this.#node(number, hashOf(number, text) ^ WHOLE);
  }

  /** The node of a text that others begin with. */
  prefix(space: Space, text: string): number {
    const number = SPACES.indexOf(space);
    this.#lengths[number]!.add(text.length);
    this.#begin(number, text);
    return this.#node(number, hashOf(number, text));
  }

  /** The node of what cannot be told. */
  untold(space: Space): number {
    const number = SPACES.indexOf(space);
    return this.#node(number, seedOf(number) ^ UNTOLD);
  }

  /** Attaches a rule, by its record, to one of its handles a level; returns bits of the levels at which it has one. Records ascend. */
  add(record: number, handles: readonly Handle[]): number {
    if (handles.length === 0) return 0;
    for (const node of new Set(handles.flatMap(({ cases }) => cases.flat(2)))) this.#uses[node]!++;
    this.#attached.push({ record, handles });
    let levels = 0;
    for (let level = 1; level < LEVELS; level++) if (handles.some(({ asks }) => asks & KNOWN_AT[level]!)) levels |= 1 << level;
    return levels;
  }

  /** List n × ATTACHED_LEVELS + level - 1 is that of node n. */
  encode(): { patternStarts: Uint32Array; patternRecords: Uint32Array; patternSlots: Uint32Array; patternSpaces: number[] } {
    const lists: number[][] = Array.from({ length: this.#uses.length * ATTACHED_LEVELS }, () => []);
    const levelsOf: number[] = SPACES.map(() => 0);
    for (const { record, handles } of this.#attached) {
      for (let level = 1; level < LEVELS; level++) {
        for (const node of this.#leastShared(handles.filter(({ asks }) => asks & KNOWN_AT[level]!))) {
          lists[node * ATTACHED_LEVELS + level - 1]!.push(record);
          levelsOf[this.#spaceOf[node]!]! |= 1 << level;
        }
      }
    }
    const patternStarts = new Uint32Array(lists.length + 1);
    for (const [list, records] of lists.entries()) patternStarts[list + 1] = patternStarts[list]! + records.length;
    const patternRecords = new Uint32Array(patternStarts.at(-1)!);
    for (const [list, records] of lists.entries()) patternRecords.set(records, patternStarts[list]);
    return { patternStarts, patternRecords, patternSlots: this.#encodeSlots(), patternSpaces: this.#encodeSpaces(levelsOf) };
  }

  /** The nodes of the handle whose busiest node is the least busy. */
  #leastShared(handles: readonly Handle[]): ReadonlySet<number> {
    let least = Number.POSITIVE_INFINITY;
    let found = new Set<number>();
    for (const { cases } of handles) {
      const nodes = cases.flatMap((lists) => lists.reduce((a, b) => (this.#busiest(b) < this.#busiest(a) ? b : a)));
      const busiest = this.#busiest(nodes);
      if (busiest >= least) continue;
      least = busiest;
      found = new Set(nodes);
    }
    return found;
  }

  #busiest(nodes: readonly number[]): number {
    return nodes.reduce((most, node) => Math.max(most, this.#uses[node]!), 0);
  }

  #node(space: number, hash: number): number {
    let node = this.#nodes.get(hash);
    if (node === undefined) {
      node = this.#hashes.push(hash) - 1;
      this.#nodes.set(hash, node);
      this.#spaceOf.push(space);
      this.#uses.push(0);
    }
    return node;
  }

  #begin(space: number, text: string): void {
    const at = (i: number) => text.charCodeAt(isFromEnd(space) ? text.length - 1 - i : i);
    // What is shorter leaves open how texts that begin so go on.
    this.#beginnings[space]! |= text.length < 2 ? -1 : 1 << beginningOf(at(0), at(1));
  }

  #encodeSlots(): Uint32Array {
    let slots = 4;
    while (slots < this.#hashes.length * 2) slots *= 2;
    const words = new Uint32Array(slots * SLOT_WORDS);
    for (const [node, hash] of this.#hashes.entries()) {
      let slot = slotOf(hash, slots);
      while (words[slot * SLOT_WORDS + 1] !== 0) slot = (slot + 1) & (slots - 1);
      words[slot * SLOT_WORDS] = hash;
      words[slot * SLOT_WORDS + 1] = node + 1;
    }
    return words;
  }

  /** The words of all spaces, then the lengths that they speak of, ascending. */
  #encodeSpaces(levelsOf: readonly number[]): number[] {
    const words: number[] = [];
    const lengths: number[] = [];
    for (const [space, set] of this.#lengths.entries()) {
      words.push(SPACES.length * SPACE_WORDS + lengths.length, set.size, this.#longest[space]!, this.#wholeLengths[space]!);
      words.push(levelsOf[space]!, this.#beginnings[space]!);
      lengths.push(...[...set].sort((a, b) => a - b));
    }
    return [...words, ...lengths];
  }
}

/** Hosts and names of a ClientHello are read from their ends. */
function hashOf(space: number, text: string): number {
  let hash = seedOf(space);
  if (isFromEnd(space)) for (let i = text.length - 1; i >= 0; i--) hash = hashOn(hash, text.charCodeAt(i));
  else for (let i = 0; i < text.length; i++) hash = hashOn(hash, text.charCodeAt(i));
  return hash;
}

/** hot: `host` and `sni`. */
export function isFromEnd(space: number): boolean {
  return space === 0 || space === 2;
}
