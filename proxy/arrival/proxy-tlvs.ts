/** The TLVs of a PROXY header of version 2 (haproxy.org, proxy-protocol.txt §2.2): a type, two bytes of length, a value. */
import { crc32c } from './crc32c.ts';
import type { ProxiedFacts, ProxiedTls, ProxyFault } from './proxied.ts';

const ALPN = 0x01;
const AUTHORITY = 0x02;
const CRC32C = 0x03;
const NOOP = 0x04;
const UNIQUE_ID = 0x05;
const SSL = 0x20;
const SSL_VERSION = 0x21;
const SSL_CN = 0x22;
const SSL_CIPHER = 0x23;
const NETNS = 0x30;

/** Of the field `client` in PP2_TYPE_SSL. */
const CLIENT_SSL = 0x01;
const CLIENT_CERT_CONN = 0x02;
const CLIENT_CERT_SESS = 0x04;

const UNIQUE_ID_BYTES_MAX = 128;
/** RFC 7301 §3.1: a protocol's name has 1 to 255 bytes. */
const ALPN_BYTES_MAX = 255;
/** RFC 1035 §2.3.4: a name of the DNS. */
const AUTHORITY_BYTES_MAX = 255;
/** Of version, cipher and common name: what they say is recorded (RFC 5280 gives a common name 64 characters). */
const TLS_WORD_BYTES_MAX = 256;

/** Walks the TLVs in [at, end). A fault where they do not fill it exactly; types are the caller's business. */
function walk(
  bytes: Buffer,
  at: number,
  end: number,
  each: (type: number, start: number, stop: number) => ProxyFault | null,
): ProxyFault | null {
  let next = at;
  while (next < end) {
    if (end - next < 3) return 'bad TLV';
    const start = next + 3;
    const stop = start + bytes.readUInt16BE(next + 1);
    if (stop > end) return 'bad TLV';
    const fault = each(bytes[next]!, start, stop);
    if (fault !== null) return fault;
    next = stop;
  }
  return null;
}

/** Reads those in [at, end) of a whole header, which ends there. A type that nobody here knows is passed over; one that counts stands once. */
export function readTlvs(bytes: Buffer, at: number, end: number): ProxiedFacts | ProxyFault {
  const facts: { -readonly [K in keyof ProxiedFacts]: ProxiedFacts[K] } = {
    alpn: null,
    authority: null,
    uniqueId: null,
    netns: null,
    ssl: null,
  };
  const met = new Set<number>();
  const fault = walk(bytes, at, end, (type, start, stop) => {
    if (type === NOOP) return null;
    if (met.has(type) && isKnown(type)) return 'repeated TLV';
    met.add(type);
    const size = stop - start;
    switch (type) {
      case ALPN:
        if (size === 0 || size > ALPN_BYTES_MAX) return 'bad TLV';
        facts.alpn = bytes.toString('latin1', start, stop);
        return null;
      case AUTHORITY:
        facts.authority = authority(bytes, start, stop);
        return facts.authority === null ? 'bad TLV' : null;
      case CRC32C:
        if (size !== 4) return 'bad TLV';
        return bytes.readUInt32BE(start) === crc32c(bytes, end, start) ? null : 'bad checksum';
      case UNIQUE_ID:
        if (size > UNIQUE_ID_BYTES_MAX) return 'bad TLV';
        facts.uniqueId = Buffer.from(bytes.subarray(start, stop));
        return null;
      case SSL:
        facts.ssl = readTls(bytes, start, stop);
        return facts.ssl === null ? 'bad TLV' : null;
      case NETNS:
        facts.netns = bytes.toString('latin1', start, stop);
        return null;
      default:
        return null;
    }
  });
  return fault ?? facts;
}

function isKnown(type: number): boolean {
  return (type >= ALPN && type <= UNIQUE_ID) || type === SSL || type === NETNS;
}

