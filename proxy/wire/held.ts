/** Bytes that wait: for the rest of a head, for their turn, or for somewhere to send them. */
import { type Chunk, giveChunk, takeChunk } from './chunks.ts';

const NOTHING = Buffer.alloc(0);

/** One row of bytes in a chunk of its own; without any, it owns no memory. Views of `bytes` are good until the next call that changes it. */
export class Held {
  private chunk: Chunk | null;

  constructor() {
    this.chunk = null;
  }

  get empty(): boolean {
    return this.chunk === null;
  }

  get length(): number {
    return this.chunk === null ? 0 : this.chunk.length;
  }

  /** What waits is [0, length) of it. */
  get bytes(): Buffer {
    return this.chunk === null ? NOTHING : this.chunk.bytes;
  }

  /** Copies [start, end) of bytes behind what waits already. They are never its own. */
  append(bytes: Buffer, start: number, end: number): void {
    if (end <= start) return;
    let { chunk } = this;
    if (chunk === null) this.chunk = chunk = takeChunk(end - start);
    else if (chunk.length + end - start > chunk.size) {
      const larger = takeChunk(chunk.length + end - start);
      larger.length = chunk.bytes.copy(larger.bytes, 0, 0, chunk.length);
      giveChunk(chunk);
      this.chunk = chunk = larger;
    }
    chunk.length += bytes.copy(chunk.bytes, chunk.length, start, end);
  }

  /** From `start` on is what still waits: of its own bytes, which are then all of [0, end), or of others where nothing waits yet. */
  keep(bytes: Buffer, start: number, end: number): void {
    const { chunk } = this;
    if (chunk === null) {
      this.append(bytes, start, end);
      return;
    }
    if (start >= end) {
      this.drop();
      return;
    }
    if (start > 0) chunk.bytes.copyWithin(0, start, end);
    chunk.length = end - start;
  }

  /** What waits, now the caller's to give back; null where nothing does. */
  take(): Chunk | null {
    const { chunk } = this;
    this.chunk = null;
    return chunk;
  }

  drop(): void {
    if (this.chunk !== null) giveChunk(this.chunk);
    this.chunk = null;
  }
}
