/**
 * A client connection that speaks HTTP/1.1: reads request heads one after the other, asks the policy about each, and has its
 * exchange carry out what is allowed. Requests that come early wait their turn; answers go out in order.
 */
import type { DenyWith } from '../../config/document.ts';
import { HTTP, WEBSOCKET } from '../../config/protocols.ts';
import { ALLOW, DENY, type Decision, decide, kindOf, ruleOf } from '../../policy/decide.ts';
import { atomOf, NO_ADDRESS_ATOM } from '../../policy/lookup.ts';
import { pathFacts } from '../../policy/readings.ts';
import { type HeaderLookup, normaliseHost, type RequestFacts } from '../../policy/request.ts';
import type { PoolBalancer, SourceWords } from '../balance/pool.ts';
import type { PlannedApplication } from '../node/plan.ts';
import type { FlowRecord } from '../observe/view.ts';
import { holdInTarpit } from '../relay/farewell.ts';
import * as ledger from '../shared/ledger.ts';
import type { Chunk } from '../wire/chunks.ts';
import { Held } from '../wire/held.ts';
import type { Timed } from '../wire/wheel.ts';
import { Wire, type WireOwner } from '../wire/wire.ts';
import { closeFlow, describeFlow, Flow, openFlow, Party } from '../worker/account.ts';
import type { Arrival } from '../worker/arrival.ts';
import type { Context } from '../worker/context.ts';
import { countShadows, logDecided } from '../worker/decided.ts';
import type { PolicyInForce } from '../worker/policy-in-force.ts';
import type { ListenerPlace, Session } from '../worker/session.ts';
import { LF } from './bytes.ts';
import { Forwarding } from './compose.ts';
import { Exchange } from './exchange.ts';
import type { ExchangeHost } from './exchange-host.ts';
import { type ReplyError, reply } from './reply.ts';
import { type RequestFault, RequestHead, STATUS_OF_FAULT } from './request-head.ts';
import { sentFieldLines, withoutDots } from './sent-fields.ts';

/** Waiting for a head; carrying an exchange; answered and closing; over. */
const WAITING = 0;
const BUSY = 1;
const LINGERING = 2;
const OVER = 3;

/**
 * After a last answer has gone out, what the client still sends is read and thrown away for this long and this much, since closing at once would reset
 * the connection and could take the answer back (RFC 9112 §9.6).
 */
const LINGER_MS = 2_000;
const LINGER_BYTES_MAX = 256 * 1024;

/** Scanning is done within one callback, so one of these serves the whole thread. */
const requestHead = new RequestHead();

export class HttpConnection implements WireOwner, Timed, Session, ExchangeHost, HeaderLookup {
  deadline = Number.POSITIVE_INFINITY;
  wheelSlot = -1;
  wheelNext: Timed | null = null;
  wheelPrevious: Timed | null = null;
  nextSession: Session | null = null;
  previousSession: Session | null = null;

  readonly context: Context;
  readonly listener: ListenerPlace;
  readonly client: Wire;
  readonly source: SourceWords;
  readonly party: Party;
  readonly forwarding: Forwarding;
  private readonly exchange: Exchange;
  private readonly capsColumn: number;
  private readonly hasAddress: boolean;
  private readonly defaultHost: Buffer;
  private atom: number;
  /** The policy that this connection was last decided by, and its application there: a swap reaches connections one after the other. */
  private decided: PolicyInForce;
  application: PlannedApplication;
  pool: PoolBalancer;
  /** The verdict of `decided` as far as it depends on the connection alone. */
  private verdict: Decision = 0;
  private state: number = WAITING;
  /** Bytes of the client that wait: part of a head, or requests that came early. */
  private readonly held = new Held();
  private lingered = 0;
  private headBegun = false;
  /** How the connection ends, once a rule that says so has denied a request. */
  private denyWith: DenyWith | null = null;
  private turning = false;

  constructor(context: Context, arrival: Arrival) {
    const { listener, application, early } = arrival;
    this.context = context;
    this.listener = listener;
    this.source = arrival.source;
    this.party = new Party(listener, arrival.sourceText);
    this.forwarding = new Forwarding(arrival.address);
    this.capsColumn = application.column;
    this.hasAddress = arrival.hasAddress;
    this.defaultHost = Buffer.from(listener.text.startsWith('unix:') ? 'localhost' : listener.text, 'latin1');
    this.client = new Wire(arrival.handle, this);
    this.exchange = new Exchange(this);
    this.atom = NO_ADDRESS_ATOM;
    this.application = application;
    this.decided = context.policy;
    this.pool = context.policy.poolOf(listener.application);
    context.sessions.add(this);
    this.judge();
    this.expireIn(application.timeouts.requestHead);
    this.client.resume();
    if (early !== null) this.wireData(this.client, early, early.length);
  }

