/**
 * A client's connection that speaks HTTP/2. Each of its streams is an `HttpConnection` of its own, on a socket that is none: so every request
 * is judged, sent on, answered, revoked and accounted for as any other, and what the streams share is only what is here.
 */
import { GRPC, H2, protocolsOn } from '../../config/protocols.ts';
import { COLON } from '../http/bytes.ts';
import { HttpConnection } from '../http/connection.ts';
import { PREFACE } from '../http/preface.ts';
import type { PlannedApplication } from '../node/plan.ts';
import type { FlowRecord } from '../observe/view.ts';
import * as ledger from '../shared/ledger.ts';
import { Wire } from '../wire/wire.ts';
import type { Arrival } from '../worker/arrival.ts';
import type { Context } from '../worker/context.ts';
import { CUT, KEPT, type Redecided } from '../worker/redecided.ts';
import type { ListenerPlace, Session as WorkerSession } from '../worker/session.ts';
import { CLIENT_WINDOW_BYTES, STREAM_WINDOW_BYTES } from './allowance.ts';
import { ClientStream, type ClientStreamHost } from './client-stream.ts';
import { isConnectionSpecific } from './connection-fields.ts';
import { lineEndOf } from './field-encoder.ts';
import {
  FRAME_HEAD_BYTES,
  NO_ERROR,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  SETTING_ENABLE_CONNECT_PROTOCOL,
  SETTING_ENABLE_PUSH,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTING_MAX_CONCURRENT_STREAMS,
  SETTING_MAX_HEADER_LIST_SIZE,
  STREAM_CLOSED,
  STREAM_ID_MAX,
} from './frame.ts';
import { RequestLines } from './request-lines.ts';
import { Session, type SessionLimit } from './session.ts';
import { blockMax } from './stream-keeper.ts';

const GRPC_REQUEST = protocolsOn('http', GRPC);
const REQUEST = protocolsOn('http', H2);

/** Decoding is done within one callback, so one of these serves the whole thread. */
const requestLines = new RequestLines();

export class ClientSession extends Session implements WorkerSession, ClientStreamHost {
  nextSession: WorkerSession | null = null;
  previousSession: WorkerSession | null = null;
  readonly listener: ListenerPlace;
  readonly arrival: Arrival;
  /** That of the connection's beginning: the caps that it counts under. */
  private readonly capsColumn: number;
  private readonly streamsMax: number;
  private prefaceAt = 0;
  private draining = false;
  /** Streams whose connections wait for a request. */
  private readonly free: ClientStream[] = [];

  /** `wire`: where the connection has one already. */
  constructor(context: Context, arrival: Arrival, wire: Wire | null) {
    super(context, wire ?? new Wire(arrival.handle, NOBODY));
    this.arrival = arrival;
    this.listener = arrival.listener;
    this.capsColumn = arrival.application.column;
    this.streamsMax = arrival.application.limits.streams;
    this.wire.owner = this;
    context.sessions.add(this);
    this.expireIn(arrival.application.timeouts.requestHead);
    this.greet(
      [
        [SETTING_MAX_CONCURRENT_STREAMS, this.streamsMax],
        [SETTING_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES],
        [SETTING_MAX_HEADER_LIST_SIZE, this.application.limits.headBytes],
        [SETTING_ENABLE_CONNECT_PROTOCOL, 1],
      ],
      CLIENT_WINDOW_BYTES,
    );
    this.wire.resume();
    if (arrival.early !== null) this.wireData(this.wire, arrival.early, arrival.early.length);
  }

  /** The one in force; that of the arrival where there is none any more. */
  private get application(): PlannedApplication {
    return this.listener.application >= 0 ? this.context.policy.application(this.listener.application) : this.arrival.application;
  }

  protected override read(bytes: Buffer, start: number, length: number): void {
    let at = start;
    while (this.prefaceAt < PREFACE.length && at < length) {
      if (bytes[at++] !== PREFACE[this.prefaceAt++]) {
        this.fail(PROTOCOL_ERROR);
        return;
      }
    }
    if (at < length) super.read(bytes, at, length);
  }

  protected get blockBytesMax(): number {
    return this.application.limits.headBytes * 2;
  }

  protected limit(name: SessionLimit): void {
    if (this.listener.application >= 0) this.context.policy.ledger.limit(this.listener.application, name);
  }

  protected setting(name: number, value: number): number {
    return name === SETTING_ENABLE_PUSH || name === SETTING_ENABLE_CONNECT_PROTOCOL ? (value > 1 ? PROTOCOL_ERROR : NO_ERROR) : NO_ERROR;
  }

  protected met(): void {
    // Its requests may have come with its settings; nothing waits for them.
  }

  protected isIdle(stream: number): boolean {
    return stream > this.lastStream || stream % 2 === 0;
  }

  // --- streams -------------------------------------------------------------------------------------------------------------------

