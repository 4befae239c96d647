/**
 * What a flow is beside its protocol: a WebSocket upgrade in HTTP, gRPC in HTTP/2. Only asked where a rule could tell the difference, since
 * it takes more bytes to see. Pure, as detection is.
 */
import { GRPC, H2, HTTP, type ProtocolSet, protocolsOn, WEBSOCKET } from '../../config/protocols.ts';
import type { Held } from '../wire/held.ts';
import { DETECT_BYTES_MAX, detectClient, MORE } from './detect.ts';

/** What a flow of this protocol may be beside; 0 for nothing. */
function refinementOf(found: ProtocolSet): ProtocolSet {
  return found === HTTP ? WEBSOCKET : found === H2 ? GRPC : 0;
}

/** What the client speaks; told more closely where the verdict depends on it, since that takes more bytes. */
export function detectAsFar({ bytes, length }: Held, verdict: (protocols: ProtocolSet) => number): ProtocolSet {
  const found = detectClient(bytes, length);
  const refinement = refinementOf(found);
  return refinement === 0 || verdict(found) === verdict(protocolsOn('tcp', refinement)) ? found : refineClient(found, bytes, length);
}

/** `found` with what it is beside; MORE while that cannot be told, which ends with DETECT_BYTES_MAX bytes. */
export function refineClient(found: ProtocolSet, bytes: Buffer, length: number): ProtocolSet {
  const seen = Math.min(length, DETECT_BYTES_MAX);
  if (found === HTTP) return refineHttp(bytes, seen);
  if (found === H2) return refineH2(bytes, seen);
  return found;
}

/** RFC 6455 §4.1: an Upgrade field that names websocket. */
function refineHttp(bytes: Buffer, length: number): ProtocolSet {
  const end = bytes.subarray(0, length).indexOf('\r\n\r\n');
  if (end < 0) return length < DETECT_BYTES_MAX ? MORE : HTTP;
  const head = bytes.toString('latin1', 0, end + 2);
  return /\r\nupgrade:[^\r\n]*\bwebsocket\b/i.test(head) ? protocolsOn('tcp', WEBSOCKET) : HTTP;
}

const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;
const HEADERS = 1;
const CONTINUATION = 9;
/** `application/grpc` in a literal of HPACK, plain and by its Huffman code, which fills eleven bytes (RFC 7541 §5.2 and Appendix B). */
const PLAIN = Buffer.from('application/grpc', 'latin1');
const HUFFMAN = Buffer.from('1d75d0620d263d4c4d6564', 'hex');
/** The hyphen that gRPC-Web, another protocol, goes on with: a byte, or six bits. */
const PLAIN_HYPHEN = 0x2d;
const HUFFMAN_HYPHEN = 0x58;

/**
 * The first header block decides: nothing is in the dynamic table yet, so the content type, which no static entry holds, stands there as a literal.
 */
function refineH2(bytes: Buffer, length: number): ProtocolSet {
  let at = PREFACE_BYTES;
  while (at + FRAME_HEAD_BYTES <= length) {
    const end = at + FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
    const type = bytes[at + 3];
    if (type === HEADERS || type === CONTINUATION) {
      const block = bytes.subarray(at + FRAME_HEAD_BYTES, Math.min(end, length));
      if (isGrpc(block)) return protocolsOn('tcp', GRPC);
      // END_HEADERS.
      if (end <= length && (bytes[at + 4]! & 4) !== 0) return H2;
    }
    at = end;
  }
  return length < DETECT_BYTES_MAX ? MORE : H2;
}

/** `application/grpc` alone, or with `+proto` and the like behind it. */
function isGrpc(block: Buffer): boolean {
  const plain = block.indexOf(PLAIN);
  if (plain > 0) return goesOn(block, plain, PLAIN.length, PLAIN.length, 0xff, PLAIN_HYPHEN);
  const coded = block.indexOf(HUFFMAN);
  // Before a literal stands its length, with a bit for the code.
  return coded > 0 && goesOn(block, coded, HUFFMAN.length, 0x80 | HUFFMAN.length, 0xfc, HUFFMAN_HYPHEN);
}

function goesOn(block: Buffer, at: number, size: number, alone: number, mask: number, hyphen: number): boolean {
  if (block[at - 1] === alone) return true;
  const next = block[at + size];
  return next !== undefined && (next & mask) !== hyphen;
}
