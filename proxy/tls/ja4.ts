/** The JA4 fingerprint of a ClientHello over TCP (FoxIO, JA4: TLS Client Fingerprinting): what a client can do, in a form that the order of it does not change. */
import { hash } from 'node:crypto';
import type { Abilities } from './hello.ts';

const VERSIONS = new Map([
  [0x0304, '13'],
  [0x0303, '12'],
  [0x0302, '11'],
  [0x0301, '10'],
  [0x0300, 's3'],
  [0x0002, 's2'],
]);
const SNI = 0;
const ALPN = 16;
const NOTHING = '000000000000';

export function ja4Of(hello: Abilities): string {
  const { ciphers, extensions, versions, legacyVersion } = hello;
  const version = VERSIONS.get(versions.length > 0 ? Math.max(...versions) : legacyVersion) ?? '00';
  const name = extensions.includes(SNI) ? 'd' : 'i';
  return `t${version}${name}${two(ciphers.length)}${two(extensions.length)}${protocol(hello)}_${cipherHash(hello)}_${extensionHash(hello)}`;
}

/** The text beneath the second hash, for those who look into a fingerprint. */
function extensionHash({ extensions, signatures }: Abilities): string {
  if (extensions.length === 0) return NOTHING;
  const kinds = listed(extensions.filter((kind) => kind !== SNI && kind !== ALPN).toSorted(ascending));
  return short(signatures.length === 0 ? kinds : `${kinds}_${listed(signatures)}`);
}

function cipherHash({ ciphers }: Abilities): string {
  return ciphers.length === 0 ? NOTHING : short(listed(ciphers.toSorted(ascending)));
}

/** First and last character of the first protocol; where either is neither letter nor digit, those of its hexadecimal form. */
function protocol({ firstAlpn }: Abilities): string {
  if (firstAlpn === null) return '00';
  const text = firstAlpn.toString('latin1');
  const ends = text[0]! + text.at(-1)!;
  if (/^[0-9A-Za-z]{2}$/.test(ends)) return ends;
  const hex = firstAlpn.toString('hex');
  return hex[0]! + hex.at(-1)!;
}

function listed(numbers: readonly number[]): string {
  return numbers.map((number) => number.toString(16).padStart(4, '0')).join(',');
}

function short(text: string): string {
  return hash('sha256', text, 'hex').slice(0, 12);
}

function two(count: number): string {
  return String(Math.min(count, 99)).padStart(2, '0');
}

function ascending(a: number, b: number): number {
  return a - b;
}
