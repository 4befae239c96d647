/** A connection that speaks HTTP/2, as both of its ends read it: frames, settings and windows, what is wrong with them, and what is too much. */
import { Held } from '../wire/held.ts';
import {
  Allowance,
  CONTINUATIONS_MAX,
  CONTROL_FRAMES_BURST,
  CONTROL_FRAMES_PER_SECOND,
  RESETS_BURST,
  RESETS_PER_SECOND,
} from './allowance.ts';
import { FieldDecoder, type FieldSink } from './field-decoder.ts';
import * as frames from './frame.ts';
import { FrameReader, type FrameTaker } from './frame-reader.ts';
import { type Stream, trailerLines } from './stream.ts';
import { StreamKeeper } from './stream-keeper.ts';

/** What a session hits; the names are those of the ledger. */
export type SessionLimit = 'head-size' | 'h2-streams' | 'h2-resets' | 'h2-control' | 'keep-alive' | 'request-head';

export abstract class Session extends StreamKeeper implements FrameTaker {
  /** What the peer's settings give a new stream. */
  protected streamWindow: number = frames.WINDOW_INITIAL;
  private readonly reader = new FrameReader(this);
  private readonly decoder = new FieldDecoder();
  /** The peer's first settings have come. */
  private settled = false;
  /** A field block that goes on in CONTINUATION frames: of this stream, 0 for none. */
  private blockOf = 0;
  private blockFlags = 0;
  private continuations = 0;
  private readonly block = new Held();
  private readonly resets = new Allowance(RESETS_BURST, RESETS_PER_SECOND);
  private readonly controls = new Allowance(CONTROL_FRAMES_BURST, CONTROL_FRAMES_PER_SECOND);

  /** A whole field block has come for the stream. `ended`: nothing follows. False where the session is over. */
  protected abstract headers(stream: number, bytes: Buffer, start: number, end: number, ended: boolean): boolean;
  protected abstract setting(name: number, value: number): number;
  /** A field block may have so many bytes; one that is longer ends the session. */
  protected abstract get blockBytesMax(): number;
  protected abstract limit(name: SessionLimit): void;
  /** The peer's first settings are in force. */
  protected abstract met(): void;
  /** Whether the stream was never opened, by either side. */
  protected abstract isIdle(stream: number): boolean;

  protected read(bytes: Buffer, start: number, length: number): void {
    this.reader.read(bytes, start, length);
    if (this.alive && this.writer.overflows) this.tooMuch('h2-control');
  }

  frameTooLarge(): void {
    this.fail(frames.FRAME_SIZE_ERROR);
  }

  /** hot */
  frame(bytes: Buffer, at: number, length: number, type: number, flags: number, stream: number): boolean {
    if (!this.settled && (type !== frames.SETTINGS || (flags & frames.ACK) !== 0)) return this.fail(frames.PROTOCOL_ERROR);
    if (this.blockOf !== 0 && (type !== frames.CONTINUATION || stream !== this.blockOf)) return this.fail(frames.PROTOCOL_ERROR);
    switch (type) {
      case frames.DATA:
        return this.dataFrame(bytes, at, length, flags, stream);
      case frames.HEADERS:
        return this.headersFrame(bytes, at, length, flags, stream);
      case frames.CONTINUATION:
        return this.continuationFrame(bytes, at, length, flags, stream);
      case frames.WINDOW_UPDATE:
        return this.windowFrame(bytes, at, length, stream);
      case frames.RST_STREAM:
        return this.resetFrame(bytes, at, length, stream);
      case frames.SETTINGS:
        return this.settingsFrame(bytes, at, length, flags, stream);
      case frames.PING:
        if (stream !== 0) return this.fail(frames.PROTOCOL_ERROR);
        if (length !== 8) return this.fail(frames.FRAME_SIZE_ERROR);
        if (!this.control()) return false;
        if ((flags & frames.ACK) === 0) this.writer.ping(bytes.subarray(at, at + 8), frames.ACK);
        else if (this.graceAsked) this.lastCall();
        return true;
      case frames.PRIORITY:
        if (stream === 0) return this.fail(frames.PROTOCOL_ERROR);
        if (length !== 5) return this.streamFault(stream, frames.FRAME_SIZE_ERROR);
        // RFC 7540 §5.3.1. RFC 9113 has dropped priorities, and this rule with them; nobody honest breaks it.
        if (frames.readWord31(bytes, at) === stream) return this.streamFault(stream, frames.PROTOCOL_ERROR);
        return this.control();
      case frames.GOAWAY:
        if (stream !== 0) return this.fail(frames.PROTOCOL_ERROR);
        if (length < 8) return this.fail(frames.FRAME_SIZE_ERROR);
        this.goneAway(frames.readWord31(bytes, at));
        return this.control();
      case frames.PUSH_PROMISE:
        // A client never sends one, and a server was told not to.
        return this.fail(frames.PROTOCOL_ERROR);
      default:
        // RFC 9113 §4.1: frames of unknown types are passed over.
        return this.control();
    }
  }