  // --- the verdict ---------------------------------------------------------------------------------------------------------------

  /** Decides as far as the connection alone allows. */
  private judge(): void {
    const { policy } = this.context;
    const { image } = policy;
    const { source } = this;
    this.decided = policy;
    this.application = policy.application(this.listener.application);
    this.pool = policy.poolOf(this.listener.application);
    if (this.hasAddress) this.atom = atomOf(image, source[0], source[1], source[2], source[3]);
    this.verdict = decide(image, this.listener.vip, this.atom, HTTP, null);
  }

  /** hot: the verdict on the request that was just prepared. Text is made of it only where a rule asks. */
  private decideRequest(upgrading: boolean): Decision {
    const kind = kindOf(this.verdict);
    if (!upgrading && (kind === ALLOW || kind === DENY)) return this.verdict;
    const protocols = upgrading ? HTTP | WEBSOCKET : HTTP;
    const { image } = this.context.policy;
    if (upgrading) {
      const early = decide(image, this.listener.vip, this.atom, protocols, null);
      if (kindOf(early) === ALLOW || kindOf(early) === DENY) return early;
    }
    return decide(image, this.listener.vip, this.atom, protocols, this.facts());
  }

  /**
   * The facts of the request under way, from what is kept of it: what the server gets is what is judged, also where the host is that of an
   * absolute target, or ours for a client that named none.
   */
  private facts(): RequestFacts {
    const { request } = this.exchange;
    const { bytes } = request;
    return {
      method: bytes.toString('latin1', 0, request.methodEnd),
      host: normaliseHost(request.hostName.toString('latin1')),
      ...pathFacts(bytes.toString('latin1', request.pathStart, request.pathEnd)),
      headers: this,
    };
  }

  /** A field of the request under way, for rules that ask for one. */
  fieldLines(name: string): readonly string[] {
    return sentFieldLines(this.exchange.request.bytes, this.exchange.request.pathEnd, name);
  }

  redecide(): boolean {
    if (this.state === OVER) return false;
    const gone = this.listener.vip < 0;
    if (!gone) this.judge();
    if (this.state === LINGERING) return false;
    const { image } = this.context.policy;
    if (!gone && this.application.observes) return false;
    let decision = this.verdict;
    if (!gone && this.exchange.active) {
      decision = decide(image, this.listener.vip, this.atom, this.exchange.flow.protocols, this.facts());
    }
    if (!gone && kindOf(decision) !== DENY) return false;
    const reason = gone ? 'vip removed' : `revoked by ${image.ruleName(ruleOf(decision))}`;
    if (this.exchange.active) {
      if (this.listener.application >= 0) this.context.policy.ledger.add(this.listener.application, ledger.FLOWS_REVOKED, 1);
      if (gone) this.exchange.abort('policy', reason);
      else this.exchange.revoke(reason);
      return true;
    }
    // Idle between requests, and no request of it would be allowed.
    this.leave(this.client.pending > 0);
    return true;
  }

  // --- reading -------------------------------------------------------------------------------------------------------------------

  /** hot */
  wireData(_wire: Wire, bytes: Buffer, length: number): void {
    const application = this.listener.application;
    if (application >= 0) this.context.policy.ledger.add(application, ledger.BYTES_IN, length);
    const { exchange } = this;
    if (this.state === BUSY) {
      if (exchange.tunnelled) {
        exchange.tunnelData(bytes, length);
        return;
      }
      let at = 0;
      if (!exchange.request.done) {
        at = exchange.body(bytes, 0, length);
        if (at < 0) return;
        exchange.flow.bytesIn += at;
        if (exchange.request.done) this.client.settle();
      }
      if (at < length) {
        // The next request came early. It waits, and so does the client.
        this.held.append(bytes, at, length);
        this.client.pause();
      }
    } else if (this.state === WAITING) {
      if (this.held.empty) this.turn(bytes, 0, length);
      else this.append(bytes, length);
    } else if (this.state === LINGERING) {
      this.lingered += length;
      if (this.lingered <= LINGER_BYTES_MAX) return;
      if (this.client.pending === 0) this.leave(false);
      else this.client.pause();
    }
  }

  /** hot: carries out the requests in the bytes, one after the other, for as long as each is over at once. */
  private turn(first: Buffer, start: number, end: number): void {
    this.turning = true;
    const bytes = first;
    let at = start;
    const length = end;
    // The client is only read on when it has taken its answers, so it cannot have us queue them without end.
    while (this.state === WAITING && at < length) {
      const next = this.begin(bytes, at, length);
      if (next < 0) break;
      at = next;
      if (this.client.pending > 0) break;
    }
    this.turning = false;
    if (this.state === OVER || this.state === LINGERING) {
      this.held.drop();
      return;
    }
    this.held.keep(bytes, at, length);
    if (this.state === WAITING && this.client.pending === 0) this.client.resume();
    // While it waits for its answer, too: only reading tells that it has left.
    else if (this.state === BUSY && this.held.empty && this.exchange.request.done) this.client.resume();
    else if (!this.held.empty || this.state === WAITING) this.client.pause();
  }

