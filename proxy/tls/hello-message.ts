/**
 * Reads a ClientHello (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2) in place. A node has few kinds of clients: what depends on the kind alone, its
 * fingerprint included, is kept and shared by all hellos that say the same; only the name that is asked for is read anew.
 */
import { type Alert, DECODE_ERROR, ILLEGAL_PARAMETER } from './alert.ts';
import { type Abilities, type ClientHello, isGrease } from './hello.ts';
import { ja4Of } from './ja4.ts';

/** The message itself. Those of browsers take 0.5 to 2 KiB, with post-quantum key shares and large tickets up to 4. */
export const CLIENT_HELLO_BYTES_MAX = 16 * 1024;

const SNI = 0;
const SIGNATURE_ALGORITHMS = 13;
const ALPN = 16;
const SUPPORTED_VERSIONS = 43;
const RANDOM_BYTES = 32;
const SESSION_BYTES_MAX = 32;
/** Up to here insertion sorts faster than anything general; clients send about 20 extensions. */
const INSERTION_MAX = 64;

/** Kinds of clients that are kept, of 1 to 4 KiB each; when there are more, all are made anew. */
const KINDS_MAX = 512;
/** A kind that takes more words than this to tell from others is not kept; those of browsers take 100. */
const KIND_WORDS_MAX = 512;

interface Kind extends Abilities {
  readonly ja4: string;
}

const kinds = new Map<string, Kind>();

/** Where a field stands in the message; empty for none. */
interface Span {
  start: number;
  end: number;
}

/** Reads on from `at`. What would go over the end fails, and everything after it does too. */
class Cursor {
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  end = 0;
  ok = true;

  begin(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    this.ok = true;
  }

  byte(): number {
    if (this.at < this.end) return this.bytes[this.at++]!;
    this.skip(1);
    return 0;
  }

  word(): number {
    const { at } = this;
    this.skip(2);
    return this.ok ? (this.bytes[at]! << 8) | this.bytes[at + 1]! : 0;
  }

  skip(count: number): void {
    this.at += count;
    if (this.at > this.end) {
      this.at = this.end;
      this.ok = false;
    }
  }
}

/** One message is read at a time, from its begin to its end, so these serve all. */
const cursor = new Cursor();
const versions: Span = { start: 0, end: 0 };
const ciphers: Span = { start: 0, end: 0 };
const signatures: Span = { start: 0, end: 0 };
const protocols: Span = { start: 0, end: 0 };
let sni: string | null = null;
/** What the client of a message that is none is told. */
let alert: Alert = DECODE_ERROR;
/** Kinds of extensions as they came: each takes 4 bytes of the message at least. */
const extensions = new Uint16Array(CLIENT_HELLO_BYTES_MAX / 4);
let extensionCount = 0;
/** A bit for each of them; all are 0 between two messages. */
const seen = new Uint32Array(2 ** 16 / 32);
/** What the client can do: its version, then each list behind its count, then the protocols with a word for each byte. */
const said = new Uint16Array(CLIENT_HELLO_BYTES_MAX);
const saidBytes = Buffer.from(said.buffer);

/** hot: the message in [start, end), without its own head and shorter than `CLIENT_HELLO_BYTES_MAX`; an alert for what no client may send. */
export function readHello(bytes: Buffer, start: number, end: number): ClientHello | Alert {
  cursor.begin(bytes, start, end);
  versions.start = versions.end = signatures.start = signatures.end = protocols.start = protocols.end = 0;
  sni = null;
  alert = DECODE_ERROR;
  extensionCount = 0;
  const legacyVersion = cursor.word();
  cursor.skip(RANDOM_BYTES);
  const session = cursor.byte();
  if (session > SESSION_BYTES_MAX) return alert;
  cursor.skip(session);
  const isListGood = readWords(ciphers, cursor.word(), end);
  const compressions = cursor.byte();
  cursor.skip(compressions);
  if (!isListGood || !cursor.ok || compressions === 0) return alert;
  const isGood = cursor.at === end || (cursor.word() === end - cursor.at && cursor.ok && readExtensions(end));
  for (let i = 0; i < extensionCount; i++) seen[extensions[i]! >> 5] = 0;
  if (!isGood) return alert;
  const { versions: spoken, ciphers: suites, extensions: sent, signatures: schemes, alpn, firstAlpn, ja4 } = kindOf(legacyVersion);
  return { legacyVersion, versions: spoken, ciphers: suites, extensions: sent, signatures: schemes, alpn, firstAlpn, sni, ja4 };
}

/** Takes a list of words that is `length` bytes long; false where it goes over the end, or half a word is left. */
function readWords(span: Span, length: number, end: number): boolean {
  span.start = cursor.at;
  cursor.skip(length);
  span.end = cursor.at;
  return cursor.ok && cursor.at <= end && length % 2 === 0;
}

