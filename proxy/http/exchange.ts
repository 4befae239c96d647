/**
 * One request and its response: sent to a server, answered to the client, accounted for. A connection has one exchange, which serves
 * its requests one after the other; so a request allocates next to nothing.
 */
import { Lease, type Lessee } from '../balance/lease.ts';
import { grpcStatusOfError, passReset, UNTOUCHED_ERRNO } from '../h2/reset-code.ts';
import type { DialResult } from '../observe/view.ts';
import { Relay } from '../relay/relay.ts';
import type { HeadEdit } from '../routing/edit.ts';
import * as ledger from '../shared/ledger.ts';
import { breakageOf } from '../wire/breakage.ts';
import type { Wire } from '../wire/wire.ts';
import { type EndedBy, Flow } from '../worker/account.ts';
import { type ConcludedExchange, Conclusion } from './conclusion.ts';
import type { ExchangeHost } from './exchange-host.ts';
import { ClientRequest } from './request.ts';
import type { RequestHead } from './request-head.ts';
import { type ResponseOwner, ServerResponse } from './response.ts';
import { Upstream, type UpstreamUser } from './upstreams.ts';

const NONE = 0;
const DIALLING = 1;
const AWAITING = 2;
const BODY = 3;
const TUNNEL = 4;

export class Exchange implements UpstreamUser, Lessee, ResponseOwner, ConcludedExchange {
  readonly flow = new Flow();
  private readonly host: ExchangeHost;
  private phase: number = NONE;
  readonly request: ClientRequest;
  private readonly lease: Lease;
  private upstream: Upstream | null = null;
  /** A connection to a server that is not there yet. */
  private dialling: Upstream | null = null;
  private reused = false;
  /** It was sent to another connection already. */
  private again = false;
  private readonly response: ServerResponse;
  readonly conclusion: Conclusion;
  /** Once upgraded, to the end of the connection. */
  tunnel: Relay | null = null;
  responseStarted = false;
  /** What the request's route does to the head of its response; null: nothing. */
  responseEdit: HeadEdit | null = null;

  constructor(host: ExchangeHost) {
    this.host = host;
    this.request = new ClientRequest(host.forwarding);
    this.lease = new Lease(host, this);
    this.response = new ServerResponse(host, this);
    this.conclusion = new Conclusion(host, this);
  }

  get active(): boolean {
    return this.request.chunk !== null;
  }

  get tunnelled(): boolean {
    return this.phase === TUNNEL;
  }

  /** No server has it yet. */
  get isReaching(): boolean {
    return this.phase === DIALLING;
  }

  /** Of the server that it was given to; null while there is none. */
  get serverWire(): Wire | null {
    return this.upstream?.wire ?? null;
  }

  // --- the request ---------------------------------------------------------------------------------------------------------------

  /** hot: takes a request over, as `ClientRequest.compose` does. */
  prepare(bytes: Buffer, length: number, head: RequestHead, defaultHost: Buffer): number {
    const end = this.request.compose(bytes, length, head, defaultHost);
    if (end < 0) return -1;
    this.lease.renew();
    this.responseStarted = false;
    this.reused = this.again = false;
    return end;
  }

  /** hot: finds a server and sends the request. */
  reach(): void {
    const candidate = this.lease.pick();
    if (candidate === null) {
      this.conclusion.fail(503, 'no-server', `pool ${this.host.pool.plan.name}`);
      return;
    }
    const { upstreams } = this.host.context;
    const { row } = candidate.server;
    const idle = this.host.pool.plan.proxyProtocol === null ? upstreams.take(row) : upstreams.takeBound(this.host, row);
    if (idle === null) this.dial();
    else this.attach(idle);
  }

