/**
 * The rules of a program that a flow may meet, in their order: those whose patterns it meets, found by the index, and those that no
 * pattern leads to, in groups (groups.ts). Whatever can say nothing new, after what was looked at, is passed over.
 */
import type { ConnectionFacts } from './connection.ts';
import { GROUP_WORDS } from './groups.ts';
import type { PatternSections } from './pattern-index.ts';
import { LISTS_MAX, PatternLookup, signed } from './pattern-lookup.ts';
import { BY_ADDRESS, FIRST_OPEN_GROUP, LEVELS } from './patterns.ts';
import { isMeant, saysNothingNew } from './pending.ts';
import { MANY_CONDITIONS, outcomeWords, PAIRS_SHIFT, PARTS_WORDS } from './programs.ts';
import type { RequestFacts } from './request.ts';

/** At most 3 actions, 8 sets of facts and 5 of protocols, of two programs, and the lists that patterns lead to. */
const STREAMS_MAX = 2 * 3 * 8 * 5 + LISTS_MAX;

/** Answers that are remembered; a power of two. */
const MEMOS = 256;

/** Greater than any rule of a list. */
const NONE = 0x7fffffff;

/** How much is known of a flow, see LEVELS; -1 where it is known in another order, and every rule is looked at. */
export function levelOf(request: RequestFacts | null, { tls, identities }: ConnectionFacts): number {
  if (tls !== null && identities !== null) return request === null ? 2 : 3;
  if (identities !== null || request !== null) return -1;
  return tls === null ? 0 : 1;
}

export class Proposals {
  readonly #programs: Int32Array;
  readonly #lookup: PatternLookup;
  readonly #records: Uint32Array;
  /** Of each stream: its group; where it stands and ends, in programs or (from `#lists` on) in records; and the rule there, by its number. */
  readonly #groups = new Uint32Array(STREAMS_MAX);
  readonly #at = new Uint32Array(STREAMS_MAX);
  readonly #ends = new Uint32Array(STREAMS_MAX);
  readonly #heads = new Int32Array(STREAMS_MAX);
  /** For a group, where it stands in the program by address, as what is there is left to that one's streams; for a list, where its pairs are that the
   * list is for. 0: it doesn't matter. */
  readonly #partAt = new Uint32Array(STREAMS_MAX);
  /** For a group and a program by address, the first rule of the one that the other has not. */
  readonly #memo = new Int32Array(MEMOS * 3);
  #count = 0;
  #lists = 0;
  #partEnd = 0;
  /** The program's pairs. */
  #first = 0;
  #end = 0;
  #firstRecord = 0;
  #endRecord = 0;
  /** No rule before this one is asked for any more. */
  #cursor = 0;

  constructor(programs: Uint32Array, sections: PatternSections) {
    this.#programs = signed(programs);
    this.#lookup = new PatternLookup(sections);
    this.#records = this.#lookup.records;
  }

