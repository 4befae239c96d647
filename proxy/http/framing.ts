/** How far the body of a message goes (RFC 9112 §6.3): for a request and its response alike. */
import { ChunkScanner } from './chunked.ts';

/** In place of the bytes that are still to come. */
const CHUNKED = -1;
const UNTIL_CLOSE = -2;

/** One body after the other, of all the messages that go one way. */
export class Framing {
  /** Bytes still to come, where the message says how many; CHUNKED or UNTIL_CLOSE until its end otherwise. */
  private remaining: number;
  /** Made for the first chunked body: most connections never carry one. */
  private scanner: ChunkScanner | null;

  constructor() {
    this.remaining = 0;
    this.scanner = null;
  }

  /** hot: a body of so many bytes; 0: none. */
  sized(bytes: number): void {
    this.remaining = bytes;
  }

  /** hot */
  chunked(): void {
    this.remaining = CHUNKED;
    if (this.scanner === null) this.scanner = new ChunkScanner();
    else this.scanner.reset();
  }

  untilClose(): void {
    this.remaining = UNTIL_CLOSE;
  }

  get isChunked(): boolean {
    return this.remaining === CHUNKED;
  }

  /** Only the end of the connection ends it: whoever sent it cannot send another message. */
  get isUntilClose(): boolean {
    return this.remaining === UNTIL_CLOSE;
  }

  /** The body is whole. */
  get done(): boolean {
    return this.remaining === 0;
  }

  /**
   * hot: follows bytes [start, length). Answers where the body ends within them, or `length` where it goes on; -1 where its coding is broken.
   * With `data`, calls it with each range of payload of a chunked body.
   */
  measure(bytes: Buffer, start: number, length: number, data: ((start: number, end: number) => void) | null): number {
    if (this.remaining >= 0) {
      const take = Math.min(this.remaining, length - start);
      this.remaining -= take;
      return start + take;
    }
    if (this.remaining === UNTIL_CLOSE) return length;
    const scanner = this.scanner!;
    const end = scanner.scan(bytes, start, length, data);
    if (scanner.done) this.remaining = 0;
    return end;
  }
}
