/**
 * Follows the chunked coding (RFC 9112 §7.1) byte by byte without keeping any. Strict: sizes in plain hexadecimal, CRLF and nothing else at every
 * line's end, extensions and trailers of visible text within bounds. A trailer that would frame, route or vouch for the message breaks
 * it (RFC 9110 §6.5.1): a server that merges trailers into the fields would believe it.
 */
import { CLASS, COLON, CR, HEX, LF, spells, TOKEN, VALUE } from './bytes.ts';

const SIZE = 0;
const EXTENSION = 1;
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILER_START = 6;
const TRAILER_NAME = 7;
const TRAILER_VALUE = 8;
const TRAILER_LF = 9;
const END_LF = 10;
const DONE = 11;

/** Digits of a size: 13 are 2^52 bytes. */
const SIZE_DIGITS_MAX = 13;
/** Extensions carry nothing that anyone uses; their only use is to hide requests and to burn CPU. */
const EXTENSION_BYTES_MAX = 256;
/** All trailers of a message. */
const TRAILER_BYTES_MAX = 8_192;

/** Names that no trailer may have. */
const NOT_TRAILERS = [
  'te',
  'host',
  'trailer',
  'upgrade',
  'forwarded',
  'connection',
  'keep-alive',
  'content-length',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'transfer-encoding',
];
/** The longest of them. */
const NAME_BYTES_KEPT = 17;

export class ChunkScanner {
  private state = SIZE;
  private remaining = 0;
  private digits = 0;
  private extra = 0;
  /** The beginning of a trailer's name, made for the first one. */
  private name: Buffer | null = null;
  private nameLength = 0;

  reset(): void {
    this.state = SIZE;
    this.remaining = this.digits = this.extra = 0;
  }

  get done(): boolean {
    return this.state === DONE;
  }

  /**
   * hot: follows bytes [at, length). Answers where the message ended, or `length` where it goes on; -1 where the coding is broken.
   * With `data`, calls it with each range of payload.
   */
  scan(bytes: Buffer, start: number, length: number, data: ((start: number, end: number) => void) | null): number {
    let at = start;
    while (at < length) {
      if (this.state === DATA) {
        const take = Math.min(this.remaining, length - at);
        data?.(at, at + take);
        at += take;
        this.remaining -= take;
        if (this.remaining === 0) this.state = DATA_CR;
        continue;
      }
      const byte = bytes[at++]!;
      switch (this.state) {
        case SIZE:
          if ((CLASS[byte]! & HEX) !== 0) {
            if (++this.digits > SIZE_DIGITS_MAX) return -1;
            this.remaining = this.remaining * 16 + (byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x57);
          } else if (this.digits === 0) return -1;
          else if (byte === CR) this.state = SIZE_LF;
          else if (byte === 0x3b) {
            this.state = EXTENSION;
            this.extra = 0;
          } else return -1;
          break;
        case EXTENSION:
          if (byte === CR) this.state = SIZE_LF;
          else if ((CLASS[byte]! & VALUE) === 0 || ++this.extra > EXTENSION_BYTES_MAX) return -1;
          break;
        case SIZE_LF:
          if (byte !== LF) return -1;
          this.digits = 0;
          if (this.remaining > 0) this.state = DATA;
          else {
            this.state = TRAILER_START;
            this.extra = 0;
          }
          break;
        case DATA_CR:
          if (byte !== CR) return -1;
          this.state = DATA_LF;
          break;
        case DATA_LF:
          if (byte !== LF) return -1;
          this.state = SIZE;
          break;
        case TRAILER_START:
          if (byte === CR) this.state = END_LF;
          else if ((CLASS[byte]! & TOKEN) !== 0 && ++this.extra <= TRAILER_BYTES_MAX) {
            this.state = TRAILER_NAME;
            this.nameLength = 0;
            this.noteName(byte);
          } else return -1;
          break;
        case TRAILER_NAME:
          if (byte === COLON) {
            if (this.isForbidden()) return -1;
            this.state = TRAILER_VALUE;
          } else if ((CLASS[byte]! & TOKEN) === 0 || ++this.extra > TRAILER_BYTES_MAX) return -1;
          else this.noteName(byte);
          break;
        case TRAILER_VALUE:
          if (byte === CR) this.state = TRAILER_LF;
          else if ((CLASS[byte]! & VALUE) === 0 || ++this.extra > TRAILER_BYTES_MAX) return -1;
          break;
        case TRAILER_LF:
          if (byte !== LF) return -1;
          this.state = TRAILER_START;
          break;
        case END_LF:
          if (byte !== LF) return -1;
          this.state = DONE;
          return at;
      }
    }
    return at;
  }
  private noteName(byte: number): void {
    this.name ??= Buffer.allocUnsafeSlow(NAME_BYTES_KEPT);
    if (this.nameLength < NAME_BYTES_KEPT) this.name[this.nameLength] = byte;
    this.nameLength++;
  }

  private isForbidden(): boolean {
    const { name, nameLength } = this;
    if (name === null || nameLength > NAME_BYTES_KEPT) return false;
    return NOT_TRAILERS.some((forbidden) => spells(name, 0, nameLength, forbidden));
  }
}
