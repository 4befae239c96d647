/**
 * One request and its response: sent to a server, answered to the client, accounted for. A connection has one exchange, which serves
 * its requests one after the other; so a request allocates next to nothing.
 */
import type { Candidate, PoolBalancer, SourceWords } from '../balance/pool.ts';
import type { PlannedApplication } from '../node/plan.ts';
import type { DialResult } from '../observe/view.ts';
import * as ledger from '../shared/ledger.ts';
import { type Chunk, giveChunk, SMALL_BYTES, takeChunk } from '../wire/chunks.ts';
import { type Dial, dial } from '../wire/dial.ts';
import type { Wire } from '../wire/wire.ts';
import { closeFlow, type EndedBy, Flow, type Party, type RequestText } from '../worker/account.ts';
import type { Context } from '../worker/context.ts';
import type { ListenerPlace } from '../worker/session.ts';
import { ChunkScanner } from './chunked.ts';
import { ADDED_BYTES_MAX, type ConnectionField, composeRequest, composeResponse, type Forwarding } from './compose.ts';
import { type ReplyError, reply } from './reply.ts';
import { type RequestHead, spellsExactly } from './request-head.ts';
import { ResponseHead } from './response-head.ts';
import { Upstream, type UpstreamUser } from './upstreams.ts';

/** The client connection that an exchange belongs to. */
export interface ExchangeHost {
  readonly context: Context;
  readonly client: Wire;
  readonly listener: ListenerPlace;
  readonly party: Party;
  readonly source: SourceWords;
  readonly forwarding: Forwarding;
  readonly application: PlannedApplication;
  readonly pool: PoolBalancer;
  /** Bytes of the client behind the request, if any were read; theirs who asks. */
  takeHeld(): Chunk | null;
  /** Sets the connection's one deadline, in milliseconds from now. */
  expireIn(milliseconds: number): void;
  /** The exchange is over; the connection may carry another, or is to be closed once everything is sent. */
  exchangeDone(keep: boolean): void;
  /** The exchange is over, and the connection with it: at once. */
  exchangeBroken(): void;
}

const NONE = 0;
const DIALLING = 1;
const AWAITING = 2;
const BODY = 3;
const TUNNEL = 4;

/** A body part up to this size goes out in one write with its head; a larger one in a write of its own, without the copy. */
const JOINED_BYTES_MAX = 32 * 1024;

/** Scanning is done within one callback, so one of these serves the whole thread. */
const responseHead = new ResponseHead();

export class Exchange implements UpstreamUser, RequestText {
  readonly flow = new Flow();
  private readonly host: ExchangeHost;
  private phase: number = NONE;
  /** The request as composed: kept to the end, for the journal, and to be sent again. */
  private request: Chunk | null = null;
  methodEnd = 0;
  pathStart = 0;
  pathEnd = 0;
  private clientMinor = 1;
  private wantsKeep = false;
  private isHead = false;
  private repeatable = false;
  private upgrade = false;
  /** Bytes of the request body still to come; -1: chunked. */
  private requestRemaining = 0;
  private readonly requestChunks = new ChunkScanner();
  requestDone = true;
  /** The whole request is in `request`. */
  private replayable = false;

  private candidate: Candidate | null = null;
  private tried: number[] | null = null;
  private upstream: Upstream | null = null;
  private dialling: Dial | null = null;
  private reused = false;

  private heldResponse: Chunk | null = null;
  /** Bytes of the response body still to come; -1: chunked, -2: until the server closes. */
  private responseRemaining = 0;
  private readonly responseChunks = new ChunkScanner();
  private keepServer = false;
  private keepClient = false;
  private unchunked = false;
  responseStarted = false;

  constructor(host: ExchangeHost) {
    this.host = host;
  }

  get active(): boolean {
    return this.request !== null;
  }

  get tunnelled(): boolean {
    return this.phase === TUNNEL;
  }

