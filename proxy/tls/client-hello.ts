/**
 * Reads the first message of a TLS client (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2) from bytes as they come: in any number of segments, and in any
 * number of records. Pure, bounded, and never throws: hostile bytes are a fault, which is a value.
 */
import { type Alert, ILLEGAL_PARAMETER, PROTOCOL_VERSION, RECORD_OVERFLOW, UNEXPECTED_MESSAGE } from './alert.ts';
import type { ClientHello } from './hello.ts';
import { CLIENT_HELLO_BYTES_MAX, readHello } from './hello-message.ts';

/** With the headers of its records: a client that splits it into tiny records gets no further than this. */
export const CLIENT_HELLO_RAW_BYTES_MAX = 2 * CLIENT_HELLO_BYTES_MAX;

export type HelloFault = 'not-tls' | 'malformed' | 'too-long';
/** `alert`: what the client is told; null where it would not understand, or has given up itself. */
export interface HelloRefusal {
  readonly kind: 'fault';
  readonly fault: HelloFault;
  readonly alert: Alert | null;
}
export type HelloReading = { readonly kind: 'more' } | HelloRefusal | { readonly kind: 'hello'; readonly hello: ClientHello };

const MORE: HelloReading = { kind: 'more' };
const CHANGE_CIPHER_SPEC = 20;
const ALERT = 21;
const HANDSHAKE = 22;
const HEARTBEAT = 24;
const CLIENT_HELLO = 1;
const RECORD_HEAD_BYTES = 5;
const MESSAGE_HEAD_BYTES = 4;
/** RFC 8446 §5.1: the most that one record of plain text may carry. */
const RECORD_BYTES_MAX = 1 << 14;

const NOTHING = Buffer.alloc(0);

/** Takes bytes until the message is whole. Each byte is looked at once. */
export class HelloReader {
  private head: Buffer = NOTHING;
  private headLength = 0;
  private recordLeft = 0;
  private raw = 0;
  private message: Buffer = NOTHING;
  private length = 0;
  private settled: HelloReading | null = null;

  /** The next bytes, [start, end). Once it has answered anything but `more`, the answer stays. */
  push(bytes: Buffer, start: number, end: number): HelloReading {
    if (this.settled !== null) return this.settled;
    const answer = (this.raw === 0 ? this.wholeAtOnce(bytes, start, end) : null) ?? this.take(bytes, start, end);
    if (answer.kind !== 'more') this.settled = answer;
    return answer;
  }

  /** hot: most hellos come in one record and one segment, and are read where they are. null where this one has to be put together. */
  private wholeAtOnce(bytes: Buffer, start: number, end: number): HelloReading | null {
    const at = start + RECORD_HEAD_BYTES;
    if (end - start < RECORD_HEAD_BYTES + MESSAGE_HEAD_BYTES || bytes[start] !== HANDSHAKE || bytes[start + 1] !== 3) return null;
    const record = (bytes[start + 3]! << 8) | bytes[start + 4]!;
    const message = MESSAGE_HEAD_BYTES + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
    if (bytes[at] !== CLIENT_HELLO || message > record || record > RECORD_BYTES_MAX || at + message > end) return null;
    return message > CLIENT_HELLO_BYTES_MAX ? null : reading(bytes, at + MESSAGE_HEAD_BYTES, at + message);
  }

  private take(bytes: Buffer, start: number, end: number): HelloReading {
    if (this.raw === 0) this.head = Buffer.alloc(RECORD_HEAD_BYTES);
    this.raw += end - start;
    let at = start;
    while (at < end) {
      if (this.recordLeft === 0) {
        this.head[this.headLength++] = bytes[at++]!;
        const fault = this.headFault();
        if (fault !== null) return fault;
        if (this.headLength < RECORD_HEAD_BYTES) continue;
        this.recordLeft = this.head.readUInt16BE(3);
        this.headLength = 0;
        continue;
      }
      const count = Math.min(this.recordLeft, end - at);
      this.append(bytes, at, at + count);
      at += count;
      this.recordLeft -= count;
      const answer = this.whole();
      if (answer !== null) return answer;
    }
    return this.raw > CLIENT_HELLO_RAW_BYTES_MAX ? refusal('too-long', ILLEGAL_PARAMETER) : MORE;
  }

  private headFault(): HelloRefusal | null {
    const { head, headLength } = this;
    const first = this.length === 0 ? 'not-tls' : 'malformed';
    const kind = head[0]!;
    // An alert is answered by none, and what is no record of TLS at all by nothing.
    if (headLength === 1 && kind !== HANDSHAKE && (kind === ALERT || kind < CHANGE_CIPHER_SPEC || kind > HEARTBEAT))
      return refusal(first, null);
    if (headLength === 2 && head[1] !== 3) return refusal(first, kind === HANDSHAKE ? PROTOCOL_VERSION : null);
    if (headLength === 2 && kind !== HANDSHAKE) return refusal(first, UNEXPECTED_MESSAGE);
    if (headLength < RECORD_HEAD_BYTES) return null;
    const bytes = head.readUInt16BE(3);
    if (bytes > RECORD_BYTES_MAX) return refusal('malformed', RECORD_OVERFLOW);
    // An empty fragment of a handshake is forbidden (RFC 8446 §5.1), and would be a way to send for ever and say nothing.
    return bytes === 0 ? refusal('malformed', UNEXPECTED_MESSAGE) : null;
  }

  private append(bytes: Buffer, start: number, end: number): void {
    const needed = this.length + end - start;
    if (needed > this.message.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.message.length, 512));
      this.message.copy(larger, 0, 0, this.length);
      this.message = larger;
    }
    this.message.set(bytes.subarray(start, end), this.length);
    this.length = needed;
  }

  /** The answer, as soon as there is one; null while bytes are missing. */
  private whole(): HelloReading | null {
    const { message, length } = this;
    if (message[0] !== CLIENT_HELLO) return refusal('malformed', UNEXPECTED_MESSAGE);
    if (length < MESSAGE_HEAD_BYTES) return null;
    const end = MESSAGE_HEAD_BYTES + message.readUIntBE(1, 3);
    if (end > CLIENT_HELLO_BYTES_MAX) return refusal('too-long', ILLEGAL_PARAMETER);
    if (length < end) return null;
    return reading(message, MESSAGE_HEAD_BYTES, end);
  }
}

function reading(bytes: Buffer, start: number, end: number): HelloReading {
  const hello = readHello(bytes, start, end);
  return typeof hello === 'number' ? refusal('malformed', hello) : { kind: 'hello', hello };
}

function refusal(fault: HelloFault, alert: Alert | null): HelloRefusal {
  return { kind: 'fault', fault, alert };
}
