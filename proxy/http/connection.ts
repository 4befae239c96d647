/**
 * A client connection that speaks HTTP/1.1: reads request heads one after the other, asks the policy about each, and has its
 * exchange carry out what is allowed. Requests that come early wait their turn; answers go out in order.
 */
import type { DenyWith } from '../../config/document.ts';
import { DENY, kindOf, ruleOf } from '../../policy/decide.ts';
import type { PoolBalancer, SourceWords } from '../balance/pool.ts';
import type { PlannedApplication } from '../node/plan.ts';
import type { FlowRecord } from '../observe/view.ts';
import { holdInTarpit } from '../relay/farewell.ts';
import * as ledger from '../shared/ledger.ts';
import type { Chunk } from '../wire/chunks.ts';
import { Held } from '../wire/held.ts';
import { Wire, type WireOwner } from '../wire/wire.ts';
import { describeFlow, type Party } from '../worker/account.ts';
import type { Arrival } from '../worker/arrival.ts';
import type { Context } from '../worker/context.ts';
import { CUT, KEPT, type Redecided } from '../worker/redecided.ts';
import { type Draining, drainingOf } from '../worker/revocation.ts';
import { type ListenerPlace, LiveSession } from '../worker/session.ts';
import type { Tenure } from '../worker/tenure.ts';
import { Admission, type AdmittingPlace } from './admission.ts';
import { LF } from './bytes.ts';
import { Forwarding } from './compose.ts';
import { Exchange } from './exchange.ts';
import { Judgement } from './judgement.ts';
import { Leftover, LINGER_MS } from './leftover.ts';
import { beginsHttp2, type StartHttp2 } from './preface.ts';
import { answerUnread, type RefusingPlace, refuseFault } from './refusal.ts';
import { type RequestFault, RequestHead } from './request-head.ts';
import { Sender } from './sender.ts';
import { withoutDots } from './sent-fields.ts';

/** Waiting for a head; carrying an exchange; answered and closing; over. */
const WAITING = 0;
const BUSY = 1;
const LINGERING = 2;
const OVER = 3;

/** Scanning is done within one callback, so one of these serves the whole thread. */
const requestHead = new RequestHead();

export class HttpConnection extends LiveSession implements WireOwner, AdmittingPlace, RefusingPlace {
  readonly context: Context;
  readonly listener: ListenerPlace;
  readonly client: Wire;
  readonly arrival: Arrival;
  readonly forwarding: Forwarding;
  private readonly exchange: Exchange;
  private readonly capsColumn: number;
  private readonly defaultHost: Buffer;
  readonly judgement: Judgement;
  pool: PoolBalancer;
  readonly sender: Sender;
  private readonly admission: Admission;
  private state: number = WAITING;
  /** Bytes of the client that wait: part of a head, or requests that came early. */
  private readonly held = new Held();
  private readonly leftover = new Leftover();
  private headBegun = false;
  /** How the connection ends, once a rule that says so has denied a request. */
  denyWith: DenyWith | null = null;
  private turning = false;
  /** Takes the connection over where it begins as one of HTTP/2; null once it has begun otherwise. */
  private startHttp2: StartHttp2 | null;

  constructor(context: Context, arrival: Arrival, startHttp2: StartHttp2 | null = null) {
    super();
    const { listener, application, early } = arrival;
    this.startHttp2 = startHttp2;
    this.context = context;
    this.listener = listener;
    this.arrival = early === null ? arrival : { ...arrival, early: null };
    this.forwarding = new Forwarding(arrival.address, arrival.tls?.terminated === true ? 'https' : 'http');
    this.capsColumn = application.column;
    this.defaultHost = Buffer.from(listener.text.startsWith('unix:') ? 'localhost' : listener.text, 'latin1');
    this.client = new Wire(arrival.handle, this);
    this.exchange = new Exchange(this);
    this.judgement = new Judgement(context, arrival, this.exchange.request);
    this.sender = new Sender(context, arrival, this.judgement, this.forwarding);
    this.admission = new Admission(this, this.exchange, this.judgement);
    this.pool = context.policy.poolOf(listener.application);
    context.sessions.add(this);
    this.expireIn(application.timeouts.requestHead);
    this.client.resume();
    if (early !== null) this.wireData(this.client, early, early.length);
  }

  get source(): SourceWords {
    return this.sender.source;
  }

  get party(): Party {
    return this.sender.party;
  }

  get application(): PlannedApplication {
    return this.judgement.application;
  }

