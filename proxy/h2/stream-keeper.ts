/**
 * A connection that speaks HTTP/2: its streams, what they may send and in what turn, and how it ends. What comes by it is read in `session.ts`.
 */
import { COLON } from '../http/bytes.ts';
import type { TurnTaker } from '../wire/turn.ts';
import { OnWheel } from '../wire/wheel.ts';
import type { Wire, WireOwner } from '../wire/wire.ts';
import type { Context } from '../worker/context.ts';
import { CLIENT_WINDOW_BYTES, ENDED_KEPT, LEAVING_BYTES_MAX, LEAVING_MS } from './allowance.ts';
import { FieldEncoder, lineEndOf } from './field-encoder.ts';
import * as frames from './frame.ts';
import { FrameWriter } from './frame-writer.ts';
import type { Stream } from './stream.ts';
import type { StreamHost } from './stream-host.ts';

/** Carrying streams; last GOAWAY sent and closing; over. */
const OPEN = 0;
const LEAVING = 1;
const OVER = 2;

/** What the ping says that goes with a first GOAWAY; any eight bytes would do. */
const GRACE = Buffer.from('bulkhead');

export abstract class StreamKeeper extends OnWheel implements WireOwner, StreamHost<Stream>, TurnTaker {
  scheduled = false;
  sendWindow: number = frames.WINDOW_INITIAL;
  readonly context: Context;
  readonly wire: Wire;
  protected readonly writer: FrameWriter;
  protected readonly encoder = new FieldEncoder();
  /** Streams that are open, by number. */
  protected readonly streams = new Map<number, Stream>();
  /** All that belong to it, open or between two streams. */
  protected readonly members = new Set<Stream>();
  /** The highest stream that the peer has opened. */
  protected lastStream = 0;
  /** No new streams: a GOAWAY was sent or has come. */
  protected goingAway = false;
  /** A first GOAWAY was sent; when its ping comes back, the peer has had it. */
  protected graceAsked = false;
  /** Bytes that the peer may send on all streams together. */
  protected receivable: number = frames.WINDOW_INITIAL;
  private state: number = OPEN;
  private ungiven = 0;
  private waiting: Stream[] = [];
  private due: Stream[] = [];
  /** Numbers of streams that ended lately, by whom. Apart, so that many that end in order do not push out what a peer cannot know yet. */
  private readonly endedByUs = new Int32Array(ENDED_KEPT);
  private readonly endedByPeer = new Int32Array(ENDED_KEPT);
  private endedByUsAt = 0;
  private endedByPeerAt = 0;
  private leftBytes = 0;
  /** The last stream has ended. */
  private idleDue = false;

  constructor(context: Context, wire: Wire) {
    super();
    this.context = context;
    this.wire = wire;
    this.writer = new FrameWriter(wire, this);
  }

  /** Bytes of a session that is open. */
  protected abstract read(bytes: Buffer, start: number, length: number): void;
  /** What has come of a frame or a block is of no more use. */
  protected abstract dropUnread(): void;
  /** Nothing is under way. */
  protected abstract idle(): void; /** The session is over, and everything that it had is gone. */
  protected abstract over(): void;

  /** Sends our settings, and opens the window of the connection to so many bytes. */
  protected greet(settings: readonly (readonly [number, number])[], windowBytes: number): void {
    this.writer.settings(frames.settingsBytes(settings));
    this.writer.windowUpdate(0, windowBytes - frames.WINDOW_INITIAL);
    this.receivable = windowBytes;
  }

  get alive(): boolean {
    return this.state === OPEN;
  }

  expireIn(milliseconds: number): void {
    this.context.wheel.arm(this, this.context.clock.coarse + milliseconds);
  }

  wireData(_wire: Wire, bytes: Buffer, length: number): void {
    if (this.state === OPEN) this.read(bytes, 0, length);
    else if (this.state === LEAVING) {
      this.leftBytes += length;
      if (this.leftBytes > LEAVING_BYTES_MAX) this.end(true);
    }
  }

  /** Whether the stream ended lately, and by whom. */
  protected endedLately(id: number): 'by-us' | 'by-peer' | null {
    return this.endedByUs.includes(id) ? 'by-us' : this.endedByPeer.includes(id) ? 'by-peer' : null;
  }

  // --- what streams ask for ------------------------------------------------------------------------------------------------------

  get congested(): boolean {
    return this.writer.congested;
  }

  /** hot */
  sendData(stream: number, bytes: Buffer, from: number, to: number, last: boolean): void {
    this.sendWindow -= to - from;
    this.writer.data(stream, bytes, from, to, last);
  }

  sendEnd(stream: number): void {
    this.writer.end(stream);
  }

  sendTrailers(stream: number, lines: Buffer): void {
    const chunk = this.writer.openBlock(blockMax(lines.length));
    const at = this.encoder.begin(chunk.bytes, chunk.length + frames.FRAME_HEAD_BYTES);
    this.writer.closeBlock(chunk, this.encodeLines(chunk.bytes, at, lines, 0, lines.length), stream, true);
  }

  /** Whole lines, none of which is left out. */
  private encodeLines(out: Buffer, position: number, lines: Buffer, start: number, end: number): number {
    let at = position;
    for (let from = start; from < end; ) {
      const lineEnd = lineEndOf(lines, from);
      at = this.encoder.line(out, at, lines, from, lines.indexOf(COLON, from), lineEnd);
      from = lineEnd + 2;
    }
    return at;
  }

