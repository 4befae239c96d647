/**
 * Reads the first message of a TLS client (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2) from bytes as they come: in any number of segments, and in any
 * number of records. Pure, bounded, and never throws: hostile bytes are a fault, which is a value.
 */

/** The message itself. Those of browsers take 0.5 to 2 KiB, with post-quantum key shares and large tickets up to 4. */
export const CLIENT_HELLO_BYTES_MAX = 16 * 1024;
/** With the headers of its records: a client that splits it into tiny records gets no further than this. */
export const CLIENT_HELLO_RAW_BYTES_MAX = 2 * CLIENT_HELLO_BYTES_MAX;

export interface ClientHello {
  /** As in the message; what counts are `versions`, where the client sent them. */
  readonly legacyVersion: number;
  /** Of supported_versions, without GREASE. */
  readonly versions: readonly number[];
  /** Without GREASE, like everything here (RFC 8701). */
  readonly ciphers: readonly number[];
  /** Kinds of the extensions, in their order. */
  readonly extensions: readonly number[];
  readonly signatures: readonly number[];
  /** Lower case, without a dot at its end; null where none was sent. */
  readonly sni: string | null;
  /** Each byte a character. */
  readonly alpn: readonly string[];
  /** Bytes of the first protocol, as sent; null for none. GREASE counts here: JA4 takes it as it comes. */
  readonly firstAlpn: Buffer | null;
}

export type HelloFault = 'not-tls' | 'malformed' | 'too-long';
export type HelloReading =
  | { readonly kind: 'more' }
  | { readonly kind: 'fault'; readonly fault: HelloFault }
  | { readonly kind: 'hello'; readonly hello: ClientHello };

const MORE: HelloReading = { kind: 'more' };
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const RECORD_HEAD_BYTES = 5;
const MESSAGE_HEAD_BYTES = 4;
/** RFC 8446 §5.1: the most that one record of plain text may carry. */
const RECORD_BYTES_MAX = 1 << 14;

const SNI = 0;
const SIGNATURE_ALGORITHMS = 13;
const ALPN = 16;
const SUPPORTED_VERSIONS = 43;

/** Takes bytes until the message is whole. Each byte is looked at once. */
export class HelloReader {
  private readonly head = Buffer.alloc(RECORD_HEAD_BYTES);
  private headLength = 0;
  private recordLeft = 0;
  private raw = 0;
  private message: Buffer = Buffer.alloc(0);
  private length = 0;
  private settled: HelloReading | null = null;

  /** The next bytes, [start, end). Once it has answered anything but `more`, the answer stays. */
  push(bytes: Uint8Array, start: number, end: number): HelloReading {
    if (this.settled !== null) return this.settled;
    const answer = this.take(bytes, start, end);
    if (answer.kind !== 'more') this.settled = answer;
    return answer;
  }

