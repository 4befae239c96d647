/**
 * Addresses and prefixes in one numeric form. IPv4 and IPv4-mapped IPv6 (::ffff:a.b.c.d, RFC 4291 §2.5.5.2) are the same address;
 * all other IPv6 stands apart, so that no IPv6 prefix ever contains an IPv4 address. Parsing is strict: digits only, no signs,
 * no leading zeros, no zone, nothing around it.
 */

/** `words` are four unsigned 32-bit numbers, most significant first; an IPv4 address is [0, 0, 0xffff, value]. */
export interface Address {
  readonly family: 4 | 6;
  readonly words: readonly [number, number, number, number];
}

/** `bits` counts within the family: 0 to 32 for IPv4, 0 to 128 for IPv6. Host bits are zero. `text` is as written. */
export interface Prefix {
  readonly family: 4 | 6;
  readonly words: readonly [number, number, number, number];
  readonly bits: number;
  readonly text: string;
}

const MAPPED = 0xffff;
const DECIMAL_OCTET = /^(0|[1-9][0-9]{0,2})$/;

/** Reads an IPv4 or IPv6 address; null where the text is not one. */
export function parseAddress(text: string): Address | null {
  if (text.length > 45) return null;
  if (!text.includes(':')) {
    const value = parseIpv4(text);
    return value === null ? null : { family: 4, words: [0, 0, MAPPED, value] };
  }
  const words = parseIpv6(text);
  if (words === null) return null;
  return { family: isMapped(words) ? 4 : 6, words };
}

/**
 * Reads `address` or `address/bits`. A bare address is a prefix of its whole length. Host bits that are set are cleared
 * (compare `hasHostBits`); an IPv4-mapped prefix of /96 and longer becomes the IPv4 prefix that it stands for.
 */
export function parsePrefix(text: string): Prefix | null {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return null;
  const writtenAsIpv6 = text.includes(':');
  let bits = writtenAsIpv6 ? 128 : 32;
  if (slash >= 0) {
    const digits = text.slice(slash + 1);
    if (!DECIMAL_OCTET.test(digits)) return null;
    const wanted = Number(digits);
    if (wanted > bits) return null;
    bits = wanted;
  }
  if (address.family === 4 && writtenAsIpv6) {
    // A prefix shorter than /96 that is written on a mapped address speaks of IPv6 space, which holds no IPv4 address.
    if (bits < 96) return { family: 6, words: maskWords(address.words, bits), bits, text };
    bits -= 96;
  }
  return { family: address.family, words: maskWords(address.words, address.family === 4 ? bits + 96 : bits), bits, text };
}

/** Whether a prefix was written with bits set beyond its length (`10.0.0.1/8`). */
export function hasHostBits(prefix: Prefix): boolean {
  const slash = prefix.text.indexOf('/');
  const address = parseAddress(slash < 0 ? prefix.text : prefix.text.slice(0, slash));
  return address?.words.some((word, i) => word !== prefix.words[i]) ?? false;
}

export function prefixContains(prefix: Prefix, address: Address): boolean {
  if (prefix.family !== address.family) return false;
  const masked = maskWords(address.words, prefix.family === 4 ? prefix.bits + 96 : prefix.bits);
  return masked.every((word, i) => word === prefix.words[i]);
}

/** The canonical text of an address: dotted for IPv4, RFC 5952 for IPv6. */
export function formatAddress(address: Address): string {
  const [a, b, c, d] = address.words;
  if (address.family === 4) return formatIpv4(d);
  const groups = [a, b, c, d].flatMap((word) => [word >>> 16, word & 0xffff]);
  let bestStart = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > bestLength) {
      bestStart = start;
      bestLength = length;
    }
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  if (bestStart < 0) return hex(groups);
  return `${hex(groups.slice(0, bestStart))}::${hex(groups.slice(bestStart + bestLength))}`;
}

