/**
 * A wire: one connected socket, ours or a client's. It reads into the thread's shared buffer (or a bulk chunk of its own), writes
 * chunks, and tells its owner what happens. It holds no opinion about what the bytes mean.
 *
 * Rules for owners:
 * - bytes given to `wireData` are good until the call returns; `relay` and `writeChunk` take care of what must live longer;
 * - after `wireEnd`, `wireError` or `close`/`reset` no more data comes;
 * - `wireError` is told at most once, and the owner must still `close` or `reset`.
 */
import { type Chunk, giveChunk, SMALL_BYTES, shared, takeBulk, takeChunk } from './chunks.ts';
import { type ShutdownRequest, type StreamHandle, stream, type WriteRequest } from './native.ts';
import { outbox, type Posting } from './outbox.ts';

export interface WireOwner {
  /** hot: bytes [0, length) of `bytes`. */
  wireData(wire: Wire, bytes: Buffer, length: number): void;
  /** The peer will send no more (FIN). */
  wireEnd(wire: Wire): void;
  /** The connection is broken: a reset, a timeout of the kernel, a failed write. `errno` is negative as in libuv. */
  wireError(wire: Wire, errno: number): void;
  /** Everything written has left for the kernel, after a write that had to wait. */
  wireDrained(wire: Wire): void;
}

const UV_EOF = -4095;
const UV_ECANCELED = -125;
/** A read this large means that the peer is moving bulk. */
const BULK_FROM_BYTES = 32 * 1024;
/** Reads this small, this often in a row, mean that it no longer does. */
const BULK_UNTIL_BYTES = 16 * 1024;
const BULK_UNTIL_READS = 4;

const { kReadBytesOrError, kLastWriteWasAsync, streamBaseState } = stream;

/**
 * Used again for as long as writes finish at once; a write that waits takes it along. null while one is with a handle: that of one wire may write to
 * another from within.
 */
let spareRequest: WriteRequest | null = new stream.WriteWrap();

export class Wire implements Posting {
  readonly handle: StreamHandle;
  readonly encrypts: boolean;
  owner: WireOwner;
  /** Writes that the kernel has not taken whole yet. */
  pending = 0;
  /** False from close or reset on. */
  open = true;
  /** The peer has sent its last byte. */
  ended = false;
  /** We have sent (or queued) our last byte. */
  shut = false;
  private shutting = false;
  private resetting = false;
  private reading = false;
  /** An end was read that may be none. */
  private ending = false;
  /** Its owner wants it read. */
  private wanted = false;
  private barred = false;
  private writes = 0;
  private smallReads = 0;
  private bulk: Chunk | null = null;
  /** The message that filled the reads is over: no bulk chunk for what comes now. */
  private settled = false;
  /** A whole message that waits for the end of the turn. */
  private posted: Chunk | null = null;
  /** The kernel would not have a byte of the last one that was posted. */
  private refused = false;

  constructor(handle: StreamHandle, owner: WireOwner) {
    this.handle = handle;
    this.encrypts = handle.encrypts === true;
    this.owner = owner;
    handle.wire = this;
    handle.onread = onread;
    handle.useUserBuffer(shared);
  }

  /** Starts, or goes on, reading. */
  resume(): void {
    this.wanted = true;
    if (this.barred || this.reading || !this.open || this.ended || this.ending || this.failed !== 0) return;
    this.reading = true;
    const error = this.handle.readStart();
    if (error !== 0) this.fail(error);
  }

  /** Stops reading; the kernel's buffer then holds the peer back. */
  pause(): void {
    this.wanted = false;
    this.stop();
  }

  /** Reads nothing, whoever resumes it, until `unbar`: how a limit on bytes holds a peer back. */
  bar(): void {
    this.barred = true;
    this.stop();
  }

  /** Reads on, where it was to be read. */
  unbar(): void {
    this.barred = false;
    if (this.wanted) this.resume();
  }

  private stop(): void {
    if (!this.reading) return;
    this.reading = false;
    if (this.open) this.handle.readStop();
  }

  get paused(): boolean {
    return !this.reading;
  }

