/** The head of a response as it comes by HTTP/2, made into one of HTTP/1.1 (RFC 9113 §8.3.2). */
import { createHash } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { FieldSink } from './field-decoder.ts';
import { CONNECTION_SPECIFIC, CONTENT_LENGTH, type FieldKind, GAP_BYTES, MALFORMED, METHOD, STATUS } from './field-line.ts';
import { LineText, lengthOf } from './line-text.ts';

const HTTP_11 = Buffer.from('HTTP/1.1 ');
/** HTTP/2 has no reason phrases; some clients of HTTP/1.1 do not take a status for one without. */
const STATUS_LINES: ReadonlyMap<number, Buffer> = new Map(
  Object.entries(STATUS_CODES).map(([status, phrase]) => [Number(status), Buffer.from(`HTTP/1.1 ${status} ${phrase}\r\n`)]),
);
const SWITCHING = Buffer.from('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ');
const STATUS_END = Buffer.from(' \r\n');
const CRLF = Buffer.from('\r\n');
const CHUNKED = Buffer.from('transfer-encoding: chunked\r\n');
const EMPTY_BODY = Buffer.from('content-length: 0\r\n');
/** RFC 6455 §1.3. */
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export class ResponseLines implements FieldSink {
  readonly head: LineText;
  status: number;
  contentLength: number;
  private malformed: boolean;
  /** What was asked for: an extended CONNECT with this key, null for anything else. */
  private webSocketKey: string | null;

  constructor() {
    this.head = new LineText();
    this.status = 0;
    this.contentLength = -1;
    this.malformed = false;
    this.webSocketKey = null;
  }

  begin(headBytesMax: number, webSocketKey: string | null): void {
    this.head.begin(headBytesMax);
    this.status = 0;
    this.contentLength = -1;
    this.malformed = false;
    this.webSocketKey = webSocketKey;
  }

  /** The WebSocket was agreed to: what follows is a tunnel. */
  get isTunnel(): boolean {
    return this.webSocketKey !== null && this.status >= 200 && this.status < 300;
  }

  /** hot */
  line(bytes: Buffer, nameLength: number, end: number, kind: FieldKind): void {
    const valueStart = nameLength + GAP_BYTES;
    if (kind >= METHOD && kind <= STATUS) {
      if (kind !== STATUS || this.status !== 0 || end - 2 - valueStart !== 3) this.malformed = true;
      else this.front(bytes, valueStart);
      return;
    }
    if (this.status === 0 || kind === CONNECTION_SPECIFIC || kind === MALFORMED) {
      this.malformed = true;
      return;
    }
    if (kind === CONTENT_LENGTH) {
      if (this.contentLength >= 0) this.malformed = true;
      this.contentLength = lengthOf(bytes, valueStart, end - 2);
      if (this.contentLength < 0) this.malformed = true;
      if (this.isTunnel) return;
    }
    this.head.append(bytes, 0, end);
  }

  private front(bytes: Buffer, start: number): void {
    this.status = lengthOf(bytes, start, start + 3);
    // RFC 9113 §8.6: no upgrade of HTTP/1.1 comes by HTTP/2.
    if (this.status < 100 || this.status > 599 || this.status === 101) this.malformed = true;
    const { head } = this;
    if (this.isTunnel) {
      head.text(SWITCHING);
      head.text(Buffer.from(createHash('sha1').update(`${this.webSocketKey}${WEBSOCKET_GUID}`).digest('base64')));
      head.text(CRLF);
      return;
    }
    const known = STATUS_LINES.get(this.status);
    if (known !== undefined) {
      head.text(known);
      return;
    }
    head.text(HTTP_11);
    head.append(bytes, start, start + 3);
    head.text(STATUS_END);
  }

  /** hot: after the last field. `bodyless`: no body may follow whatever is said (an answer to HEAD). False where the response is malformed. */
  finish(ended: boolean, bodyless: boolean): boolean {
    const { status, head } = this;
    if (this.malformed || status === 0 || (status < 200 && ended)) return false;
    if (!bodyless && ended && this.contentLength > 0 && status !== 304) return false;
    if (status >= 200 && status !== 204 && status !== 304 && !bodyless && !this.isTunnel && this.contentLength < 0)
      head.text(ended ? EMPTY_BODY : CHUNKED);
    head.text(CRLF);
    return !head.cut;
  }
}
