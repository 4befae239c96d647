/**
 * A ring of bytes from one worker to the main thread: the journal's way out. One writer, one reader, no lock. A full ring
 * drops the record and counts it; the worker never waits.
 */

export const RING_BYTES = 4 * 1024 * 1024;
const MASK = RING_BYTES - 1;

/** Header words. Positions grow without end, modulo 2^32; their difference is what the ring holds. */
const WRITTEN = 0;
const READ = 1;
const RECORDS = 2;
const DROPPED = 3;
const DENIALS = 4;
const HEADER_BYTES = 64;

export function createRing(): SharedArrayBuffer {
  return new SharedArrayBuffer(HEADER_BYTES + RING_BYTES);
}

/** Records that may wait to be published; a worker that dies takes no more than these with it. */
const UNPUBLISHED_MAX = 16;

export class RingWriter {
  private readonly header: Int32Array;
  private readonly data: Buffer;
  private written: number;
  private read: number;
  private records: number;
  private denials: number;
  private unpublished = 0;

  /** Goes on where an earlier writer of the same ring stopped. */
  constructor(buffer: SharedArrayBuffer) {
    this.header = new Int32Array(buffer, 0, HEADER_BYTES / 4);
    this.data = Buffer.from(buffer, HEADER_BYTES, RING_BYTES);
    this.written = Atomics.load(this.header, WRITTEN);
    this.read = Atomics.load(this.header, READ);
    this.records = this.header[RECORDS]!;
    this.denials = this.header[DENIALS]!;
  }

  /** hot: appends bytes [0, length), one record. Answers false where there was no room. The reader sees it after `publish`, or a few records later. */
  write(bytes: Buffer, length: number, denied: boolean): boolean {
    if (((this.written - this.read) | 0) + length > RING_BYTES) {
      this.read = Atomics.load(this.header, READ);
      if (((this.written - this.read) | 0) + length > RING_BYTES) {
        this.header[DROPPED] = (this.header[DROPPED]! + 1) | 0;
        return false;
      }
    }
    const at = this.written & MASK;
    const first = Math.min(length, RING_BYTES - at);
    bytes.copy(this.data, at, 0, first);
    if (first < length) bytes.copy(this.data, 0, first, length);
    this.written = (this.written + length) | 0;
    this.records = (this.records + 1) | 0;
    if (denied) this.denials = (this.denials + 1) | 0;
    if (++this.unpublished >= UNPUBLISHED_MAX) this.publish();
    return true;
  }

  /** Lets the reader see what was written. An atomic store for each record would cost as much as the rest of `write`. */
  publish(): void {
    if (this.unpublished === 0) return;
    this.unpublished = 0;
    this.header[RECORDS] = this.records;
    this.header[DENIALS] = this.denials;
    Atomics.store(this.header, WRITTEN, this.written);
  }

  /** More than half full: worth waking the reader for. */
  get pressing(): boolean {
    if (((this.written - this.read) | 0) <= RING_BYTES / 2) return false;
    this.read = Atomics.load(this.header, READ);
    return ((this.written - this.read) | 0) > RING_BYTES / 2;
  }
}

export class RingReader {
  private readonly header: Int32Array;
  private readonly data: Buffer;
  private records = 0;
  private dropped = 0;
  private denials = 0;
  /** Where what lies around the ring's end is put together. Kept: fresh memory each time has the garbage collector run over the whole heap once a second. */
  private joined = Buffer.alloc(0);

  constructor(buffer: SharedArrayBuffer) {
    this.header = new Int32Array(buffer, 0, HEADER_BYTES / 4);
    this.data = Buffer.from(buffer, HEADER_BYTES, RING_BYTES);
  }

  /** Hands over what has come, in one view that is good during the call, and answers how many records were dropped since the last call. */
  drain(take: (bytes: Buffer, records: number, denials: boolean) => void): number {
    const header = this.header;
    // Denials that had come before, so that one which is published in the next moment is told of again, with its bytes.
    const earlier = header[DENIALS]!;
    // Records are counted before the position is published, so what is counted here may be one or two ahead, never behind.
    const written = Atomics.load(header, WRITTEN);
    const read = header[READ]!;
    const held = (written - read) | 0;
    if (held > 0) {
      const records = header[RECORDS]!;
      const at = read & MASK;
      const first = Math.min(held, RING_BYTES - at);
      const count = (records - this.records) | 0;
      this.records = records;
      const denied = header[DENIALS]! !== this.denials;
      this.denials = earlier;
      take(first < held ? this.join(at, held) : this.data.subarray(at, at + held), count, denied);
      Atomics.store(header, READ, written);
    }
    const dropped = header[DROPPED]!;
    const news = (dropped - this.dropped) | 0;
    this.dropped = dropped;
    return news;
  }

  /** `held` bytes from `at`, of which the last stand at the front of the ring. */
  private join(at: number, held: number): Buffer {
    if (this.joined.length < held) this.joined = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(held)));
    const first = this.data.copy(this.joined, 0, at, RING_BYTES);
    this.data.copy(this.joined, first, 0, held - first);
    return this.joined.subarray(0, held);
  }
}
