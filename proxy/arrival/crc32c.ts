/** CRC-32C (Castagnoli, RFC 3385 §4.2): reflected polynomial 0x82f63b78. What Node offers is the other CRC-32. */
const TABLE = new Uint32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  TABLE[byte] = value;
}

/** Of the bytes from 0 to `length`, of which the four at `zeroAt` count as zero. */
export function crc32c(bytes: Uint8Array, length: number, zeroAt = -1): number {
  let crc = 0xffffffff;
  for (let i = 0; i < length; i++) {
    const byte = i >= zeroAt && i < zeroAt + 4 && zeroAt >= 0 ? 0 : bytes[i]!;
    crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 0xff]!;
  }
  return ~crc >>> 0;
}