  /** hot: a request, or the trailers of one. */
  protected headers(id: number, bytes: Buffer, start: number, end: number, ended: boolean): boolean {
    const open = this.streams.get(id);
    if (open !== undefined) return this.trailers(open, bytes, start, end, ended);
    if (id % 2 === 0) return this.fail(PROTOCOL_ERROR);
    if (id <= this.lastStream) {
      // RFC 9113 §5.1.1: numbers only grow. What was on its way when a stream ended is another thing.
      const ended = this.endedLately(id);
      if (ended !== 'by-us') return this.fail(ended === null ? PROTOCOL_ERROR : STREAM_CLOSED);
      return this.decode(bytes, start, end, null);
    }
    // A swap that has not come by here yet: there is no policy by which the request could be judged.
    if (this.listener.vip < 0) {
      this.redecide();
      return false;
    }
    this.lastStream = id;
    if (this.goingAway) return this.decode(bytes, start, end, null) && this.refuse(id);
    if (this.streams.size >= this.streamsMax) {
      this.limit('h2-streams');
      return this.decode(bytes, start, end, null) && this.refuse(id);
    }
    const { headBytes } = this.application.limits;
    requestLines.begin(headBytes);
    if (!this.decode(bytes, start, end, requestLines)) return false;
    if (!requestLines.finish(ended)) return this.streamFault(id, PROTOCOL_ERROR);
    const stream = this.takeStream();
    this.streams.set(id, stream);
    if (this.streams.size === 1) this.context.wheel.arm(this, Number.POSITIVE_INFINITY);
    // A WebSocket is none, whatever type its request says: there is no call in it.
    stream.speech.protocols = requestLines.isGrpc && !requestLines.isWebSocket ? GRPC_REQUEST : REQUEST;
    stream.begin(id, this.streamWindow, requestLines, ended, headBytes);
    if (id >= STREAM_ID_MAX - 2) this.goingAway = true;
    // A node that leaves patiently ends what was idle with its next request.
    if (this.context.draining) this.drain();
    return this.alive;
  }

  private refuse(id: number): boolean {
    return this.streamFault(id, REFUSED_STREAM);
  }

  /** hot: a stream with a connection that waits for a request. */
  private takeStream(): ClientStream {
    for (let stream = this.free.pop(); stream !== undefined; stream = this.free.pop()) if (!stream.retired) return stream;
    const stream = new ClientStream(this);
    this.members.add(stream);
    new HttpConnection(this.context, {
      ...this.arrival,
      handle: stream,
      early: null,
      stream: stream.speech,
    });
    return stream;
  }

  /** hot */
  finished(stream: ClientStream): void {
    const { id } = stream;
    stream.id = 0;
    if (!stream.retired) this.free.push(stream);
    this.forget(stream, id, false);
  }

  /** hot */
  sendResponseHead(stream: number, status: number, bytes: Buffer, start: number, end: number, last: boolean): void {
    const { encoder, writer } = this;
    const chunk = writer.openBlock(blockMax(end - start));
    const out = chunk.bytes;
    let at = encoder.status(out, encoder.begin(out, chunk.length + FRAME_HEAD_BYTES), status);
    for (let from = start; from < end; ) {
      const lineEnd = lineEndOf(bytes, from);
      const nameEnd = bytes.indexOf(COLON, from);
      if (!isConnectionSpecific(bytes, from, nameEnd)) at = encoder.line(out, at, bytes, from, nameEnd, lineEnd);
      from = lineEnd + 2;
    }
    writer.closeBlock(chunk, at, stream, last);
  }

  // --- its life ------------------------------------------------------------------------------------------------------------------

  protected idle(): void {
    if (this.goingAway) this.leave(NO_ERROR);
    else this.expireIn(this.prefaceAt < PREFACE.length ? this.application.timeouts.requestHead : this.application.timeouts.keepAlive);
  }

  protected idleFor(): void {
    this.limit(this.lastStream === 0 ? 'request-head' : 'keep-alive');
    this.leave(NO_ERROR);
  }

  redecide(): Redecided {
    // Its streams are asked for themselves, and one without any says yes or no to its next request.
    if (this.listener.vip >= 0 || !this.alive) return KEPT;
    this.goingAway = true;
    this.leave(NO_ERROR);
    return CUT;
  }

  drain(): void {
    if (this.draining) return;
    this.draining = true;
    if (this.streams.size === 0) this.leave(NO_ERROR);
    else this.windDown();
  }

  abort(_reason: string): void {
    this.end(true);
  }

  describe(_into: FlowRecord[]): void {
    // Flows are the requests of its streams, which are sessions of their own.
  }

  protected over(): void {
    const { context } = this;
    context.sessions.remove(this);
    context.caps.release(this.capsColumn, this.arrival.source);
    if (this.listener.application >= 0) context.policy.ledger.add(this.listener.application, ledger.CONNECTIONS_CLOSED, 1);
  }
}

/** Of a wire whose session is about to begin. */
const NOBODY = {
  wireData(): void {},
  wireEnd(): void {},
  wireError(): void {},
  wireDrained(): void {},
};
