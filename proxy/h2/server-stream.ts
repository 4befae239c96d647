/** A stream to a server: the requests of HTTP/1.1 that an exchange writes leave as frames, and it reads the answers as HTTP/1.1. */
import { COLON, spells } from '../http/bytes.ts';
import { SERVER_HEAD_BYTES_MAX } from './allowance.ts';
import { lineEndOf } from './field-encoder.ts';
import { isText } from './field-line.ts';
import { CANCEL, PROTOCOL_ERROR } from './frame.ts';
import { lengthOf } from './line-text.ts';
import type { ResponseLines } from './response-lines.ts';
import { Stream } from './stream.ts';
import type { StreamHost } from './stream-host.ts';

/** A request as it is to be sent: ranges of its head. */
export interface RequestRanges {
  readonly bytes: Buffer;
  methodEnd: number;
  methodStart: number;
  targetEnd: number;
  hostStart: number;
  hostEnd: number;
  fieldsStart: number;
  fieldsEnd: number;
  /** An upgrade to a WebSocket, which is an extended CONNECT here (RFC 8441). */
  isWebSocket: boolean;
}

export interface ServerStreamHost extends StreamHost<Stream> {
  /** Gives the stream a number, where the session takes another one. */
  start(stream: ServerStream): boolean;
  /** Whether the server has said that it knows extended CONNECT; null where it has said nothing yet. */
  readonly knowsConnect: boolean;
  /** hot */
  sendRequestHead(stream: number, request: RequestRanges, last: boolean): void;
  /** A stream is over in order; it can serve another one. */
  finished(stream: ServerStream): void;
}

const NOT_IMPLEMENTED = Buffer.from('HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\n\r\n');

export class ServerStream extends Stream {
  protected readonly faultCode = CANCEL;
  /** A place was kept for its first request. */
  reserved: boolean;
  isHead: boolean;
  /** What the client's WebSocket handshake holds for the server to answer; null for any other request. */
  webSocketKey: string | null;
  /** The final head has come: what follows are trailers. */
  responded: boolean;
  /** How often its session had been read from when it began. */
  readsBefore: number;
  private readonly session: ServerStreamHost;
  private refusedHere: boolean;

  constructor(session: ServerStreamHost) {
    super(session);
    this.session = session;
    this.reserved = true;
    this.isHead = this.responded = this.refusedHere = false;
    this.readsBefore = 0;
    this.webSocketKey = null;
  }

  /** Begins, as the session's next stream. */
  openAs(id: number, sendWindow: number): void {
    this.responded = false;
    this.open(id, sendWindow);
  }

  protected override mayBegin(): boolean {
    return this.id !== 0 || this.session.start(this);
  }

  protected finished(): void {
    this.inHead = true;
    this.session.finished(this);
  }

  /** Whether its owner has not read what came before an interim head: no window counts those, so the server has to be stopped otherwise. */
  isFlooded(lines: ResponseLines): boolean {
    return lines.status < 200 && this.heldBytes + lines.head.length > SERVER_HEAD_BYTES_MAX;
  }

  /** hot: as of any stream, but that there is no body before the final head (RFC 9113 §8.1), and no end. */
  override data(bytes: Buffer, from: number, to: number, counted: number, ended: boolean): number {
    return this.responded || this.remoteDone ? super.data(bytes, from, to, counted, ended) : PROTOCOL_ERROR;
  }

  /** hot: a response's head, which `lines` holds. */
  respond(lines: ResponseLines, ended: boolean): void {
    const { head } = lines;
    if (lines.status >= 200) {
      this.responded = true;
      if (lines.isTunnel) this.incoming.raw();
      else if (this.isHead || ended || lines.status === 204 || lines.status === 304) this.incoming.begin(0);
      else this.incoming.begin(lines.contentLength);
    }
    if (lines.status >= 200) this.deliverHead(head.bytes, head.length, ended);
    else this.deliver(head.bytes, head.length, 0);
  }

  /** hot: a head as it was composed: whole, and well-formed. */
  protected sendHead(bytes: Buffer, start: number): number {
    const { outgoing } = this;
    const request: RequestRanges = {
      bytes,
      methodStart: start,
      methodEnd: bytes.indexOf(0x20, start),
      targetEnd: 0,
      hostStart: 0,
      hostEnd: 0,
      fieldsStart: lineEndOf(bytes, start) + 2,
      fieldsEnd: 0,
      isWebSocket: false,
    };
    // ` HTTP/1.1` stands behind the target.
    request.targetEnd = request.fieldsStart - 11;
    let length = -1;
    let chunked = false;
    let at = request.fieldsStart;
    this.webSocketKey = null;
    for (let end = lineEndOf(bytes, at); end > at; end = lineEndOf(bytes, at)) {
      const nameEnd = bytes.indexOf(COLON, at);
      let value = nameEnd + 1;
      while (bytes[value] === 0x20) value++;
      switch (nameEnd - at) {
        case 4:
          if (!spells(bytes, at, nameEnd, 'host')) break;
          request.hostStart = value;
          request.hostEnd = end;
          break;
        case 7:
          if (spells(bytes, at, nameEnd, 'upgrade') && spells(bytes, value, end, 'websocket')) request.isWebSocket = true;
          break;
        case 14:
          if (spells(bytes, at, nameEnd, 'content-length')) length = lengthOf(bytes, value, end);
          break;
        case 17:
          if (spells(bytes, at, nameEnd, 'transfer-encoding')) chunked = true;
          else if (spells(bytes, at, nameEnd, 'sec-websocket-key')) this.webSocketKey = bytes.toString('latin1', value, end);
          break;
        default:
      }
      at = end + 2;
    }
    request.fieldsEnd = at;
    this.isHead = request.methodEnd - start === 4 && isText(bytes, start, 'HEAD');
    this.inHead = false;
    if (!request.isWebSocket) this.webSocketKey = null;
    else if (!this.session.knowsConnect) {
      this.refuseUpgrade();
      return at + 2;
    }
    if (request.isWebSocket) outgoing.endless();
    else if (chunked) outgoing.chunked();
    else if (length > 0) outgoing.sized(length);
    else outgoing.none();
    const last = outgoing.done;
    if (last) this.localDone = true;
    this.session.sendRequestHead(this.id, request, last);
    if (last) this.localEnded();
    return at + 2;
  }

  /** The server has no WebSocket over HTTP/2. Nothing is sent; the answer is given here, once the owner is done writing. */
  private refuseUpgrade(): void {
    this.outgoing.none();
    this.refusedHere = true;
    this.localDone = this.remoteDone = true;
    this.host.deliverLater(this);
  }

  override deliverHeld(): void {
    if (this.refusedHere) {
      this.refusedHere = false;
      this.deliver(NOT_IMPLEMENTED, NOT_IMPLEMENTED.length, 0);
      if (this.id !== 0) this.finished();
    }
    super.deliverHeld();
  }
}
