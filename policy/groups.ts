/**
 * Rules of a program that no pattern leads to, in groups: by action, by the facts that they ask for and that are not known, and by protocols. Once a flow
 * has met one of a group, the others of it say nothing new, so a group of ten thousand costs what one costs.
 */
import { ALL_PROTOCOLS, type RuleFacts } from './outcome.ts';
import { groupOf, KNOWN_AT, LEVELS } from './patterns.ts';
import type { Words } from './words.ts';

/** Words of a group in a program: its number, its protocols, where its pairs of word and bits begin, and how many they are. */
export const GROUP_WORDS = 4;
/** Groups of one action and the same facts that are kept apart by protocols. */
const MASKS_MAX = 4;

interface Group {
  readonly group: number;
  readonly protocols: number;
  readonly pairs: number[];
}

/**
 * Writes, behind the pairs of a program, its groups at each level: the words first that lead to them, one a level, then for each level the number of
 * groups, the groups, and their pairs. `from` is the first level that flows are asked at.
 */
export function writeGroups(words: Words, pairs: readonly number[], facts: readonly RuleFacts[], from: number): void {
  const directory = words.length;
  for (let level = 0; level < LEVELS; level++) words.push(0);
  let before: readonly Group[] | null = null;
  for (let level = 0; level < LEVELS; level++) {
    const groups: readonly Group[] = level < from ? [] : groupsAt(level, pairs, facts);
    if (before !== null && areAlike(before, groups)) {
      words.set(directory + level, words.at(directory + level - 1));
      continue;
    }
    before = groups;
    words.set(directory + level, words.length);
    words.push(groups.length);
    let at = words.length + groups.length * GROUP_WORDS;
    for (const { group, protocols, pairs: members } of groups) {
      for (const word of [group, protocols, at, members.length / 2]) words.push(word);
      at += members.length;
    }
    for (const { pairs: members } of groups) for (const word of members) words.push(word);
  }
}

function groupsAt(level: number, pairs: readonly number[], facts: readonly RuleFacts[]): Group[] {
  const groups: Group[] = [];
  const known = KNOWN_AT[level]!;
  let last: Group | null = null;
  for (let i = 0; i < pairs.length; i += 2) {
    const word = pairs[i]!;
    for (let bits = pairs[i + 1]!; bits !== 0; bits &= bits - 1) {
      const bit = bits & -bits;
      const { asks, levels, action, protocols } = facts[word * 32 + 31 - Math.clz32(bit)]!;
      if (((levels >>> level) & 1) !== 0) continue;
      const group = groupOf(action, asks & ~known);
      if (last === null || last.group !== group || last.protocols !== protocols) last = groupFor(groups, group, protocols);
      const members = last.pairs;
      if (members.length > 0 && members[members.length - 2] === word) members[members.length - 1]! |= bit;
      else members.push(word, bit);
    }
  }
  return groups;
}

function groupFor(groups: Group[], group: number, protocols: number): Group {
  let masks = 0;
  for (const one of groups) {
    if (one.group !== group) continue;
    if (one.protocols === protocols) return one;
    masks++;
  }
  if (masks >= MASKS_MAX && protocols !== ALL_PROTOCOLS) return groupFor(groups, group, ALL_PROTOCOLS);
  const made = { group, protocols, pairs: [] };
  groups.push(made);
  return made;
}

function areAlike(one: readonly Group[], other: readonly Group[]): boolean {
  if (one.length !== other.length) return false;
  return one.every(({ group, protocols, pairs }, i) => {
    const { group: otherGroup, protocols: otherProtocols, pairs: otherPairs } = other[i]!;
    if (group !== otherGroup || protocols !== otherProtocols || pairs.length !== otherPairs.length) return false;
    for (let at = 0; at < pairs.length; at++) if (pairs[at] !== otherPairs[at]) return false;
    return true;
  });
}
