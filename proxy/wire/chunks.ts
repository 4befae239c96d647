/**
 * Memory for bytes on their way, one set a thread.
 *
 * - The *shared* buffer receives the reads of every connection that is not moving bulk. What it holds is only good until the callback
 *   returns. So an idle connection owns no buffer at all.
 * - A *chunk* holds bytes that are being written. A write that finished at once (nearly all do) gives its chunk back at once; one
 *   that the kernel did not take whole keeps it until it has.
 * - A *bulk* chunk receives the reads of one connection that fills the shared buffer, and is written from without a copy. Their number is
 *   bounded; beyond it, connections stay with the shared buffer.
 */
import { hitNodeLimit } from '../shared/node-limits.ts';

/** Reads land here. 64 KiB is what the kernel hands over in one read of a busy loopback or 10 Gbit/s connection. */
export const SHARED_BYTES = 64 * 1024;
/** Most requests, responses and messages fit; a slow reader with little to read pins no more than this. */
export const SMALL_BYTES = 4 * 1024;
/** A whole shared read behind what was held of the one before, and a head in front of both. */
export const LARGE_BYTES = SHARED_BYTES + 32 * 1024;
/** Measured: 64 KiB costs 0.7–0.8 s of CPU per GB, 256 KiB 0.43–0.50 s. */
export const BULK_BYTES = 256 * 1024;
/** Bulk memory of one worker. */
export const BULK_MEMORY_BYTES_MAX = 64 * 1024 * 1024;

const KEPT_SMALL_MAX = 1024;
const KEPT_LARGE_MAX = 16;
const KEPT_BULK_MAX = 16;

export class Chunk {
  readonly bytes: Buffer;
  readonly size: number;
  /** Bytes filled from the front. */
  length = 0;
  /** Writes that the kernel has not taken whole; the chunk goes back to its pool only after them. */
  writing = 0;
  private given = false;
  /**
   * The last two views handed to a write: messages of one length are the rule, a chunk serves requests and responses in turn, and a view costs
   * more than two comparisons.
   */
  private viewed: Uint8Array | null = null;
  private viewedBefore: Uint8Array | null = null;

  constructor(size: number) {
    // Not from Node's pool: a chunk lives long, and its pages are touched only as far as it is filled.
    this.bytes = Buffer.allocUnsafeSlow(size);
    this.size = size;
  }

  /** hot: the filled part, from an offset. */
  view(offset: number, end: number): Uint8Array {
    if (offset === 0) {
      const last = this.viewed;
      if (last !== null && last.length === end) return last;
      const before = this.viewedBefore;
      this.viewedBefore = last;
      if (before !== null && before.length === end) return (this.viewed = before);
      return (this.viewed = this.bytes.subarray(0, end));
    }
    return this.bytes.subarray(offset, end);
  }

  /** Whether it may be used again now; if not, it will go back by itself after the last write. */
  release(): boolean {
    this.given = this.writing > 0;
    return !this.given;
  }

  /** One write of it is over. */
  written(): void {
    this.writing--;
    if (this.given && this.writing === 0) {
      this.given = false;
      put(this);
    }
  }
}

export const shared: Buffer = Buffer.allocUnsafeSlow(SHARED_BYTES);

const small: Chunk[] = [];
const large: Chunk[] = [];
const bulk: Chunk[] = [];
let bulkOut = 0;

/** hot: a chunk of at least `size` bytes, empty. One beyond the large is rare (a bulk read that has to be held), made for once, and not kept. */
export function takeChunk(size: number): Chunk {
  if (size > LARGE_BYTES) return new Chunk(size);
  const chunk = size <= SMALL_BYTES ? (small.pop() ?? new Chunk(SMALL_BYTES)) : (large.pop() ?? new Chunk(LARGE_BYTES));
  chunk.length = 0;
  return chunk;
}

/** hot: gives a chunk back. Its owner must not touch it again; writes of it that are under way may still read it. */
export function giveChunk(chunk: Chunk): void {
  if (chunk.release()) put(chunk);
}

/** A chunk for a connection that moves bulk; null when this worker has handed out all that it may. */
export function takeBulk(): Chunk | null {
  if ((bulkOut + 1) * BULK_BYTES > BULK_MEMORY_BYTES_MAX) {
    hitNodeLimit('bulk-memory');
    return null;
  }
  bulkOut++;
  return bulk.pop() ?? new Chunk(BULK_BYTES);
}

function put(chunk: Chunk): void {
  if (chunk.size === SMALL_BYTES) {
    if (small.length < KEPT_SMALL_MAX) small.push(chunk);
  } else if (chunk.size === LARGE_BYTES) {
    if (large.length < KEPT_LARGE_MAX) large.push(chunk);
  } else if (chunk.size === BULK_BYTES) {
    bulkOut--;
    if (bulk.length < KEPT_BULK_MAX) bulk.push(chunk);
  }
}