  /**
   * hot: allocates nothing. Begins with a program of the list that begins at a record. `part` is the program of the rules that are met without an identity
   * where others ask for one; -1 for none. `connection` null: no rule asks for what is known of it. `definite`: only rules that ask for
   * nothing that is not known. One program at a time.
   */
  begin(
    program: number,
    part: number,
    level: number,
    firstRecord: number,
    protocols: number,
    request: RequestFacts | null,
    connection: ConnectionFacts | null,
    definite: boolean,
  ): void {
    const programs = this.#programs;
    const head = programs[program]!;
    this.#first = program + 1 + outcomeWords(head);
    this.#end = this.#first + (head >>> PAIRS_SHIFT) * 2;
    this.#firstRecord = firstRecord;
    this.#cursor = 0;
    this.#count = 0;
    this.#lists = STREAMS_MAX;
    if (this.#end === this.#first) return;
    const found = level > 0 && this.#seek(level, firstRecord, protocols, request, connection, definite);
    if (level < 0 || (level > 0 && !found)) {
      this.#add(0, this.#first, this.#end, 0);
      return;
    }
    let partFirst = 0;
    if (part >= 0) {
      partFirst = part + 1 + outcomeWords(programs[part]!);
      this.#partEnd = partFirst + (programs[part]! >>> PAIRS_SHIFT) * 2;
      if ((programs[part]! & MANY_CONDITIONS) === 0) this.#add(0, partFirst, this.#partEnd, 0);
      else this.#addGroups(this.#partEnd, level, protocols, definite, 0);
    }
    this.#addGroups(this.#end, level, protocols, definite, partFirst);
    this.#lists = this.#count;
    if (level > 0) this.#addLists(partFirst);
  }

  /** hot: allocates nothing. The next rule of the list to look at, by its number there; -1 for none. `may` are the outcomes that were met. */
  next(may: number): number {
    const cursor = this.#cursor;
    let next = NONE;
    for (let stream = 0; stream < this.#count; stream++) {
      const group = this.#groups[stream]!;
      if (group >= FIRST_OPEN_GROUP && saysNothingNew(group, may)) continue;
      let rule = this.#heads[stream]!;
      if (rule < cursor)
        rule = this.#heads[stream] = stream < this.#lists ? this.#advance(stream, cursor) : this.#advanceList(stream, cursor);
      if (rule < next) next = rule;
    }
    if (next === NONE) return -1;
    this.#cursor = next + 1;
    return next;
  }

  /** Finds the lists that the facts lead to; false where they are too many. */
  #seek(
    level: number,
    firstRecord: number,
    protocols: number,
    request: RequestFacts | null,
    connection: ConnectionFacts | null,
    definite: boolean,
  ): boolean {
    const lookup = this.#lookup;
    this.#endRecord = firstRecord + (this.#programs[this.#end - 2]! + 1) * 32;
    lookup.begin(level, firstRecord, this.#endRecord, protocols, definite);
    if (connection !== null) lookup.seekConnection(connection);
    if (level === LEVELS - 1 && request !== null) lookup.seekRequest(request);
    lookup.seekPairs();
    return !lookup.overflown;
  }

  #add(group: number, at: number, end: number, partAt: number): void {
    const stream = this.#count++;
    this.#groups[stream] = group;
    this.#at[stream] = at;
    this.#ends[stream] = end;
    this.#heads[stream] = -1;
    this.#partAt[stream] = partAt;
  }

