/**
 * Makes the index of patterns. A rule is attached to the patterns of one thing that it asks for (a path, an identity, the name in a ClientHello, …),
 * whichever fewest rules share; and where many share each of them, to those of two things together.
 */
import { hashOn } from './hash.ts';
import { ALL_PROTOCOLS } from './outcome.ts';
import {
  ATTACHED_LEVELS,
  BY_ADDRESS,
  beginningOf,
  fieldSeed,
  groupOf,
  isFromEnd,
  KNOWN_AT,
  LEVELS,
  LIST_WORDS,
  PAIRED,
  pairHash,
  SLOT_WORDS,
  SPACE_WORDS,
  SPACES,
  type Space,
  seedOf,
  slotOf,
  UNTOLD,
  WHOLE,
} from './patterns.ts';

/** Rules that share a pattern, before two things that they ask for are looked up together. */
const SHARED_MAX = 8;
/** Pairs that one rule is attached to. */
const PAIRS_MAX = 16;
/** Things that a rule asks for and is found by together. */
const JOINED_MAX = 4;
/** Lists of one pattern that are kept apart by protocols. */
const MASKS_MAX = 4;

/** A thing that a rule asks for: for each case that it may be, lists of patterns of which each list is met by one at least. */
export interface Handle {
  /** The fact that it speaks of, a bit of what rules ask. */
  readonly asks: number;
  readonly cases: readonly (readonly (readonly number[])[])[];
  /** It leads to the rule from some addresses only: from others the rule asks for no identity. */
  readonly besideAddresses?: boolean;
}

/** What lists keep rules apart by. */
export interface Listed {
  readonly asks: number;
  readonly action: number;
  readonly protocols: number;
}

/** Bits of the levels at which the index leads to a rule, and of those at which it does from all addresses. */
export interface Attached {
  readonly levels: number;
  readonly fromAll: number;
}

export interface PatternSections {
  /** List n × ATTACHED_LEVELS + level - 1 is where the lists of node n begin. */
  readonly patternStarts: Uint32Array;
  readonly patternLists: Uint32Array;
  readonly patternRecords: Uint32Array;
  readonly patternSlots: Uint32Array;
  readonly patternSpaces: Uint32Array;
}

interface Entry extends Listed {
  readonly record: number;
  readonly handles: readonly Handle[];
}

/** What leads to a rule at a level. */
interface Lead {
  /** Of each of these, and of no other, the rule is in the lists. */
  nodes: readonly number[];
  /** Of how many things a node is of each. */
  joined: number;
  /** What it asks for besides, and may be found by with them. */
  rest: readonly Handle[];
  /** They lead to it from some addresses only, and these from the others; null: nothing does. */
  readonly besideAddresses: boolean;
  readonly byAddress: readonly number[] | null;
}

export class PatternIndex {
  readonly #hashes: number[] = [];
  /** Bits of the spaces that a node is of: hashes of two may fall together. */
  readonly #spacesOf: number[] = [];
  /** Rules whose pattern a node is. */
  readonly #uses: number[] = [];
  readonly #paired = new Set<number>();
  readonly #nodes = new Map<number, number>();
  readonly #lengths: Set<number>[] = SPACES.map(() => new Set());
  readonly #longest: number[] = SPACES.map(() => 0);
  readonly #wholeLengths: number[] = SPACES.map(() => 0);
  readonly #beginnings: number[] = SPACES.map(() => 0);
  readonly #entries: Entry[] = [];
  /** For each entry and attached level; null where nothing leads to it. */
  readonly #leads: (Lead | null)[] = [];

  /** The node of a text that is met whole. `seed` is given for values of fields. */
  whole(space: Space, text: string, seed?: number): number {
    const number = SPACES.indexOf(space);
    this.#longest[number] = Math.max(this.#longest[number]!, text.length);
    this.#wholeLengths[number]! |= 1 << (text.length & 31);
    this.#begin(number, text);
    return this.#node(number, hashOf(number, text, seed) ^ WHOLE);
  }

  /** The node of a text that others begin with. */
  prefix(space: Space, text: string, seed?: number): number {
    const number = SPACES.indexOf(space);
    this.#lengths[number]!.add(text.length);
    this.#begin(number, text);
    return this.#node(number, hashOf(number, text, seed));
  }

  /** The seed of a field's values, by the hash of its name. */
  field(name: number): number {
    const seed = fieldSeed(name);
    this.#node(SPACES.indexOf('field'), seed);
    return seed;
  }

  /** The node of what cannot be told. */
  untold(space: Space): number {
    const number = SPACES.indexOf(space);
    return this.#node(number, seedOf(number) ^ UNTOLD);
  }

  /** A rule, by its record, with the things that it can be found by. Records ascend. */
  add(record: number, handles: readonly Handle[], { asks, action, protocols }: Listed): void {
    if (handles.length === 0) return;
    for (const node of new Set(handles.flatMap(({ cases }) => cases.flat(2)))) this.#uses[node]!++;
    this.#entries.push({ record, handles, asks, action, protocols });
  }