  /** Decides again as far as the connection alone allows. */
  private judge(): void {
    this.judgement.renew();
    this.pool = this.context.policy.sameAs(this.pool, this.listener.application);
  }

  redecide(): Redecided {
    if (this.state === OVER) return KEPT;
    const gone = this.listener.vip < 0;
    if (!gone) this.judge();
    if (this.state === LINGERING) return KEPT;
    const { judgement, exchange } = this;
    if (exchange.active) return gone ? this.admission.abandon('vip removed') : this.admission.renew();
    const decision = judgement.onConnection;
    // Requests of others may come as well, or of whom a token is still to tell, which are judged as they come.
    const isOpen = this.sender.isShared || judgement.checker !== null;
    if (!gone && (kindOf(decision) !== DENY || this.application.observes || isOpen)) return KEPT;
    // Idle between requests. Where it may come to its end by itself, the next request will hear that it is denied.
    if (!gone && drainingOf(this.context, ruleOf(decision), exchange.flow, null) !== null) return KEPT;
    this.leave(this.client.flush() > 0);
    return CUT;
  }

  get tenure(): Tenure {
    return this.admission.tenure;
  }

  get draining(): Draining | null {
    return this.tenure.draining;
  }

  get closing(): boolean {
    return this.context.draining || (this.draining !== null && this.draining.until < Number.POSITIVE_INFINITY);
  }

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
        exchange.countIn(at);
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
      if (!this.leftover.isTooMuch(length)) return;
      if (this.client.pending === 0) this.leave(false);
      else this.client.pause();
    }
  }

  /** hot: carries out the requests in the bytes, one after the other, for as long as each is over at once. */
  private turn(bytes: Buffer, start: number, length: number): void {
    this.turning = true;
    let at = start;
    // The client is only read on when it has taken its answers, so it cannot have us queue them without end.
    while (this.state === WAITING && at < length && this.client.flush() === 0 && (at === start || this.arrival.stream === null)) {
      const next = this.begin(bytes, at, length);
      if (next < 0) break;
      at = next;
    }
    this.turning = false;
    // What stands behind the one request of a stream is none: bytes for a WebSocket, to which a server has said no.
    if (this.arrival.stream !== null && this.state === WAITING && at > start && at < length) this.linger();
    if (this.state === OVER || this.state === LINGERING) {
      this.held.drop();
      return;
    }
    this.held.keep(bytes, at, length);
    if (this.sender.bearer.isChecking) this.client.pause();
    else if (this.state === WAITING && this.client.pending === 0) this.client.resume();
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
    const { judgement } = this;
    if (!judgement.isCurrent) {
      // A swap on its way through the connections has not come to this one yet: the request is judged by the new policy, and told.
      if (this.listener.vip < 0) {
        this.leave(false);
        return -1;
      }
      this.judge();
    }
    const { limits, timeouts } = this.application;
    const fault = requestHead.scan(bytes, at, length, limits.targetBytes, limits.headFields);
    if (fault !== null) {
      if (fault === 'bad-version' && this.startHttp2 !== null && beginsHttp2(bytes, at, length))
        this.handOver(this.startHttp2, bytes, at, length);
      else if (fault !== 'incomplete') this.refuse(fault, bytes, at, length);
      else if (length - at > limits.headBytes) this.refuse('head-size', bytes, at, length);
      // The clock of a head starts with its first byte, and with no later one.
      else if (!this.headBegun) {
        this.headBegun = true;
        this.expireIn(timeouts.requestHead);
      }
      return -1;
    }
    if (requestHead.fields.end - at > limits.headBytes) {
      this.refuse('head-size', bytes, at, length);
      return -1;
    }
    this.headBegun = false;
    this.startHttp2 = null;
    const moved = judgement.asksForPaths ? withoutDots(bytes, length, requestHead) : null;
    if (moved !== null) {
      const end = this.begin(moved, 0, moved.length);
      return end < 0 ? end : length - moved.length + end;
    }
    if (!this.sender.learn(bytes, requestHead, this)) {
      // Held while its token is checked. The time between two requests is over.
      this.expireIn(timeouts.requestHead);
      return -1;
    }
    const { exchange, context } = this;
    const now = context.clock.now();
    const end = exchange.prepare(bytes, length, requestHead, this.defaultHost);
    if (end < 0) {
      this.refuse('bad-coding', bytes, at, length);
      return -1;
    }
    this.state = BUSY;
    this.admission.admit(end - at, now);
    return end;
  }

  /** The connection goes on as one of HTTP/2, with its place under the caps. */
  private handOver(start: StartHttp2, bytes: Buffer, at: number, length: number): void {
    const { context } = this;
    this.state = OVER;
    context.wheel.disarm(this);
    context.sessions.remove(this);
    start(context, { ...this.arrival, early: Buffer.from(bytes.subarray(at, length)) }, this.client);
  }

  readOn(): void {
    if (this.held.empty) this.client.resume();
  }

  takeHeld(): Chunk | null {
    return this.held.take();
  }

  /** hot */
  expireIn(milliseconds: number): void {
    const deadline = this.context.clock.coarse + milliseconds;
    this.context.wheel.arm(this, this.draining === null ? deadline : Math.min(deadline, this.draining.until));
  }

  /** hot */
  exchangeDone(keep: boolean): void {
    this.tenure.draining = null;
    if (!keep || this.client.ended || (this.arrival.stream !== null && !this.held.empty)) {
      this.linger();
      return;
    }
    this.state = WAITING;
    this.expireIn(this.application.timeouts.keepAlive);
    // Within `turn`, its loop goes on by itself.
    if (!this.turning && this.client.pending === 0) this.proceed();
    // It takes no answers, so no more requests are taken from it.
    else if (!this.turning) this.client.pause();
  }

  exchangeBroken(): void {
    this.leave(this.denyWith !== 'close');
  }

  tokenChecked(): void {
    if (this.state === WAITING) this.proceed();
  }

  private proceed(): void {
    const { held } = this;
    if (!held.empty) this.turn(held.bytes, 0, held.length);
    else this.client.resume();
  }

  wireEnd(): void {
    if (this.state === BUSY) this.exchange.clientEnd();
    else if (this.client.flush() > 0) this.linger();
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

  expired(now: number): void {
    if (this.state === BUSY) this.exchange.expired(now);
    else if (this.state === LINGERING) this.leave(this.client.pending > 0);
    // It has sent its head; who it is takes the time, which has a bound of its own.
    else if (this.sender.bearer.isChecking) this.expireIn(this.application.timeouts.requestHead);
    else if (this.client.pending > 0) {
      // The last answer has not been taken.
      this.context.policy.ledger.limit(this.listener.application, 'response');
      this.leave(true);
    } else if (!this.held.empty) {
      this.context.policy.ledger.limit(this.listener.application, 'request-head');
      answerUnread(this, 408, 'request-timeout', 'head', 0);
      this.linger();
    } else {
      // Of a stream: its session has the deadline that counts.
      if (this.arrival.stream === null) this.context.policy.ledger.limit(this.listener.application, 'keep-alive');
      this.leave(false);
    }
  }

  drain(): void {
    if (this.state !== WAITING || !this.held.empty) return;
    if (this.client.flush() > 0) this.linger();
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

  /** What came is no request that could go on. */
  private refuse(fault: RequestFault, bytes: Buffer, at: number, length: number): void {
    refuseFault(this, fault, bytes.subarray(at, length));
    this.linger();
  }

  /** Sends the last of what is to be sent, then waits a little for the client to close. */
  private linger(): void {
    if (this.state === OVER) return;
    if (this.client.ended && this.client.flush() === 0) {
      this.leave(false);
      return;
    }
    if (this.state !== LINGERING) {
      this.state = LINGERING;
      if (!this.turning) this.held.drop();
      this.client.end();
    }
    // While it still takes its answer it has the time that answers have.
    this.expireIn(this.client.pending > 0 ? this.application.timeouts.response : LINGER_MS);
    this.client.resume();
  }

  private leave(reset: boolean): void {
    if (this.state === OVER) return;
    this.state = OVER;
    const { context } = this;
    context.wheel.disarm(this);
    const held = this.denyWith === 'tarpit' && holdInTarpit(context, this.client, this.listener.application);
    // What was answered before goes first.
    if (!held) this.client.flush();
    if (!held && reset) this.client.reset();
    else if (!held) this.client.close();
    if (!this.turning) this.held.drop();
    context.upstreams.unbind(this);
    context.sessions.remove(this);
    if (this.arrival.stream !== null) return;
    context.caps.release(this.capsColumn, this.arrival.source);
    if (this.listener.application >= 0) context.policy.ledger.add(this.listener.application, ledger.CONNECTIONS_CLOSED, 1);
  }
}
