/**
 * What a revocation list (RFC 5280 §5.1) says of itself: whose it is, and how long it holds. OpenSSL reads who is revoked. After its end, and for an
 * authority without a list, it refuses every client.
 */
import { Cursor, INTEGER, SEQUENCE, SHORT_TIME, TAG_0, TIME, timeOf, withoutZeros } from './der.ts';

export interface RevocationList {
  readonly issuer: Name;
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  /** The same; Infinity where it says no end. */
  readonly nextUpdate: number;
}

/** By which a revocation list names a certificate. */
export interface CertificateId {
  /** The key of the issuer's name. */
  readonly issuer: string;
  /** Upper case hexadecimal without leading zeros. */
  readonly serial: string;
}

/** A distinguished name. */
export interface Name {
  /** The same for names that OpenSSL takes for the same. */
  readonly key: string;
  /** Its common name, or the last part of it. */
  readonly text: string;
}

const SET = 0x31;
const OID = 0x06;
/** UTF-16, the higher byte first. */
const BMP_STRING = 0x1e;
/** id-at-commonName: 2.5.4.3. */
const COMMON_NAME = '550403';
const LIST = /-----BEGIN X509 CRL-----([^-]+)-----END X509 CRL-----/g;
/** Longer names are cut: they go into messages and labels. */
const TEXT_CHARACTERS_MAX = 100;

/** The lists in a text of PEM, of each issuer the one that holds for longest. Those of which nothing can be read are left out. */
export function revocationListsIn(pem: string): RevocationList[] {
  const lists = new Map<string, RevocationList>();
  for (const [, base64] of pem.matchAll(LIST)) {
    const list = readRevocationList(Buffer.from(base64!, 'base64'));
    if (list !== null && list.nextUpdate >= (lists.get(list.issuer.key)?.nextUpdate ?? 0)) lists.set(list.issuer.key, list);
  }
  return [...lists.values()];
}

/** `bytes` in DER. */
export function readRevocationList(bytes: Buffer): RevocationList | null {
  const list = new Cursor(bytes, 0, bytes.length).enter(SEQUENCE).enter(SEQUENCE);
  if (list.next === INTEGER) list.enter(INTEGER);
  list.enter(SEQUENCE);
  const issuer = nameOf(list.enter(SEQUENCE));
  const thisUpdate = timeOf(list);
  const hasEnd = list.next === TIME || list.next === SHORT_TIME;
  const nextUpdate = hasEnd ? timeOf(list) : Number.POSITIVE_INFINITY;
  return !list.ok || issuer === null || Number.isNaN(thisUpdate) || Number.isNaN(nextUpdate) ? null : { issuer, thisUpdate, nextUpdate };
}

/** Whom a certificate (DER) is of. */
export function subjectOf(certificate: Buffer): Name | null {
  const fields = new Cursor(certificate, 0, certificate.length).enter(SEQUENCE).enter(SEQUENCE);
  if (fields.next === TAG_0) fields.enter(TAG_0);
  fields.enter(INTEGER);
  // Algorithm, issuer, and from when to when.
  for (let i = 0; i < 3; i++) fields.enter(SEQUENCE);
  return nameOf(fields.enter(SEQUENCE));
}

/** By which a list would name a certificate (DER); null where that cannot be read. */
export function idOf(certificate: Buffer): CertificateId | null {
  const fields = new Cursor(certificate, 0, certificate.length).enter(SEQUENCE).enter(SEQUENCE);
  if (fields.next === TAG_0) fields.enter(TAG_0);
  const serial = serialOf(fields);
  fields.enter(SEQUENCE);
  const issuer = nameOf(fields.enter(SEQUENCE));
  return issuer === null ? null : { issuer: issuer.key, serial };
}

/** The serial numbers in the lists of a text of PEM, by the keys of their issuers' names. */
export function revokedIn(pem: string): ReadonlyMap<string, ReadonlySet<string>> {
  const revoked = new Map<string, Set<string>>();
  for (const [, base64] of pem.matchAll(LIST)) {
    const bytes = Buffer.from(base64!, 'base64');
    const list = new Cursor(bytes, 0, bytes.length).enter(SEQUENCE).enter(SEQUENCE);
    if (list.next === INTEGER) list.enter(INTEGER);
    list.enter(SEQUENCE);
    const issuer = nameOf(list.enter(SEQUENCE));
    timeOf(list);
    if (list.next === TIME || list.next === SHORT_TIME) timeOf(list);
    if (issuer === null || list.next !== SEQUENCE) continue;
    const serials = revoked.get(issuer.key) ?? new Set();
    revoked.set(issuer.key, serials);
    const entries = list.enter(SEQUENCE);
    while (entries.next === SEQUENCE) serials.add(serialOf(entries.enter(SEQUENCE)));
  }
  return revoked;
}

function serialOf(fields: Cursor): string {
  return withoutZeros(fields.enter(INTEGER).text('hex')).toUpperCase();
}

function nameOf(name: Cursor): Name | null {
  const parts: string[] = [];
  let text = '';
  let isCommon = false;
  while (name.next === SET) {
    const set = name.enter(SET);
    while (set.next === SEQUENCE) {
      const pair = set.enter(SEQUENCE);
      const type = pair.enter(OID).text('hex');
      const isBmp = pair.next === BMP_STRING;
      const bytes = pair.enter(pair.next);
      if (!pair.ok) return null;
      const value = isBmp ? wide(bytes) : bytes.text('utf8');
      // RFC 5280 §7.1: case and white space make no other name.
      parts.push(`${type}=${value.toLowerCase().trim().replace(/\s+/g, ' ')}`);
      if (!isCommon) text = value;
      isCommon ||= type === COMMON_NAME;
    }
    if (!set.ok) return null;
  }
  return name.ok ? { key: parts.join(','), text: text.slice(0, TEXT_CHARACTERS_MAX) } : null;
}

function wide({ bytes, at, end }: Cursor): string {
  const even = Buffer.from(bytes.subarray(at, end - ((end - at) % 2)));
  return even.swap16().toString('utf16le');
}