  private dataFrame(bytes: Buffer, at: number, length: number, flags: number, id: number): boolean {
    if (id === 0) return this.fail(frames.PROTOCOL_ERROR);
    let from = at;
    let to = at + length;
    if ((flags & frames.PADDED) !== 0) {
      if (length === 0) return this.fail(frames.FRAME_SIZE_ERROR);
      to -= bytes[from++]!;
      if (to < from) return this.fail(frames.PROTOCOL_ERROR);
    }
    this.receivable -= length;
    if (this.receivable < 0) return this.fail(frames.FLOW_CONTROL_ERROR);
    const ended = (flags & frames.END_STREAM) !== 0;
    if (from === to && !ended && !this.control()) return false;
    const stream = this.streams.get(id);
    if (stream === undefined) {
      this.giveBack(length);
      return this.unknown(id);
    }
    const code = stream.data(bytes, from, to, length, ended);
    if (code === frames.NO_ERROR) {
      // The peer may send less now, also where nothing of this was taken.
      this.giveBack(0);
      return this.alive;
    }
    // Nobody takes what was refused, and the other streams would miss it: the window is theirs as well.
    this.giveBack(length);
    return this.streamFault(id, code);
  }

  private headersFrame(bytes: Buffer, start: number, length: number, flags: number, stream: number): boolean {
    if (stream === 0) return this.fail(frames.PROTOCOL_ERROR);
    let at = start;
    let end = start + length;
    if ((flags & frames.PADDED) !== 0) {
      if (length === 0) return this.fail(frames.FRAME_SIZE_ERROR);
      end -= bytes[at++]!;
    }
    let selfish = false;
    if ((flags & frames.WITH_PRIORITY) !== 0) {
      if (end - at < 5 && start + length - at < 5) return this.fail(frames.FRAME_SIZE_ERROR);
      selfish = frames.readWord31(bytes, at) === stream;
      at += 5;
    }
    if (end < at || selfish) return this.fail(frames.PROTOCOL_ERROR);
    if ((flags & frames.END_HEADERS) !== 0) return this.headers(stream, bytes, at, end, (flags & frames.END_STREAM) !== 0);
    this.blockOf = stream;
    this.blockFlags = flags;
    this.continuations = 0;
    this.blockBegun();
    return this.gather(bytes, at, end);
  }

  /** A field block waits for its end. */
  protected blockBegun(): void {
    // Sessions with servers have no deadline for it: the streams' own hold.
  }

  private continuationFrame(bytes: Buffer, at: number, length: number, flags: number, stream: number): boolean {
    if (this.blockOf === 0) return this.fail(frames.PROTOCOL_ERROR);
    if (++this.continuations > CONTINUATIONS_MAX) return this.tooMuch('h2-control');
    if (length === 0 && !this.control()) return false;
    if (!this.gather(bytes, at, at + length)) return false;
    if ((flags & frames.END_HEADERS) === 0) return true;
    this.blockOf = 0;
    const goesOn = this.headers(stream, this.block.bytes, 0, this.block.length, (this.blockFlags & frames.END_STREAM) !== 0);
    this.block.drop();
    return goesOn;
  }

  private gather(bytes: Buffer, from: number, to: number): boolean {
    if (this.block.length + to - from > this.blockBytesMax) return this.tooMuch('head-size');
    this.block.append(bytes, from, to);
    return true;
  }

  /** Decodes a field block for a sink, or for none. False where it is broken, and the session with it. */
  protected decode(bytes: Buffer, start: number, end: number, sink: FieldSink | null): boolean {
    return this.decoder.decode(bytes, start, end, sink) || this.fail(frames.COMPRESSION_ERROR);
  }

  /** A second field block of an open stream: trailers. */
  protected trailers(stream: Stream, bytes: Buffer, start: number, end: number, ended: boolean): boolean {
    const { id } = stream;
    trailerLines.begin();
    if (!this.decode(bytes, start, end, trailerLines)) return false;
    if (stream.remoteDone) return this.streamFault(id, frames.STREAM_CLOSED);
    if (!ended || !trailerLines.finish()) return this.streamFault(id, frames.PROTOCOL_ERROR);
    const code = stream.trailers();
    return code === frames.NO_ERROR ? this.alive : this.streamFault(id, code);
  }

