/**
 * Reads the body of a message of HTTP/1.1 as this proxy writes it, so that its payload can go on in frames. What is read has been judged
 * when it came in (`http/framing.ts`): it is well-formed, and nothing here has to find that out again.
 */
import { CR, LF } from '../http/bytes.ts';

const NOTHING = Buffer.alloc(0);

const NONE = 0;
const SIZED = 1;
const CHUNKED = 2;
const ENDLESS = 3;

/** Where reading of the chunked coding has come to. */
const SIZE = 0;
const PAYLOAD = 1;
const AFTER_PAYLOAD = 2;
const TRAILER_LINE = 3;

/** Between the coding and the end of trailers: their bytes, whole lines. They are bounded where they were judged. */
export class BodyText {
  /** The payload that the last `next` has found, in the bytes that it was given. */
  from: number;
  to: number;
  /** All of the payload has been found. */
  done: boolean;
  private framing: number;
  private remaining: number;
  private state: number;
  private inExtension: boolean;
  private lineLength: number;
  private trailerBytes: Buffer[];

  constructor() {
    this.from = 0;
    this.to = 0;
    this.done = true;
    this.framing = NONE;
    this.remaining = 0;
    this.state = SIZE;
    this.inExtension = false;
    this.lineLength = 0;
    this.trailerBytes = [];
  }

  none(): void {
    this.begin(NONE, true);
  }

  sized(bytes: number): void {
    this.begin(SIZED, bytes === 0);
    this.remaining = bytes;
  }

  chunked(): void {
    this.begin(CHUNKED, false);
    this.state = SIZE;
    this.remaining = 0;
    this.inExtension = false;
  }

  /** Only its sender's last word ends it: a body without a length, or an upgraded connection. */
  endless(): void {
    this.begin(ENDLESS, false);
  }

  private begin(framing: number, done: boolean): void {
    this.framing = framing;
    this.done = done;
    this.from = this.to = 0;
    if (this.trailerBytes.length > 0) this.trailerBytes = [];
  }

  get isEndless(): boolean {
    return this.framing === ENDLESS;
  }

  /** Whole lines of trailers; empty where there are none. Good once the body is done. */
  get trailers(): Buffer {
    return this.trailerBytes[0] ?? NOTHING;
  }

  /** hot: looks for payload in bytes [at, end), and leaves it in [from, to). Answers how far it has read; what is behind belongs to no body. */
  next(bytes: Buffer, at: number, end: number): number {
    this.from = this.to = at;
    if (this.done) return at;
    if (this.framing === CHUNKED) return this.nextChunk(bytes, at, end);
    this.to = this.framing === ENDLESS ? end : Math.min(end, at + this.remaining);
    if (this.framing === SIZED) {
      this.remaining -= this.to - at;
      this.done = this.remaining === 0;
    }
    return this.to;
  }

  private nextChunk(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end) {
      const byte = bytes[at]!;
      switch (this.state) {
        case SIZE:
          at++;
          if (byte === LF) {
            this.inExtension = false;
            this.state = this.remaining > 0 ? PAYLOAD : TRAILER_LINE;
            this.lineLength = 0;
          } else if (byte === 0x3b) this.inExtension = true;
          else if (byte !== CR && !this.inExtension)
            this.remaining = this.remaining * 16 + (byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x57);
          break;
        case PAYLOAD:
          this.from = at;
          this.to = Math.min(end, at + this.remaining);
          this.remaining -= this.to - at;
          if (this.remaining === 0) this.state = AFTER_PAYLOAD;
          return this.to;
        case AFTER_PAYLOAD:
          at++;
          if (byte === LF) this.state = SIZE;
          break;
        default: {
          const line = bytes.indexOf(LF, at);
          const lineEnd = line < 0 || line >= end ? end : line + 1;
          this.lineLength += lineEnd - at;
          this.trailerBytes.push(Buffer.from(bytes.subarray(at, lineEnd)));
          at = lineEnd;
          if (line < 0 || line >= end) break;
          if (this.lineLength <= 2) {
            this.done = true;
            this.dropEmptyLine();
            this.from = this.to = at;
            return at;
          }
          this.lineLength = 0;
        }
      }
    }
    this.from = this.to = at;
    return at;
  }

  /** The line that ends the trailers is none of them. */
  private dropEmptyLine(): void {
    if (this.trailerBytes.length === 1) this.trailerBytes = [];
    else {
      const whole = Buffer.concat(this.trailerBytes);
      this.trailerBytes = [whole.subarray(0, whole.length - 2)];
    }
  }
}