  /** More of a head of which a part is held. */
  private append(bytes: Buffer, length: number): void {
    const { held: whole } = this;
    whole.append(bytes, 0, length);
    // A head ends with a line, so without a new line there is nothing new to see: a client that sends byte by byte costs no scan a byte.
    const line = bytes.subarray(0, length).includes(LF);
    if (line || whole.length > this.application.limits.headBytes) this.turn(whole.bytes, 0, whole.length);
  }

  /** hot: one request from `at`. Answers where it ends, or -1 where its head is not whole (the rest must be held) or the connection is done for. */
  private begin(bytes: Buffer, at: number, length: number): number {
    if (this.context.policy !== this.decided) {
      // A swap on its way through the connections has not come to this one yet. The request is judged by the new policy, and told.
      if (this.listener.vip < 0) {
        this.leave(false);
        return -1;
      }
      this.judge();
    }
    const { limits, timeouts } = this.application;
    const fault = requestHead.scan(bytes, at, length, limits.targetBytes, limits.headFields);
    if (fault !== null) {
      if (fault !== 'incomplete') this.refuse(fault, at, bytes, length);
      else if (length - at > limits.headBytes) this.refuse('head-size', at, bytes, length);
      // The clock of a head starts with its first byte, and with no later one.
      else if (!this.headBegun) {
        this.headBegun = true;
        this.expireIn(timeouts.requestHead);
      }
      return -1;
    }
    if (requestHead.fields.end - at > limits.headBytes) {
      this.refuse('head-size', at, bytes, length);
      return -1;
    }
    this.headBegun = false;
    const moved = this.decided.image.asksForPaths ? withoutDots(bytes, length, requestHead) : null;
    if (moved !== null) {
      const end = this.begin(moved, 0, moved.length);
      return end < 0 ? end : length - moved.length + end;
    }
    const { exchange, context } = this;
    const now = context.clock.now();
    const end = exchange.prepare(bytes, length, requestHead, this.defaultHost);
    if (end < 0) {
      this.refuse('bad-coding', at, bytes, length);
      return -1;
    }
    const { upgrading } = exchange.request;
    const decision = this.decideRequest(upgrading);
    const denied = kindOf(decision) === DENY;
    const verdict = !denied ? ledger.RULE_ALLOW : this.application.observes ? ledger.RULE_WOULD_DENY : ledger.RULE_DENY;
    const { flow } = exchange;
    openFlow(context, flow, this.listener.application, ruleOf(decision), verdict, now);
    flow.protocols = upgrading ? HTTP | WEBSOCKET : HTTP;
    flow.bytesIn = end - at;
    this.state = BUSY;
    const { image } = this.decided;
    if (image.hasShadows) countShadows(context, this.listener.vip, this.atom, flow, flow.protocols, this.facts());
    if (image.hasLogged) logDecided(context, flow, this.party);
    if (verdict === ledger.RULE_DENY) this.deny(ruleOf(decision));
    else exchange.reach();
    return end;
  }

  /** Denied: told so with a 403, unless its rule says otherwise. */
  private deny(rule: number): void {
    const way = this.context.policy.image.ruleDenyWith(rule);
    if (way === null || way === 'reply') this.exchange.deny(kindOf(this.verdict) !== DENY);
    else {
      this.denyWith = way;
      this.exchange.abort('policy', 'denied');
    }
  }

  readOn(): void {
    if (this.held.empty) this.client.resume();
  }

  takeHeld(): Chunk | null {
    return this.held.take();
  }

  // --- what the exchange says ----------------------------------------------------------------------------------------------------

  /** hot */
  expireIn(milliseconds: number): void {
    this.context.wheel.arm(this, this.context.clock.coarse + milliseconds);
  }

  /** hot */
  exchangeDone(keep: boolean): void {
    if (!keep || this.client.ended) {
      this.linger();
      return;
    }
    this.state = WAITING;
    this.expireIn(this.application.timeouts.keepAlive);
    // Within `turn`, its loop goes on by itself.
    if (this.turning) return;
    if (this.client.pending === 0) this.proceed();
    // It takes no answers, so no more requests are taken from it.
    else this.client.pause();
  }

  exchangeBroken(): void {
    this.leave(this.denyWith !== 'close');
  }

  private proceed(): void {
    const { held } = this;
    if (!held.empty) this.turn(held.bytes, 0, held.length);
    else this.client.resume();
  }

  // --- what the client does ------------------------------------------------------------------------------------------------------

