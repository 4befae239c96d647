/**
 * One line of JSON a flow, put together from bytes that are kept ready (names, addresses, rules), and handed to the main thread through a
 * ring. No object, no JSON.stringify: a record costs well under a microsecond.
 */
import { hitNodeLimit } from '../shared/node-limits.ts';
import { RingWriter } from '../shared/ring.ts';
import type { Clock } from './clock.ts';

/** The longest line; path and host are cut before it could be reached. */
const LINE_BYTES_MAX = 8_192;
/** A path in the journal is cut here, and says so by its length. */
const TEXT_BYTES_MAX = 2_048;

export class JournalWriter {
  private readonly ring: RingWriter;
  private readonly clock: Clock;
  private readonly pressing: () => void;
  /** Every record begins with the same bytes, which stay where they are. */
  private readonly line = Buffer.allocUnsafeSlow(LINE_BYTES_MAX);
  private readonly start: number;
  private at = 0;
  readonly prefix: string;
  /** The last moment written, in whole milliseconds, and its text as it stands in a record. */
  private moment = -1;
  private readonly momentText = Buffer.from('","time":"0000-00-00T00:00:00.000Z');
  private pressed = 0;

  constructor(ring: SharedArrayBuffer, prefix: string, clock: Clock, pressing: () => void) {
    this.ring = new RingWriter(ring);
    this.clock = clock;
    this.pressing = pressing;
    this.prefix = prefix;
    this.start = this.line.write(`{"receipt":"${prefix}-`, 'latin1');
  }

  receipt(number: number): string {
    return `${this.prefix}-${number.toString(16)}`;
  }

  /** hot: begins a record; time is monotonic milliseconds. */
  begin(receipt: number, time: number): void {
    this.at = this.start;
    this.hex(receipt);
    this.time(time + this.clock.epoch);
  }

  /** hot: bytes that are JSON already, or a part of it. */
  raw(bytes: Buffer): void {
    this.line.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** hot: `bytes[start, end)` from the network as the inside of a JSON string, each byte one character (ISO 8859-1). */
  text(bytes: Buffer, start: number, end: number): void {
    const line = this.line;
    let at = this.at;
    const stop = Math.min(end, start + TEXT_BYTES_MAX);
    if (stop < end) hitNodeLimit('journal-text');
    for (let i = start; i < stop; i++) {
      const byte = bytes[i]!;
      if (byte === 0x22 || byte === 0x5c) {
        line[at++] = 0x5c;
        line[at++] = byte;
      } else if (byte >= 0x20 && byte < 0x7f) line[at++] = byte;
      else {
        line[at++] = 0x5c;
        line[at++] = 0x75;
        line[at++] = 0x30;
        line[at++] = 0x30;
        line[at++] = HEX[byte >> 4]!;
        line[at++] = HEX[byte & 15]!;
      }
      if (at > LINE_BYTES_MAX - 2_048) break;
    }
    this.at = at;
  }

  /** hot: text of ours, an address, that needs no escape. */
  plain(text: string): void {
    this.at += this.line.write(text, this.at, 'latin1');
  }

  /** hot: ends a text. */
  quote(): void {
    this.line[this.at++] = 0x22;
  }

  /** hot: a whole number, not negative. */
  integer(value: number): void {
    let rest = value;
    let digits = 1;
    for (let bound = 10; bound <= rest; bound *= 10) digits++;
    for (let i = this.at + digits - 1; i >= this.at; i--) {
      const tenth = Math.floor(rest / 10);
      this.line[i] = 48 + rest - tenth * 10;
      rest = tenth;
    }
    this.at += digits;
  }

  /** hot: milliseconds with three decimals. */
  milliseconds(value: number): void {
    const micros = Math.max(0, Math.round(value * 1000));
    const whole = Math.floor(micros / 1000);
    this.integer(whole);
    this.line[this.at++] = 46;
    this.three(micros - whole * 1000);
  }

  /** Lets the main thread see what was written. */
  publish(): void {
    this.ring.publish();
  }

  /** hot: ends the record and sends it off. */
  end(denied: boolean): void {
    this.line[this.at++] = 0x7d;
    this.line[this.at++] = 0x0a;
    this.ring.write(this.line, this.at, denied);
    if (this.ring.pressing && this.clock.coarse !== this.pressed) {
      this.pressed = this.clock.coarse;
      this.pressing();
    }
  }

  private hex(value: number): void {
    const high = Math.floor(value / 0x1_0000_0000);
    if (high > 0) this.hex(high);
    let shift = 28;
    if (high === 0) while (shift > 0 && value >>> shift === 0) shift -= 4;
    for (; shift >= 0; shift -= 4) this.line[this.at++] = HEX[(value >>> shift) & 15]!;
  }

  private time(epochMs: number): void {
    const moment = Math.floor(epochMs);
    if (moment !== this.moment) {
      this.moment = moment;
      this.momentText.write(new Date(moment).toISOString(), TIME_AT, 'latin1');
    }
    this.raw(this.momentText);
  }

  private three(value: number): void {
    const hundreds = Math.floor(value / 100);
    const tens = Math.floor((value - hundreds * 100) / 10);
    this.line[this.at++] = 48 + hundreds;
    this.line[this.at++] = 48 + tens;
    this.line[this.at++] = 48 + value - hundreds * 100 - tens * 10;
  }
}

/** Where a moment stands in its text. */
const TIME_AT = '","time":"'.length;
const HEX = Buffer.from('0123456789abcdef');
