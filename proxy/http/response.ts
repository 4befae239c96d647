/**
 * The server's answer on its way to the client: its head is read and composed anew, its body follows as bytes. What it means for the two
 * connections is decided here; what becomes of them is the exchange's business.
 */
import type { HeadEdit } from '../routing/edit.ts';
import { type Chunk, giveChunk, takeChunk } from '../wire/chunks.ts';
import { Held } from '../wire/held.ts';
import type { Wire } from '../wire/wire.ts';
import type { EndedBy } from '../worker/account.ts';
import { ADDED_BYTES_MAX, type ConnectionField, composeResponse } from './compose.ts';
import type { ClientSide } from './exchange-host.ts';
import { Framing } from './framing.ts';
import type { ClientRequest } from './request.ts';
import { ResponseHead } from './response-head.ts';

/** The exchange that the response belongs to: what was asked, and who hears how the answer goes. */
export interface ResponseOwner {
  readonly request: ClientRequest;
  /** The connection that the answer comes by. */
  readonly server: Wire;
  /** What a route does to the head of the final response; null: nothing. */
  readonly responseEdit: HeadEdit | null;
  /** The final response begins. */
  answering(status: number): void;
  countOut(length: number): void;
  countInterim(): void;
  /** The response is whole. With `extra`, the server has sent more than it. */
  complete(extra: boolean): void;
  /** The server has agreed to the upgrade; the bytes are the first of what follows. */
  upgraded(bytes: Buffer, start: number, length: number): void;
  /** No part of it has reached the client. */
  badResponse(fault: string): void;
  /** A part of it has reached the client already, which must not take it for the whole. */
  abort(by: EndedBy, reason: string): void;
}

/** A body part up to this size goes out in one write with its head; a larger one in a write of its own, without the copy. */
const JOINED_BYTES_MAX = 32 * 1024;

/** Scanning is done within one callback, so one of these serves the whole thread. */
const responseHead = new ResponseHead();

export class ServerResponse {
  /** The server's connection can carry another request after this. */
  keepServer: boolean;
  /** And so can the client's. */
  keepClient: boolean;
  private readonly host: ClientSide;
  private readonly owner: ResponseOwner;
  /** Part of a head. */
  private readonly held: Held;
  private readonly body: Framing;
  /** The client does not know the chunked coding, so it gets the payload alone. */
  private unchunked: boolean;

  constructor(host: ClientSide, owner: ResponseOwner) {
    this.keepServer = false;
    this.keepClient = false;
    this.host = host;
    this.owner = owner;
    this.held = new Held();
    this.body = new Framing();
    this.unchunked = false;
  }

  /** Not a byte of it has come, but for interim ones that were whole. */
  get silent(): boolean {
    return this.held.empty;
  }

  /** Only the end of the server's connection ends it. */
  get isUntilClose(): boolean {
    return this.body.isUntilClose;
  }

  /** hot: bytes of the server, up to the end of the head. */
  readHead(fresh: Buffer, freshLength: number): void {
    const { owner, host, held } = this;
    const { limits, timeouts } = host.application;
    let bytes = fresh;
    let length = freshLength;
    if (!held.empty) {
      held.append(fresh, 0, freshLength);
      bytes = held.bytes;
      length = held.length;
    }
    let at = 0;
    let interim: Chunk | null = null;
    for (;;) {
      const fault = responseHead.scan(bytes, at, length, limits.headFields);
      if (fault === 'incomplete') {
        if (length - at > limits.headBytes) owner.badResponse('head-size');
        else {
          this.sendInterim(interim);
          held.keep(bytes, at, length);
        }
        return;
      }
      if (fault !== null) {
        owner.badResponse(fault);
        return;
      }
      const { fields, status } = responseHead;
      if (fields.end - at > limits.headBytes) {
        owner.badResponse('head-size');
        return;
      }
      if (status >= 200 || status === 101) break;
      // RFC 9110 §15.2: interim responses pass, but not to a client of HTTP/1.0. All those of one read go out in one write.
      if (owner.request.clientMinor === 1) {
        interim ??= takeChunk(length - at + ADDED_BYTES_MAX);
        composeResponse(interim, bytes, at, responseHead, fields.end, 'none', true);
        owner.countInterim();
      }
      at = fields.end;
      if (at >= length) {
        this.sendInterim(interim);
        held.drop();
        host.expireIn(owner.request.done ? timeouts.response : timeouts.requestBody);
        return;
      }
    }
    this.sendInterim(interim);
    this.begin(bytes, at, length);
    held.drop();
  }

