/** Classes of bytes in HTTP/1 (RFC 9110 §5.6.2, §5.5; RFC 3986), as one table that the scanners look into. */

/** tchar: method and field names. */
export const TOKEN = 1;
/** VCHAR, SP, HTAB and obs-text: field values and reason phrases. */
export const VALUE = 2;
/** What a request target may consist of: visible ASCII but `#` (a fragment is never sent, RFC 9112 §3.2). */
export const TARGET = 4;
/** What a Host may consist of: unreserved, sub-delims, percent, colon and brackets. */
export const HOST = 8;
export const DIGIT = 16;
export const HEX = 32;

export const CLASS: Uint8Array = (() => {
  const table = new Uint8Array(256);
  const mark = (characters: string, bit: number) => {
    for (const character of characters) table[character.charCodeAt(0)]! |= bit;
  };
  const digits = '0123456789';
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  mark(`${letters}${digits}!#$%&'*+-.^_\`|~`, TOKEN);
  mark(`${letters}${digits}-._~!$&'()*+,;=%:[]`, HOST);
  mark(digits, DIGIT);
  mark(`${digits}abcdefABCDEF`, HEX);
  for (let byte = 0x21; byte < 0x7f; byte++) table[byte]! |= byte === 0x23 ? VALUE : VALUE | TARGET;
  for (let byte = 0x80; byte < 0x100; byte++) table[byte]! |= VALUE;
  table[0x20]! |= VALUE;
  table[0x09]! |= VALUE;
  return table;
})();

export const SP = 0x20;
export const HTAB = 0x09;
export const CR = 0x0d;
export const LF = 0x0a;
export const COLON = 0x3a;
export const COMMA = 0x2c;
export const SLASH = 0x2f;
export const ASTERISK = 0x2a;
export const UNDERSCORE = 0x5f;

/**
 * hot: whether bytes [start, end) spell `lower` (lower case letters, digits, hyphens), letter case ignored. An underscore counts as a hyphen:
 * servers that hand fields on as variables (CGI, RFC 3875 §4.1.18) cannot tell them apart, so nothing may be smuggled past by one.
 */
export function spells(bytes: Buffer, start: number, end: number, lower: string): boolean {
  if (end - start !== lower.length) return false;
  for (let i = 0; i < lower.length; i++) {
    const want = lower.charCodeAt(i);
    const byte = bytes[start + i]!;
    if (byte !== want && !(byte >= 0x41 && byte <= 0x5a && (byte | 0x20) === want) && !(byte === 0x5f && want === 0x2d)) return false;
  }
  return true;
}