  /** Attaches all rules that were added; how, by their records. Rules that can't be found are missing. */
  settle(): Map<number, Attached> {
    for (let level = 1; level < LEVELS; level++) this.#settleLevel(level);
    const attached = new Map<number, Attached>();
    for (const [i, { record }] of this.#entries.entries()) {
      let levels = 0;
      let fromAll = 0;
      for (let level = 1; level < LEVELS; level++) {
        const lead = this.#leads[i * ATTACHED_LEVELS + level - 1]!;
        if (lead === null) continue;
        levels |= 1 << level;
        if (!lead.besideAddresses || lead.byAddress !== null) fromAll |= 1 << level;
      }
      if (levels !== 0) attached.set(record, { levels, fromAll });
    }
    return attached;
  }

  #settleLevel(level: number): void {
    const made: Lead[] = [];
    for (const [i, { handles }] of this.#entries.entries()) {
      const at = i * ATTACHED_LEVELS + level - 1;
      const known = handles.filter(({ asks }) => asks & KNOWN_AT[level]!);
      // What is known besides may be nothing that the rule can be found by.
      if (level > 1 && !handles.some(({ asks }) => asks & KNOWN_AT[level]! & ~KNOWN_AT[level - 1]!)) {
        this.#leads[at] = this.#leads[at - 1]!;
        continue;
      }
      const lead = (this.#leads[at] = known.length === 0 ? null : this.#lead(known));
      if (lead !== null) made.push(lead);
    }
    this.#join(made);
  }