/** A host name as rules compare it; null where the bytes are none. */
function authority(bytes: Buffer, start: number, stop: number): string | null {
  const size = stop - start;
  if (size === 0 || size > AUTHORITY_BYTES_MAX) return null;
  for (let i = start; i < stop; i++) if (bytes[i]! <= 0x20 || bytes[i] === 0x7f) return null;
  const text = bytes.toString('utf8', start, stop).toLowerCase();
  return text.endsWith('.') && text.length > 1 ? text.slice(0, -1) : text;
}

function readTls(bytes: Buffer, start: number, stop: number): ProxiedTls | null {
  if (stop - start < 5) return null;
  const client = bytes[start]!;
  let version: string | null = null;
  let commonName: string | null = null;
  let cipher: string | null = null;
  const fault = walk(bytes, start + 5, stop, (type, from, to) => {
    if (type >= SSL_VERSION && type <= SSL_CIPHER && to - from > TLS_WORD_BYTES_MAX) return 'bad TLV';
    if (type === SSL_VERSION) version = bytes.toString('latin1', from, to);
    else if (type === SSL_CN) {
      if (commonName !== null) return 'repeated TLV';
      commonName = bytes.toString('utf8', from, to);
    } else if (type === SSL_CIPHER) cipher = bytes.toString('latin1', from, to);
    return null;
  });
  if (fault !== null) return null;
  const encrypted = (client & CLIENT_SSL) !== 0;
  const certificate = encrypted && (client & (CLIENT_CERT_CONN | CLIENT_CERT_SESS)) !== 0;
  // `verify` is zero where a certificate was shown and verified, and says nothing where none was.
  const verified = certificate && bytes.readUInt32BE(start + 1) === 0;
  return { encrypted, certificate, verified, version, commonName, cipher };
}

function tlv(type: number, value: Uint8Array): Buffer {
  const head = Buffer.alloc(3);
  head[0] = type;
  head.writeUInt16BE(value.length, 1);
  return Buffer.concat([head, value]);
}

/** The facts that are there, in the order of their types. */
export function writeTlvs(facts: ProxiedFacts): Buffer {
  const parts: Buffer[] = [];
  if (facts.alpn !== null) parts.push(tlv(ALPN, Buffer.from(facts.alpn, 'latin1')));
  if (facts.authority !== null) parts.push(tlv(AUTHORITY, Buffer.from(facts.authority)));
  if (facts.uniqueId !== null) parts.push(tlv(UNIQUE_ID, facts.uniqueId.subarray(0, UNIQUE_ID_BYTES_MAX)));
  if (facts.ssl !== null) parts.push(tlv(SSL, writeTls(facts.ssl)));
  if (facts.netns !== null) parts.push(tlv(NETNS, Buffer.from(facts.netns, 'latin1')));
  return Buffer.concat(parts);
}

function writeTls(ssl: ProxiedTls): Buffer {
  const head = Buffer.alloc(5);
  head[0] = (ssl.encrypted ? CLIENT_SSL : 0) | (ssl.certificate ? CLIENT_CERT_CONN | CLIENT_CERT_SESS : 0);
  head.writeUInt32BE(ssl.verified ? 0 : 1, 1);
  const parts: Buffer[] = [head];
  if (ssl.version !== null) parts.push(tlv(SSL_VERSION, Buffer.from(ssl.version, 'latin1')));
  if (ssl.commonName !== null) parts.push(tlv(SSL_CN, Buffer.from(ssl.commonName)));
  if (ssl.cipher !== null) parts.push(tlv(SSL_CIPHER, Buffer.from(ssl.cipher, 'latin1')));
  return Buffer.concat(parts);
}

/** A TLV that holds the place of the checksum, which is taken over the whole header once it is there. */
export const CHECKSUM_PLACE: Buffer = tlv(CRC32C, new Uint8Array(4));

/** Fills in the checksum of a header that ends with its place. */
export function seal(header: Buffer): Buffer {
  const at = header.length - 4;
  header.writeUInt32BE(crc32c(header, header.length, at), at);
  return header;
}
