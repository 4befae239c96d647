/**
 * How the patterns of rules are kept in an image, so that of ten thousand rules only those are looked at whose pattern a flow meets: the words
 * that pattern-index.ts writes and pattern-lookup.ts reads. The index proposes, the condition itself decides; so patterns are known by
 * their hashes alone.
 */
import { ASKS_IDENTITY, ASKS_TLS } from './demand.ts';
import { hashOn } from './hash.ts';

/**
 * What patterns speak of. Users of all databases share a space, as do names: what is proposed in vain costs a look. A `field` is the value of
 * one, its hash begun with its name; a `pair` is two patterns of which a rule asks for both.
 */
export const SPACES = ['host', 'path', 'sni', 'alpn', 'ja4', 'identity', 'kind', 'user', 'name', 'key', 'method', 'field', 'pair'] as const;
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
/** Words of a slot: hash, node + 1 with PAIRED. Open addressing, at most half full, a power of two of slots. */
export const SLOT_WORDS = 2;
/** In a slot: the node is one of a pair. */
export const PAIRED = 1 << 31;
/** Words of a list: the group of its rules, their protocols, where its records begin. It ends where the next one begins. */
export const LIST_WORDS = 3;

/** Patterns that match whole have a hash of their own, beside the prefix of the same text; and so has a fact that cannot be told. */
export const WHOLE = 0x5bd1e995;
export const UNTOLD = 0x2545f491;

/** Rules of one group have one action, and the same facts that they ask for are not known: none of them matter once one has been met, see pending.ts. */
export function groupOf(action: number, open: number): number {
  return action | (open << 2);
}

/** hot: groups below this one ask for nothing that is not known. */
export const FIRST_OPEN_GROUP = 4;

/** Beside the group of a list: it leads to its rules only from where none of a client's identities does, see `Parts`. */
export const BY_ADDRESS = 32;

/** hot */
export function seedOf(space: number): number {
  return Math.imul(space + 1, 0x9e3779b1);
}

/** hot: of two patterns, whichever comes first. */
export function pairHash(one: number, other: number): number {
  return Math.imul(one + other, 0x85ebca6b) ^ Math.imul(one ^ other, 0x01000193);
}

/** hot: where the hashes of a field's values begin, by the hash of its name. It is the hash of a node too, for all that nothing but the name is asked of. */
export function fieldSeed(name: number): number {
  return hashOn(name, 0x3a);
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

/** hot: `host` and `sni` are read from their ends. */
export function isFromEnd(space: number): boolean {
  return space === 0 || space === 2;
}
