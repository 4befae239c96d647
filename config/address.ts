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
const HEX_GROUP = /^[0-9a-fA-F]{1,4}$/;

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
  const masked = words.map((word, i) => {
    const kept = Math.min(32, Math.max(0, bits - i * 32));
    return kept === 0 ? 0 : (word & (0xffffffff << (32 - kept))) >>> 0;
  });
  return masked as [number, number, number, number];
}

function parseIpv4(text: string): number | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  let value = 0;
  for (const part of parts) {
    if (!DECIMAL_OCTET.test(part) || Number(part) > 255) return null;
    value = value * 256 + Number(part);
  }
  return value;
}

function parseIpv6(text: string): [number, number, number, number] | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  // `::` stands for at least one group of zeros (RFC 4291 §2.2).
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const word = (i: number) => ((groups[i * 2]! << 16) | groups[i * 2 + 1]!) >>> 0;
  return [word(0), word(1), word(2), word(3)];
}

/** Groups of one half; only the last half of an address may end in dotted IPv4 (RFC 4291 §2.2 form 3). */
function parseGroups(text: string, mayEndInIpv4: boolean): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (mayEndInIpv4 && i === parts.length - 1 && part.includes('.')) {
      const value = parseIpv4(part);
      if (value === null) return null;
      groups.push(value >>> 16, value & 0xffff);
    } else if (HEX_GROUP.test(part)) groups.push(Number.parseInt(part, 16));
    else return null;
  }
  return groups;
}
