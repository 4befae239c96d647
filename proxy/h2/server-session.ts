/** A connection to a server that speaks HTTP/2 by prior knowledge (or ALPN): its streams carry the requests of many clients. */

import { COLON, spells } from '../http/bytes.ts';
import { PREFACE } from '../http/preface.ts';
import { hitNodeLimit } from '../shared/node-limits.ts';
import { Wire, type WireOwner } from '../wire/wire.ts';
import type { Context } from '../worker/context.ts';
import {
  Allowance,
  RESETS_PER_SECOND,
  SERVER_HEAD_BYTES_MAX,
  SERVER_RESETS_BURST,
  SERVER_WINDOW_BYTES,
  STREAM_WINDOW_BYTES,
  STREAMS_TO_SERVER_MAX,
} from './allowance.ts';
import { isConnectionSpecific } from './connection-fields.ts';
import { lineEndOf } from './field-encoder.ts';
import {
  ENHANCE_YOUR_CALM,
  FRAME_HEAD_BYTES,
  NO_ERROR,
  PROTOCOL_ERROR,
  SETTING_ENABLE_CONNECT_PROTOCOL,
  SETTING_ENABLE_PUSH,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTING_MAX_CONCURRENT_STREAMS,
  SETTING_MAX_HEADER_LIST_SIZE,
  STREAM_ID_MAX,
} from './frame.ts';
import { errnoOfReset, UNTOUCHED_ERRNO } from './reset-code.ts';
import { ResponseLines } from './response-lines.ts';
import { type RequestRanges, ServerStream, type ServerStreamHost } from './server-stream.ts';
import { Session, type SessionLimit } from './session.ts';
import { Silence, type SilentPlace } from './silence.ts';
import type { Stream } from './stream.ts';
import { blockMax } from './stream-keeper.ts';

/** Decoding is done within one callback, so one of these serves the whole thread. */
const responseLines = new ResponseLines();

/** What the ping says that asks a silent server; any eight bytes would do. */
const QUESTION = Buffer.from('still on');

const SCHEME_HTTP = 6;
const SCHEME_HTTPS = 7;
const CONNECT = Buffer.from('CONNECT');
const WEBSOCKET_PROTOCOL = Buffer.from(':protocol: websocket');
const TE_TRAILERS = Buffer.from('te: trailers');

/** Who is told of a session's life. */
export interface SessionKeeper {
  /** The server speaks HTTP/2, and has said how many streams it takes. */
  sessionReady(session: ServerSession): void;
  sessionOver(session: ServerSession): void;
}

export class ServerSession extends Session implements ServerStreamHost, SilentPlace {
  knowsConnect = false;
  private readonly keeper: SessionKeeper;
  private readonly scheme: number;
  private readonly idleMs: number;
  private nextStream = 1;
  private streamsMax = STREAMS_TO_SERVER_MAX;
  private reserved = 0;
  private readonly givenUp = new Allowance(SERVER_RESETS_BURST, RESETS_PER_SECOND);
  /** So many streams were given up that the server may soon end it: it carries on with what it has, and is closed when it is idle. */
  private worn = false;
  reads = 0;
  private readonly silence: Silence;

  constructor(context: Context, wire: Wire, secured: boolean, idleMs: number, keeper: SessionKeeper) {
    super(context, wire);
    this.keeper = keeper;
    this.scheme = secured ? SCHEME_HTTPS : SCHEME_HTTP;
    this.idleMs = idleMs;
    wire.owner = this;
    this.silence = new Silence(this);
    this.writer.raw(PREFACE);
    this.greet(
      [
        [SETTING_ENABLE_PUSH, 0],
        [SETTING_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES],
        [SETTING_MAX_HEADER_LIST_SIZE, SERVER_HEAD_BYTES_MAX],
      ],
      SERVER_WINDOW_BYTES,
    );
    wire.resume();
    this.expireIn(idleMs);
  }

  /** Another stream can begin. */
  get hasRoom(): boolean {
    return this.alive && !this.goingAway && this.streams.size + this.reserved < this.streamsMax;
  }

  /** The same, and it is none that the server may soon end. */
  get isFresh(): boolean {
    return this.hasRoom && !this.worn;
  }

  /** A wire for one request after the other. A place is kept for the first. */
  newWire(owner: WireOwner): Wire {
    const stream = new ServerStream(this);
    this.reserved++;
    this.members.add(stream);
    return new Wire(stream, owner);
  }

  /** Nobody wants it any more. */
  giveUp(): void {
    if (this.streams.size === 0) this.leave(NO_ERROR);
  }

  // --- streams -------------------------------------------------------------------------------------------------------------------

  start(stream: ServerStream): boolean {
    // A place that was just given is good also where the session is worn: there was no other.
    const given = stream.reserved;
    if (given) {
      stream.reserved = false;
      this.reserved--;
    }
    if (!(given ? this.hasRoom : this.isFresh)) return false;
    const id = this.nextStream;
    this.nextStream += 2;
    if (this.nextStream > STREAM_ID_MAX - 2) this.goingAway = true;
    this.streams.set(id, stream);
    stream.openAs(id, this.streamWindow);
    stream.readsBefore = this.reads;
    // Idle time begins when the last stream ends.
    this.context.wheel.arm(this, Number.POSITIVE_INFINITY);
    return true;
  }

  override endStream(stream: Stream, code: number): void {
    if (this.streams.has(stream.id)) {
      if (!this.givenUp.take(this.context.clock.coarse)) this.worn = true;
      // Given up by its client or for its time, and not a byte has come of the server since it was sent.
      if (this.alive && (stream as ServerStream).readsBefore === this.reads) this.silence.ask();
    }
    super.endStream(stream, code);
  }

