/**
 * What an OCSP response says (RFC 6960 §4.2.1) as far as a server has to know it before it staples one: of which certificate, how that stands, and how
 * long the answer holds. Its signature is for clients to check. Never throws.
 */
import { Cursor, INTEGER, SEQUENCE, TAG_0, TIME, timeOf, withoutZeros } from './der.ts';

export interface OcspResponse {
  /** Upper case hexadecimal without leading zeros. */
  readonly serial: string;
  readonly status: 'good' | 'revoked' | 'unknown';
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  /** The same; Infinity where newer information is there all the time. */
  readonly nextUpdate: number;
}

const OCTETS = 0x04;
const ENUMERATED = 0x0a;
const OID = 0x06;
/** [0], [1] and [2], of what has parts and of what has none. */
const STATUS_GOOD = 0x80;
const STATUS_REVOKED = 0xa1;
const STATUS_UNKNOWN = 0x82;
/** id-pkix-ocsp-basic: 1.3.6.1.5.5.7.48.1.1. */
const BASIC = '2b0601050507300101';

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
  const thisUpdate = timeOf(single);
  const nextUpdate = single.next === TAG_0 ? timeOf(single.enter(TAG_0)) : Number.POSITIVE_INFINITY;
  if (!serial.ok || !single.ok || status === null || Number.isNaN(thisUpdate) || Number.isNaN(nextUpdate)) return null;
  return {
    serial: withoutZeros(serial.text('hex')).toUpperCase(),
    status,
    thisUpdate,
    nextUpdate,
  };
}

function statusOf(kind: number): OcspResponse['status'] | null {
  if (kind === STATUS_GOOD) return 'good';
  if (kind === STATUS_REVOKED) return 'revoked';
  return kind === STATUS_UNKNOWN ? 'unknown' : null;
}