  /** hot: more of the body. */
  forward(bytes: Buffer, start: number, length: number): void {
    const { owner, body } = this;
    if (this.unchunked && body.isChunked) {
      this.forwardPayload(bytes, start, length);
      return;
    }
    const end = body.measure(bytes, start, length, null);
    if (end < 0) {
      owner.abort('server', 'bad chunked coding');
      return;
    }
    if (end > start) {
      owner.countOut(end - start);
      this.host.client.relay(owner.server, bytes, start, end);
    }
    if (body.done) owner.complete(end < length);
  }

  /** The exchange is over: what was held is of no more use. */
  drop(): void {
    this.held.drop();
  }

  /** A server may send as many as it likes, so the client's taking them holds it back. */
  private sendInterim(chunk: Chunk | null): void {
    if (chunk === null) return;
    const { client } = this.host;
    this.owner.countOut(chunk.length);
    client.writeChunk(chunk);
    if (client.pending > 0) this.owner.server.pause();
  }

  /** hot: a final response: its head, and what is there of its body, go to the client. */
  private begin(bytes: Buffer, start: number, length: number): void {
    const { owner, host, body } = this;
    const { fields, status, minor } = responseHead;
    if (status === 101 && !(owner.request.upgrading && fields.upgrade && fields.upgradeEnd > fields.upgradeStart)) {
      owner.badResponse('upgrade-not-asked-for');
      return;
    }
    const upgraded = status === 101;
    const bodyless = owner.request.isHead || status === 204 || status === 304 || upgraded;
    if (bodyless) body.sized(0);
    else if (fields.chunked) body.chunked();
    else if (fields.contentLength >= 0) body.sized(fields.contentLength);
    else body.untilClose();
    this.unchunked = fields.chunked && owner.request.clientMinor === 0;
    this.keepServer = !fields.close && (minor === 1 || fields.keepAlive) && owner.request.done && !body.isUntilClose && !upgraded;
    // RFC 9112 §6.1, RFC 9110 §8.6: these have no body, and may not speak of one. A client that believed the field would wait for it.
    const unframed = this.unchunked || upgraded || status === 204;
    this.keepClient =
      owner.request.wantsKeep && owner.request.done && !body.isUntilClose && !(this.unchunked && !bodyless) && !host.closing;
    const connection: ConnectionField = upgraded
      ? 'upgrade'
      : !this.keepClient
        ? 'close'
        : owner.request.clientMinor === 0
          ? 'keep-alive'
          : 'none';
    const bodyStart = fields.end;
    const joined = !this.unchunked && length - bodyStart <= JOINED_BYTES_MAX && !upgraded;
    const bodyEnd = joined ? body.measure(bytes, bodyStart, length, null) : bodyStart;
    if (bodyEnd < 0) {
      owner.badResponse('bad-coding');
      return;
    }
    owner.answering(status);
    let chunk = takeChunk(bodyEnd - start + ADDED_BYTES_MAX);
    composeResponse(chunk, bytes, start, responseHead, bodyEnd, connection, unframed);
    if (owner.responseEdit !== null) {
      const composed = chunk;
      chunk = owner.responseEdit.applied(composed, null);
      giveChunk(composed);
    }
    owner.countOut(chunk.length);
    if (joined && body.done && this.keepClient) {
      host.client.post(chunk);
      giveChunk(chunk);
    } else host.client.writeChunk(chunk);
    if (upgraded) owner.upgraded(bytes, bodyStart, length);
    else if (joined) {
      if (body.done) owner.complete(bodyEnd < length);
      else {
        host.expireIn(host.application.timeouts.response);
        if (host.client.pending > 0) owner.server.pause();
      }
    } else this.forward(bytes, bodyStart, length);
  }

  /** Payload alone, for a client that does not know the coding. In one write: a server may send chunks of a byte each. */
  private forwardPayload(bytes: Buffer, start: number, length: number): void {
    const { owner, body } = this;
    const { client } = this.host;
    const payload = takeChunk(length - start);
    const end = body.measure(bytes, start, length, (from, to) => {
      payload.length += bytes.copy(payload.bytes, payload.length, from, to);
    });
    if (end < 0) {
      giveChunk(payload);
      owner.abort('server', 'bad chunked coding');
      return;
    }
    owner.countOut(payload.length);
    if (payload.length > 0) client.writeChunk(payload);
    else giveChunk(payload);
    if (body.done) owner.complete(end < length);
    else if (client.pending > 0) owner.server.pause();
  }
}