  /** The groups of a program, whose directory is behind its pairs and the word for its row by address. */
  #addGroups(pairsEnd: number, level: number, protocols: number, definite: boolean, part: number): void {
    const programs = this.#programs;
    const directory = programs[pairsEnd + PARTS_WORDS + level]!;
    const end = directory + 1 + programs[directory]! * GROUP_WORDS;
    for (let at = directory + 1; at < end; at += GROUP_WORDS) {
      const group = programs[at]!;
      if (!isMeant(programs[at + 1]!, protocols) || (definite && group >= FIRST_OPEN_GROUP)) continue;
      const first = programs[at + 2]!;
      this.#add(group, first, first + programs[at + 3]! * 2, group >= FIRST_OPEN_GROUP ? part : 0);
    }
  }

  /** Lists of rules that are found by address are only gone through for the program by address. */
  #addLists(part: number): void {
    const { count, groups, at, ends } = this.#lookup;
    for (let i = 0; i < count; i++) {
      const group = groups[i]!;
      if ((group & BY_ADDRESS) === 0) this.#add(group, at[i]!, ends[i]!, 0);
      else if (part > 0) this.#add(group & ~BY_ADDRESS, at[i]!, ends[i]!, part);
    }
  }

  /** The first rule of a group from `cursor` on. */
  #advance(stream: number, cursor: number): number {
    const programs = this.#programs;
    const end = this.#ends[stream]!;
    const word = cursor >>> 5;
    let at = this.#at[stream]!;
    if (at < end && programs[at]! < word) at = this.#pairFrom(at, end, word);
    if (at < end && this.#partAt[stream] !== 0) return this.#advanceBeside(stream, at, cursor);
    for (; at < end; at += 2) {
      let bits = programs[at + 1]!;
      if (programs[at] === word) bits &= -1 << (cursor & 31);
      if (bits === 0) continue;
      this.#at[stream] = at;
      return programs[at]! * 32 + 31 - Math.clz32(bits & -bits);
    }
    this.#at[stream] = end;
    return NONE;
  }

  /** The same past all rules that the program by address has. Where these are thousands, what comes to be first is remembered. */
  #advanceBeside(stream: number, from: number, cursor: number): number {
    if (cursor > 0) return this.#seekBeside(stream, from, cursor);
    const memo = this.#memo;
    const part = this.#partAt[stream]!;
    const at = ((from ^ (part * 31)) & (MEMOS - 1)) * 3;
    if (memo[at] !== from || memo[at + 1] !== part) {
      memo[at + 2] = this.#seekBeside(stream, from, 0);
      memo[at] = from;
      memo[at + 1] = part;
    }
    return memo[at + 2]!;
  }

  #seekBeside(stream: number, from: number, cursor: number): number {
    const programs = this.#programs;
    const end = this.#ends[stream]!;
    const partEnd = this.#partEnd;
    const cursorWord = cursor >>> 5;
    let part = this.#partAt[stream]!;
    for (let at = from; at < end; at += 2) {
      const word = programs[at]!;
      while (part < partEnd && programs[part]! < word) part += 2;
      let bits = programs[at + 1]!;
      if (word === cursorWord) bits &= -1 << (cursor & 31);
      if (part < partEnd && programs[part] === word) bits &= ~programs[part + 1]!;
      if (bits === 0) continue;
      this.#at[stream] = at;
      this.#partAt[stream] = part;
      return word * 32 + 31 - Math.clz32(bits & -bits);
    }
    this.#at[stream] = end;
    return NONE;
  }

  /** The first rule of a list from `cursor` on that is one of the program's: by turns what the one has next and what the other has. */
  #advanceList(stream: number, cursor: number): number {
    const records = this.#records;
    const end = this.#ends[stream]!;
    const part = this.#partAt[stream]!;
    const first = part === 0 ? this.#first : part;
    const last = part === 0 ? this.#end : this.#partEnd;
    let at = this.#at[stream]!;
    let rule = cursor;
    for (;;) {
      at = recordFrom(records, at, end, this.#firstRecord + rule);
      this.#at[stream] = at;
      if (at === end || records[at]! >= this.#endRecord) return NONE;
      rule = records[at]! - this.#firstRecord;
      const held = this.#heldFrom(rule, first, last);
      if (held === rule) return rule;
      if (held === NONE) return NONE;
      rule = held;
    }
  }

  /** The first rule of a program from `rule` on, by its pairs. */
  #heldFrom(rule: number, first: number, end: number): number {
    const programs = this.#programs;
    const word = rule >>> 5;
    // Most long programs have every word.
    let at = first + word * 2;
    if (at >= end || programs[at] !== word) at = this.#pairFrom(first, end, word);
    if (at < end && programs[at] === word) {
      const bits = programs[at + 1]! & (-1 << (rule & 31));
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
      at += 2;
    }
    if (at >= end) return NONE;
    const bits = programs[at + 1]!;
    return programs[at]! * 32 + 31 - Math.clz32(bits & -bits);
  }

  /** The first pair between two of them whose word is this one or greater. */
  #pairFrom(first: number, end: number, word: number): number {
    const programs = this.#programs;
    let low = 0;
    let high = (end - first) >>> 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (programs[first + middle * 2]! < word) low = middle + 1;
      else high = middle;
    }
    return first + low * 2;
  }
}

/** hot: where the first record is that is this one or greater; lists are mostly gone on with a step or two on. */
function recordFrom(records: Uint32Array, at: number, end: number, record: number): number {
  let step = 1;
  let low = at;
  let high = at;
  while (high < end && records[high]! < record) {
    low = high + 1;
    high += step;
    step *= 2;
  }
  if (high > end) high = end;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (records[middle]! < record) low = middle + 1;
    else high = middle;
  }
  return low;
}
