/** Finds the frames in what a peer sends. A frame that came whole is read where it stands; of one that did not, a copy waits. */
import { Held } from '../wire/held.ts';
import { FRAME_BYTES_MAX, FRAME_HEAD_BYTES, readLength, readWord31 } from './frame.ts';

export interface FrameTaker {
  /** hot: a frame: its payload is bytes [at, at + length). False: no more of them, the session is over. */
  frame(bytes: Buffer, at: number, length: number, type: number, flags: number, stream: number): boolean;
  /** A frame is larger than it may be. */
  frameTooLarge(): void;
}

export class FrameReader {
  private readonly taker: FrameTaker;
  private readonly held: Held;

  constructor(taker: FrameTaker) {
    this.taker = taker;
    this.held = new Held();
  }

  /** hot: bytes [start, end). */
  read(bytes: Buffer, start: number, end: number): void {
    const { held } = this;
    let at = start;
    while (!held.empty && at < end) {
      const wanted = held.length < FRAME_HEAD_BYTES ? FRAME_HEAD_BYTES : FRAME_HEAD_BYTES + readLength(held.bytes, 0);
      const to = Math.min(end, at + wanted - held.length);
      held.append(bytes, at, to);
      at = to;
      if (held.length < FRAME_HEAD_BYTES) return;
      const length = readLength(held.bytes, 0);
      if (length > FRAME_BYTES_MAX) {
        this.drop();
        this.taker.frameTooLarge();
        return;
      }
      if (held.length < FRAME_HEAD_BYTES + length) continue;
      const goesOn = this.hand(held.bytes, 0, length);
      held.drop();
      if (!goesOn) return;
    }
    while (at + FRAME_HEAD_BYTES <= end) {
      const length = readLength(bytes, at);
      if (length > FRAME_BYTES_MAX) {
        this.taker.frameTooLarge();
        return;
      }
      if (at + FRAME_HEAD_BYTES + length > end) break;
      if (!this.hand(bytes, at, length)) return;
      at += FRAME_HEAD_BYTES + length;
    }
    held.append(bytes, at, end);
  }

  drop(): void {
    this.held.drop();
  }

  private hand(bytes: Buffer, at: number, length: number): boolean {
    return this.taker.frame(bytes, at + FRAME_HEAD_BYTES, length, bytes[at + 3]!, bytes[at + 4]!, readWord31(bytes, at + 5));
  }
}
