/** The text of a head or of trailers while its lines come. One serves a whole thread: a block is decoded and delivered within one callback. */

/** What stands around the fields beyond the bound on a head: request line, host and framing, before they are counted. */
const BEYOND_BYTES = 1_024;

export class LineText {
  bytes: Buffer;
  length: number;
  /** More came than there may be: what is there is its beginning, one byte longer than the bound at least. */
  cut: boolean;
  private bytesMax: number;

  constructor() {
    this.bytes = Buffer.allocUnsafeSlow(32 * 1024);
    this.length = 0;
    this.cut = false;
    this.bytesMax = 0;
  }

  /** Begins anew, for a head of so many bytes at most. */
  begin(headBytesMax: number): void {
    this.bytesMax = headBytesMax + BEYOND_BYTES;
    if (this.bytes.length < this.bytesMax) this.bytes = Buffer.allocUnsafeSlow(this.bytesMax);
    this.length = 0;
    this.cut = false;
  }

  /** hot: bytes [start, end), as far as there is room. */
  append(bytes: Buffer, start: number, end: number): void {
    if (this.cut) return;
    let to = end;
    if (this.length + end - start > this.bytesMax) {
      this.cut = true;
      to = start + this.bytesMax - this.length;
    }
    if (to - start > 24) {
      this.length += bytes.copy(this.bytes, this.length, start, to);
      return;
    }
    // A call out of the engine costs more than a few bytes by hand.
    const out = this.bytes;
    let at = this.length;
    for (let i = start; i < to; i++) out[at++] = bytes[i]!;
    this.length = at;
  }

  /** hot: text of ours. */
  text(bytes: Buffer): void {
    this.append(bytes, 0, bytes.length);
  }
}

/** hot: whether two ranges hold the same bytes, letter case ignored. */
export function isSameText(a: Buffer, aStart: number, aEnd: number, b: Buffer, bStart: number, bEnd: number): boolean {
  if (aEnd - aStart !== bEnd - bStart) return false;
  for (let i = 0; i < aEnd - aStart; i++) {
    const one = a[aStart + i]!;
    const other = b[bStart + i]!;
    if (one !== other && ((one | 0x20) !== (other | 0x20) || (one | 0x20) < 0x61 || (one | 0x20) > 0x7a)) return false;
  }
  return true;
}

/** hot: the value of a line that says a length; -1 where it is none. */
export function lengthOf(bytes: Buffer, start: number, end: number): number {
  if (end === start || end - start > 15) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
