/**
 * The rules of a program that a flow may meet, in their order: those whose patterns it meets, found by the index, and those that no
 * pattern leads to. What a thread keeps to look at no others.
 */
import type { ConnectionFacts } from './connection.ts';
import { sectionOf } from './layout.ts';
import {
  ATTACHED_LEVELS,
  beginningOf,
  hashOn,
  isFromEnd,
  LEVELS,
  SLOT_WORDS,
  SPACE_WORDS,
  SPACES,
  type Space,
  seedOf,
  slotOf,
  UNTOLD,
  WHOLE,
} from './patterns.ts';
import { INDEXED_PAIR_WORDS } from './programs.ts';
import type { RequestFacts } from './request.ts';

/** Patterns that one flow meets and that have rules; with more, which takes a command on a hundred keys, every rule is looked at. */
const LISTS_MAX = 64;

/** Greater than any rule of a list. */
const NONE = 0x7fffffff;

const numberOf = (space: Space) => SPACES.indexOf(space);
const [HOST, PATH, SNI, ALPN, JA4] = (['host', 'path', 'sni', 'alpn', 'ja4'] as const).map(numberOf) as [
  number,
  number,
  number,
  number,
  number,
];
const [IDENTITY, KIND, USER, NAME, KEY] = (['identity', 'kind', 'user', 'name', 'key'] as const).map(numberOf) as [
  number,
  number,
  number,
  number,
  number,
];

/** How much is known of a flow, see LEVELS; -1 where it is known in another order, and every rule is looked at. */
export function levelOf(request: RequestFacts | null, { tls, identities }: ConnectionFacts): number {
  if (tls !== null && identities !== null) return request === null ? 2 : 3;
  if (identities !== null || request !== null) return -1;
  return tls === null ? 0 : 1;
}

function signed(words: Uint32Array): Int32Array {
  return new Int32Array(words.buffer, words.byteOffset, words.length);
}

export class Proposals {
  readonly #starts: Uint32Array;
  readonly #records: Uint32Array;
  /** Hashes and bits as signed numbers, as arithmetic yields them: no word is then too great for a small integer. */
  readonly #slots: Int32Array;
  readonly #spaces: Int32Array;
  readonly #slotCount: number;
  /** Where each list that was found goes on, and where it ends. */
  readonly #at = new Uint32Array(LISTS_MAX);
  readonly #ends = new Uint32Array(LISTS_MAX);
  #lists = 0;
  #overflown = false;
  #level = 0;
  readonly #programs: Int32Array;
  /** The program's first pair, and how many it has. */
  #first = 0;
  #count = 0;
  #firstRecord = 0;
  #endRecord = 0;
  /** The next rule that no pattern leads to, where it stands, and what else stands there; `#rest` is -1 where it is to be looked for. */
  #rest = -1;
  #restPair = 0;
  #restBits = 0;
  /** The next rule that a pattern leads to; -1 where it is to be looked for. No rule before `#foundPair` is asked for any more. */
  #found = -1;
  #foundPair = 0;

  /** `buffer` is an image, `programs` are its programs. */
  constructor(buffer: SharedArrayBuffer, programs: Uint32Array) {
    this.#programs = signed(programs);
    this.#starts = sectionOf(buffer, 'patternStarts');
    this.#records = sectionOf(buffer, 'patternRecords');
    this.#slots = signed(sectionOf(buffer, 'patternSlots'));
    this.#spaces = signed(sectionOf(buffer, 'patternSpaces'));
    this.#slotCount = this.#slots.length / SLOT_WORDS;
  }

  /**
   * hot: allocates nothing. Begins with a program of the list that begins at a record: `first` and `count` are its pairs. `connection` null:
   * no rule of the program asks for what is known of it. One program at a time.
   */
  begin(
    first: number,
    count: number,
    level: number,
    firstRecord: number,
    request: RequestFacts | null,
    connection: ConnectionFacts | null,
  ): void {
    const programs = this.#programs;
    this.#first = first;
    this.#count = count;
    this.#level = level;
    this.#firstRecord = firstRecord;
    this.#endRecord = firstRecord + (programs[first + (count - 1) * INDEXED_PAIR_WORDS]! + 1) * 32;
    this.#lists = 0;
    this.#overflown = false;
    this.#rest = -1;
    this.#found = -1;
    this.#foundPair = 0;
    if (level > 0 && connection !== null) this.#seekConnection(connection);
    if (level === LEVELS - 1 && request !== null) this.#seekRequest(request);
    this.#restPair = this.#overflown ? 0 : this.#pairWithRest(0);
    this.#restBits = this.#bitsOfRest();
  }