/** `address/bits` in canonical form. */
export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix)}/${prefix.bits}`;
}

/** `address:port`, with brackets around IPv6 (RFC 3986 §3.2.2). */
export function formatHostPort(address: Address, port: number): string {
  const text = formatAddress(address);
  return address.family === 6 ? `[${text}]:${port}` : `${text}:${port}`;
}

/** Order of the address space, as a sort function; IPv4 stands at its mapped place. */
export function compareAddresses({ words: a }: Address, { words: b }: Address): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3];
}

/** Whether it stands for every address of its family (`0.0.0.0`, `::`). */
export function isWildcard(address: Address): boolean {
  return address.family === 4 ? address.words[3] === 0 : address.words.every((word) => word === 0);
}

function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

function isMapped(words: readonly number[]): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === MAPPED;
}

function maskWords(words: readonly [number, number, number, number], bits: number): [number, number, number, number] {
  return [maskWord(words[0], bits), maskWord(words[1], bits - 32), maskWord(words[2], bits - 64), maskWord(words[3], bits - 96)];
}

function maskWord(word: number, kept: number): number {
  if (kept <= 0) return 0;
  return kept >= 32 ? word : (word & (0xffffffff << (32 - kept))) >>> 0;
}

const DOT = 0x2e;
const COLON = 0x3a;

/** The value of dotted decimals from `from` on; null where the text from there is not exactly that. Files hold them by the hundred thousand. */
function parseIpv4(text: string, from = 0): number | null {
  let value = 0;
  let octet = -1;
  let parts = 1;
  for (let i = from; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (octet < 0 || ++parts > 4) return null;
      value = value * 256 + octet;
      octet = -1;
    } else {
      const digit = code - 0x30;
      // No sign, and no leading zero, which some read as octal.
      if (digit < 0 || digit > 9 || octet === 0) return null;
      octet = octet < 0 ? digit : octet * 10 + digit;
      if (octet > 255) return null;
    }
  }
  return parts === 4 && octet >= 0 ? value * 256 + octet : null;
}

/** Groups of 16 bits; one `::` stands for at least one group of zeros (RFC 4291 §2.2), and the end may be dotted IPv4 (form 3). */
function parseIpv6(text: string): [number, number, number, number] | null {
  const groups: number[] = [];
  let gap = -1;
  let at = 0;
  if (text.startsWith('::')) {
    gap = 0;
    at = 2;
  }
  while (at < text.length) {
    if (groups.length === 8) return null;
    let group = 0;
    let end = at;
    for (; end < text.length && text.charCodeAt(end) !== COLON; end++) {
      const code = text.charCodeAt(end);
      if (code === DOT) {
        const value = groups.length > 6 ? null : parseIpv4(text, at);
        return value === null ? null : wordsOf(groups, gap, value);
      }
      const digit = hexDigit(code);
      if (digit < 0 || end - at === 4) return null;
      group = group * 16 + digit;
    }
    if (end === at) return null;
    groups.push(group);
    if (end === text.length) return wordsOf(groups, gap, null);
    at = end + 1;
    if (at === text.length) return null;
    if (text.charCodeAt(at) === COLON) {
      if (gap >= 0) return null;
      gap = groups.length;
      at++;
    }
  }
  return wordsOf(groups, gap, null);
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Groups with zeros at the gap, followed by IPv4 where there is one. */
function wordsOf(groups: number[], gap: number, ipv4: number | null): [number, number, number, number] | null {
  if (ipv4 !== null) groups.push(ipv4 >>> 16, ipv4 & 0xffff);
  const missing = 8 - groups.length;
  if (gap < 0 ? missing !== 0 : missing < 1) return null;
  const words: [number, number, number, number] = [0, 0, 0, 0];
  for (let i = 0; i < groups.length; i++) {
    const place = gap >= 0 && i >= gap ? i + missing : i;
    words[place >>> 1] = (words[place >>> 1]! | (groups[i]! << (place & 1 ? 0 : 16))) >>> 0;
  }
  return words;
}
