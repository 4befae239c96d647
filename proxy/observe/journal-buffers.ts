/**
 * Buffers that wait for the disk, used again and again: a fresh one for each chunk would have the garbage collector run all the time
 * (measured: a tenth of the node's CPU at 30,000 records a second).
 */

/** Kept for the next chunk; as much as may wait at once. */
const SPARE_BYTES_MAX = 8 * 1024 * 1024;
const SMALLEST_BYTES = 64 * 1024;

export class JournalBuffers {
  #spare: Buffer[] = [];
  #spareBytes = 0;

  /** A copy of `chunk`, in a buffer that `recycle` takes back. */
  copy(chunk: Uint8Array): Buffer {
    const at = this.#spare.findIndex((buffer) => buffer.length >= chunk.byteLength);
    let buffer: Buffer;
    if (at >= 0) {
      buffer = this.#spare.splice(at, 1)[0]!;
      this.#spareBytes -= buffer.length;
    } else buffer = Buffer.allocUnsafeSlow(Math.max(SMALLEST_BYTES, 2 ** Math.ceil(Math.log2(chunk.byteLength))));
    const bytes = buffer.subarray(0, chunk.byteLength);
    // Not `set`: between shared and other memory it goes word by word.
    Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).copy(bytes);
    return bytes;
  }

  /** Takes back what `copy` gave. Nobody may read it any more. */
  recycle(bytes: Buffer): void {
    if (this.#spareBytes + bytes.buffer.byteLength > SPARE_BYTES_MAX) return;
    const whole = Buffer.from(bytes.buffer);
    this.#spareBytes += whole.length;
    this.#spare.push(whole);
  }
}
