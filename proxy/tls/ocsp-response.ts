/**
 * What an OCSP response says (RFC 6960 §4.2.1) as far as a server has to know it before it staples one: of which certificate, how that stands, and how
 * long the answer holds. Its signature is for clients to check. Never throws.
 */

export interface OcspResponse {
  /** Upper case hexadecimal without leading zeros. */
  readonly serial: string;
  readonly status: 'good' | 'revoked' | 'unknown';
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  /** The same; Infinity where newer information is there all the time. */
  readonly nextUpdate: number;
}

const SEQUENCE = 0x30;
const OCTETS = 0x04;
const INTEGER = 0x02;
const ENUMERATED = 0x0a;
const OID = 0x06;
const TIME = 0x18;
/** [0], [1] and [2], of what has parts and of what has none. */
const TAG_0 = 0xa0;
const STATUS_GOOD = 0x80;
const STATUS_REVOKED = 0xa1;
const STATUS_UNKNOWN = 0x82;
/** id-pkix-ocsp-basic: 1.3.6.1.5.5.7.48.1.1. */
const BASIC = '2b0601050507300101';

/** Reads DER one after the other; once something is not as expected, everything is. */
class Cursor {
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

  text(encoding: 'latin1' | 'hex'): string {
    return this.bytes.toString(encoding, this.at, this.end);
  }
}

/** null for what is no successful answer about one certificate. */
export function readOcspResponse(bytes: Buffer): OcspResponse | null {
  const whole = new Cursor(bytes, 0, bytes.length);
  const response = whole.enter(SEQUENCE);
  if (whole.at !== whole.end || response.enter(ENUMERATED).text('hex') !== '00') return null;
  const typed = response.enter(TAG_0).enter(SEQUENCE);
  if (typed.enter(OID).text('hex') !== BASIC) return null;
  const data = typed.enter(OCTETS).enter(SEQUENCE).enter(SEQUENCE);
  if (data.next === TAG_0) data.enter(TAG_0);
  // Who answers, and when that was.
  data.enter(data.next);
  data.enter(TIME);
  const single = data.enter(SEQUENCE).enter(SEQUENCE);
  const certificate = single.enter(SEQUENCE);
  // The hash, and what it makes of the issuer.
  certificate.enter(SEQUENCE);
  certificate.enter(OCTETS);
  certificate.enter(OCTETS);
  const serial = certificate.enter(INTEGER);
  const status = statusOf(single.next);
  single.enter(single.next);
  const thisUpdate = timeOf(single.enter(TIME));
  const nextUpdate = single.next === TAG_0 ? timeOf(single.enter(TAG_0).enter(TIME)) : Number.POSITIVE_INFINITY;
  if (!serial.ok || !single.ok || status === null || Number.isNaN(thisUpdate) || Number.isNaN(nextUpdate)) return null;
  return {
    serial: withoutZeros(serial.text('hex')).toUpperCase(),
    status,
    thisUpdate,
    nextUpdate,
  };
}

/** A serial number as it is compared: some writers fill it up to whole bytes. */
export function withoutZeros(hexadecimal: string): string {
  return hexadecimal.replace(/^0+(?=.)/, '');
}

function statusOf(kind: number): OcspResponse['status'] | null {
  if (kind === STATUS_GOOD) return 'good';
  if (kind === STATUS_REVOKED) return 'revoked';
  return kind === STATUS_UNKNOWN ? 'unknown' : null;
}

/** RFC 5280 §4.1.2.5.2: YYYYMMDDHHMMSSZ. */
function timeOf(time: Cursor): number {
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(time.text('latin1'));
  if (!time.ok || parts === null) return Number.NaN;
  const [, year, month, day, hour, minute, second] = parts;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}