  private dial(): void {
    const { host, lease } = this;
    const { context } = host;
    this.phase = DIALLING;
    // A server that is told whose connection this is believes it to the end.
    const bound = host.pool.plan.proxyProtocol === null ? null : host;
    this.dialling = new Upstream(context.upstreams, lease.candidate!.server.row, bound);
    // What more of the body comes waits in the kernel until there is a server for it.
    if (!this.request.done) host.client.pause();
    host.expireIn(host.application.timeouts.connect);
    lease.dial(this.dialling, true);
  }

  reached(wire: Wire): void {
    const upstream = this.dialling!;
    this.dialling = null;
    upstream.wire = wire;
    wire.resume();
    this.attach(upstream);
  }

  unreached(result: DialResult, label: string, words: string): void {
    this.phase = NONE;
    if (result === 'timeout') this.conclusion.fail(504, 'dial-timeout', label);
    else this.conclusion.fail(502, 'dial-failed', `${label} ${words}`);
  }

  /** hot */
  private attach(upstream: Upstream): void {
    const { host } = this;
    upstream.user = this;
    this.upstream = upstream;
    this.reused = upstream.served > 0;
    this.phase = AWAITING;
    const wire = upstream.wire!;
    if (!(this.request.done ? wire.post(this.request.outgoing) : wire.writeKept(this.request.outgoing))) {
      // Not a byte was taken: no server has seen the request, so it can go elsewhere whatever its method.
      this.serverLost(true, wire.error);
      return;
    }
    host.expireIn(this.request.done ? host.application.timeouts.response : host.application.timeouts.requestBody);
    if (wire.pending > 0 && !this.request.done) host.client.pause();
    else if (!this.request.done) host.client.resume();
  }

  /** hot: more of the request body. Answers where it ends within the bytes; -1 where the exchange is over because it was broken. */
  body(bytes: Buffer, start: number, length: number): number {
    const end = this.request.more(bytes, start, length);
    if (end < 0) {
      this.conclusion.refuse(400, 'bad-request', 'chunked coding');
      return -1;
    }
    const { host } = this;
    const upstream = this.upstream;
    if (upstream !== null && end > start) {
      upstream.wire!.relay(host.client, bytes, start, end);
      host.expireIn(this.request.done ? host.application.timeouts.response : host.application.timeouts.requestBody);
    }
    return end;
  }

  // --- the response --------------------------------------------------------------------------------------------------------------

  /** hot */
  upstreamData(bytes: Buffer, length: number): void {
    const { host } = this;
    if (this.phase === BODY) {
      host.expireIn(host.application.timeouts.response);
      this.response.forward(bytes, 0, length);
    } else if (this.phase === AWAITING) {
      // Said before it was asked: an answer to nothing, such as the farewell of a server to an idle connection.
      if (this.reused && this.server.unsent) this.serverLost(true, 0);
      else this.response.readHead(bytes, length);
    } else if (this.phase === TUNNEL) {
      this.countOut(length);
      this.tunnel!.toClient(bytes, 0, length);
    }
  }

  get server(): Wire {
    return this.upstream!.wire!;
  }

  /** hot: the final response begins. */
  answering(status: number): void {
    this.flow.status = status;
    this.responseStarted = true;
    this.phase = BODY;
    this.lease.praise();
  }

  countInterim(): void {
    this.host.context.policy.ledger.add(this.host.listener.application, ledger.RESPONSES, 1);
  }

  /** hot: the response is whole. */
  complete(extra: boolean): void {
    const { host, server } = this;
    const { context, pool } = host;
    if (this.response.keepServer && !extra && server.pending === 0 && !server.unsent && !server.ended) {
      server.settle();
      server.resume();
      context.upstreams.give(this.upstream!, pool.plan.idleConnections, context.clock.coarse, pool.plan.idleTimeoutMs);
    } else context.upstreams.drop(this.upstream!, server.unsent);
    this.upstream = null;
    // A policy that came meanwhile may not want the next request.
    const keep = this.response.keepClient && !host.closing;
    this.settle(this.response.isUntilClose ? 'server' : 'client', 'complete');
    host.exchangeDone(keep);
  }