  override left(stream: Stream): void {
    if (stream instanceof ServerStream && stream.reserved) {
      stream.reserved = false;
      this.reserved--;
    }
    super.left(stream);
  }

  finished(stream: ServerStream): void {
    const { id } = stream;
    stream.id = 0;
    this.forget(stream, id, false);
  }

  /** hot */
  protected override read(bytes: Buffer, start: number, length: number): void {
    this.reads++;
    super.read(bytes, start, length);
  }

  /** hot */
  protected headers(id: number, bytes: Buffer, start: number, end: number, ended: boolean): boolean {
    const stream = this.streams.get(id) as ServerStream | undefined;
    if (stream === undefined) {
      // What it does not wait for is thrown away all the same: the table has to be kept in step.
      return this.unknown(id) && this.decode(bytes, start, end, null);
    }
    if (stream.responded) return this.trailers(stream, bytes, start, end, ended);
    responseLines.begin(SERVER_HEAD_BYTES_MAX, stream.webSocketKey);
    if (!this.decode(bytes, start, end, responseLines)) return false;
    if (!responseLines.finish(ended, stream.isHead)) return this.streamFault(id, PROTOCOL_ERROR);
    if (stream.isFlooded(responseLines)) {
      this.limit('head-size');
      return this.streamFault(id, ENHANCE_YOUR_CALM);
    }
    this.silence.answered();
    stream.respond(responseLines, ended);
    return this.alive;
  }

  /** hot */
  sendRequestHead(stream: number, request: RequestRanges, last: boolean): void {
    const { encoder, writer } = this;
    const { bytes } = request;
    const chunk = writer.openBlock(blockMax(request.fieldsEnd - request.methodStart));
    const out = chunk.bytes;
    let at = encoder.begin(out, chunk.length + FRAME_HEAD_BYTES);
    at = request.isWebSocket
      ? encoder.method(out, at, CONNECT, 0, CONNECT.length)
      : encoder.method(out, at, bytes, request.methodStart, request.methodEnd);
    out[at++] = 0x80 | this.scheme;
    at = encoder.path(out, at, bytes, request.methodEnd + 1, request.targetEnd);
    at = encoder.authority(out, at, bytes, request.hostStart, request.hostEnd);
    if (request.isWebSocket) at = encoder.line(out, at, WEBSOCKET_PROTOCOL, 0, ':protocol'.length, WEBSOCKET_PROTOCOL.length);
    for (let from = request.fieldsStart; from < request.fieldsEnd; ) {
      const lineEnd = lineEndOf(bytes, from);
      const nameEnd = bytes.indexOf(COLON, from);
      if (!isConnectionSpecific(bytes, from, nameEnd) && !spells(bytes, from, nameEnd, 'host'))
        at = encoder.line(out, at, bytes, from, nameEnd, lineEnd);
      from = lineEnd + 2;
    }
    // What of its answer comes as trailers is passed on, by this hop at least.
    at = encoder.line(out, at, TE_TRAILERS, 0, 'te'.length, TE_TRAILERS.length);
    writer.closeBlock(chunk, at, stream, last);
  }

  protected override streamReset(stream: Stream, code: number): void {
    if (stream.remoteDone) stream.mute();
    else stream.lost(errnoOfReset(code));
  }

  protected override goneAway(lastStream: number): void {
    super.goneAway(lastStream);
    // RFC 9113 §6.8: the server has not touched those above, and never will.
    for (const stream of [...this.streams.values()]) {
      if (stream.id <= lastStream) continue;
      this.forget(stream, stream.id, true);
      stream.lost(UNTOUCHED_ERRNO);
    }
  }

  /** Servers are ours: one that gives up many streams has a reason, and its other streams should not suffer. */
  protected override countReset(): boolean {
    return this.alive;
  }

  // --- its life ------------------------------------------------------------------------------------------------------------------

  protected get blockBytesMax(): number {
    return SERVER_HEAD_BYTES_MAX;
  }

  protected setting(name: number, value: number): number {
    if (name === SETTING_MAX_CONCURRENT_STREAMS) this.streamsMax = Math.min(value, STREAMS_TO_SERVER_MAX);
    else if (name === SETTING_ENABLE_CONNECT_PROTOCOL) {
      if (value > 1) return PROTOCOL_ERROR;
      this.knowsConnect = value === 1;
    } else if (name === SETTING_ENABLE_PUSH && value !== 0) return PROTOCOL_ERROR;
    return NO_ERROR;
  }

  sendPing(): void {
    this.writer.ping(QUESTION, 0);
  }

  gone(): void {
    this.end(true);
  }

  protected met(): void {
    this.keeper.sessionReady(this);
  }

  protected isIdle(stream: number): boolean {
    return stream >= this.nextStream || stream % 2 === 0;
  }

  protected limit(_name: SessionLimit): void {
    hitNodeLimit('h2-servers');
  }

  protected idle(): void {
    if (this.goingAway || this.worn) this.leave(NO_ERROR);
    else this.expireIn(this.idleMs);
  }

  protected idleFor(): void {
    if (this.streams.size === 0) this.leave(NO_ERROR);
  }

  protected override leave(code: number): void {
    super.leave(code);
    this.silence.drop();
    // It takes no more streams, though it closes a little later.
    this.keeper.sessionOver(this);
  }

  protected over(): void {
    this.silence.drop();
    this.keeper.sessionOver(this);
  }
}
