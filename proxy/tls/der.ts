/** Reads DER (X.690) as far as OCSP responses, revocation lists and certificates need it. Never throws. */

export const SEQUENCE = 0x30;
export const INTEGER = 0x02;
/** GeneralizedTime, with a year of four digits. */
export const TIME = 0x18;
/** UTCTime, with two. */
export const SHORT_TIME = 0x17;
/** [0], of what has parts. */
export const TAG_0 = 0xa0;

/** Reads DER one after the other; once something is not as expected, everything is. */
export class Cursor {
  readonly bytes: Buffer;
  at: number;
  readonly end: number;
  ok = true;

  constructor(bytes: Buffer, start: number, end: number) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  /** The kind of what comes next; -1 for nothing. */
  get next(): number {
    return this.ok && this.at < this.end ? this.bytes[this.at]! : -1;
  }

  /** The contents of the next element, which is of this kind. */
  enter(kind: number): Cursor {
    const { bytes } = this;
    const expected = this.next === kind && this.at + 1 < this.end;
    let from = this.at + 2;
    let length = expected ? bytes[this.at + 1]! : 0;
    if (length > 0x80) {
      const size = length & 0x7f;
      length = size > 4 || from + size > this.end ? Number.POSITIVE_INFINITY : bytes.readUIntBE(from, size);
      from += size;
    } else if (length === 0x80) length = Number.POSITIVE_INFINITY;
    if (!expected || from + length > this.end) {
      this.ok = false;
      const nothing = new Cursor(bytes, 0, 0);
      nothing.ok = false;
      return nothing;
    }
    this.at = from + length;
    return new Cursor(bytes, from, this.at);
  }

  text(encoding: 'latin1' | 'utf8' | 'hex'): string {
    return this.bytes.toString(encoding, this.at, this.end);
  }
}

/** The next element, as milliseconds since 1970; NaN for what is no time (RFC 5280 §4.1.2.5). */
export function timeOf(from: Cursor): number {
  const isShort = from.next === SHORT_TIME;
  const time = from.enter(isShort ? SHORT_TIME : TIME);
  const text = time.text('latin1');
  // Years of two digits are those from 1950 on.
  const whole = !isShort ? text : `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}`;
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(whole);
  if (!time.ok || parts === null) return Number.NaN;
  const [, year, month, day, hour, minute, second] = parts;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/** A serial number as it is compared: some writers fill it up to whole bytes. */
export function withoutZeros(hexadecimal: string): string {
  return hexadecimal.replace(/^0+(?=.)/, '');
}