  // --- upgraded ------------------------------------------------------------------------------------------------------------------

  /** The server has agreed to the upgrade. */
  upgraded(bytes: Buffer, start: number, length: number): void {
    const { host, server: wire } = this;
    this.phase = TUNNEL;
    this.tunnel = new Relay(host, host.client, wire, this.flow, host.context.clock.coarse);
    if (length > start) {
      this.countOut(length - start);
      this.tunnel.toClient(bytes, start, length);
    }
    // Bytes that the client sent behind its request, before the answer.
    const early = host.takeHeld();
    if (early !== null) {
      this.countIn(early.length);
      wire.writeChunk(early);
    }
    // It has said its last word already: so the server is told now.
    if (host.client.ended) this.tunnelEnd(host.client);
    else if (wire.pending === 0) host.client.resume();
  }

  /** hot: bytes of the client in an upgraded connection. */
  tunnelData(bytes: Buffer, length: number): void {
    this.countIn(length);
    this.tunnel!.toServer(bytes, length);
  }

  private tunnelEnd(wire: Wire): void {
    if (this.tunnel!.ended(wire)) this.endInOrder(this.tunnel!.endedBy, 'closed');
  }

  /** All that is to come has come, and the connections end with it. */
  private endInOrder(by: EndedBy, reason: string): void {
    this.dropUpstream(false);
    this.settle(by, reason);
    this.host.exchangeDone(false);
  }

  // --- what else happens ---------------------------------------------------------------------------------------------------------

  upstreamEnd(): void {
    if (this.phase === TUNNEL) this.tunnelEnd(this.server);
    else if (this.phase === BODY && this.response.isUntilClose) this.endInOrder('server', 'complete');
    else if (this.phase === BODY) this.abort('server', 'closed before the end of its response');
    else this.serverLost(this.server.unsent, 0);
  }

  upstreamError(errno: number): void {
    if (this.phase !== TUNNEL && this.phase !== BODY) this.serverLost(this.server.unsent, errno);
    else this.abort('server', passReset(errno, this.host.client) ?? breakageOf(this.server, errno));
  }

  upstreamDrained(): void {
    if (this.phase === TUNNEL) {
      if (this.tunnel!.drained(this.server)) this.endInOrder(this.tunnel!.endedBy, 'closed');
      return;
    }
    // Also when the request is whole: that the client leaves while it waits is only seen by reading.
    this.host.readOn();
    if (!this.request.done && !this.responseStarted) this.host.expireIn(this.host.application.timeouts.requestBody);
  }

  /** The client has taken what was waiting for it. */
  clientDrained(): void {
    if (this.phase === TUNNEL) {
      if (this.tunnel!.drained(this.host.client)) this.endInOrder(this.tunnel!.endedBy, 'closed');
      return;
    }
    this.upstream?.wire?.resume();
    // A slow reader's time is its own, not the server's.
    if (this.phase === BODY) this.host.expireIn(this.host.application.timeouts.response);
  }

  clientEnd(): void {
    if (this.phase === TUNNEL) this.tunnelEnd(this.host.client);
    else if (!this.request.done) this.abort('client', 'closed before the end of its request');
    // Half-closed after its request: it may still be reading. Given up when nothing comes for a while.
    else if (this.phase === AWAITING) {
      const { halfClosed, response } = this.host.application.timeouts;
      this.host.expireIn(Math.min(halfClosed, response));
    }
  }

  clientError(errno: number): void {
    this.abort('client', breakageOf(this.host.client, errno));
  }