  /** RequestText: what the journal shows. */
  get bytes(): Buffer {
    return this.request!.bytes;
  }

  get hostName(): Buffer {
    return this.host.forwarding.host;
  }

  // --- the request ---------------------------------------------------------------------------------------------------------------

  /**
   * hot: takes a request over from a scanned head and what is there of its body. Answers where in `bytes` the request ends (so far); -1 where
   * its chunked coding is broken from the start.
   */
  prepare(bytes: Buffer, length: number, head: RequestHead, defaultHost: Buffer): number {
    const { fields } = head;
    const bodyStart = fields.end;
    this.isHead = spellsExactly(bytes, head.methodStart, head.methodEnd, 'HEAD');
    this.repeatable = this.isHead || isIdempotent(bytes, head.methodStart, head.methodEnd);
    this.clientMinor = head.minor;
    this.wantsKeep = head.minor === 1 ? !fields.close : fields.keepAlive && !fields.close;
    this.requestRemaining = fields.chunked ? -1 : Math.max(0, fields.contentLength);
    this.requestDone = this.requestRemaining === 0;
    if (fields.chunked) this.requestChunks.reset();
    // An upgrade of a request with a body would have to wait for its end; nobody does that, and h2c would step around every rule on requests.
    this.upgrade =
      fields.upgrade &&
      fields.upgradeEnd > fields.upgradeStart &&
      this.requestDone &&
      head.minor === 1 &&
      isUpgradable(bytes, fields.upgradeStart, fields.upgradeEnd);
    const bodyEnd = this.measureRequest(bytes, bodyStart, length);
    if (bodyEnd < 0) return -1;
    const chunk = takeChunk(bodyEnd - head.methodStart + ADDED_BYTES_MAX);
    composeRequest(chunk, bytes, head, this.host.forwarding, defaultHost, this.upgrade, this);
    if (bodyEnd > bodyStart) chunk.length += bytes.copy(chunk.bytes, chunk.length, bodyStart, bodyEnd);
    this.request = chunk;
    this.replayable = this.requestDone;
    this.tried = null;
    this.responseStarted = false;
    this.reused = false;
    return bodyEnd;
  }

  /** The request asks for an upgrade that is passed on. */
  get upgrading(): boolean {
    return this.upgrade;
  }

  /** hot: finds a server and sends the request. */
  send(): void {
    const { context, source } = this.host;
    const { pool } = this.host;
    const candidate = pool.pick(source, context.clock.epoch + context.clock.coarse, this.tried);
    if (candidate === null) {
      this.fail(503, 'no-server', `pool ${pool.plan.name}`);
      return;
    }
    this.candidate = candidate;
    this.flow.server = candidate.label;
    context.serverFlows.add(context.worker, candidate.server.row, 1);
    const idle = context.upstreams.take(candidate.server.row);
    if (idle === null) this.dial();
    else this.attach(idle);
  }

  private dial(): void {
    const { context } = this.host;
    const upstream = new Upstream(context.upstreams, this.candidate!.server.row);
    this.phase = DIALLING;
    // What more of the body comes waits in the kernel until there is a server for it.
    if (!this.requestDone) this.host.client.pause();
    this.host.pool.counted(context.clock.coarse);
    this.host.expireIn(this.host.application.timeouts.connect);
    this.dialling = dial(this.candidate!.server.target, upstream, (wire, result) => {
      this.dialling = null;
      context.servers.dialled(context.worker, upstream.row, result);
      if (wire === null) {
        this.dialFailed(result);
        return;
      }
      upstream.wire = wire;
      wire.resume();
      this.attach(upstream);
    });
  }

