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
const UTF8_STRING = 0x0c;
/** UTF-16, the higher byte first. */
const BMP_STRING = 0x1e;
/** id-at-commonName: 2.5.4.3. */
const COMMON_NAME = '550403';
const LIST = /-----BEGIN X509 CRL-----([^-]+)-----END X509 CRL-----/g;
/** Longer names are cut: they go into messages and labels. */
const TEXT_CHARACTERS_MAX = 100;

/** A list with its entries, which are still to be read. */
interface Unread extends RevocationList {
  readonly rest: Cursor;
}

/** The lists in a text of PEM: of each issuer the newest, as OpenSSL takes it. Those of which nothing can be read are left out. */
export function revocationListsIn(pem: string): RevocationList[] {
  return newestIn(pem).map(({ issuer, thisUpdate, nextUpdate }) => ({ issuer, thisUpdate, nextUpdate }));
}

/** The serial numbers in the same lists, by the keys of their issuers' names. */
export function revokedIn(pem: string): ReadonlyMap<string, ReadonlySet<string>> {
  return new Map(newestIn(pem).map(({ issuer, rest }) => [issuer.key, serialsIn(rest)]));
}

function newestIn(pem: string): Unread[] {
  const lists = new Map<string, Unread>();
  for (const [, base64] of pem.matchAll(LIST)) {
    const list = readRevocationList(Buffer.from(base64!, 'base64'));
    if (list !== null && list.thisUpdate >= (lists.get(list.issuer.key)?.thisUpdate ?? Number.NEGATIVE_INFINITY))
      lists.set(list.issuer.key, list);
  }
  return [...lists.values()];
}

/** `bytes` in DER. */
export function readRevocationList(bytes: Buffer): Unread | null {
  const list = new Cursor(bytes, 0, bytes.length).enter(SEQUENCE).enter(SEQUENCE);
  if (list.next === INTEGER) list.enter(INTEGER);
  list.enter(SEQUENCE);
  const issuer = nameOf(list.enter(SEQUENCE));
  const thisUpdate = timeOf(list);
  const hasEnd = list.next === TIME || list.next === SHORT_TIME;
  const nextUpdate = hasEnd ? timeOf(list) : Number.POSITIVE_INFINITY;
  if (!list.ok || issuer === null || Number.isNaN(thisUpdate) || Number.isNaN(nextUpdate)) return null;
  return { issuer, thisUpdate, nextUpdate, rest: list };
}

function serialsIn(rest: Cursor): Set<string> {
  const serials = new Set<string>();
  // A list that names nobody has no such element.
  const entries = rest.next === SEQUENCE ? rest.enter(SEQUENCE) : rest;
  while (entries.next === SEQUENCE) serials.add(serialOf(entries.enter(SEQUENCE)));
  return serials;
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
      const kind = pair.next;
      const bytes = pair.enter(kind);
      if (!pair.ok) return null;
      const value = kind === BMP_STRING ? wide(bytes) : bytes.text(kind === UTF8_STRING ? 'utf8' : 'latin1');
      // RFC 5280 §7.1: case and white space make no other name. As OpenSSL does, of ASCII alone.
      const folded = value.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
      parts.push(`${type}=${folded.trim().replace(/\s+/g, ' ')}`);
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
