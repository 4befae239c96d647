/**
 * Fields of HTTP/2 as lines of HTTP/1.1: `name: value` and CRLF. What a name means to a head is found out once, when the line is made; a
 * line that stays in a table is judged no second time.
 */
import { CLASS, COLON, HTAB, SP, TOKEN, VALUE } from '../http/bytes.ts';

/** What a field means to the one who puts a head together. */
export const PLAIN = 0;
export const METHOD = 1;
export const SCHEME = 2;
export const AUTHORITY = 3;
export const PATH = 4;
export const PROTOCOL = 5;
export const STATUS = 6;
export const CONTENT_LENGTH = 7;
export const CONTENT_TYPE = 8;
export const COOKIE = 9;
export const HOST = 10;
export const TE = 11;
export const EXPECT = 12;
/** Speaks of one connection: no message of HTTP/2 may have it (RFC 9113 §8.2.2). */
export const CONNECTION_SPECIFIC = 13;
/** A name or a value that no field may have, or a pseudo-field that nobody knows. */
export const MALFORMED = 14;

export type FieldKind = number;

const KINDS: ReadonlyMap<string, FieldKind> = new Map([
  [':method', METHOD],
  [':scheme', SCHEME],
  [':authority', AUTHORITY],
  [':path', PATH],
  [':protocol', PROTOCOL],
  [':status', STATUS],
  ['content-length', CONTENT_LENGTH],
  ['content-type', CONTENT_TYPE],
  ['cookie', COOKIE],
  ['host', HOST],
  ['te', TE],
  ['expect', EXPECT],
  ['connection', CONNECTION_SPECIFIC],
  ['keep-alive', CONNECTION_SPECIFIC],
  ['proxy-connection', CONNECTION_SPECIFIC],
  ['transfer-encoding', CONNECTION_SPECIFIC],
  ['upgrade', CONNECTION_SPECIFIC],
]);
/** The same by length, since most names are told by that alone. */
const KINDS_BY_LENGTH: (readonly (readonly [string, FieldKind])[] | undefined)[] = [];
for (const [name, kind] of KINDS) KINDS_BY_LENGTH[name.length] = [...(KINDS_BY_LENGTH[name.length] ?? []), [name, kind]];

/** A line in a table. */
export interface FieldLine {
  readonly bytes: Buffer;
  readonly nameLength: number;
  readonly kind: FieldKind;
}

/** Between a name and its value. */
export const GAP_BYTES = 2;
/** What a line has beyond its name and its value. */
export const LINE_BYTES_ADDED = 4;
/** What an entry of a table counts beyond its name and its value (RFC 7541 §4.1). */
export const ENTRY_BYTES_ADDED = 32;

export function fieldLine(name: string, value: string): FieldLine {
  const bytes = Buffer.from(`${name}: ${value}\r\n`, 'latin1');
  return { bytes, nameLength: name.length, kind: nameKind(bytes, 0, name.length) };
}

/** hot: what a name means; MALFORMED where it is no name of a field in HTTP/2, which has no upper case (RFC 9113 §8.2.1). */
export function nameKind(bytes: Buffer, start: number, end: number): FieldKind {
  const pseudo = bytes[start] === COLON;
  if (end === start || end - start === (pseudo ? 1 : 0)) return MALFORMED;
  for (let i = pseudo ? start + 1 : start; i < end; i++) {
    const byte = bytes[i]!;
    if ((CLASS[byte]! & TOKEN) === 0 || (byte >= 0x41 && byte <= 0x5a)) return MALFORMED;
  }
  const known = KINDS_BY_LENGTH[end - start];
  if (known !== undefined) for (const [name, kind] of known) if (isText(bytes, start, name)) return kind;
  return pseudo ? MALFORMED : PLAIN;
}

/** hot: whether a value is one: no control bytes, no blanks around it (RFC 9113 §8.2.1). */
export function isValue(bytes: Buffer, start: number, end: number): boolean {
  if (end === start) return true;
  const first = bytes[start];
  const last = bytes[end - 1];
  if (first === SP || first === HTAB || last === SP || last === HTAB) return false;
  for (let i = start; i < end; i++) if ((CLASS[bytes[i]!]! & VALUE) === 0) return false;
  return true;
}

/** hot: whether `text` stands in the bytes from `start` on. Their end is the caller's to check. */
export function isText(bytes: Buffer, start: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** RFC 7541 Appendix A; the first one has number 1. */
export const STATIC_LINES: readonly FieldLine[] = (
  [
    [':authority', ''],
    [':method', 'GET'],
    [':method', 'POST'],
    [':path', '/'],
    [':path', '/index.html'],
    [':scheme', 'http'],
    [':scheme', 'https'],
    [':status', '200'],
    [':status', '204'],
    [':status', '206'],
    [':status', '304'],
    [':status', '400'],
    [':status', '404'],
    [':status', '500'],
    ['accept-charset', ''],
    ['accept-encoding', 'gzip, deflate'],
    ...[
      'accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control content-disposition',
      'content-encoding content-language content-length content-location content-range content-type cookie date etag expect expires from',
      'host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified link location max-forwards',
      'proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie strict-transport-security',
      'transfer-encoding user-agent vary via www-authenticate',
    ].flatMap((row) => row.split(' ').map((name) => [name, ''] as const)),
  ] as const
).map(([name, value]) => fieldLine(name, value));