  private dialFailed(result: DialResult): void {
    const { context } = this.host;
    const failed = this.candidate!;
    this.leaveServer();
    this.host.pool.failed(failed, context.clock.epoch + context.clock.coarse);
    this.tried = [...(this.tried ?? []), failed.server.row];
    if (this.tried.length <= this.host.pool.plan.retries.attempts) {
      if (this.host.pool.mayRetry(context.clock.coarse)) {
        this.send();
        return;
      }
      context.policy.ledger.limit(this.host.listener.application, 'retry-budget');
    }
    this.phase = NONE;
    if (result === 'timeout') this.fail(504, 'dial-timeout', failed.label);
    else this.fail(502, 'dial-failed', `${failed.label} ${result}`);
  }

  /** hot */
  private attach(upstream: Upstream): void {
    const { host } = this;
    upstream.user = this;
    this.upstream = upstream;
    this.reused = upstream.served > 0;
    this.phase = AWAITING;
    const wire = upstream.wire!;
    if (!wire.writeKept(this.request!)) {
      // Not a byte was taken: no server has seen the request, so it can go elsewhere whatever its method.
      this.serverLost(true, wire.error);
      return;
    }
    host.expireIn(this.requestDone ? host.application.timeouts.response : host.application.timeouts.requestBody);
    if (wire.pending > 0 && !this.requestDone) host.client.pause();
    else if (!this.requestDone) host.client.resume();
  }

  /** hot: more of the request body. Answers where it ends within the bytes; -1 where the exchange is over because it was broken. */
  body(bytes: Buffer, start: number, length: number): number {
    const end = this.measureRequest(bytes, start, length);
    if (end < 0) {
      this.refuse(400, 'bad-request', 'chunked coding');
      return -1;
    }
    this.replayable = false;
    const { host } = this;
    const upstream = this.upstream;
    if (upstream !== null && end > start) {
      upstream.wire!.relay(host.client, bytes, start, end);
      host.expireIn(this.requestDone ? host.application.timeouts.response : host.application.timeouts.requestBody);
    }
    return end;
  }

  private measureRequest(bytes: Buffer, start: number, length: number): number {
    let end: number;
    if (this.requestRemaining === -1) {
      if (this.requestChunks.done) return start;
      end = this.requestChunks.scan(bytes, start, length, null);
      if (end < 0) return -1;
      this.requestDone = this.requestChunks.done;
    } else {
      const take = Math.min(this.requestRemaining, length - start);
      this.requestRemaining -= take;
      this.requestDone = this.requestRemaining === 0;
      end = start + take;
    }
    return end;
  }

  // --- the response --------------------------------------------------------------------------------------------------------------

  /** hot */
  upstreamData(bytes: Buffer, length: number): void {
    const { host } = this;
    if (this.phase === BODY) {
      host.expireIn(host.application.timeouts.response);
      this.forward(bytes, 0, length);
    } else if (this.phase === AWAITING) this.readHead(bytes, length);
    else if (this.phase === TUNNEL) {
      host.expireIn(host.application.timeouts.idle);
      this.countOut(length);
      host.client.relay(this.upstream!.wire!, bytes, 0, length);
    }
  }

  private readHead(fresh: Buffer, freshLength: number): void {
    let bytes = fresh;
    let length = freshLength;
    const held = this.heldResponse;
    if (held !== null) {
      const whole = held.length + freshLength > held.size ? this.enlarge(held, held.length + freshLength) : held;
      whole.length += fresh.copy(whole.bytes, whole.length, 0, freshLength);
      bytes = whole.bytes;
      length = whole.length;
    }
    const { limits } = this.host.application;
    let at = 0;
    for (;;) {
      const fault = responseHead.scan(bytes, at, length, limits.headFields);
      if (fault === 'incomplete') {
        if (length - at > limits.headBytes) this.badResponse('head-size');
        else this.holdResponse(bytes, at, length);
        return;
      }
      if (fault !== null) {
        this.badResponse(fault);
        return;
      }
      const { fields, status } = responseHead;
      if (fields.end - at > limits.headBytes) {
        this.badResponse('head-size');
        return;
      }
      if (status >= 200 || status === 101) break;
      // RFC 9110 §15.2: interim responses pass, but not to a client of HTTP/1.0.
      if (this.clientMinor === 1) this.interim(bytes, at);
      at = fields.end;
      if (at >= length) {
        this.dropHeld();
        this.host.expireIn(this.requestDone ? this.host.application.timeouts.response : this.host.application.timeouts.requestBody);
        return;
      }
    }
    this.respond(bytes, at, length);
    if (held !== null && this.heldResponse !== null) this.dropHeld();
  }