  /** hot: allocates nothing. The next rule of the list to look at, by its number there; -1 for none. */
  next(): number {
    if (this.#rest < 0) this.#seekRest();
    if (this.#found < 0) this.#seekFound();
    const rest = this.#rest;
    const found = this.#found;
    const next = rest < found ? rest : found;
    if (next === NONE) return -1;
    if (rest === next) this.#rest = -1;
    if (found === next) this.#found = -1;
    return next;
  }

  #seekConnection({ tls, identities }: ConnectionFacts): void {
    if (tls !== null) {
      if (tls.sni !== null) this.#seek(SNI, tls.sni);
      if (this.#isUsed(ALPN)) for (let i = 0; i < tls.alpn.length; i++) this.#seek(ALPN, tls.alpn[i]!);
      if (tls.ja4 !== null) this.#seek(JA4, tls.ja4);
    }
    if (identities === null || !this.#isUsed(IDENTITY)) return;
    for (let i = 0; i < identities.length; i++) this.#seek(IDENTITY, identities[i]!);
  }

  #seekRequest(request: RequestFacts): void {
    if (request.kind === 'http') {
      this.#seek(PATH, request.path);
      this.#seek(HOST, request.host);
      return;
    }
    this.#seek(KIND, request.kind);
    this.#seekTold(USER, request.user);
    this.#seekTold(NAME, request.kind === 'postgres' ? request.database : request.kind === 'mysql' ? request.schema : request.command);
    if (request.kind !== 'redis' || !this.#isUsed(KEY)) return;
    if (request.keys === null) this.#seekTold(KEY, null);
    else for (let i = 0; i < request.keys.length && !this.#overflown; i++) this.#seek(KEY, request.keys[i]!);
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
  #seek(space: number, text: string): void {
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
    let hash = seedOf(space);
    let read = 0;
    for (; at < end && spaces[at]! <= length; at++) {
      const stop = spaces[at]!;
      for (; read < stop; read++) hash = hashOn(hash, text.charCodeAt(fromEnd ? length - 1 - read : read));
      this.#probe(hash);
    }
    if (!whole) return;
    for (; read < length; read++) hash = hashOn(hash, text.charCodeAt(fromEnd ? length - 1 - read : read));
    this.#probe(hash ^ WHOLE);
  }

  #probe(hash: number): void {
    const slots = this.#slots;
    for (let slot = slotOf(hash, this.#slotCount); ; slot = (slot + 1) & (this.#slotCount - 1)) {
      const node = slots[slot * SLOT_WORDS + 1]!;
      if (node === 0) return;
      if (slots[slot * SLOT_WORDS] !== hash) continue;
      this.#open((node - 1) * ATTACHED_LEVELS + this.#level - 1);
      return;
    }
  }

  /** Opens the part of a list that lies in the list of rules. Records ascend. */
  #open(list: number): void {
    const records = this.#records;
    const end = this.#starts[list + 1]!;
    let low = this.#starts[list]!;
    let high = end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (records[middle]! < this.#firstRecord) low = middle + 1;
      else high = middle;
    }
    if (low === end || records[low]! >= this.#endRecord) return;
    for (let i = 0; i < this.#lists; i++) if (this.#ends[i] === end) return;
    if (this.#lists === LISTS_MAX) {
      this.#overflown = true;
      return;
    }
    this.#at[this.#lists] = low;
    this.#ends[this.#lists++] = end;
  }

  #seekRest(): void {
    while (this.#restBits === 0 && this.#restPair < this.#count) {
      this.#restPair = this.#overflown ? this.#restPair + 1 : this.#pairWithRest(this.#restPair + 1);
      this.#restBits = this.#bitsOfRest();
    }
    const bits = this.#restBits;
    if (bits === 0) {
      this.#rest = NONE;
      return;
    }
    this.#rest = this.#programs[this.#first + this.#restPair * INDEXED_PAIR_WORDS]! * 32 + 31 - Math.clz32(bits & -bits);
    this.#restBits = bits & (bits - 1);
  }

  #pairWithRest(pair: number): number {
    return pair < this.#count ? this.#programs[this.#first + pair * INDEXED_PAIR_WORDS + 3 + this.#level * 2]! : this.#count;
  }

  #bitsOfRest(): number {
    if (this.#restPair >= this.#count) return 0;
    return this.#programs[this.#first + this.#restPair * INDEXED_PAIR_WORDS + (this.#overflown ? 1 : 2 + this.#level * 2)]!;
  }

  #seekFound(): void {
    const records = this.#records;
    for (;;) {
      let least = this.#endRecord;
      for (let i = 0; i < this.#lists; i++) {
        const at = this.#at[i]!;
        if (at < this.#ends[i]! && records[at]! < least) least = records[at]!;
      }
      if (least === this.#endRecord || this.#overflown) {
        this.#found = NONE;
        return;
      }
      for (let i = 0; i < this.#lists; i++) if (records[this.#at[i]!] === least && this.#at[i]! < this.#ends[i]!) this.#at[i]!++;
      const index = least - this.#firstRecord;
      if (this.#holds(index)) {
        this.#found = index;
        return;
      }
    }
  }

  /** Whether a rule is one of the program's. Asked for ascending numbers. */
  #holds(index: number): boolean {
    const programs = this.#programs;
    const word = index >>> 5;
    let low = this.#foundPair;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (programs[this.#first + middle * INDEXED_PAIR_WORDS]! < word) low = middle + 1;
      else high = middle;
    }
    this.#foundPair = low;
    if (low === this.#count) return false;
    const at = this.#first + low * INDEXED_PAIR_WORDS;
    return programs[at] === word && ((programs[at + 1]! >>> (index & 31)) & 1) === 1;
  }
}