/** False for what no client may send. */
function readExtensions(end: number): boolean {
  while (cursor.at < end) {
    const kind = cursor.word();
    const length = cursor.word();
    const bodyEnd = cursor.at + length;
    if (!cursor.ok || bodyEnd > end) return false;
    const bit = 1 << (kind & 31);
    if ((seen[kind >> 5]! & bit) !== 0) return illegal();
    seen[kind >> 5]! |= bit;
    extensions[extensionCount++] = kind;
    if (!isGrease(kind) && !readExtension(kind, bodyEnd)) return false;
    cursor.at = bodyEnd;
  }
  return true;
}

/** It can be read, and must not be. */
function illegal(): false {
  alert = ILLEGAL_PARAMETER;
  return false;
}

function readExtension(kind: number, end: number): boolean {
  switch (kind) {
    case SNI:
      return readServerName(end);
    case ALPN:
      return readProtocols(end);
    case SIGNATURE_ALGORITHMS:
      return readWords(signatures, cursor.word(), end) && cursor.at === end;
    case SUPPORTED_VERSIONS:
      return readWords(versions, cursor.byte(), end) && cursor.at === end && versions.end > versions.start;
    default:
      return true;
  }
}

/** RFC 6066 §3: one name of kind 0. A name that could be none in DNS is refused, since servers may read it in ways of their own. */
function readServerName(end: number): boolean {
  if (cursor.word() !== end - cursor.at || cursor.at >= end) return false;
  while (cursor.at < end) {
    const kind = cursor.byte();
    const length = cursor.word();
    const start = cursor.at;
    cursor.skip(length);
    if (!cursor.ok || cursor.at > end) return false;
    if (kind !== 0) continue;
    if (sni !== null) return illegal();
    if (length === 0) return false;
    const text = cursor.bytes.toString('latin1', start, cursor.at).toLowerCase();
    const dotless = text.endsWith('.') ? text.slice(0, -1) : text;
    if (!HOST_NAME.test(dotless)) return illegal();
    sni = dotless;
  }
  return true;
}

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*$/;

/** RFC 7301 §3.1: at least one, and none that is empty. */
function readProtocols(end: number): boolean {
  if (cursor.word() !== end - cursor.at || cursor.at >= end) return false;
  protocols.start = cursor.at;
  while (cursor.at < end) {
    const length = cursor.byte();
    cursor.skip(length);
    if (length === 0 || cursor.at > end) return false;
  }
  protocols.end = end;
  return true;
}

/** hot: what the message that was just read says of its client. */
function kindOf(legacyVersion: number): Kind {
  let at = 0;
  said[at++] = legacyVersion;
  at = sayWords(at, versions);
  at = sayWords(at, ciphers);
  at = sayExtensions(at);
  at = sayWords(at, signatures);
  for (let i = protocols.start; i < protocols.end; i++) said[at++] = cursor.bytes[i]!;
  if (at > KIND_WORDS_MAX) return makeKind(at);
  const key = saidBytes.toString('latin1', 0, 2 * at);
  const known = kinds.get(key);
  if (known !== undefined) return known;
  const kind = makeKind(at);
  if (kinds.size >= KINDS_MAX) kinds.clear();
  kinds.set(key, kind);
  return kind;
}

function sayWords(at: number, { start, end }: Span): number {
  const { bytes } = cursor;
  let to = at + 1;
  for (let i = start; i < end; i += 2) {
    const value = (bytes[i]! << 8) | bytes[i + 1]!;
    if (!isGrease(value)) said[to++] = value;
  }
  said[at] = to - at - 1;
  return to;
}

function sayExtensions(at: number): number {
  let to = at + 1;
  for (let i = 0; i < extensionCount; i++) {
    const value = extensions[i]!;
    if (isGrease(value)) continue;
    let place = to++;
    if (extensionCount <= INSERTION_MAX) for (; place > at + 1 && said[place - 1]! > value; place--) said[place] = said[place - 1]!;
    said[place] = value;
  }
  if (extensionCount > INSERTION_MAX) said.subarray(at + 1, to).sort();
  said[at] = to - at - 1;
  return to;
}

/** Of the first `end` words of what is said. */
function makeKind(end: number): Kind {
  let at = 1;
  const list = () => {
    const start = at + 1;
    at = start + said[at]!;
    return [...said.subarray(start, at)];
  };
  const abilities = { legacyVersion: said[0]!, versions: list(), ciphers: list(), extensions: list(), signatures: list() };
  const alpn: string[] = [];
  let firstAlpn: Buffer | null = null;
  while (at < end) {
    const bytes = Buffer.from(said.subarray(at + 1, at + 1 + said[at]!));
    at += 1 + said[at]!;
    firstAlpn ??= bytes;
    if (bytes.length !== 2 || !isGrease(bytes.readUInt16BE(0))) alpn.push(bytes.toString('latin1'));
  }
  const kind: Abilities = { ...abilities, alpn, firstAlpn };
  return { ...kind, ja4: ja4Of(kind) };
}
