/** Version 2 of the PROXY protocol: 16 bytes, two addresses, TLVs (haproxy.org, proxy-protocol.txt §2.2). */
import type { Address } from '../../config/address.ts';
import {
  faulty,
  type HostPort,
  MORE,
  NO_FACTS,
  type ProxiedEnds,
  type ProxiedFacts,
  type ProxyHeader,
  type ProxyReading,
} from './proxied.ts';
import { CHECKSUM_PLACE, readTlvs, seal, writeTlvs } from './proxy-tlvs.ts';

export const SIGNATURE: Buffer = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const HEAD_BYTES = 16;
const UNIX_BYTES = 108;

const VERSION = 0x20;
const LOCAL = 0;
const PROXY = 1;
const UNSPEC = 0x00;
const TCP4 = 0x11;
const TCP6 = 0x21;
const UNIX = 0x31;
/** UDP over IPv4 and IPv6, and datagrams of unix sockets: of no use on a connection. */
const DATAGRAMS: readonly number[] = [0x12, 0x22, 0x32];
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [TCP4, 12],
  [TCP6, 36],
  [UNIX, 2 * UNIX_BYTES],
]);

/** Reads bytes that begin with the signature. A header of more than `bytesMax` bytes is refused as soon as it says so. */
export function readBinary(given: Uint8Array, length: number, bytesMax: number): ProxyReading {
  if (length > 12) {
    if ((given[12]! & 0xf0) !== VERSION) return faulty('unknown version');
    if ((given[12]! & 0x0f) > PROXY) return faulty('unknown command');
  }
  if (length > 13) {
    const family = given[13]!;
    if (DATAGRAMS.includes(family)) return faulty('datagrams');
    if (family !== UNSPEC && !ADDRESS_BYTES.has(family)) return faulty('unknown family');
  }
  if (length < HEAD_BYTES) return MORE;
  const bytes = Buffer.from(given.buffer, given.byteOffset, length);
  const end = HEAD_BYTES + bytes.readUInt16BE(14);
  if (end > bytesMax) return faulty('too long');
  if (length < end) return MORE;
  const family = bytes[13]!;
  // LOCAL: whatever follows is to be discarded. UNSPEC: nothing is said of what follows.
  if ((bytes[12]! & 0x0f) === LOCAL) return read({ local: true, ends: null, facts: NO_FACTS }, end);
  const addressesEnd = HEAD_BYTES + (ADDRESS_BYTES.get(family) ?? end - HEAD_BYTES);
  if (addressesEnd > end) return faulty('malformed');
  const facts = readTlvs(bytes, addressesEnd, end);
  if (typeof facts === 'string') return faulty(facts);
  return read({ local: false, ends: readEnds(bytes, family), facts }, end);
}

function read(said: Omit<ProxyHeader, 'version'>, end: number): ProxyReading {
  return { kind: 'header', header: { version: 2, ...said }, end };
}

function readEnds(bytes: Buffer, family: number): ProxiedEnds | null {
  if (family === TCP4) {
    const at = (i: number, port: number): HostPort => ({
      address: { family: 4, words: [0, 0, 0xffff, bytes.readUInt32BE(i)] },
      port: bytes.readUInt16BE(port),
    });
    return { kind: 'tcp', source: at(16, 24), destination: at(20, 26) };
  }
  if (family === TCP6)
    return {
      kind: 'tcp',
      source: { address: longAddress(bytes, 16), port: bytes.readUInt16BE(48) },
      destination: { address: longAddress(bytes, 32), port: bytes.readUInt16BE(50) },
    };
  if (family === UNIX) return { kind: 'unix', source: path(bytes, 16), destination: path(bytes, 16 + UNIX_BYTES) };
  return null;
}

/** A mapped address is the IPv4 address that it stands for. */
function longAddress(bytes: Buffer, at: number): Address {
  const words = [0, 4, 8, 12].map((i) => bytes.readUInt32BE(at + i)) as [number, number, number, number];
  return { family: words[0] === 0 && words[1] === 0 && words[2] === 0xffff ? 4 : 6, words };
}

/** Ends at its first NUL, but for one at its beginning, which makes it abstract (unix(7)). */
function path(bytes: Buffer, at: number): string {
  const end = bytes.indexOf(0, at + 1);
  return bytes.toString('latin1', at, end < 0 || end > at + UNIX_BYTES ? at + UNIX_BYTES : end).replace(/^\0$/, '');
}

/** `facts` go along as far as there are any; with `checksum`, the header is sealed by CRC-32C. */
export function writeBinary(local: boolean, ends: ProxiedEnds | null, facts: ProxiedFacts, checksum: boolean): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  SIGNATURE.copy(head);
  head[12] = VERSION | (local ? LOCAL : PROXY);
  const [family, addresses] = writeEnds(ends);
  head[13] = family;
  // Nothing is defined to follow these two.
  const tlvs = local || ends === null ? [] : [writeTlvs(facts), ...(checksum ? [CHECKSUM_PLACE] : [])];
  const whole = Buffer.concat([head, addresses, ...tlvs]);
  whole.writeUInt16BE(whole.length - HEAD_BYTES, 14);
  return tlvs.length > 1 ? seal(whole) : whole;
}

function writeEnds(ends: ProxiedEnds | null): [family: number, addresses: Buffer] {
  if (ends === null) return [UNSPEC, Buffer.alloc(0)];
  if (ends.kind === 'unix') {
    const addresses = Buffer.alloc(2 * UNIX_BYTES);
    addresses.write(ends.source.slice(0, UNIX_BYTES), 0, 'latin1');
    addresses.write(ends.destination.slice(0, UNIX_BYTES), UNIX_BYTES, 'latin1');
    return [UNIX, addresses];
  }
  const { source, destination } = ends;
  const long = source.address.family === 6 || destination.address.family === 6;
  const size = long ? 16 : 4;
  const addresses = Buffer.alloc(2 * size + 4);
  const write = ({ address: { words } }: HostPort, at: number) =>
    (long ? words : words.slice(3)).forEach((word, i) => void addresses.writeUInt32BE(word, at + 4 * i));
  write(source, 0);
  write(destination, size);
  addresses.writeUInt16BE(source.port, 2 * size);
  addresses.writeUInt16BE(destination.port, 2 * size + 2);
  return [long ? TCP6 : TCP4, addresses];
}
