/** What a stream needs of its session. A stream is told by its number where frames are meant, by itself where lists are. */

export interface StreamHost<S = unknown> {
  /** Bytes that the peer takes of all streams together. */
  sendWindow: number;
  /** The peer does not read, and enough waits for it. */
  readonly congested: boolean;
  /** hot: a DATA frame of at most the largest size. */
  sendData(stream: number, bytes: Buffer, from: number, to: number, last: boolean): void;
  /** hot: the stream's last DATA frame is its last one. */
  sendEnd(stream: number): void;
  /** Trailers: whole lines of HTTP/1.1. They end the stream. */
  sendTrailers(stream: number, lines: Buffer): void;
  sendWindowUpdate(stream: number, bytes: number): void;
  /** hot: so many bytes were taken, of whichever stream. */
  giveBack(bytes: number): void;
  /** It is pumped when a window opens. */
  waitForWindow(stream: S): void;
  /** Its `deliverHeld` is called at the end of the turn. */
  deliverLater(stream: S): void;
  /** Ended from our side, before its time: RST_STREAM. */
  endStream(stream: S, code: number): void;
  /** It is closed, and will serve no other stream. */
  left(stream: S): void;
}
