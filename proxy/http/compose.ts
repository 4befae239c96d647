/**
 * Puts heads together as they go on: the received one without its hop-by-hop fields, in runs of bytes, and what this hop has to say.
 */
import type { Chunk } from '../wire/chunks.ts';
import type { Fields } from './fields.ts';
import type { ForwardedWords } from './hops.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseHead } from './response-head.ts';

/** What composing can add to a head at most, beyond the head itself: forwarding fields name the host twice. */
export const ADDED_BYTES_MAX = 1_536;

/**
 * The forwarding fields of one client connection (RFC 7239; X-Forwarded-* by custom), kept ready for the host that it asked for last. What
 * a client says in such fields itself is dropped, since nothing vouches for it; what a trusted proxy says goes on, with this hop behind it.
 */
export class Forwarding {
  /** The host of the last request, as sent. */
  host: Buffer = EMPTY;
  private fields: Buffer = EMPTY;
  private readonly source: string;
  private readonly scheme: 'http' | 'https';
  private words: ForwardedWords | null = null;

  /** `source`: address without port; brackets around IPv6 are put where the field wants them. `scheme`: what the client speaks to us. */
  constructor(source: string, scheme: 'http' | 'https' = 'http') {
    this.source = source;
    this.scheme = scheme;
  }

  /** What a trusted proxy says of the request that comes next; no more than it said can come of it. */
  follow(words: ForwardedWords | null): void {
    this.words = words;
    this.fields = EMPTY;
  }

