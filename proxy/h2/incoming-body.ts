/** The body that comes by a stream, as text of HTTP/1.1: by its length, in chunks, or (once upgraded) as it is. */
import { CHUNK_BYTES_ADDED, LAST_CHUNK, writeChunk } from './chunk-text.ts';
import { FRAME_BYTES_MAX } from './frame.ts';

const SIZED = 0;
const CHUNKED = 1;
const RAW = 2;

/** Text of the body under way. One for the thread: it is made and delivered within one callback. */
export const bodyText: Buffer = Buffer.allocUnsafeSlow(FRAME_BYTES_MAX + CHUNK_BYTES_ADDED);

export class IncomingBody {
  private framing: number;
  private remaining: number;
  /** See `keepBack`; -1 for none. */
  private keptBack: number;

  constructor() {
    this.framing = SIZED;
    this.remaining = 0;
    this.keptBack = -1;
  }

  /** hot: a body of so many bytes, or (-1) of as many as will come. */
  begin(length: number): void {
    this.framing = length < 0 ? CHUNKED : SIZED;
    this.remaining = Math.max(0, length);
    this.keptBack = -1;
  }

  /** What comes from here on is no message any more. */
  raw(): void {
    this.framing = RAW;
    this.keptBack = -1;
  }

  get isRaw(): boolean {
    return this.framing === RAW;
  }

  get isChunked(): boolean {
    return this.framing === CHUNKED;
  }

  /** hot: makes text of payload [from, to) at the front of `bodyText`. Answers its length; -1 where the body is not as long as was said. */
  take(bytes: Buffer, from: number, to: number, ended: boolean): number {
    if (this.framing === SIZED) {
      this.remaining -= to - from;
      if (this.remaining < 0 || (ended && this.remaining > 0)) return -1;
    }
    if (this.framing !== CHUNKED) {
      const end = this.takeKeptBack();
      return this.keepBack(bodyText, end + bytes.copy(bodyText, end, from, to), ended);
    }
    const end = to > from ? writeChunk(bodyText, bytes, from, to) : 0;
    return ended ? end + LAST_CHUNK.copy(bodyText, end) : end;
  }

  /** What trailers end, where the body is not in chunks: its text is in `bodyText`. Answers its length; -1 where the body is not whole. */
  end(): number {
    return this.framing === SIZED && this.remaining > 0 ? -1 : this.takeKeptBack();
  }

  /**
   * hot: a message whose length was said is over for HTTP/1.1 with its last byte, but its stream only with a flag that may come later. So that
   * nobody begins another message in between, the last byte waits for the flag. Answers how many of the bytes may go.
   */
  keepBack(bytes: Buffer, length: number, ended: boolean): number {
    if (ended || this.framing !== SIZED || this.remaining > 0 || length === 0) return length;
    this.keptBack = bytes[length - 1]!;
    return length - 1;
  }

  /** Puts the byte that was kept back in front. Answers how many that are. */
  private takeKeptBack(): number {
    if (this.keptBack < 0) return 0;
    bodyText[0] = this.keptBack;
    this.keptBack = -1;
    return 1;
  }
}
