/** A client's request as it is sent on: composed once from its head, and kept to its end, for the journal, and to be sent again. */
import type { HeadEdit } from '../routing/edit.ts';
import { type Chunk, giveChunk, takeChunk } from '../wire/chunks.ts';
import type { RequestText } from '../worker/account.ts';
import { ADDED_BYTES_MAX, composeRequest, type Forwarding } from './compose.ts';
import { Framing } from './framing.ts';
import { type RequestHead, spellsExactly } from './request-head.ts';

/** One request after the other, of one client connection. */
export class ClientRequest implements RequestText {
  methodEnd: number;
  pathStart: number;
  pathEnd: number;
  clientMinor: number;
  /** The client would like to keep its connection. */
  wantsKeep: boolean;
  isHead: boolean;
  /** It asks for an upgrade that is passed on. */
  upgrading: boolean;
  /** As composed; null between requests. */
  chunk: Chunk | null;
  /** As it goes to the server, where a route has changed it. */
  private changed: Chunk | null;
  private readonly forwarding: Forwarding;
  private readonly body: Framing;
  private idempotent: boolean;
  /** All of it is in `chunk`. */
  private kept: boolean;

  constructor(forwarding: Forwarding) {
    this.methodEnd = 0;
    this.pathStart = 0;
    this.pathEnd = 0;
    this.clientMinor = 1;
    this.wantsKeep = false;
    this.isHead = false;
    this.upgrading = false;
    this.chunk = null;
    this.changed = null;
    this.forwarding = forwarding;
    this.body = new Framing();
    this.idempotent = false;
    this.kept = false;
  }

  /** What the journal shows. */
  get bytes(): Buffer {
    return this.chunk!.bytes;
  }

  get hostName(): Buffer {
    return this.forwarding.host;
  }

  /** Its last byte has come. */
  get done(): boolean {
    return this.body.done;
  }

  /** All of it is there to be sent again. */
  get isKept(): boolean {
    return this.kept;
  }

  /** It can be sent once more although a server may have seen it. */
  get repeatable(): boolean {
    return this.kept && this.idempotent;
  }

  /**
   * hot: takes a request over from a scanned head and what is there of its body. Answers where in `bytes` the request ends (so far); -1 where
   * its chunked coding is broken from the start.
   */
  compose(bytes: Buffer, length: number, head: RequestHead, defaultHost: Buffer): number {
    const { body } = this;
    const { fields } = head;
    const bodyStart = fields.end;
    this.isHead = spellsExactly(bytes, head.methodStart, head.methodEnd, 'HEAD');
    this.idempotent = this.isHead || isIdempotent(bytes, head.methodStart, head.methodEnd);
    this.clientMinor = head.minor;
    this.wantsKeep = head.minor === 1 ? !fields.close : fields.keepAlive && !fields.close;
    if (fields.chunked) body.chunked();
    else body.sized(Math.max(0, fields.contentLength));
    // An upgrade of a request with a body would have to wait for its end; nobody does that, and h2c would step around every rule on requests.
    this.upgrading =
      fields.upgrade &&
      fields.upgradeEnd > fields.upgradeStart &&
      body.done &&
      head.minor === 1 &&
      isUpgradable(bytes, fields.upgradeStart, fields.upgradeEnd);
    const bodyEnd = body.measure(bytes, bodyStart, length, null);
    if (bodyEnd < 0) return -1;
    const chunk = takeChunk(bodyEnd - head.methodStart + ADDED_BYTES_MAX);
    composeRequest(chunk, bytes, head, this.forwarding, defaultHost, this.upgrading, this);
    if (bodyEnd > bodyStart) chunk.length += bytes.copy(chunk.bytes, chunk.length, bodyStart, bodyEnd);
    this.chunk = chunk;
    this.kept = body.done;
    return bodyEnd;
  }

  /** hot: follows more of the body, which is not kept. Answers where it ends within the bytes; -1 where its coding is broken. */
  more(bytes: Buffer, start: number, length: number): number {
    const end = this.body.measure(bytes, start, length, null);
    if (end >= 0) this.kept = false;
    return end;
  }

  /** What the server gets. */
  get outgoing(): Chunk {
    return this.changed ?? this.chunk!;
  }

  /** A route changes what the server gets; what is judged and recorded stays as it came. */
  rewrite(edit: HeadEdit, firstLine: string | null): void {
    this.changed = edit.applied(this.chunk!, firstLine);
  }

  drop(): void {
    if (this.chunk !== null) giveChunk(this.chunk);
    if (this.changed !== null) giveChunk(this.changed);
    this.chunk = this.changed = null;
  }
}

/** RFC 9110 §9.2.2. */
function isIdempotent(bytes: Buffer, start: number, end: number): boolean {
  for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']) if (spellsExactly(bytes, start, end, method)) return true;
  return false;
}

/** Anything but HTTP/2 (`h2c`, and lists that contain it). */
function isUpgradable(bytes: Buffer, start: number, end: number): boolean {
  return !/\bh2c?\b/i.test(bytes.toString('latin1', start, end));
}
