/**
 * Which lists of rules the facts of a flow lead to: each pattern that a text meets is found by the hash of the text, or of its beginning. What a
 * thread keeps to look at no others.
 */
import type { ConnectionFacts } from './connection.ts';
import { hashOn } from './hash.ts';
import type { FieldVisitor } from './header-lookup.ts';
import type { PatternSections } from './pattern-index.ts';
import {
  ATTACHED_LEVELS,
  BY_ADDRESS,
  beginningOf,
  FIRST_OPEN_GROUP,
  fieldSeed,
  isFromEnd,
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
import { isMeant } from './pending.ts';
import type { RequestFacts } from './request.ts';

/** Lists that one flow leads to; with more, which takes a command on a hundred keys, every rule is looked at. */
export const LISTS_MAX = 64;
/** Patterns that one flow meets and that are looked up with each other; with more, every rule is looked at. */
const PAIRED_MAX = 32;

const numberOf = (space: Space) => SPACES.indexOf(space);
const [HOST, PATH, METHOD, FIELD] = [numberOf('host'), numberOf('path'), numberOf('method'), numberOf('field')];
const [SNI, ALPN, JA4, IDENTITY] = [numberOf('sni'), numberOf('alpn'), numberOf('ja4'), numberOf('identity')];
const [KIND, USER, NAME, KEY, PAIR] = [numberOf('kind'), numberOf('user'), numberOf('name'), numberOf('key'), numberOf('pair')];
const DENIES = 1;

/** How arithmetic yields them: no word is then too great for a small integer. */
export function signed(words: Uint32Array): Int32Array {
  return new Int32Array(words.buffer, words.byteOffset, words.length);
}

export class PatternLookup implements FieldVisitor {
  /** Of each list that was found: its group, where its records go on, and where they end. */
  readonly groups = new Uint32Array(LISTS_MAX);
  readonly at = new Uint32Array(LISTS_MAX);
  readonly ends = new Uint32Array(LISTS_MAX);
  count = 0;
  /** There are more than that, so every rule is to be looked at. */
  overflown = false;
  readonly records: Uint32Array;
  readonly #starts: Uint32Array;
  readonly #lists: Uint32Array;
  readonly #slots: Int32Array;
  readonly #spaces: Int32Array;
  readonly #slotCount: number;
  /** Hashes of patterns that were met and are one of a pair. */
  readonly #paired = new Int32Array(PAIRED_MAX);
  #pairedCount = 0;
  #level = 0;
  #first = 0;
  #end = 0;
  #protocols = 0;
  #definite = false;

  constructor(sections: PatternSections) {
    this.records = sections.patternRecords;
    this.#starts = sections.patternStarts;
    this.#lists = sections.patternLists;
    this.#slots = signed(sections.patternSlots);
    this.#spaces = signed(sections.patternSpaces);
    this.#slotCount = this.#slots.length / SLOT_WORDS;
  }

  /** hot: begins anew, for rules with records from `first` up to `end`. `definite`: only for those that ask for nothing that is not known. */
  begin(level: number, first: number, end: number, protocols: number, definite: boolean): void {
    this.count = 0;
    this.overflown = false;
    this.#pairedCount = 0;
    this.#level = level;
    this.#first = first;
    this.#end = end;
    this.#protocols = protocols;
    this.#definite = definite;
  }

  /** hot: by what the connection is known for. */
  seekConnection({ tls, identities }: ConnectionFacts): void {
    if (tls !== null) {
      this.seekHello(tls);
      if (tls.ja4 !== null) this.#seek(JA4, tls.ja4);
    }
    if (identities === null || !this.#isUsed(IDENTITY)) return;
    for (let i = 0; i < identities.length; i++) this.#seek(IDENTITY, identities[i]!);
  }

  /** hot: by what was said in the hello. */
  seekHello({ sni, alpn }: { readonly sni: string | null; readonly alpn: readonly string[] }): void {
    if (sni !== null) this.#seek(SNI, sni);
    if (this.#isUsed(ALPN)) for (let i = 0; i < alpn.length; i++) this.#seek(ALPN, alpn[i]!);
  }

  /** hot: by what is asked for. */
  seekRequest(request: RequestFacts): void {
    if (request.kind === 'http') {
      this.#seek(PATH, request.path);
      this.#seek(HOST, request.host);
      this.#seek(METHOD, request.method);
      if (request.headers !== undefined && this.#isUsed(FIELD)) request.headers.visitFields(this);
      return;
    }
    this.#seek(KIND, request.kind);
    this.#seekTold(USER, request.user);
    this.#seekTold(NAME, request.kind === 'postgres' ? request.database : request.kind === 'mysql' ? request.schema : request.command);
    if (request.kind !== 'redis' || !this.#isUsed(KEY)) return;
    if (request.keys === null) this.#seekTold(KEY, null);
    else {
      // Who lets a command pass means all of its keys, so also the first.
      for (let i = 0; i < request.keys.length && !this.overflown; i++) this.#seek(KEY, request.keys[i]!, seedOf(KEY), i > 0);
    }
  }

  /** hot: by two things together, once all facts were looked up; and by those pairs that are one of a pair again. */
  seekPairs(): void {
    const single = this.#pairedCount;
    // Pairs are noted behind the patterns that they were made of. One pattern may be both of a pair.
    for (let i = 0; i < this.#pairedCount; i++) {
      for (let j = 0; j <= i && j < single; j++) this.#probe(pairHash(this.#paired[i]!, this.#paired[j]!));
    }
  }

  asksFor(name: number): boolean {
    return this.#find(fieldSeed(name)) >= 0;
  }

  visit(name: number, value: string): void {
    if (!this.overflown) this.#seek(FIELD, value, fieldSeed(name));
  }

  #seekTold(space: number, text: string | null): void {
    if (text !== null) this.#seek(space, text);
    else if (this.#isUsed(space)) this.#probe(seedOf(space) ^ UNTOLD);
  }

  /** Whether a rule is attached in a space at this level. */
  #isUsed(space: number): boolean {
    return ((this.#spaces[space * SPACE_WORDS + 4]! >>> this.#level) & 1) === 1;
  }

  /** Finds the lists of all patterns that a text meets. */
  #seek(space: number, text: string, seed = seedOf(space), denials = false): void {
    if (!this.#isUsed(space)) return;
    const spaces = this.#spaces;
    const words = space * SPACE_WORDS;
    const { length } = text;
    const fromEnd = isFromEnd(space);
    if (length > 1) {
      const first = text.charCodeAt(fromEnd ? length - 1 : 0);
      const second = text.charCodeAt(fromEnd ? length - 2 : 1);
      if (((spaces[words + 5]! >>> beginningOf(first, second)) & 1) === 0) return;
    }
    let at = spaces[words]!;
    const end = at + spaces[words + 1]!;
    const whole = length <= spaces[words + 2]! && ((spaces[words + 3]! >>> (length & 31)) & 1) === 1;
    let hash = seed;
    let read = 0;
    for (; at < end && spaces[at]! <= length; at++) {
      const stop = spaces[at]!;
      for (; read < stop; read++) hash = hashOn(hash, text.charCodeAt(fromEnd ? length - 1 - read : read));
      this.#probe(hash, denials);
    }
    if (!whole) return;
    for (; read < length; read++) hash = hashOn(hash, text.charCodeAt(fromEnd ? length - 1 - read : read));
    this.#probe(hash ^ WHOLE, denials);
  }

  #probe(hash: number, denials = false): void {
    const slot = this.#find(hash);
    if (slot < 0) return;
    const word = this.#slots[slot * SLOT_WORDS + 1]!;
    if (word < 0) this.#notePaired(hash);
    const run = ((word & ~PAIRED) - 1) * ATTACHED_LEVELS + this.#level - 1;
    const end = this.#starts[run + 1]!;
    for (let list = this.#starts[run]!; list < end; list++) this.#open(list * LIST_WORDS, denials);
  }

  /** The slot of a node; -1 for none. */
  #find(hash: number): number {
    const slots = this.#slots;
    for (let slot = slotOf(hash, this.#slotCount); ; slot = (slot + 1) & (this.#slotCount - 1)) {
      if (slots[slot * SLOT_WORDS + 1] === 0) return -1;
      if (slots[slot * SLOT_WORDS] === hash) return slot;
    }
  }

  #notePaired(hash: number): void {
    if (!this.#isUsed(PAIR)) return;
    for (let i = 0; i < this.#pairedCount; i++) if (this.#paired[i] === hash) return;
    if (this.#pairedCount === PAIRED_MAX) this.overflown = true;
    else this.#paired[this.#pairedCount++] = hash;
  }

  /** Opens the part of a list that lies in the list of rules. Records ascend. */
  #open(list: number, denials: boolean): void {
    const lists = this.#lists;
    const group = lists[list]!;
    if (!isMeant(lists[list + 1]!, this.#protocols)) return;
    if ((this.#definite && (group & ~BY_ADDRESS) >= FIRST_OPEN_GROUP) || (denials && (group & 3) !== DENIES)) return;
    const { records } = this;
    const end = lists[list + LIST_WORDS + 2]!;
    let low = lists[list + 2]!;
    let high = end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (records[middle]! < this.#first) low = middle + 1;
      else high = middle;
    }
    if (low === end || records[low]! >= this.#end) return;
    for (let i = 0; i < this.count; i++) if (this.ends[i] === end) return;
    if (this.count === LISTS_MAX) {
      this.overflown = true;
      return;
    }
    this.groups[this.count] = group;
    this.at[this.count] = low;
    this.ends[this.count++] = end;
  }
}