  /** No answer came, not even its first byte or not a whole head. */
  private serverLost(unsent: boolean, errno: number): void {
    const first = this.response.silent;
    const grpc = grpcStatusOfError(errno);
    const how = errno === 0 ? '' : grpc === null ? ` ${breakageOf(this.server, errno)}` : ' reset';
    this.response.drop();
    this.dropUpstream(true);
    // RFC 9110 §9.2.2, RFC 9112 §9.3.1: a kept-alive connection may die any time; what can be repeated without harm is, on a new one, once.
    // What no server has seen can go to another connection whatever it is, and so can one whose body is still to come.
    const untouched = errno === UNTOUCHED_ERRNO && this.request.isKept && !this.again;
    if (first && (untouched || (this.reused && (unsent || this.request.repeatable)))) {
      this.reused = false;
      this.again = true;
      this.dial();
      return;
    }
    const label = this.lease.candidate?.label ?? null;
    this.lease.blame();
    this.conclusion.fail(502, 'server-closed', label === null ? null : `${label}${how}`, grpc);
  }

  badResponse(fault: string): void {
    const { label } = this.lease.candidate!;
    if (fault === 'head-size' || fault === 'too-many-fields')
      this.host.context.policy.ledger.limit(this.host.listener.application, fault === 'head-size' ? 'head-size' : 'head-fields');
    this.response.drop();
    this.dropUpstream(true);
    this.lease.blame();
    this.conclusion.fail(502, 'bad-response', `${label} ${fault}`);
  }

  /** The connection's deadline has come while this exchange was under way. */
  expired(now: number): void {
    const { flow, host } = this;
    const { context, listener } = host;
    const { response } = host.application.timeouts;
    if (this.phase === TUNNEL) {
      const limit = this.tunnel!.limit(now);
      if (limit === 'draining') host.tenure.runOut();
      else if (limit !== null) {
        context.policy.ledger.limit(listener.application, limit);
        this.abort('proxy', `${limit} timeout`);
      }
    } else if (host.draining !== null && now >= host.draining.until) host.tenure.runOut();
    else if (this.phase === DIALLING) this.lease.timedOut();
    // We held it back ourselves for so long: its peers have their time from then on.
    else if (now < flow.heldUntil + response) host.expireIn(flow.heldUntil + response - now);
    else if (!this.request.done && !this.responseStarted && this.upstream !== null && this.upstream.wire!.pending === 0) {
      context.policy.ledger.limit(listener.application, 'request-body');
      this.dropUpstream(true);
      this.conclusion.fail(408, 'request-timeout', 'body');
    } else if (this.responseStarted) {
      context.policy.ledger.limit(listener.application, 'response');
      this.abort('proxy', host.client.pending > 0 ? 'client took too long to read' : 'response timeout');
    } else {
      const label = this.lease.candidate?.label ?? null;
      context.policy.ledger.limit(listener.application, host.client.ended ? 'half-closed' : 'response');
      this.dropUpstream(true);
      // Of a client that has ended, the time is shorter than what a server is given: no fault of the server's.
      if (!host.client.ended) this.lease.blame();
      this.conclusion.fail(504, 'response-timeout', label);
    }
  }

  // --- the end -------------------------------------------------------------------------------------------------------------------

  /** It cannot be ended in order. */
  abort(by: EndedBy, reason: string): void {
    this.conclusion.abort(by, reason);
  }

  giveUp(): void {
    this.lease.cancel();
    this.dropUpstream(true);
  }

  settle(by: EndedBy, reason: string): void {
    this.conclusion.account(by, reason);
    this.lease.release();
    this.response.drop();
    this.phase = NONE;
    this.request.drop();
  }

  private dropUpstream(reset: boolean): void {
    if (this.upstream !== null) this.host.context.upstreams.drop(this.upstream, reset);
    this.upstream = null;
  }

  /** hot */
  countOut(length: number): void {
    this.flow.bytesOut += length;
    const application = this.host.listener.application;
    if (application >= 0) this.host.context.policy.ledger.add(application, ledger.BYTES_OUT, length);
    if (this.flow.limits !== null) this.flow.limits.spend(length);
  }

  /** hot: bytes of the request, or of the client of an upgraded connection. The ledger has them from the connection. */
  countIn(length: number): void {
    this.flow.bytesIn += length;
    if (this.flow.limits !== null) this.flow.limits.spend(length);
  }
}