  private windowFrame(bytes: Buffer, at: number, length: number, id: number): boolean {
    if (length !== 4) return this.fail(frames.FRAME_SIZE_ERROR);
    const increment = frames.readWord31(bytes, at);
    if (id === 0) {
      if (increment === 0) return this.fail(frames.PROTOCOL_ERROR);
      this.sendWindow += increment;
      if (this.sendWindow > frames.WINDOW_MAX) return this.fail(frames.FLOW_CONTROL_ERROR);
      this.pumpAll();
      return this.alive;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) return this.isIdle(id) ? this.fail(frames.PROTOCOL_ERROR) : true;
    if (increment === 0) return this.streamFault(id, frames.PROTOCOL_ERROR);
    stream.sendWindow += increment;
    if (stream.sendWindow > frames.WINDOW_MAX) return this.streamFault(id, frames.FLOW_CONTROL_ERROR);
    if (stream.waits) this.pumpAll();
    return this.alive;
  }

  private resetFrame(bytes: Buffer, at: number, length: number, id: number): boolean {
    if (id === 0) return this.fail(frames.PROTOCOL_ERROR);
    if (length !== 4) return this.fail(frames.FRAME_SIZE_ERROR);
    const stream = this.streams.get(id);
    if (stream === undefined && this.isIdle(id)) return this.fail(frames.PROTOCOL_ERROR);
    if (!this.countReset()) return false;
    if (stream === undefined) return true;
    this.forget(stream, id, false);
    this.streamReset(stream, frames.readWord(bytes, at));
    return this.alive;
  }

  /** The peer has given a stream up, which is forgotten already. */
  protected streamReset(stream: Stream, _code: number): void {
    stream.lost();
  }

  private settingsFrame(bytes: Buffer, start: number, length: number, flags: number, stream: number): boolean {
    if (stream !== 0) return this.fail(frames.PROTOCOL_ERROR);
    if ((flags & frames.ACK) !== 0) return length === 0 ? this.control() : this.fail(frames.FRAME_SIZE_ERROR);
    if (length % 6 !== 0) return this.fail(frames.FRAME_SIZE_ERROR);
    if (!this.control()) return false;
    const first = !this.settled;
    this.settled = true;
    for (let at = start; at < start + length; at += 6) {
      const code = this.apply((bytes[at]! << 8) | bytes[at + 1]!, frames.readWord(bytes, at + 2));
      if (code !== frames.NO_ERROR) return this.fail(code);
    }
    this.writer.acknowledgeSettings();
    if (first) this.met();
    this.pumpAll();
    return this.alive;
  }

  private apply(name: number, value: number): number {
    switch (name) {
      case frames.SETTING_HEADER_TABLE_SIZE:
        this.encoder.resize(value);
        return frames.NO_ERROR;
      case frames.SETTING_INITIAL_WINDOW_SIZE: {
        if (value > frames.WINDOW_MAX) return frames.FLOW_CONTROL_ERROR;
        const change = value - this.streamWindow;
        this.streamWindow = value;
        for (const stream of this.streams.values()) {
          stream.sendWindow += change;
          if (stream.sendWindow > frames.WINDOW_MAX) return frames.FLOW_CONTROL_ERROR;
        }
        return frames.NO_ERROR;
      }
      case frames.SETTING_MAX_FRAME_SIZE:
        // More than the least is never used.
        return value < frames.FRAME_BYTES_MAX || value > 16_777_215 ? frames.PROTOCOL_ERROR : frames.NO_ERROR;
      default:
        return this.setting(name, value);
    }
  }

  /** The peer takes no more streams. */
  protected goneAway(_lastStream: number): void {
    this.goingAway = true;
    this.mayIdle();
  }

  // --- what is wrong, or too much ------------------------------------------------------------------------------------------------

  /** A frame for a stream that is not open. */
  protected unknown(id: number): boolean {
    if (this.isIdle(id)) return this.fail(frames.PROTOCOL_ERROR);
    // RFC 9113 §5.1: what was on its way when we ended the stream is no fault of the peer's; nor is what ended too long ago to tell.
    return this.endedLately(id) !== 'by-peer' || this.fail(frames.STREAM_CLOSED);
  }

  /** The peer did something wrong on one stream, which ends by it. False where that is too much. */
  protected streamFault(id: number, code: number): boolean {
    const stream = this.streams.get(id);
    // RFC 9113 §6.4: a stream that was never opened cannot be ended either.
    if (stream === undefined && this.isIdle(id)) return this.fail(code);
    this.writer.reset(id, code);
    if (stream === undefined) this.noteEnded(id, true);
    else this.drop(stream);
    return this.countReset();
  }

  protected countReset(): boolean {
    return this.resets.take(this.context.clock.coarse) ? this.alive : this.tooMuch('h2-resets');
  }

  protected control(): boolean {
    return this.controls.take(this.context.clock.coarse) ? this.alive : this.tooMuch('h2-control');
  }

  protected tooMuch(limit: SessionLimit): boolean {
    this.limit(limit);
    return this.fail(frames.ENHANCE_YOUR_CALM);
  }

  /** The session cannot go on: the peer is told why, and what is open ends. */
  protected fail(code: number): boolean {
    this.leave(code);
    return false;
  }

  protected dropUnread(): void {
    this.reader.drop();
    this.block.drop();
  }
}