  private interim(bytes: Buffer, start: number): void {
    const chunk = takeChunk(responseHead.fields.end - start + ADDED_BYTES_MAX);
    composeResponse(chunk, bytes, start, responseHead, responseHead.fields.end, 'none', false);
    this.countOut(chunk.length);
    this.host.context.policy.ledger.add(this.host.listener.application, ledger.RESPONSES, 1);
    this.host.client.writeChunk(chunk);
  }

  /** hot: a final response: its head, and what is there of its body, go to the client. */
  private respond(bytes: Buffer, start: number, length: number): void {
    const { host } = this;
    const { fields, status, minor } = responseHead;
    if (status === 101 && !(this.upgrade && fields.upgrade)) {
      this.badResponse('bad-status-line');
      return;
    }
    const upgraded = status === 101;
    const bodyless = this.isHead || status === 204 || status === 304 || upgraded;
    this.responseRemaining = bodyless ? 0 : fields.chunked ? -1 : fields.contentLength >= 0 ? fields.contentLength : -2;
    if (this.responseRemaining === -1) this.responseChunks.reset();
    this.unchunked = fields.chunked && this.clientMinor === 0;
    this.keepServer = (minor === 1 ? !fields.close : fields.keepAlive) && this.requestDone && this.responseRemaining !== -2 && !upgraded;
    this.keepClient =
      this.wantsKeep && this.requestDone && this.responseRemaining !== -2 && !(this.unchunked && !bodyless) && !host.context.draining;
    const connection: ConnectionField = upgraded ? 'upgrade' : !this.keepClient ? 'close' : this.clientMinor === 0 ? 'keep-alive' : 'none';
    const bodyStart = fields.end;
    const joined = !this.unchunked && length - bodyStart <= JOINED_BYTES_MAX && !upgraded;
    const bodyEnd = joined ? this.measureResponse(bytes, bodyStart, length) : bodyStart;
    if (bodyEnd < 0) {
      this.badResponse('bad-coding');
      return;
    }
    this.flow.status = status;
    this.responseStarted = true;
    this.phase = BODY;
    const chunk = takeChunk(bodyEnd - start + ADDED_BYTES_MAX);
    composeResponse(chunk, bytes, start, responseHead, bodyEnd, connection, this.unchunked);
    this.countOut(chunk.length);
    host.client.writeChunk(chunk);
    this.host.pool.succeeded(this.candidate!);
    if (upgraded) this.tunnel(bytes, bodyStart, length);
    else if (joined) {
      if (this.responseDone) this.complete(bodyEnd < length);
      else {
        host.expireIn(host.application.timeouts.response);
        if (host.client.pending > 0) this.upstream!.wire!.pause();
      }
    } else this.forward(bytes, bodyStart, length);
  }

  private get responseDone(): boolean {
    return this.responseRemaining === 0 || (this.responseRemaining === -1 && this.responseChunks.done);
  }

  /** hot: more of the response body. */
  private forward(bytes: Buffer, start: number, length: number): void {
    const { client } = this.host;
    const wire = this.upstream!.wire!;
    const end = this.measureResponse(bytes, start, length);
    if (end < 0) {
      this.broken('server', 'bad chunked coding');
      return;
    }
    if (end > start && !this.unchunked) {
      this.countOut(end - start);
      client.relay(wire, bytes, start, end);
    }
    if (this.responseDone) this.complete(end < length);
  }