  /**
   * hot: sends [offset, end) of what `from` has just read, without a copy where `from` reads into a chunk of its own. When the kernel
   * does not take it all, `from` is paused; its owner resumes it on `wireDrained`. Answers false when this wire has failed.
   */
  relay(from: Wire, bytes: Buffer, offset: number, end: number): boolean {
    const bulk = from.bulk;
    let sent: boolean;
    if (bulk !== null && bulk.bytes === bytes) sent = this.send(bulk, offset, end);
    else {
      const chunk = takeChunk(end - offset);
      chunk.length = bytes.copy(chunk.bytes, 0, offset, end);
      sent = this.writeChunk(chunk);
    }
    if (this.pending > 0) from.pause();
    return sent;
  }

  /** hot: sends a chunk and gives it back. Answers false when this wire has failed. */
  writeChunk(chunk: Chunk): boolean {
    const sent = this.send(chunk, 0, chunk.length);
    giveChunk(chunk);
    return sent;
  }

  /** hot: the same, but the chunk stays its owner's, who gives it back. */
  writeKept(chunk: Chunk): boolean {
    return this.send(chunk, 0, chunk.length);
  }

  /**
   * hot: sends a chunk that is a whole message, at which nobody need wait for the kernel to take it: now, or at the end of the turn with others. It stays
   * its owner's. Answers false where this wire has failed; that it fails later is told by `wireError`.
   */
  post(chunk: Chunk): boolean {
    this.deliver();
    const mayWait = chunk.size === SMALL_BYTES && this.pending === 0 && this.open && this.failed === 0 && this.handle.gathers !== true;
    if (!mayWait || !outbox.opens()) return this.send(chunk, 0, chunk.length);
    chunk.writing++;
    this.posted = chunk;
    outbox.add(this);
    return true;
  }

  /** hot: sends what was posted and waits. */
  deliver(): void {
    const chunk = this.posted;
    if (chunk === null) return;
    this.posted = null;
    this.refused = !this.send(chunk, 0, chunk.length);
    chunk.written();
  }

  /** Of the message that was posted last no byte has left, and now none will if the wire is closed by a reset. */
  get unsent(): boolean {
    return this.posted !== null || this.refused;
  }

  /** Sends what was posted. Answers how many writes the kernel has not taken whole. */
  flush(): number {
    this.deliver();
    return this.pending;
  }

  /** Sends a few bytes that are not on the hot path. */
  writeBytes(bytes: Uint8Array): boolean {
    const chunk = takeChunk(bytes.length);
    chunk.bytes.set(bytes);
    chunk.length = bytes.length;
    return this.writeChunk(chunk);
  }

  /** Half-close: FIN after everything written so far. */
  end(): void {
    if (this.shut || !this.open) return;
    this.deliver();
    this.shut = true;
    // A shutdown that waits behind writes would turn a reset into an orderly end of half a stream; so it is asked for after them.
    if (this.pending === 0) this.shutdown();
  }

  private shutdown(): void {
    const request: ShutdownRequest = new stream.ShutdownWrap();
    request.wire = this;
    request.oncomplete = onshut;
    // A peer that is gone already makes this fail; the read side tells the same.
    this.shutting = this.handle.shutdown(request) === 0;
  }

  /** The shutdown is over: a reset that came meanwhile can be one now. */
  shutDone(): void {
    this.shutting = false;
    if (this.resetting) this.resetNow();
  }

  /** Closes both ways. Bytes still waiting are lost: wait for `flush` to answer 0 first. */
  close(): void {
    if (!this.open) return;
    this.deliver();
    this.leave();
    this.handle.close();
  }

  /** Closes with a reset, so that the peer learns that this was no orderly end. */
  reset(): void {
    if (!this.open) return;
    this.leave();
    // libuv refuses a reset for as long as a shutdown is under way, which is one turn of the loop.
    if (this.shutting) {
      this.resetting = true;
      // Its buffer may be another connection's by then.
      this.handle.readStop();
    } else this.resetNow();
  }

  private resetNow(): void {
    this.resetting = false;
    if (this.handle.reset === undefined || this.handle.reset() !== 0) this.handle.close();
  }

