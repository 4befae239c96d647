/**
 * Connections by source address and application, exact over workers. Each worker writes a table of its own, so one that dies takes nothing
 * along that its table does not say. To keep under a cap a worker counts first and then looks at the others' tables: of two that
 * race, at least one sees the other, so that both may step back and never both go over.
 *
 * A table is made of buckets that a key may stand anywhere in; a key never moves, and its place is free when its count is 0. A
 * reader in another thread takes a count only where the key is the same before and after it is read.
 */

const BUCKETS = 16_384;
/** One cache line of tags. With as many sources as a process has connections by default, one bucket in a hundred thousand overflows. */
const BUCKET_SLOTS = 16;
const SLOTS = BUCKETS * BUCKET_SLOTS;
const KEY_WORDS = 5;

/** In 32-bit words: the seed, then for each worker counts, tags and keys. */
const HEADER_WORDS = 16;
const TABLE_WORDS = SLOTS * (2 + KEY_WORDS);

/** What a claim comes to. */
export const CLAIMED = 0;
/** The source has as many connections as it may. */
export const OVER_CAP = 1;
/** This worker's table has no room for the source. */
export const NO_ROOM = 2;

export class SourceTable {
  readonly buffer: SharedArrayBuffer;
  private readonly words: Int32Array;
  private readonly workers: number;
  private readonly seed: number;
  /** The bucket and tag of the key that was hashed last. */
  private bucket = 0;
  private tag = 0;
  /** A free slot of the bucket that was searched last; -1 where there is none. */
  private free = -1;

  /** Made with a seed (any 32-bit number that clients cannot know), or attached to the buffer of another thread's. */
  constructor(workers: number, from: { readonly seed: number } | SharedArrayBuffer) {
    this.workers = workers;
    this.buffer =
      from instanceof SharedArrayBuffer
        ? from
        : new SharedArrayBuffer((HEADER_WORDS + workers * TABLE_WORDS) * Int32Array.BYTES_PER_ELEMENT);
    this.words = new Int32Array(this.buffer);
    if (!(from instanceof SharedArrayBuffer)) this.words[0] = from.seed;
    this.seed = this.words[0]!;
  }

  /** hot: one more connection of a source, unless that would be more than `cap`. */
  claim(worker: number, a: number, b: number, c: number, d: number, application: number, cap: number): number {
    this.hash(a, b, c, d, application);
    let slot = this.find(worker, a, b, c, d, application);
    if (slot < 0) {
      slot = this.free;
      if (slot < 0) return NO_ROOM;
      const { words } = this;
      const key = this.keyAt(worker, slot);
      words[key] = a;
      words[key + 1] = b;
      words[key + 2] = c;
      words[key + 3] = d;
      words[key + 4] = application;
      words[this.tagAt(worker, slot)] = this.tag;
    }
    // Publishes the key with it.
    const own = Atomics.add(this.words, this.countAt(worker, slot), 1) + 1;
    if (cap === Number.POSITIVE_INFINITY) return CLAIMED;
    let total = own;
    for (let other = 0; other < this.workers && total <= cap; other++)
      if (other !== worker) total += this.countIn(other, a, b, c, d, application);
    if (total <= cap) return CLAIMED;
    Atomics.sub(this.words, this.countAt(worker, slot), 1);
    return OVER_CAP;
  }

  /** hot: one connection less, of those that were claimed. */
  release(worker: number, a: number, b: number, c: number, d: number, application: number): void {
    this.hash(a, b, c, d, application);
    const slot = this.find(worker, a, b, c, d, application);
    if (slot >= 0) Atomics.sub(this.words, this.countAt(worker, slot), 1);
  }

  /** Connections of a source over all workers. */
  total(a: number, b: number, c: number, d: number, application: number): number {
    this.hash(a, b, c, d, application);
    let total = 0;
    for (let worker = 0; worker < this.workers; worker++) total += this.countIn(worker, a, b, c, d, application);
    return total;
  }

  /** The worker is gone, and all that it held. */
  clear(worker: number): void {
    const at = this.countAt(worker, 0);
    this.words.fill(0, at, at + SLOTS);
  }

  /** hot: the slot of a key in the worker's own table, or -1; then `free` says where it may go. */
  private find(worker: number, a: number, b: number, c: number, d: number, application: number): number {
    const { words, tag } = this;
    const first = this.bucket * BUCKET_SLOTS;
    const counts = this.countAt(worker, 0);
    const tags = this.tagAt(worker, 0);
    this.free = -1;
    for (let slot = first; slot < first + BUCKET_SLOTS; slot++) {
      if (words[counts + slot] === 0) {
        if (this.free < 0) this.free = slot;
      } else if (words[tags + slot] === tag && this.isKey(this.keyAt(worker, slot), a, b, c, d, application)) return slot;
    }
    return -1;
  }

  /** hot: the count of a key in another worker's table, which that worker may be changing. */
  private countIn(worker: number, a: number, b: number, c: number, d: number, application: number): number {
    const { words, tag } = this;
    const first = this.bucket * BUCKET_SLOTS;
    const counts = this.countAt(worker, 0);
    const tags = this.tagAt(worker, 0);
    for (let slot = first; slot < first + BUCKET_SLOTS; slot++) {
      if (Atomics.load(words, counts + slot) === 0 || words[tags + slot] !== tag) continue;
      const key = this.keyAt(worker, slot);
      if (!this.isKey(key, a, b, c, d, application)) continue;
      const count = Atomics.load(words, counts + slot);
      if (count > 0 && this.isKey(key, a, b, c, d, application)) return count;
    }
    return 0;
  }

  private isKey(at: number, a: number, b: number, c: number, d: number, application: number): boolean {
    const { words } = this;
    return (
      words[at] === (a | 0) &&
      words[at + 1] === (b | 0) &&
      words[at + 2] === (c | 0) &&
      words[at + 3] === (d | 0) &&
      words[at + 4] === application
    );
  }

  private countAt(worker: number, slot: number): number {
    return HEADER_WORDS + worker * TABLE_WORDS + slot;
  }

  private tagAt(worker: number, slot: number): number {
    return HEADER_WORDS + worker * TABLE_WORDS + SLOTS + slot;
  }

  private keyAt(worker: number, slot: number): number {
    return HEADER_WORDS + worker * TABLE_WORDS + 2 * SLOTS + slot * KEY_WORDS;
  }

  private hash(a: number, b: number, c: number, d: number, application: number): void {
    let h = Math.imul(a ^ this.seed, 0x85ebca6b);
    h = Math.imul(h ^ b ^ (h >>> 15), 0xc2b2ae35);
    h = Math.imul(h ^ c ^ (h >>> 13), 0x27d4eb2f);
    h = Math.imul(h ^ d ^ (h >>> 16), 0x165667b1);
    h = Math.imul(h ^ application ^ (h >>> 14), 0x85ebca6b);
    h ^= h >>> 13;
    this.tag = h;
    h = Math.imul(h, 0xc2b2ae35);
    this.bucket = ((h ^ (h >>> 16)) >>> 0) % BUCKETS;
  }
}