  private measureResponse(bytes: Buffer, start: number, length: number): number {
    if (this.responseRemaining === -2) return length;
    if (this.responseRemaining === -1)
      return this.responseChunks.scan(bytes, start, length, this.unchunked ? (from, to) => this.payload(bytes, from, to) : null);
    const take = Math.min(this.responseRemaining, length - start);
    this.responseRemaining -= take;
    return start + take;
  }

  /** Payload of a chunk for a client that does not know the coding. */
  private payload(bytes: Buffer, from: number, to: number): void {
    this.countOut(to - from);
    this.host.client.relay(this.upstream!.wire!, bytes, from, to);
  }

  /** hot: the response is whole. */
  private complete(extra: boolean): void {
    const { host } = this;
    const { context } = host;
    const upstream = this.upstream!;
    this.upstream = null;
    const { plan } = host.pool;
    if (this.keepServer && !extra && upstream.wire!.pending === 0 && !upstream.wire!.ended) {
      upstream.wire!.resume();
      context.upstreams.give(upstream, plan.idleConnections, context.clock.coarse, plan.idleTimeoutMs);
    } else context.upstreams.drop(upstream, false);
    const keep = this.keepClient;
    this.account(this.responseRemaining === -2 ? 'server' : 'client', 'complete');
    host.exchangeDone(keep);
  }

  // --- upgraded ------------------------------------------------------------------------------------------------------------------

  private tunnel(bytes: Buffer, start: number, length: number): void {
    const { host } = this;
    this.phase = TUNNEL;
    const wire = this.upstream!.wire!;
    host.expireIn(host.application.timeouts.idle);
    if (length > start) {
      this.countOut(length - start);
      host.client.relay(wire, bytes, start, length);
    }
    const early = host.takeHeld();
    if (early !== null) this.tunnelEarly(early);
    if (wire.pending === 0) host.client.resume();
  }

  /** Bytes that the client sent behind its request, before the answer. */
  private tunnelEarly(early: Chunk): void {
    this.flow.bytesIn += early.length;
    this.upstream!.wire!.writeChunk(early);
  }

  /** hot: bytes of the client in an upgraded connection. */
  tunnelData(bytes: Buffer, length: number): void {
    const { host } = this;
    host.expireIn(host.application.timeouts.idle);
    this.flow.bytesIn += length;
    this.upstream!.wire!.relay(host.client, bytes, 0, length);
  }

  private tunnelEnd(by: 'client' | 'server'): void {
    const { client } = this.host;
    const wire = this.upstream!.wire!;
    if (client.ended && wire.ended) {
      if (client.pending === 0 && wire.pending === 0) this.tunnelDone(by);
      return;
    }
    (by === 'client' ? wire : client).end();
    this.host.expireIn(this.host.application.timeouts.halfClosed);
  }

  private tunnelDone(by: EndedBy): void {
    this.dropUpstream(false);
    this.account(by, 'closed');
    this.host.exchangeDone(false);
  }

  // --- what else happens ---------------------------------------------------------------------------------------------------------

  upstreamEnd(): void {
    if (this.phase === TUNNEL) this.tunnelEnd('server');
    else if (this.phase === BODY && this.responseRemaining === -2) {
      this.dropUpstream(false);
      this.account('server', 'complete');
      this.host.exchangeDone(false);
    } else if (this.phase === BODY) this.broken('server', 'closed before the end of its response');
    else this.serverLost(false, 0);
  }

  upstreamError(errno: number): void {
    if (this.phase === TUNNEL || this.phase === BODY) this.broken('server', errno === -104 || errno === -32 ? 'reset' : `error ${errno}`);
    else this.serverLost(false, errno);
  }

  upstreamDrained(): void {
    if (this.phase === TUNNEL) {
      if (this.host.client.ended && this.upstream!.wire!.ended) this.tunnelEnd('client');
      else this.host.client.resume();
    } else if (!this.requestDone) this.host.client.resume();
  }