  /** hot: fields and the empty line for a request to bytes[start, end). */
  fieldsFor(bytes: Buffer, start: number, end: number): Buffer {
    const host = this.host;
    if (host.length === end - start) {
      let i = 0;
      while (i < host.length && host[i] === bytes[start + i]) i++;
      if (i === host.length && this.fields.length > 0) return this.fields;
    }
    const name = bytes.toString('latin1', start, end);
    this.host = Buffer.from(name, 'latin1');
    const { scheme, words } = this;
    const source = this.source === '' ? 'unknown' : this.source;
    const forElement = source.includes(':') ? `"[${source}]"` : source;
    const hostElement = /^[A-Za-z0-9._~!#$%&'*+^`|-]+$/.test(name) ? name : `"${name}"`;
    const own = `for=${forElement};host=${hostElement};proto=${scheme}`;
    const [chain, proto, asked, forwarded] =
      words === null
        ? [source, scheme, name, own]
        : [behind(words.for, source), words.proto ?? scheme, words.host ?? name, behind(words.forwarded, own)];
    this.fields = Buffer.from(
      `X-Forwarded-For: ${chain}\r\nX-Forwarded-Proto: ${proto}\r\nX-Forwarded-Host: ${asked}\r\nForwarded: ${forwarded}\r\n\r\n`,
      'latin1',
    );
    return this.fields;
  }
}

/** What this hop says, behind what those before it have said. */
function behind(said: string | null, own: string): string {
  return said === null ? own : `${said}, ${own}`;
}

/** hot: the request as the server gets it, at the front of an empty chunk with room for it. Leaves positions of its text in `text`. */
export function composeRequest(
  chunk: Chunk,
  bytes: Buffer,
  head: RequestHead,
  forwarding: Forwarding,
  defaultHost: Buffer,
  upgrade: boolean,
  text: RequestPositions,
): void {
  const { fields } = head;
  const out = chunk.bytes;
  const absolute = head.authorityEnd > head.authorityStart;
  let at = 0;
  // Request line and fields stand together, so a head that needs no change at its front is copied in one go.
  let fieldsFrom = head.methodStart;
  if (absolute || head.minor === 0) {
    fieldsFrom = head.fieldsStart;
    at = bytes.copy(out, 0, head.methodStart, head.methodEnd);
    out[at++] = 0x20;
    if (head.emptyPath) out[at++] = 0x2f;
    at += bytes.copy(out, at, head.targetStart, head.targetEnd);
    at += HTTP_11.copy(out, at);
  }
  text.methodEnd = head.methodEnd - head.methodStart;
  text.pathStart = text.methodEnd + 1;
  text.pathEnd = text.pathStart + head.targetEnd - head.targetStart + (head.emptyPath ? 1 : 0);
  let host = bytes;
  let hostStart = fields.hostStart;
  let hostEnd = fields.hostEnd;
  if (absolute) {
    // RFC 9112 §3.2.2: the authority of the target is the host, whatever Host says.
    hostStart = head.authorityStart;
    hostEnd = head.authorityEnd;
    at += HOST.copy(out, at);
    at += bytes.copy(out, at, hostStart, hostEnd);
    at += CRLF.copy(out, at);
    at = copyFields(out, at, bytes, fieldsFrom, fields.end - 2, fields, fields.hostLineStart, fields.hostLineEnd);
  } else if (fields.hostCount === 0) {
    // HTTP/1.0 without Host: the next hop speaks HTTP/1.1 and must have one.
    host = defaultHost;
    hostStart = 0;
    hostEnd = defaultHost.length;
    at += HOST.copy(out, at);
    at += defaultHost.copy(out, at);
    at += CRLF.copy(out, at);
    at = copyFields(out, at, bytes, fieldsFrom, fields.end - 2, fields, 0, 0);
  } else at = copyFields(out, at, bytes, fieldsFrom, fields.end - 2, fields, 0, 0);
  if (upgrade) {
    at += UPGRADE.copy(out, at);
    at += bytes.copy(out, at, fields.upgradeStart, fields.upgradeEnd);
    at += CRLF.copy(out, at);
  }
  const forwarded = forwarding.fieldsFor(host, hostStart, hostEnd);
  out.set(forwarded, at);
  chunk.length = at + forwarded.length;
}

export interface RequestPositions {
  methodEnd: number;
  pathStart: number;
  pathEnd: number;
}

export type ConnectionField = 'none' | 'close' | 'keep-alive' | 'upgrade';

/**
 * hot: the response as the client gets it, behind what the chunk already holds: head, and the body bytes up to `end` that stand behind
 * it. `unframed`: without the line that frames the body.
 */
export function composeResponse(
  chunk: Chunk,
  bytes: Buffer,
  start: number,
  head: ResponseHead,
  end: number,
  connection: ConnectionField,
  unframed: boolean,
): void {
  const { fields } = head;
  const out = chunk.bytes;
  let at = chunk.length;
  let fieldsFrom = start;
  if (head.minor === 0) {
    fieldsFrom = head.fieldsStart;
    at += RESPONSE_11.copy(out, at);
    at += bytes.copy(out, at, head.statusStart, head.statusEnd);
    at += CRLF.copy(out, at);
  }
  const skipStart = unframed ? fields.framingStart : 0;
  const skipEnd = unframed ? fields.framingEnd : 0;
  if (connection === 'none') {
    // Nothing to add: status line, fields, empty line and body stand together already.
    chunk.length = copyFields(out, at, bytes, fieldsFrom, end, fields, skipStart, skipEnd);
    return;
  }
  at = copyFields(out, at, bytes, fieldsFrom, fields.end - 2, fields, skipStart, skipEnd);
  if (connection === 'close') at += CLOSE.copy(out, at);
  else if (connection === 'keep-alive') at += KEEP_ALIVE.copy(out, at);
  else {
    at += UPGRADE.copy(out, at);
    at += bytes.copy(out, at, fields.upgradeStart, fields.upgradeEnd);
    at += CRLF.copy(out, at);
  }
  chunk.length = at + bytes.copy(out, at, fields.end - 2, end);
}

/** Copies [start, end) but for the field lines that are dropped, and [skipStart, skipEnd), in as few runs as there are. Answers the new position. */
function copyFields(
  out: Buffer,
  position: number,
  bytes: Buffer,
  start: number,
  end: number,
  fields: Fields,
  skipStart: number,
  skipEnd: number,
): number {
  const { drops } = fields;
  let at = position;
  let from = start;
  let drop = 0;
  let skip = skipEnd > skipStart;
  for (;;) {
    let nextStart = drop < fields.dropCount ? drops[drop * 2]! : end;
    let nextEnd = drop < fields.dropCount ? drops[drop * 2 + 1]! : end;
    if (skip && skipStart < nextStart) {
      nextStart = skipStart;
      nextEnd = skipEnd;
      skip = false;
    } else drop++;
    if (nextStart > from) at += bytes.copy(out, at, from, nextStart);
    if (nextStart >= end) return at;
    from = nextEnd;
  }
}

const EMPTY = Buffer.alloc(0);
const CRLF = Buffer.from('\r\n');
const HTTP_11 = Buffer.from(' HTTP/1.1\r\n');
const RESPONSE_11 = Buffer.from('HTTP/1.1 ');
const HOST = Buffer.from('Host: ');
const UPGRADE = Buffer.from('Connection: upgrade\r\nUpgrade: ');
const CLOSE = Buffer.from('Connection: close\r\n');
const KEEP_ALIVE = Buffer.from('Connection: keep-alive\r\n');
