/**
 * The head of a request as it comes by HTTP/2, made into one of HTTP/1.1 (RFC 9113 §8.3): what the stream's connection then reads, judges and
 * answers as any other. What HTTP/2 forbids is found here; what HTTP forbids is found there.
 */
import { randomBytes } from 'node:crypto';
import { CLASS, TARGET, TOKEN } from '../http/bytes.ts';
import type { FieldSink } from './field-decoder.ts';
import {
  AUTHORITY,
  CONNECTION_SPECIFIC,
  CONTENT_LENGTH,
  CONTENT_TYPE,
  COOKIE,
  type FieldKind,
  GAP_BYTES,
  HOST,
  isText,
  MALFORMED,
  METHOD,
  PATH,
  PROTOCOL,
  SCHEME,
  STATUS,
  TE,
} from './field-line.ts';
import { isSameText, LineText, lengthOf } from './line-text.ts';

const SPACE = Buffer.from(' ');
const HTTP_11 = Buffer.from(' HTTP/1.1\r\n');
const GET = Buffer.from('GET');
const HOST_FIELD = Buffer.from('host: ');
const COOKIE_FIELD = Buffer.from('cookie: ');
const CRUMB_GAP = Buffer.from('; ');
const CRLF = Buffer.from('\r\n');
const CHUNKED = Buffer.from('transfer-encoding: chunked\r\n');
const UPGRADE = Buffer.from('connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: ');

const GRPC_TYPE = 'application/grpc';

export class RequestLines implements FieldSink {
  readonly head: LineText;
  /** -1: not said. */
  contentLength: number;
  isHead: boolean;
  isGrpc: boolean;
  /** An extended CONNECT for a WebSocket (RFC 8441), which goes on as an upgrade. */
  isWebSocket: boolean;
  private malformed: boolean;
  /** Values of the pseudo-fields, and crumbs of cookies, until their turn comes. */
  private readonly method: LineText;
  private readonly path: LineText;
  private readonly authority: LineText;
  private readonly cookie: LineText;
  /** Bits of the pseudo-fields that were there. */
  private seen: number;
  private hostSeen: boolean;
  /** The request line is written: no pseudo-field may follow. */
  private fronted: boolean;
  private isConnect: boolean;

  constructor() {
    this.head = new LineText();
    this.method = new LineText();
    this.path = new LineText();
    this.authority = new LineText();
    this.cookie = new LineText();
    this.contentLength = -1;
    this.isHead = this.isGrpc = this.isWebSocket = this.malformed = false;
    this.seen = 0;
    this.hostSeen = this.fronted = this.isConnect = false;
  }

  begin(headBytesMax: number): void {
    for (const text of [this.head, this.method, this.path, this.authority, this.cookie]) text.begin(headBytesMax);
    this.contentLength = -1;
    this.isHead = this.isGrpc = this.isWebSocket = this.malformed = false;
    this.seen = 0;
    this.hostSeen = this.fronted = this.isConnect = false;
  }

  /** hot */
  line(bytes: Buffer, nameLength: number, end: number, kind: FieldKind): void {
    const valueStart = nameLength + GAP_BYTES;
    const valueEnd = end - 2;
    if (kind >= METHOD && kind <= STATUS) {
      this.pseudo(bytes, valueStart, valueEnd, kind);
      return;
    }
    if (!this.fronted) this.front();
    switch (kind) {
      case CONTENT_LENGTH:
        if (this.contentLength >= 0) this.malformed = true;
        this.contentLength = lengthOf(bytes, valueStart, valueEnd);
        if (this.contentLength < 0) this.malformed = true;
        break;
      case CONTENT_TYPE:
        if (beginsAs(bytes, valueStart, valueEnd, GRPC_TYPE)) this.isGrpc = true;
        break;
      case COOKIE:
        // RFC 9113 §8.2.3: crumbs are put together again.
        if (this.cookie.length > 0) this.cookie.text(CRUMB_GAP);
        this.cookie.append(bytes, valueStart, valueEnd);
        return;
      case HOST:
        if (this.hostSeen) this.malformed = true;
        this.hostSeen = true;
        if ((this.seen & (1 << AUTHORITY)) === 0) break;
        // Two hosts, of which a server might take either, are none.
        if (!isSameText(bytes, valueStart, valueEnd, this.authority.bytes, 0, this.authority.length)) this.malformed = true;
        return;
      case TE:
        // This hop has trailers in any case.
        if (!(valueEnd - valueStart === 8 && isText(bytes, valueStart, 'trailers'))) this.malformed = true;
        return;
      case CONNECTION_SPECIFIC:
      case MALFORMED:
        this.malformed = true;
        return;
      default:
    }
    this.head.append(bytes, 0, end);
  }