  /** The client has taken what was waiting for it. */
  clientDrained(): void {
    const wire = this.upstream?.wire;
    if (this.phase === TUNNEL && this.host.client.ended && wire?.ended) this.tunnelEnd('server');
    else wire?.resume();
  }

  clientEnd(): void {
    if (this.phase === TUNNEL) this.tunnelEnd('client');
    else if (!this.requestDone) this.broken('client', 'closed before the end of its request');
    // Half-closed after its request: it may still be reading. Given up when nothing comes for a while.
    else if (!this.responseStarted) this.host.expireIn(this.host.application.timeouts.halfClosed);
  }

  clientError(errno: number): void {
    this.broken('client', errno === -104 || errno === -32 ? 'reset' : `error ${errno}`);
  }

  /** No answer came, not even its first byte or not a whole head. */
  private serverLost(unsent: boolean, errno: number): void {
    const first = this.heldResponse === null;
    this.dropHeld();
    this.dropUpstream(true);
    // RFC 9110 §9.2.2, RFC 9112 §9.3.1: a kept-alive connection may die any time; what can be repeated without harm is, on a new one, once.
    if (this.reused && first && this.replayable && (unsent || this.repeatable)) {
      this.reused = false;
      this.dial();
      return;
    }
    const label = this.candidate?.label ?? null;
    if (this.candidate !== null) this.host.pool.failed(this.candidate, this.host.context.clock.epoch + this.host.context.clock.coarse);
    this.fail(502, 'server-closed', label === null ? null : `${label}${errno === -104 ? ' reset' : ''}`);
  }

  private badResponse(fault: string): void {
    const label = this.candidate!.label;
    if (fault === 'head-size' || fault === 'too-many-fields')
      this.host.context.policy.ledger.limit(this.host.listener.application, fault === 'head-size' ? 'head-size' : 'head-fields');
    this.dropHeld();
    this.dropUpstream(true);
    this.host.pool.failed(this.candidate!, this.host.context.clock.epoch + this.host.context.clock.coarse);
    this.fail(502, 'bad-response', `${label} ${fault}`);
  }

  /** The connection's deadline has come while this exchange was under way. */
  expired(): void {
    const { host } = this;
    const { context } = host;
    const application = host.listener.application;
    if (this.phase === DIALLING) {
      this.dialling?.cancel();
      this.dialling = null;
      context.policy.ledger.limit(application, 'connect');
      context.servers.dialled(context.worker, this.candidate!.server.row, 'timeout');
      this.dialFailed('timeout');
    } else if (this.phase === TUNNEL) {
      context.policy.ledger.limit(application, host.client.ended || this.upstream!.wire!.ended ? 'half-closed' : 'idle');
      this.broken('proxy', 'idle timeout');
    } else if (host.client.ended) this.broken('client', 'gone');
    else if (!this.requestDone && !this.responseStarted && this.upstream !== null && this.upstream.wire!.pending === 0) {
      context.policy.ledger.limit(application, 'request-body');
      this.dropUpstream(true);
      this.fail(408, 'request-timeout', 'body');
    } else if (this.responseStarted) {
      context.policy.ledger.limit(application, 'response');
      this.broken('proxy', host.client.pending > 0 ? 'client took too long to read' : 'response timeout');
    } else {
      const label = this.candidate?.label ?? null;
      context.policy.ledger.limit(application, 'response');
      this.dropUpstream(true);
      if (this.candidate !== null) this.host.pool.failed(this.candidate, context.clock.epoch + context.clock.coarse);
      this.fail(504, 'response-timeout', label);
    }
  }

  /** A policy no longer allows the request that is under way: told so where nothing was answered yet, cut otherwise. */
  revoke(reason: string): void {
    this.dialling?.cancel();
    this.dialling = null;
    this.dropUpstream(true);
    if (this.responseStarted) this.broken('policy', reason);
    else this.answer(403, 'denied', null, false, 'policy', reason);
  }

  abort(by: EndedBy, reason: string): void {
    this.broken(by, reason);
  }

