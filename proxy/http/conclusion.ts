/** How a request ends that no server answers in order: answered by us, or cut; and its account, however it ends. */
import { GRPC } from '../../config/protocols.ts';
import { endByTrailers } from '../h2/client-stream.ts';
import type { TokenFault } from '../identity/token.ts';
import * as ledger from '../shared/ledger.ts';
import { closeFlow, type EndedBy, type Flow } from '../worker/account.ts';
import type { LimitRefusal } from '../worker/rule-limits.ts';
import type { ExchangeHost } from './exchange-host.ts';
import { type ReplyError, redirection, reply } from './reply.ts';
import { grpcStatusOf, grpcTrailers, replyGrpc } from './reply-grpc.ts';
import type { ClientRequest } from './request.ts';

/** The exchange that carries the request. */
export interface ConcludedExchange {
  readonly flow: Flow;
  readonly request: ClientRequest;
  /** A part of the answer has reached the client, which must not take it for the whole. */
  readonly responseStarted: boolean;
  countOut(length: number): void;
  /** Wants nothing more of any server. */
  giveUp(): void;
  /** Closes the account, and is free for the next request. */
  settle(by: EndedBy, reason: string): void;
}

const NO_KEYS = 'token-keys: the keys of the issuer of its token cannot be had';

export class Conclusion {
  private readonly host: ExchangeHost;
  private readonly exchange: ConcludedExchange;

  constructor(host: ExchangeHost, exchange: ConcludedExchange) {
    this.host = host;
    this.exchange = exchange;
  }

  /** Denied: answered without a server. Whoever brought a token that does not hold is told so, and can come with a better one. */
  deny(keep: boolean, fault: TokenFault | null): void {
    if (fault === null) this.answer(403, 'denied', null, keep && this.keepable, 'policy', 'denied');
    // Nobody knows whether it holds: the fault is neither the client's nor the policy's.
    else if (fault === 'no-keys') this.answer(503, 'token-keys', null, this.keepable, 'proxy', NO_KEYS);
    else this.answer(401, 'denied', null, this.keepable, 'policy', `denied, with a token that does not hold: ${fault}`);
  }

  /** Its route sends the client elsewhere. */
  redirect(status: number, location: string): void {
    const { host, exchange } = this;
    const { flow } = exchange;
    const keep = this.keepable;
    const bytes = redirection(status, location, host.context.journal.receipt(flow.receipt), keep);
    flow.status = status;
    exchange.countOut(bytes.length);
    host.client.writeBytes(bytes);
    exchange.settle('proxy', 'redirected');
    host.exchangeDone(keep);
  }

  /** A policy no longer allows the request that is under way: told so where nothing was answered yet, cut otherwise. */
  revoke(reason: string): void {
    this.end(403, 'denied', null, 'policy', reason);
  }

  /** The limits of its rule let it go no further. */
  limitPassed(limit: ledger.Limit, reason: string): void {
    this.end(429, 'limited', limit, 'policy', reason);
  }

  /**
   * The limits of its rule have no room for it. 429 for all of them: the servers are well, and who watches the node for 5xx must not take what
   * was written for an outage.
   */
  refuseByLimit({ limit, reason, retrySeconds }: LimitRefusal): void {
    this.answer(429, 'limited', limit, this.keepable, 'policy', reason, retrySeconds);
  }

  /** The client's request turned out to be wrong in the middle. */
  refuse(status: number, error: ReplyError, detail: string): void {
    this.end(status, error, detail, 'client', detail);
  }

  /** It failed on the way: answered by us, with a word on where. `grpcStatus`: what a call of gRPC fails with, where the server has said so. */
  fail(status: number, error: ReplyError, detail: string | null, grpcStatus: number | null = null): void {
    const keep = status !== 408 && this.keepable;
    const by = status === 408 ? 'client' : error === 'no-server' ? 'proxy' : 'server';
    this.answer(status, error, detail, keep, by, detail === null ? error : `${error}: ${detail}`, undefined, grpcStatus);
  }

  /** It cannot be ended in order: both connections are reset, so that nobody takes a part for the whole. */
  abort(by: EndedBy, reason: string): void {
    this.exchange.giveUp();
    this.exchange.settle(by, reason);
    this.host.exchangeBroken();
  }

  /** Closes the account of the request. */
  account(by: EndedBy, reason: string): void {
    const { host, exchange } = this;
    const { flow } = exchange;
    const { context } = host;
    const application = host.listener.application;
    const now = context.clock.now();
    if (application >= 0 && flow.status >= 100) {
      const counters = context.policy.ledger;
      counters.add(application, ledger.RESPONSES + Math.floor(flow.status / 100) - 1, 1);
      counters.duration(application, ledger.REQUEST_SUM, (now - flow.startedAt) / 1000);
    }
    closeFlow(context, flow, application, host.party, exchange.request, by, reason, now);
  }

  private get keepable(): boolean {
    const { request } = this.exchange;
    return request.wantsKeep && request.done && !this.host.closing;
  }

  /** Ends it where it stands. */
  private end(status: number, error: ReplyError, detail: string | null, by: EndedBy, reason: string): void {
    this.exchange.giveUp();
    if (!this.exchange.responseStarted) this.answer(status, error, detail, false, by, reason);
    else if (!this.endCall(status, error, detail, by, reason)) this.abort(by, reason);
  }

  /** A call of gRPC whose answer has begun can still be told why it ends: its status comes last. False for everything else. */
  private endCall(status: number, error: ReplyError, detail: string | null, by: EndedBy, reason: string): boolean {
    const { host, exchange } = this;
    const { flow } = exchange;
    if ((flow.protocols & GRPC) === 0) return false;
    const told = grpcStatusOf(status);
    const trailers = grpcTrailers(told, error, host.context.journal.receipt(flow.receipt), detail);
    if (!endByTrailers(host.client, trailers)) return false;
    exchange.countOut(trailers.length);
    exchange.settle(by, `${reason} (grpc-status ${told})`);
    host.exchangeBroken();
    return true;
  }

  private answer(
    status: number,
    error: ReplyError,
    detail: string | null,
    keep: boolean,
    by: EndedBy,
    reason: string,
    retrySeconds?: number,
    grpcStatus: number | null = null,
  ): void {
    const { host, exchange } = this;
    const { flow, request } = exchange;
    const receipt = host.context.journal.receipt(flow.receipt);
    // What failed behind the proxy has the names and addresses of servers in it: for the account, and for clients only where the file says so.
    const shown = status < 500 || host.context.policy.plan.answers === 'full' ? detail : null;
    // A call of gRPC is told by a status of its own, in an answer that is a 200 to HTTP. The account has what became of it, and so does who counts by it.
    const told = (flow.protocols & GRPC) === 0 ? null : (grpcStatus ?? grpcStatusOf(status));
    const bytes =
      told === null
        ? reply(status, error, receipt, shown, keep, request.isHead, retrySeconds)
        : replyGrpc(told, error, receipt, shown, keep);
    flow.status = status;
    exchange.countOut(bytes.length);
    host.client.writeBytes(bytes);
    exchange.settle(by, told === null ? reason : `${reason} (grpc-status ${told})`);
    host.exchangeDone(keep);
  }
}
