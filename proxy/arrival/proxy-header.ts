/**
 * The PROXY header that a proxy in front puts before the bytes of its client (haproxy.org, proxy-protocol.txt, versions 1 and 2). Pure: bytes in, a
 * reading out; hostile bytes are a fault, never an exception.
 */
import { faulty, MORE, type ProxyReading } from './proxied.ts';
import { readBinary, SIGNATURE } from './proxy-binary.ts';
import { readText } from './proxy-text.ts';

const TEXT = Buffer.from('PROXY ', 'latin1');

/** Whether bytes begin as a header does, of whichever version. */
export function beginsProxyHeader(bytes: Uint8Array): boolean {
  return [TEXT, SIGNATURE].some((start) => bytes.length >= start.length && start.compare(bytes, 0, start.length) === 0);
}

/** Reads the header at the start of [0, length). A binary header of more than `bytesMax` bytes is a fault; one of text ends within 107 anyhow. */
export function readProxyHeader(bytes: Uint8Array, length: number, bytesMax: number): ProxyReading {
  if (length === 0) return MORE;
  const wanted = bytes[0] === TEXT[0] ? TEXT : SIGNATURE;
  const seen = Math.min(length, wanted.length);
  for (let i = 0; i < seen; i++) if (bytes[i] !== wanted[i]) return faulty('no header');
  if (seen < wanted.length) return MORE;
  return wanted === TEXT ? readText(bytes, length) : readBinary(bytes, length, bytesMax);
}