  private take(bytes: Uint8Array, start: number, end: number): HelloReading {
    this.raw += end - start;
    let at = start;
    while (at < end) {
      if (this.recordLeft === 0) {
        this.head[this.headLength++] = bytes[at++]!;
        const fault = this.headFault();
        if (fault !== null) return { kind: 'fault', fault };
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
    return this.raw > CLIENT_HELLO_RAW_BYTES_MAX ? { kind: 'fault', fault: 'too-long' } : MORE;
  }

  private headFault(): HelloFault | null {
    const { head, headLength } = this;
    if (headLength === 1 && head[0] !== HANDSHAKE) return this.length === 0 ? 'not-tls' : 'malformed';
    if (headLength === 2 && head[1] !== 3) return this.length === 0 ? 'not-tls' : 'malformed';
    if (headLength < RECORD_HEAD_BYTES) return null;
    const bytes = head.readUInt16BE(3);
    // An empty fragment of a handshake is forbidden (RFC 8446 §5.1), and would be a way to send for ever and say nothing.
    return bytes === 0 || bytes > RECORD_BYTES_MAX ? 'malformed' : null;
  }

  private append(bytes: Uint8Array, start: number, end: number): void {
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
    if (message[0] !== CLIENT_HELLO) return { kind: 'fault', fault: 'malformed' };
    if (length < MESSAGE_HEAD_BYTES) return null;
    const end = MESSAGE_HEAD_BYTES + message.readUIntBE(1, 3);
    if (end > CLIENT_HELLO_BYTES_MAX) return { kind: 'fault', fault: 'too-long' };
    if (length < end) return null;
    const hello = readHello(message.subarray(MESSAGE_HEAD_BYTES, end));
    return hello === null ? { kind: 'fault', fault: 'malformed' } : { kind: 'hello', hello };
  }
}

/** Walks over fields with lengths; `ok` is false from the first that goes over the end. */
class Fields {
  readonly bytes: Buffer;
  at = 0;
  ok = true;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  number(size: 1 | 2): number {
    if (this.at + size > this.bytes.length) return this.fail();
    const value = size === 1 ? this.bytes[this.at]! : this.bytes.readUInt16BE(this.at);
    this.at += size;
    return value;
  }

  skip(count: number): void {
    if (this.at + count > this.bytes.length) this.fail();
    else this.at += count;
  }

  /** A field whose length stands before it. */
  block(size: 1 | 2): Fields {
    const length = this.number(size);
    const start = this.at;
    this.skip(length);
    return new Fields(this.ok ? this.bytes.subarray(start, start + length) : this.bytes.subarray(0, 0));
  }

  private fail(): 0 {
    this.ok = false;
    this.at = this.bytes.length;
    return 0;
  }
}

function readHello(bytes: Buffer): ClientHello | null {
  const fields = new Fields(bytes);
  const legacyVersion = fields.number(2);
  fields.skip(32);
  if (fields.block(1).bytes.length > 32) return null;
  const ciphers = numbers(fields.block(2));
  const compressions = fields.block(1);
  if (!fields.ok || ciphers === null || compressions.done) return null;
  const found: Extensions = { kinds: [], versions: [], signatures: [], sni: null, alpn: [], firstAlpn: null };
  if (!fields.done) {
    const extensions = fields.block(2);
    if (!fields.ok || !fields.done || !readExtensions(extensions, found)) return null;
  }
  const { kinds, ...said } = found;
  return { legacyVersion, ciphers, extensions: kinds, ...said };
}

interface Extensions {
  readonly kinds: number[];
  versions: readonly number[];
  signatures: readonly number[];
  sni: string | null;
  alpn: readonly string[];
  firstAlpn: Buffer | null;
}

/** False for what no client may send. */
function readExtensions(fields: Fields, found: Extensions): boolean {
  const seen = new Set<number>();
  while (!fields.done) {
    const kind = fields.number(2);
    const body = fields.block(2);
    if (!fields.ok || seen.has(kind)) return false;
    seen.add(kind);
    if (isGrease(kind)) continue;
    found.kinds.push(kind);
    if (!readExtension(kind, body, found)) return false;
  }
  return fields.ok;
}

function readExtension(kind: number, body: Fields, found: Extensions): boolean {
  switch (kind) {
    case SNI:
      return readServerName(body, found);
    case ALPN:
      return readProtocols(body, found);
    case SIGNATURE_ALGORITHMS: {
      const list = numbers(body.block(2));
      if (list === null) return false;
      found.signatures = list;
      return body.ok && body.done;
    }
    case SUPPORTED_VERSIONS: {
      const list = numbers(body.block(1));
      if (list === null) return false;
      found.versions = list;
      return body.ok && body.done;
    }
    default:
      return true;
  }
}

/** RFC 6066 §3: one name of kind 0. A name that could be none in DNS is refused, since servers may read it in ways of their own. */
function readServerName(body: Fields, found: Extensions): boolean {
  const list = body.block(2);
  if (!body.ok || !body.done || list.done) return false;
  while (!list.done) {
    const kind = list.number(1);
    const name = list.block(2);
    if (!list.ok) return false;
    if (kind !== 0) continue;
    if (found.sni !== null) return false;
    const text = name.bytes.toString('latin1').toLowerCase().replace(/\.$/, '');
    if (!HOST_NAME.test(text)) return false;
    found.sni = text;
  }
  return true;
}

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*$/;

function readProtocols(body: Fields, found: Extensions): boolean {
  const list = body.block(2);
  if (!body.ok || !body.done || list.done) return false;
  const names: string[] = [];
  while (!list.done) {
    const { bytes } = list.block(1);
    if (!list.ok || bytes.length === 0) return false;
    found.firstAlpn ??= Buffer.from(bytes);
    if (bytes.length === 2 && isGrease(bytes.readUInt16BE(0))) continue;
    names.push(bytes.toString('latin1'));
  }
  found.alpn = names;
  return true;
}

/** Numbers of two bytes without GREASE; null where a half one is left. */
function numbers(fields: Fields): number[] | null {
  if (fields.bytes.length % 2 !== 0) return null;
  const list: number[] = [];
  while (!fields.done) {
    const value = fields.number(2);
    if (!isGrease(value)) list.push(value);
  }
  return list;
}

/** RFC 8701: 0x0a0a, 0x1a1a, … 0xfafa. */
export function isGrease(value: number): boolean {
  return (value & 0x0f0f) === 0x0a0a && value >> 8 === (value & 0xff);
}