  wireEnd(): void {
    if (this.state === BUSY) this.exchange.clientEnd();
    else if (this.client.pending > 0) this.linger();
    else this.leave(false);
  }

  wireError(_wire: Wire, errno: number): void {
    if (this.state === BUSY) this.exchange.clientError(errno);
    else this.leave(true);
  }

  wireDrained(): void {
    if (this.state === BUSY) this.exchange.clientDrained();
    else if (this.state === WAITING) this.proceed();
    else if (this.state === LINGERING) this.linger();
  }

  expired(): void {
    if (this.state === BUSY) this.exchange.expired();
    else if (this.state === LINGERING) this.leave(this.client.pending > 0);
    else if (this.client.pending > 0) {
      // The last answer has not been taken.
      this.context.policy.ledger.limit(this.listener.application, 'response');
      this.leave(true);
    } else if (!this.held.empty) {
      this.context.policy.ledger.limit(this.listener.application, 'request-head');
      this.answerUnread(408, 'request-timeout', 'head', this.held.bytes, 0);
    } else {
      this.context.policy.ledger.limit(this.listener.application, 'keep-alive');
      this.leave(false);
    }
  }

  drain(): void {
    if (this.state !== WAITING || !this.held.empty) return;
    if (this.client.pending > 0) this.linger();
    else this.leave(false);
  }

  abort(reason: string): void {
    if (this.exchange.active) this.exchange.abort('proxy', reason);
    else this.leave(true);
  }

  describe(into: FlowRecord[]): void {
    const { exchange } = this;
    if (exchange.active) into.push(describeFlow(this.context, exchange.flow, this.party, exchange.request));
  }

  // --- the end -------------------------------------------------------------------------------------------------------------------

  /** What came is no request that could go on. */
  private refuse(fault: RequestFault, at: number, bytes: Buffer, length: number): void {
    const { ledger: counters } = this.context.policy;
    if (fault === 'head-size' || fault === 'target-size') counters.limit(this.listener.application, fault);
    else if (fault === 'too-many-fields') counters.limit(this.listener.application, 'head-fields');
    const status = STATUS_OF_FAULT[fault];
    const error: ReplyError =
      status === 414 ? 'target-too-long' : status === 431 ? 'head-too-large' : status === 405 ? 'connect-not-supported' : 'bad-request';
    this.answerUnread(status, error, fault, bytes, length - at);
  }

  /** Answers something that never became a request: recorded without a verdict. */
  private answerUnread(status: number, error: ReplyError, detail: string, _bytes: Buffer, seen: number): void {
    const { context } = this;
    const flow = new Flow();
    openFlow(context, flow, this.listener.application, -1, -1, context.clock.now());
    flow.status = status;
    flow.bytesIn = seen;
    const denied = kindOf(this.verdict) === DENY && !this.application.observes;
    // A source that no rule allows gets no conversation about its syntax.
    const bytes = denied
      ? reply(403, 'denied', context.journal.receipt(flow.receipt), null, false, false)
      : reply(status, error, context.journal.receipt(flow.receipt), detail, false, false);
    if (denied) flow.status = 403;
    flow.bytesOut = bytes.length;
    const counters = context.policy.ledger;
    counters.add(this.listener.application, ledger.RESPONSES + Math.floor(flow.status / 100) - 1, 1);
    counters.add(this.listener.application, ledger.BYTES_OUT, bytes.length);
    this.client.writeBytes(bytes);
    closeFlow(context, flow, this.listener.application, this.party, null, 'client', `${error}: ${detail}`, context.clock.now());
    this.linger();
  }

  /** Sends the last of what is to be sent, then waits a little for the client to close. */
  private linger(): void {
    if (this.state === OVER) return;
    if (this.client.ended && this.client.pending === 0) {
      this.leave(false);
      return;
    }
    if (this.state !== LINGERING) {
      this.state = LINGERING;
      this.dropHeldUnlessTurning();
      this.client.end();
    }
    // While it still takes its answer it has the time that answers have.
    this.expireIn(this.client.pending > 0 ? this.application.timeouts.response : LINGER_MS);
    this.client.resume();
  }

  private dropHeldUnlessTurning(): void {
    if (!this.turning) this.held.drop();
  }

  private leave(reset: boolean): void {
    if (this.state === OVER) return;
    this.state = OVER;
    const { context } = this;
    context.wheel.disarm(this);
    const held = this.denyWith === 'tarpit' && holdInTarpit(context, this.client, this.listener.application);
    if (!held && reset) this.client.reset();
    else if (!held) this.client.close();
    this.dropHeldUnlessTurning();
    context.sessions.remove(this);
    context.caps.release(this.capsColumn, this.source);
    if (this.listener.application >= 0) context.policy.ledger.add(this.listener.application, ledger.CONNECTIONS_CLOSED, 1);
  }
}
