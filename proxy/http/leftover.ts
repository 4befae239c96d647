/** What a client still sends after its last answer. */
import { hitNodeLimit } from '../shared/node-limits.ts';

/**
 * It is read and thrown away for this long and this much, since closing at once would reset the connection and could take the answer back
 * (RFC 9112 §9.6).
 */
export const LINGER_MS = 2_000;
const LINGER_BYTES_MAX = 256 * 1024;

export class Leftover {
  private bytes = 0;

  /** Counts bytes that are thrown away. True once there were too many, which is counted. */
  isTooMuch(length: number): boolean {
    this.bytes += length;
    if (this.bytes <= LINGER_BYTES_MAX) return false;
    hitNodeLimit('linger-bytes');
    return true;
  }
}