  /** Where many share two things that they ask for, a third one is taken with them, and a fourth. */
  #join(leads: readonly Lead[]): void {
    for (let joined = 2; joined < JOINED_MAX; joined++) {
      const uses = new Map<number, number>();
      for (const { nodes } of leads) for (const node of nodes) uses.set(node, (uses.get(node) ?? 0) + 1);
      for (const lead of leads) {
        if (lead.joined !== joined || lead.nodes.every((node) => uses.get(node)! <= SHARED_MAX)) continue;
        const [next, ...rest] = lead.rest;
        if (next === undefined || lead.nodes.length * nodesOf(next).length > PAIRS_MAX) continue;
        lead.nodes = this.#pairs(lead.nodes, nodesOf(next));
        lead.rest = rest;
        lead.joined++;
      }
    }
  }

  encode(): PatternSections {
    const lists = this.#lists();
    const levelsOf: number[] = SPACES.map(() => 0);
    const patternStarts = new Uint32Array(this.#hashes.length * ATTACHED_LEVELS + 1);
    const words: number[] = [];
    const records: number[] = [];
    for (let run = 0; run < patternStarts.length - 1; run++) {
      patternStarts[run] = words.length / LIST_WORDS;
      for (const [group, masks] of lists[run] ?? []) {
        for (const [protocols, members] of masks) {
          words.push(group, protocols, records.length);
          for (const record of members) records.push(record);
          this.#use(levelsOf, Math.floor(run / ATTACHED_LEVELS), 1 << ((run % ATTACHED_LEVELS) + 1));
        }
      }
    }
    patternStarts[patternStarts.length - 1] = words.length / LIST_WORDS;
    words.push(0, 0, records.length);
    // What pairs are made of is to be read as well.
    const pairLevels = levelsOf[SPACES.indexOf('pair')]!;
    for (const node of this.#paired) this.#use(levelsOf, node, pairLevels);
    return {
      patternStarts,
      patternLists: Uint32Array.from(words),
      patternRecords: Uint32Array.from(records),
      patternSlots: this.#encodeSlots(),
      patternSpaces: this.#encodeSpaces(levelsOf),
    };
  }

  /** Notes that a node's spaces are used at some levels. */
  #use(levelsOf: number[], node: number, levels: number): void {
    for (let space = 0; space < SPACES.length; space++) if ((this.#spacesOf[node]! >>> space) & 1) levelsOf[space]! |= levels;
  }

  /** By node and level, then by group, then by protocols: the records of rules, ascending. */
  #lists(): (Map<number, Map<number, number[]>> | undefined)[] {
    const lists: (Map<number, Map<number, number[]>> | undefined)[] = new Array(this.#hashes.length * ATTACHED_LEVELS);
    for (const [i, { record, asks, action, protocols }] of this.#entries.entries()) {
      for (let level = 1; level < LEVELS; level++) {
        const group = groupOf(action, asks & ~KNOWN_AT[level]!);
        const put = (node: number, key: number) => {
          const groups = (lists[node * ATTACHED_LEVELS + level - 1] ??= new Map());
          let masks = groups.get(key);
          if (masks === undefined) groups.set(key, (masks = new Map()));
          addMasked(masks, protocols, record);
        };
        const lead = this.#leads[i * ATTACHED_LEVELS + level - 1]!;
        for (const node of lead?.nodes ?? []) put(node, group);
        for (const node of lead?.byAddress ?? []) put(node, group | BY_ADDRESS);
      }
    }
    return lists;
  }

  /** The nodes of the handle whose busiest node is the least busy, or of two handles together; null for none. */
  #lead(handles: readonly Handle[]): Lead | null {
    let least = Number.POSITIVE_INFINITY;
    let found: Lead | null = null;
    for (const { cases, besideAddresses = false } of handles) {
      const nodes = isPlain(cases) ? cases[0]![0]! : this.#leastShared(cases);
      const busiest = this.#busiest(nodes);
      if (busiest >= least) continue;
      least = busiest;
      found = { nodes: [...new Set(nodes)], joined: 1, rest: [], besideAddresses, byAddress: null };
    }
    if (least > SHARED_MAX && handles.length > 1) return this.#leadByPair(handles) ?? found;
    return found;
  }

  /** The pairs of the two handles that are shared least, where they are few; null where they aren't. */
  #leadByPair(handles: readonly Handle[]): Lead | null {
    const [one, other, ...rest] = handles
      .filter(({ cases }) => isPlain(cases))
      .sort((a, b) => this.#busiest(nodesOf(a)) - this.#busiest(nodesOf(b)));
    if (one === undefined || other === undefined || nodesOf(one).length * nodesOf(other).length > PAIRS_MAX) return null;
    const beside = [one, other].filter(({ besideAddresses }) => besideAddresses);
    const nodes = this.#pairs(nodesOf(one), nodesOf(other));
    if (beside.length === 0)
      return { nodes, joined: 2, rest: rest.filter((handle) => !handle.besideAddresses), besideAddresses: false, byAddress: null };
    return { nodes, joined: 2, rest: [], besideAddresses: true, byAddress: [...new Set(nodesOf(one === beside[0] ? other : one))] };
  }

  /** The nodes of two patterns that are met together, for each one of the first with each one of the others. */
  #pairs(first: readonly number[], others: readonly number[]): readonly number[] {
    const pair = SPACES.indexOf('pair');
    for (const node of [...first, ...others]) this.#paired.add(node);
    const nodes = first.flatMap((a) => others.map((b) => this.#node(pair, pairHash(this.#hashes[a]!, this.#hashes[b]!))));
    return [...new Set(nodes)];
  }

  #leastShared(cases: Handle['cases']): readonly number[] {
    return cases.flatMap((lists) => lists.reduce((a, b) => (this.#busiest(b) < this.#busiest(a) ? b : a)));
  }

  #busiest(nodes: readonly number[]): number {
    let most = 0;
    for (const node of nodes) if (this.#uses[node]! > most) most = this.#uses[node]!;
    return most;
  }

  #node(space: number, hash: number): number {
    let node = this.#nodes.get(hash);
    if (node === undefined) {
      node = this.#hashes.push(hash) - 1;
      this.#nodes.set(hash, node);
      this.#spacesOf.push(0);
      this.#uses.push(0);
    }
    this.#spacesOf[node]! |= 1 << space;
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
      words[slot * SLOT_WORDS + 1] = (node + 1) | (this.#paired.has(node) ? PAIRED : 0);
    }
    return words;
  }

  /** The words of all spaces, then the lengths that they speak of, ascending. */
  #encodeSpaces(levelsOf: readonly number[]): Uint32Array {
    const words: number[] = [];
    const lengths: number[] = [];
    for (const [space, set] of this.#lengths.entries()) {
      words.push(SPACES.length * SPACE_WORDS + lengths.length, set.size, this.#longest[space]!, this.#wholeLengths[space]!);
      words.push(levelsOf[space]!, this.#beginnings[space]!);
      lengths.push(...[...set].sort((a, b) => a - b));
    }
    return Uint32Array.from([...words, ...lengths]);
  }
}

/** The patterns of a thing of one case, of one list. */
function nodesOf({ cases }: Handle): readonly number[] {
  return cases[0]![0]!;
}

/** Whether there is one case, of one list. */
function isPlain(cases: Handle['cases']): boolean {
  return cases.length === 1 && cases[0]!.length === 1;
}

/** Adds to the list of the same protocols; to one for all of them where there would be too many. */
function addMasked(masks: Map<number, number[]>, protocols: number, record: number): void {
  const own = masks.get(protocols);
  if (own !== undefined) own.push(record);
  else if (masks.size < MASKS_MAX) masks.set(protocols, [record]);
  else {
    const rest = masks.get(ALL_PROTOCOLS);
    if (rest === undefined) masks.set(ALL_PROTOCOLS, [record]);
    else rest.push(record);
  }
}

function hashOf(space: number, text: string, seed = seedOf(space)): number {
  let hash = seed;
  if (isFromEnd(space)) for (let i = text.length - 1; i >= 0; i--) hash = hashOn(hash, text.charCodeAt(i));
  else for (let i = 0; i < text.length; i++) hash = hashOn(hash, text.charCodeAt(i));
  return hash;
}
