/** A stream of a client: its requests go to a connection of HTTP/1.1 of its own, whose answers leave as frames. */
import { H2, protocolsOn } from '../../config/protocols.ts';
import { COLON, spells } from '../http/bytes.ts';
import type { Wire } from '../wire/wire.ts';
import type { StreamSpeech } from '../worker/arrival.ts';
import { lineEndOf } from './field-encoder.ts';
import { INTERNAL_ERROR } from './frame.ts';
import { lengthOf } from './line-text.ts';
import type { RequestLines } from './request-lines.ts';
import { Stream } from './stream.ts';
import type { StreamHost } from './stream-host.ts';

/** `HTTP/1.1 200`: where the status begins. */
const STATUS_AT = 9;

/** What a stream of a client needs of its session besides. */
export interface ClientStreamHost extends StreamHost<Stream> {
  /**
   * hot: a head: its field lines in bytes [start, end) without those that HTTP/2 does not know. `last`: the stream ends with it.
   */
  sendResponseHead(stream: number, status: number, bytes: Buffer, start: number, end: number, last: boolean): void;
  /** A stream is over in order; it can serve another one. */
  finished(stream: ClientStream): void;
}

export class ClientStream extends Stream {
  protected readonly faultCode = INTERNAL_ERROR;
  /** What the request under way speaks, for the connection that carries it. */
  readonly speech: StreamSpeech;
  private readonly session: ClientStreamHost;
  private isHead: boolean;
  private isWebSocket: boolean;

  constructor(session: ClientStreamHost) {
    super(session);
    this.session = session;
    this.speech = { protocols: protocolsOn('http', H2) };
    this.isHead = this.isWebSocket = false;
  }

  /** hot: a request, whose head is delivered as far as the bound on heads goes. */
  begin(id: number, sendWindow: number, request: RequestLines, ended: boolean, headBytesMax: number): void {
    this.open(id, sendWindow);
    this.isHead = request.isHead;
    this.isWebSocket = request.isWebSocket;
    const { head } = request;
    if (this.isWebSocket) this.incoming.raw();
    else this.incoming.begin(ended ? 0 : request.contentLength);
    // One that is too long is shown to be so, and answered for it.
    const shown = head.cut ? Math.min(head.length, headBytesMax + 1) : head.length;
    if (head.cut && !ended) this.deliver(head.bytes, shown, 0);
    else this.deliverHead(head.bytes, shown, ended);
  }

  /**
   * Ends the response under way by trailers, whole lines: what of its body has not left is given up, and what its owner still writes goes nowhere. False
   * where there is no response that could have any.
   */
  endBy(trailers: Buffer): boolean {
    if (this.id === 0 || this.inHead || this.localDone || this.outgoing.isEndless) return false;
    this.muted = this.localDone = true;
    this.host.sendTrailers(this.id, trailers);
    this.localEnded();
    return true;
  }

  protected finished(): void {
    this.session.finished(this);
  }

  /** A server may send interim answers without end. No window counts them, so it is here that a client which does not read holds them back. */
  protected override get headWaits(): boolean {
    return this.host.congested;
  }

  /** hot: a head as it was composed: whole, and well-formed. */
  protected sendHead(bytes: Buffer, start: number): number {
    const status = lengthOf(bytes, start + STATUS_AT, start + STATUS_AT + 3);
    const first = lineEndOf(bytes, start) + 2;
    let length = -1;
    let chunked = false;
    let at = first;
    for (let end = lineEndOf(bytes, at); end > at; end = lineEndOf(bytes, at)) {
      const byte = bytes[at]! | 0x20;
      if (byte === 0x63 && bytes[at + 14] === COLON && spells(bytes, at, at + 14, 'content-length')) {
        let from = at + 15;
        while (bytes[from] === 0x20) from++;
        length = lengthOf(bytes, from, trimmed(bytes, from, end));
      } else if (byte === 0x74 && bytes[at + 17] === COLON && spells(bytes, at, at + 17, 'transfer-encoding')) chunked = true;
      at = end + 2;
    }
    const bodyStart = at + 2;
    const { outgoing } = this;
    const tunnel = status === 101 && this.isWebSocket;
    if (status < 200 && !tunnel) {
      this.session.sendResponseHead(this.id, status, bytes, first, at, false);
      return bodyStart;
    }
    this.inHead = false;
    if (tunnel) outgoing.endless();
    else if (this.isHead || status === 204 || status === 304) outgoing.none();
    else if (chunked) outgoing.chunked();
    else if (length >= 0) outgoing.sized(length);
    else outgoing.endless();
    // Refused: what the client sends on is the body of a request that nobody wants.
    if (this.isWebSocket && !tunnel) this.incoming.begin(0);
    const last = outgoing.done;
    if (last) this.localDone = true;
    this.session.sendResponseHead(this.id, tunnel ? 200 : status, bytes, first, at, last);
    if (last) this.localEnded();
    return bodyStart;
  }
}

/** As `endBy`, for whatever a client's connection is: false where it is no stream of HTTP/2. */
export function endByTrailers(client: Wire, trailers: Buffer): boolean {
  return client.handle instanceof ClientStream && client.handle.endBy(trailers);
}

function trimmed(bytes: Buffer, start: number, end: number): number {
  let at = end;
  while (at > start && bytes[at - 1] === 0x20) at--;
  return at;
}