  sendWindowUpdate(stream: number, bytes: number): void {
    if (this.state === OPEN) this.writer.windowUpdate(stream, bytes);
  }

  /**
   * hot: so many bytes were taken. They are given back in large parts, and as soon as the peer may send no more than them: what others leave untaken
   * can be all the rest of the window, and more may then never be taken.
   */
  giveBack(bytes: number): void {
    this.ungiven += bytes;
    if (this.ungiven < CLIENT_WINDOW_BYTES / 2 && this.ungiven < this.receivable) return;
    if (this.ungiven === 0 || this.state !== OPEN) return;
    this.writer.windowUpdate(0, this.ungiven);
    this.receivable += this.ungiven;
    this.ungiven = 0;
  }

  waitForWindow(stream: Stream): void {
    if (stream.waits) return;
    stream.waits = true;
    this.waiting.push(stream);
  }

  deliverLater(stream: Stream): void {
    if (stream.due) return;
    stream.due = true;
    this.due.push(stream);
    this.writer.later();
  }

  endStream(stream: Stream, code: number): void {
    // RFC 9113 §5.4.2: a stream that the peer has reset is not reset in turn.
    if (this.state === OPEN && this.streams.has(stream.id) && !(stream.localDone && stream.remoteDone)) this.writer.reset(stream.id, code);
    this.forget(stream, stream.id, true);
  }

  left(stream: Stream): void {
    this.members.delete(stream);
    this.mayIdle();
  }

  /** A stream that cannot go on. */
  protected drop(stream: Stream): void {
    this.forget(stream, stream.id, true);
    stream.lost();
  }

  /** hot: a stream is over. */
  protected forget(stream: Stream, id: number, byUs: boolean): void {
    if (!this.streams.delete(id)) return;
    stream.waits = false;
    this.noteEnded(id, byUs);
    this.mayIdle();
  }

  /** hot: streams end within writes of their owners, who must not find the session closed underneath: what follows from it comes later. */
  protected mayIdle(): void {
    if (this.streams.size > 0) return;
    this.idleDue = true;
    this.writer.later();
  }

  /** hot */
  protected noteEnded(id: number, byUs: boolean): void {
    if (byUs) this.endedByUs[this.endedByUsAt++ % ENDED_KEPT] = id;
    else this.endedByPeer[this.endedByPeerAt++ % ENDED_KEPT] = id;
  }

  // --- the turn ------------------------------------------------------------------------------------------------------------------

  /** hot */
  turn(): void {
    while (this.due.length > 0) {
      for (const stream of this.due.splice(0)) {
        stream.due = false;
        stream.deliverHeld();
      }
    }
    if (this.idleDue) {
      this.idleDue = false;
      if (this.streams.size === 0 && this.state === OPEN) this.idle();
    }
    if (this.state !== OVER) this.writer.flush();
  }

  wireDrained(): void {
    this.writer.flush();
    this.pumpAll();
    if (this.state === LEAVING) this.leftNow();
  }

  /** Streams that wait get their turns one after the other, and each as much as its window and a frame allow. */
  protected pumpAll(): void {
    const { waiting } = this;
    if (waiting.length === 0) return;
    this.waiting = [];
    for (const stream of waiting) {
      if (!stream.waits) continue;
      stream.waits = false;
      if (this.state === OPEN) stream.pump();
    }
  }

  // --- the end -------------------------------------------------------------------------------------------------------------------

  /** No new streams; those that are open end in peace (RFC 9113 §6.8): first a warning, then, when the peer has had it, the last word. */
  protected windDown(): void {
    if (this.graceAsked || this.state !== OPEN) return;
    this.graceAsked = true;
    this.writer.goAway(frames.STREAM_ID_MAX, frames.NO_ERROR);
    this.writer.ping(GRACE, 0);
  }

  protected lastCall(): void {
    if (this.goingAway) return;
    this.goingAway = true;
    this.writer.goAway(this.lastStream, frames.NO_ERROR);
    this.mayIdle();
  }

  /** Says why, ends what is open, and closes once that has left. */
  protected leave(code: number): void {
    if (this.state !== OPEN) return;
    this.writer.goAway(this.lastStream, code);
    this.state = LEAVING;
    this.loseAll();
    this.writer.flush();
    this.expireIn(LEAVING_MS);
    this.leftNow();
  }

  private leftNow(): void {
    if (this.wire.pending > 0) return;
    if (this.wire.ended) this.end(false);
    else {
      this.wire.end();
      this.wire.resume();
    }
  }

  private loseAll(): void {
    this.dropUnread();
    this.streams.clear();
    this.waiting = [];
    for (const stream of [...this.members]) stream.lost();
  }

  /** At once. */
  protected end(reset: boolean): void {
    if (this.state === OVER) return;
    const open = this.state === OPEN;
    this.state = OVER;
    if (open) this.loseAll();
    this.writer.drop();
    this.context.wheel.disarm(this);
    if (reset) this.wire.reset();
    else this.wire.close();
    this.over();
  }

  wireEnd(): void {
    // Nobody half-closes a connection of HTTP/2 to read on: a peer that can send no windows and no pings is gone, and what it asked for is given up.
    this.end(false);
  }

  wireError(): void {
    this.end(true);
  }

  expired(): void {
    if (this.state === LEAVING) this.end(true);
    else this.idleFor();
  }

  /** The deadline has come while the session was open. */
  protected abstract idleFor(): void;
}

/** The longest that a block of so many bytes of lines can be. */
export function blockMax(lineBytes: number): number {
  return lineBytes + (lineBytes >> 5) + 64;
}
