/** Version 1 of the PROXY protocol: one line of text (haproxy.org, proxy-protocol.txt §2.1). */
import { type Address, formatAddress, parseAddress } from '../../config/address.ts';
import { faulty, type HostPort, MORE, NO_FACTS, type ProxiedEnds, type ProxyReading } from './proxied.ts';

/** The longest line of version 1 that there can be, with its CRLF (§2.1). */
export const TEXT_BYTES_MAX = 107;

const CR = 0x0d;
const LF = 0x0a;
const PORT = /^(?:0|[1-9][0-9]{0,4})$/;

/** Reads bytes that begin with `PROXY `. */
export function readText(bytes: Uint8Array, length: number): ProxyReading {
  const seen = Math.min(length, TEXT_BYTES_MAX);
  let end = 0;
  while (end < seen && bytes[end] !== LF) end++;
  if (end === seen) return seen === TEXT_BYTES_MAX ? faulty('too long') : MORE;
  if (bytes[end - 1] !== CR) return faulty('malformed');
  const line = Buffer.from(bytes.buffer, bytes.byteOffset, end - 1).toString('latin1');
  const ends = endsOf(line);
  if (ends === undefined) return faulty('malformed');
  return { kind: 'header', header: { version: 1, local: false, ends, facts: NO_FACTS }, end: end + 1 };
}

/** undefined where the line is wrong. What follows UNKNOWN is to be ignored (§2.1). */
function endsOf(line: string): ProxiedEnds | null | undefined {
  const [, family, source, destination, sourcePort, destinationPort, ...more] = line.split(' ');
  if (family === 'UNKNOWN') return null;
  if ((family !== 'TCP4' && family !== 'TCP6') || more.length > 0) return undefined;
  const from = hostPort(family, source, sourcePort);
  const to = hostPort(family, destination, destinationPort);
  return from === null || to === null ? undefined : { kind: 'tcp', source: from, destination: to };
}

function hostPort(family: 'TCP4' | 'TCP6', host = '', port = ''): HostPort | null {
  if (!PORT.test(port) || Number(port) > 65_535 || host.includes(':') !== (family === 'TCP6')) return null;
  const address = parseAddress(host);
  return address === null ? null : { address, port: Number(port) };
}

/** null: UNKNOWN, as for unix sockets, of which this version knows nothing. */
export function writeText(ends: ProxiedEnds | null): Buffer {
  if (ends === null || ends.kind === 'unix') return Buffer.from('PROXY UNKNOWN\r\n');
  const { source, destination } = ends;
  const long = source.address.family === 6 || destination.address.family === 6;
  const text = (address: Address) => (long && address.family === 4 ? `::ffff:${formatAddress(address)}` : formatAddress(address));
  const line = `PROXY ${long ? 'TCP6' : 'TCP4'} ${text(source.address)} ${text(destination.address)} ${source.port} ${destination.port}\r\n`;
  return Buffer.from(line, 'latin1');
}