  // --- the end -------------------------------------------------------------------------------------------------------------------

  /** Denied: answered without a server. */
  deny(keep: boolean): void {
    this.answer(403, 'denied', null, keep && this.wantsKeep && this.requestDone && !this.host.context.draining, 'policy', 'denied');
  }

  /** The client's request turned out to be wrong in the middle. */
  private refuse(status: number, error: ReplyError, detail: string): void {
    this.dropUpstream(true);
    if (this.responseStarted) this.broken('client', detail);
    else this.answer(status, error, detail, false, 'client', detail);
  }

  /** It failed on the way: answered by us, with a word on where. */
  private fail(status: number, error: ReplyError, detail: string | null): void {
    const keep = status !== 408 && this.wantsKeep && this.requestDone && !this.host.context.draining;
    this.answer(
      status,
      error,
      detail,
      keep,
      status === 408 ? 'client' : error === 'no-server' ? 'proxy' : 'server',
      detail === null ? error : `${error}: ${detail}`,
    );
  }

  private answer(status: number, error: ReplyError, detail: string | null, keep: boolean, by: EndedBy, reason: string): void {
    const { host } = this;
    const bytes = reply(status, error, host.context.journal.receipt(this.flow.receipt), detail, keep, this.isHead);
    this.flow.status = status;
    this.countOut(bytes.length);
    host.client.writeBytes(bytes);
    this.account(by, reason);
    host.exchangeDone(keep);
  }

  /** It cannot be ended in order: both connections are reset, so that nobody takes a part for the whole. */
  private broken(by: EndedBy, reason: string): void {
    this.dialling?.cancel();
    this.dialling = null;
    this.dropUpstream(true);
    this.account(by, reason);
    this.host.exchangeBroken();
  }

  private account(by: EndedBy, reason: string): void {
    const { host, flow } = this;
    const { context } = host;
    const application = host.listener.application;
    if (application >= 0) {
      const counters = context.policy.ledger;
      if (flow.status >= 100) {
        counters.add(application, ledger.RESPONSES + Math.floor(flow.status / 100) - 1, 1);
        counters.duration(application, ledger.REQUEST_SUM, (context.clock.now() - flow.startedAt) / 1000);
      }
    }
    closeFlow(context, flow, application, host.party, this, by, reason);
    this.leaveServer();
    this.dropHeld();
    this.phase = NONE;
    if (this.request !== null) giveChunk(this.request);
    this.request = null;
  }

  private leaveServer(): void {
    if (this.candidate === null) return;
    this.host.context.serverFlows.add(this.host.context.worker, this.candidate.server.row, -1);
    this.candidate = null;
  }

  private dropUpstream(reset: boolean): void {
    if (this.upstream !== null) this.host.context.upstreams.drop(this.upstream, reset);
    this.upstream = null;
  }

  /** hot */
  private countOut(length: number): void {
    this.flow.bytesOut += length;
    const application = this.host.listener.application;
    if (application >= 0) this.host.context.policy.ledger.add(application, ledger.BYTES_OUT, length);
  }

  private holdResponse(bytes: Buffer, start: number, length: number): void {
    const held = this.heldResponse;
    if (held !== null) {
      if (start > 0) held.bytes.copyWithin(0, start, length);
      held.length = length - start;
      return;
    }
    const chunk = takeChunk(Math.max(SMALL_BYTES, length - start));
    chunk.length = bytes.copy(chunk.bytes, 0, start, length);
    this.heldResponse = chunk;
  }

  private enlarge(held: Chunk, needed: number): Chunk {
    const larger = takeChunk(needed);
    larger.length = held.bytes.copy(larger.bytes, 0, 0, held.length);
    giveChunk(held);
    this.heldResponse = larger;
    return larger;
  }

  private dropHeld(): void {
    if (this.heldResponse !== null) giveChunk(this.heldResponse);
    this.heldResponse = null;
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