  /**
   * A message is over. To be called within `wireData` alone. The connection may idle now, or carry someone else's next message, while
   * parts of this one still wait in its bulk chunk to be written: the chunk is left to them, and reads go to the shared buffer again.
   */
  settle(): void {
    this.settled = true;
    this.dropBulk();
  }

  private leave(): void {
    this.open = false;
    this.reading = false;
    this.dropBulk();
    this.posted?.written();
    this.posted = null;
  }

  private send(chunk: Chunk, offset: number, end: number): boolean {
    if (!this.open || this.failed !== 0) return false;
    if (this.posted !== null) this.deliver();
    // Nagle holds back only what follows an unacknowledged write, so a connection of one write each way need not pay for turning it off.
    if (++this.writes === 2) this.handle.setNoDelay?.(true);
    const request = spareRequest ?? new stream.WriteWrap();
    spareRequest = null;
    const error = this.handle.writeBuffer(request, chunk.view(offset, end));
    if (error !== 0) {
      this.fail(error);
      return false;
    }
    if (streamBaseState[kLastWriteWasAsync] === 0) spareRequest = request;
    else {
      request.wire = this;
      request.chunk = chunk;
      request.oncomplete = onwritten;
      chunk.writing++;
      this.pending++;
    }
    return true;
  }

  private failed = 0;

  /** The errno of the failure; 0 while there is none. */
  get error(): number {
    return this.failed;
  }

  private fail(errno: number): void {
    if (this.failed !== 0 || !this.open) return;
    this.failed = errno;
    this.pause();
    // Told later: a write fails in the middle of its owner's work, which must not find itself closed underneath.
    queueMicrotask(() => {
      if (this.open) this.owner.wireError(this, errno);
    });
  }

  private dropBulk(): void {
    if (this.bulk !== null) giveChunk(this.bulk);
    this.bulk = null;
  }

  /** A write of ours that had to wait is over. */
  written(status: number): void {
    this.pending--;
    if (!this.open) return;
    if (status !== 0) {
      if (status !== UV_ECANCELED) this.fail(status);
    } else if (this.pending === 0) {
      if (this.shut) this.shutdown();
      this.owner.wireDrained(this);
    }
  }

  private endNow(): void {
    if (!this.open || this.ended || this.failed !== 0) return;
    this.ending = false;
    this.ended = true;
    this.owner.wireEnd(this);
  }

  /**
   * The kernel tells of a reset once, to whichever call comes first, and every read after that is an end in order. A write that was queued may
   * have been the one that heard: its completion comes with the next turn of the loop, and until then an end is not believed.
   */
  private endUnlessFailing(): void {
    this.ending = true;
    setImmediate(() => setImmediate(() => this.endNow()));
  }

  /** hot: one read. Answers the buffer for the next one where it changes. */
  take(count: number): Uint8Array | undefined {
    if (count <= 0) {
      if (count === 0) return undefined;
      this.reading = false;
      if (count === UV_EOF) {
        if (this.pending > 0) this.endUnlessFailing();
        else this.endNow();
      } else if (this.failed === 0) {
        this.failed = count;
        this.owner.wireError(this, count);
      }
      return undefined;
    }
    const bulk = this.bulk;
    if (bulk === null) {
      this.settled = false;
      this.owner.wireData(this, shared, count);
      if (count < BULK_FROM_BYTES || this.settled || !this.open) return undefined;
      const chunk = takeBulk();
      if (chunk === null) return undefined;
      this.smallReads = 0;
      this.bulk = chunk;
      return chunk.bytes;
    }
    this.owner.wireData(this, bulk.bytes, count);
    if (this.bulk !== bulk) return this.open ? shared : undefined;
    if (count >= BULK_UNTIL_BYTES) this.smallReads = 0;
    else if (++this.smallReads >= BULK_UNTIL_READS && bulk.writing === 0 && this.open) {
      this.dropBulk();
      return shared;
    }
    return undefined;
  }
}

function onread(this: StreamHandle): Uint8Array | undefined {
  const wire = this.wire;
  return wire?.open ? wire.take(streamBaseState[kReadBytesOrError]!) : undefined;
}

function onwritten(this: WriteRequest, status: number): void {
  this.chunk?.written();
  this.wire?.written(status);
}

function onshut(this: ShutdownRequest): void {
  this.wire?.shutDone();
}