  private pseudo(bytes: Buffer, start: number, end: number, kind: FieldKind): void {
    if (this.fronted || (this.seen & (1 << kind)) !== 0) this.malformed = true;
    this.seen |= 1 << kind;
    switch (kind) {
      case METHOD:
        if (end === start) this.malformed = true;
        for (let i = start; i < end; i++) if ((CLASS[bytes[i]!]! & TOKEN) === 0) this.malformed = true;
        this.isHead = end - start === 4 && isText(bytes, start, 'HEAD');
        this.isConnect = end - start === 7 && isText(bytes, start, 'CONNECT');
        this.method.append(bytes, start, end);
        break;
      case SCHEME:
        if (!(end - start === 4 && isText(bytes, start, 'http')) && !(end - start === 5 && isText(bytes, start, 'https')))
          this.malformed = true;
        break;
      case AUTHORITY:
        this.authority.append(bytes, start, end);
        break;
      case PATH:
        // RFC 9113 §8.3.1: origin-form, or an asterisk. A blank in it would be the end of a target in HTTP/1.1.
        if (bytes[start] !== 0x2f && !(bytes[start] === 0x2a && end - start === 1)) this.malformed = true;
        for (let i = start; i < end; i++) if ((CLASS[bytes[i]!]! & TARGET) === 0) this.malformed = true;
        this.path.append(bytes, start, end);
        break;
      case PROTOCOL:
        this.isWebSocket = end - start === 9 && isText(bytes, start, 'websocket');
        break;
      default:
        this.malformed = true;
    }
  }

  /** hot: the request line, and the host where the authority says it. */
  private front(): void {
    this.fronted = true;
    const { head, method, path, authority } = this;
    const has = (kind: FieldKind) => (this.seen & (1 << kind)) !== 0;
    if (!has(METHOD)) this.malformed = true;
    if (has(PROTOCOL) && !this.isConnect) this.malformed = true;
    const extended = this.isConnect && has(PROTOCOL);
    if (this.isConnect && !extended) {
      if (!has(AUTHORITY) || has(PATH) || has(SCHEME)) this.malformed = true;
      path.append(authority.bytes, 0, authority.length);
    } else if (!has(PATH) || !has(SCHEME)) this.malformed = true;
    if (this.isWebSocket) head.text(GET);
    else head.append(method.bytes, 0, method.length);
    head.text(SPACE);
    head.append(path.bytes, 0, path.length);
    head.text(HTTP_11);
    if (!has(AUTHORITY)) return;
    head.text(HOST_FIELD);
    head.append(authority.bytes, 0, authority.length);
    head.text(CRLF);
  }

  /**
   * hot: after the last field. `ended`: the stream has no body. False where the request is malformed (RFC 9113 §8.1.1); otherwise its head is
   * in `head`.
   */
  finish(ended: boolean): boolean {
    if (!this.fronted) this.front();
    if (this.malformed || (ended && this.contentLength > 0)) return false;
    // What follows it is a tunnel, if anything: a body beside it would be read as one by some, and as another message by others.
    if (this.isWebSocket && this.contentLength >= 0) return false;
    const { head, cookie } = this;
    if (cookie.length > 0) {
      head.text(COOKIE_FIELD);
      head.append(cookie.bytes, 0, cookie.length);
      head.text(CRLF);
    }
    if (this.isWebSocket) {
      head.text(UPGRADE);
      head.text(Buffer.from(randomBytes(16).toString('base64')));
      head.text(CRLF);
    } else if (!ended && this.contentLength < 0) head.text(CHUNKED);
    head.text(CRLF);
    return true;
  }
}

/** Whether a value begins with a text in lower case, in whatever case it does: types of media have none (RFC 9110 §8.3.1). */
function beginsAs(bytes: Buffer, start: number, end: number, text: string): boolean {
  if (end - start < text.length) return false;
  for (let i = 0; i < text.length; i++) {
    const byte = bytes[start + i]!;
    if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== text.charCodeAt(i)) return false;
  }
  return true;
}
