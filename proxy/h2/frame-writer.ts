/**
 * Frames on their way to a peer: gathered in one chunk, and written in one go at the end of the loop's turn. What a peer does not read is
 * held back at its streams; what cannot be held back there (heads, answers to its pings) is bounded.
 */
import { type Chunk, giveChunk, LARGE_BYTES, takeChunk } from '../wire/chunks.ts';
import { type TurnTaker, takeTurn } from '../wire/turn.ts';
import type { Wire } from '../wire/wire.ts';
import { FLUSH_BYTES, UNREAD_BYTES_MAX } from './allowance.ts';
import {
  ACK,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  FRAME_BYTES_MAX,
  FRAME_HEAD_BYTES,
  GOAWAY,
  HEADERS,
  PING,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
  writeFrameHead,
  writeWord,
} from './frame.ts';

export class FrameWriter {
  readonly wire: Wire;
  private readonly session: TurnTaker;
  private out: Chunk | null;
  /** Where in `out` the last frame begins, if it is DATA of this stream: its flags can be changed as long as it has not left. */
  private dataAt: number;
  private dataOf: number;

  constructor(wire: Wire, session: TurnTaker) {
    this.wire = wire;
    this.session = session;
    this.out = null;
    this.dataAt = 0;
    this.dataOf = 0;
  }

  /** The peer has not taken what was written before: payload waits at its streams. */
  get congested(): boolean {
    return this.wire.pending > 0;
  }

  /** More waits than a peer that reads would ever have. */
  get overflows(): boolean {
    return this.out !== null && this.out.length > UNREAD_BYTES_MAX;
  }

  /** hot: the chunk that gathers, with room for so many bytes behind its end. */
  private room(bytes: number): Chunk {
    let { out } = this;
    takeTurn(this.session);
    if (out !== null && out.length + bytes > out.size) {
      // Most turns fit into a small chunk; what does not is better gathered than written twice.
      if (out.length + bytes > LARGE_BYTES) this.flush();
      if (this.out !== null) {
        const needed = out.length + bytes;
        const larger = takeChunk(needed > LARGE_BYTES ? needed * 2 : LARGE_BYTES);
        larger.length = out.bytes.copy(larger.bytes, 0, 0, out.length);
        giveChunk(out);
        this.out = larger;
      }
      out = this.out;
    }
    if (out === null) {
      this.out = out = takeChunk(bytes);
      this.dataOf = 0;
    }
    return out;
  }

  /** hot: what has gathered leaves, unless the peer has not taken what left before. */
  flush(): void {
    const { out } = this;
    if (out === null || this.wire.pending > 0) return;
    this.out = null;
    this.dataOf = 0;
    this.wire.writeChunk(out);
  }

  /** The session's turn comes, though nothing was written. */
  later(): void {
    takeTurn(this.session);
  }

  /** What has gathered is of no more use. */
  drop(): void {
    if (this.out !== null) giveChunk(this.out);
    this.out = null;
  }

  /** hot: bytes [from, to) as one DATA frame. */
  data(stream: number, bytes: Buffer, from: number, to: number, last: boolean): void {
    const length = to - from;
    const chunk = this.room(FRAME_HEAD_BYTES + length);
    this.dataAt = chunk.length;
    this.dataOf = stream;
    const at = writeFrameHead(chunk.bytes, chunk.length, length, DATA, last ? END_STREAM : 0, stream);
    chunk.length = at + bytes.copy(chunk.bytes, at, from, to);
    if (chunk.length >= FLUSH_BYTES) this.flush();
  }

  /** hot: what was sent of the stream so far is all of it. */
  end(stream: number): void {
    if (this.out !== null && this.dataOf === stream) {
      this.out.bytes[this.dataAt + 4]! |= END_STREAM;
      return;
    }
    this.small(DATA, END_STREAM, stream, 0, 0);
  }

  /** hot: room for a field block that is no longer than `blockMax`: to be written from `blockStart` of the chunk, and closed at once. */
  openBlock(blockMax: number): Chunk {
    const chunk = this.room(FRAME_HEAD_BYTES + blockMax);
    this.dataOf = 0;
    return chunk;
  }

  /** hot: the block stands behind the place for the frame's head, up to `end`. */
  closeBlock(chunk: Chunk, end: number, stream: number, last: boolean): void {
    const start = chunk.length + FRAME_HEAD_BYTES;
    const length = end - start;
    if (length <= FRAME_BYTES_MAX) {
      writeFrameHead(chunk.bytes, chunk.length, length, HEADERS, last ? END_HEADERS | END_STREAM : END_HEADERS, stream);
      chunk.length = end;
      return;
    }
    const block = Buffer.from(chunk.bytes.subarray(start, end));
    for (let at = 0; at < length; at += FRAME_BYTES_MAX) {
      const part = Math.min(FRAME_BYTES_MAX, length - at);
      const flags = (at + part === length ? END_HEADERS : 0) | (at === 0 && last ? END_STREAM : 0);
      const out = this.room(FRAME_HEAD_BYTES + part);
      const to = writeFrameHead(out.bytes, out.length, part, at === 0 ? HEADERS : CONTINUATION, flags, stream);
      out.length = to + block.copy(out.bytes, to, at, at + part);
    }
  }

  windowUpdate(stream: number, bytes: number): void {
    this.small(WINDOW_UPDATE, 0, stream, 4, bytes);
  }

  reset(stream: number, code: number): void {
    this.small(RST_STREAM, 0, stream, 4, code);
  }

  settings(payload: Buffer): void {
    this.whole(SETTINGS, 0, payload);
  }

  acknowledgeSettings(): void {
    this.small(SETTINGS, ACK, 0, 0, 0);
  }

  ping(payload: Buffer, flags: number): void {
    this.whole(PING, flags, payload);
  }

  goAway(lastStream: number, code: number): void {
    const payload = Buffer.alloc(8);
    writeWord(payload, writeWord(payload, 0, lastStream), code);
    this.whole(GOAWAY, 0, payload);
  }

  raw(bytes: Buffer): void {
    const chunk = this.room(bytes.length);
    chunk.length += bytes.copy(chunk.bytes, chunk.length);
  }

  private whole(type: number, flags: number, payload: Buffer): void {
    const chunk = this.room(FRAME_HEAD_BYTES + payload.length);
    this.dataOf = 0;
    const at = writeFrameHead(chunk.bytes, chunk.length, payload.length, type, flags, 0);
    chunk.length = at + payload.copy(chunk.bytes, at);
  }

  /** A frame of a word, or of nothing. */
  private small(type: number, flags: number, stream: number, length: 0 | 4, word: number): void {
    const chunk = this.room(FRAME_HEAD_BYTES + 4);
    this.dataOf = 0;
    const at = writeFrameHead(chunk.bytes, chunk.length, length, type, flags, stream);
    chunk.length = length === 0 ? at : writeWord(chunk.bytes, at, word);
  }
}
