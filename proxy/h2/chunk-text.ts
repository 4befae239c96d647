/** Payload in the chunked coding of HTTP/1.1 (RFC 9112 §7.1). */

export const LAST_CHUNK: Buffer = Buffer.from('0\r\n\r\n');
/** A size line of a frame's payload, the end of the chunk, and the last chunk behind it. */
export const CHUNK_BYTES_ADDED = 32;

const HEX = Buffer.from('0123456789abcdef');

/** hot: bytes [from, to), not empty and no more than a frame holds, as a chunk at the front of `out`. Answers its length. */
export function writeChunk(out: Buffer, bytes: Buffer, from: number, to: number): number {
  let at = 0;
  for (let shift = 16; shift >= 0; shift -= 4) {
    const digit = ((to - from) >> shift) & 15;
    if (digit > 0 || at > 0) out[at++] = HEX[digit]!;
  }
  out[at++] = 0x0d;
  out[at++] = 0x0a;
  at += bytes.copy(out, at, from, to);
  out[at++] = 0x0d;
  out[at++] = 0x0a;
  return at;
}
