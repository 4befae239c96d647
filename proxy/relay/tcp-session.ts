/**
 * The life of a TCP flow: accepted, decided (on its first bytes where the rules ask for the protocol), dialled, relayed, accounted for.
 * This file owns that sequence and both sockets.
 */
import { type ProtocolSet, SERVER_FIRST, UNKNOWN } from '../../config/protocols.ts';
import { ALLOW, DENY, decide, kindOf, possibleProtocols, ruleOf } from '../../policy/decide.ts';
import { atomOf, NO_ADDRESS_ATOM } from '../../policy/lookup.ts';
import type { Candidate, PoolBalancer, SourceWords } from '../balance/pool.ts';
import type { PlannedApplication } from '../node/plan.ts';
import type { DialResult, FlowRecord } from '../observe/view.ts';
import * as ledger from '../shared/ledger.ts';
import { type Chunk, giveChunk, takeChunk } from '../wire/chunks.ts';
import { type Dial, dial } from '../wire/dial.ts';
import type { StreamHandle } from '../wire/native.ts';
import type { Timed } from '../wire/wheel.ts';
import { Wire, type WireOwner } from '../wire/wire.ts';
import { closeFlow, describeFlow, type EndedBy, Flow, openFlow, Party } from '../worker/account.ts';
import type { Context } from '../worker/context.ts';
import type { PolicyInForce } from '../worker/policy-in-force.ts';
import type { ListenerPlace, Session } from '../worker/session.ts';
import { DETECT_BYTES_MAX, detectClient, detectServer, MORE } from './detect.ts';

/** Waiting for the client's first bytes; dialling; waiting for the server's banner; carrying; over. */
const DETECTING = 0;
const DIALLING = 1;
const BANNER = 2;
const RELAYING = 3;
const OVER = 4;

/** A silent client that may be waiting for a server to speak first gets a server after this long. */
const SILENCE_MS = 200;

export class TcpSession implements WireOwner, Timed, Session {
  deadline = Number.POSITIVE_INFINITY;
  wheelSlot = -1;
  wheelNext: Timed | null = null;
  wheelPrevious: Timed | null = null;
  nextSession: Session | null = null;
  previousSession: Session | null = null;

  readonly listener: ListenerPlace;
  private readonly context: Context;
  private readonly client: Wire;
  private readonly source: SourceWords;
  private readonly party: Party;
  private readonly flow = new Flow();
  private readonly capsColumn: number;
  /** The policy that this session was last decided by, and its application there: a swap reaches sessions one after the other. */
  private decided: PolicyInForce;
  private application: PlannedApplication;
  private pool: PoolBalancer;
  private atom: number;
  private protocols: ProtocolSet = 0;
  private state: number = DETECTING;
  private server: Wire | null = null;
  private dialling: Dial | null = null;
  private candidate: Candidate | null = null;
  private tried: number[] | null = null;
  /** What was read before there was somewhere to send it: the client's first bytes, or the server's banner. */
  private held: Chunk | null = null;
  private totalDeadline: number;
  private idleMs: number;

  constructor(
    context: Context,
    listener: ListenerPlace,
    handle: StreamHandle,
    source: SourceWords,
    sourceText: string,
    application: PlannedApplication,
    hasAddress: boolean,
  ) {
    this.context = context;
    this.listener = listener;
    this.source = source;
    this.party = new Party(listener, sourceText);
    this.capsColumn = application.column;
    this.application = application;
    this.decided = context.policy;
    this.pool = context.policy.poolOf(listener.application);
    this.client = new Wire(handle, this);
    this.atom = hasAddress ? atomOf(context.policy.image, source[0], source[1], source[2], source[3]) : NO_ADDRESS_ATOM;
    this.totalDeadline = application.timeouts.total === null ? Number.POSITIVE_INFINITY : context.clock.coarse + application.timeouts.total;
    this.idleMs = application.timeouts.idle;
    context.sessions.add(this);
    this.flow.startedAt = context.clock.now();
    this.consider();
  }

  // --- the verdict ---------------------------------------------------------------------------------------------------------------

  /** Asks the policy with what is known; goes on, ends, or waits for what is missing. */
  private consider(): void {
    const { policy } = this.context;
    if (policy !== this.decided) {
      this.redecide();
      return;
    }
    const decision = decide(policy.image, this.listener.vip, this.atom, this.protocols, null);
    const kind = kindOf(decision);
    if (kind === ALLOW) this.admit(ruleOf(decision), ledger.RULE_ALLOW);
    else if (kind === DENY) {
      if (this.application.observes) this.admit(ruleOf(decision), ledger.RULE_WOULD_DENY);
      else this.deny(ruleOf(decision));
    } else this.waitForProtocol();
  }

  private waitForProtocol(): void {
    if (this.state === BANNER) {
      // The server's first bytes are still too few to tell.
      this.server!.resume();
      return;
    }
    const possible = possibleProtocols(this.context.policy.image, this.listener.vip, this.atom);
    if ((possible & ~SERVER_FIRST) === 0) {
      // Every protocol that could be allowed has the server speak first: a client of one of them says nothing now.
      this.connect();
      return;
    }
    this.state = DETECTING;
    const wait =
      (possible & SERVER_FIRST) !== 0 && this.held === null
        ? Math.min(SILENCE_MS, this.application.timeouts.detect)
        : this.application.timeouts.detect;
    this.context.wheel.arm(this, this.flow.startedAt + wait);
    this.client.resume();
  }

  private admit(rule: number, verdict: ledger.RuleVerdict): void {
    this.open(rule, verdict);
    if (this.state === BANNER) this.carry();
    else this.connect();
  }

  private deny(rule: number): void {
    this.open(rule, ledger.RULE_DENY);
    this.finish('policy', 'denied', true);
  }

  private open(rule: number, verdict: ledger.RuleVerdict): void {
    const { flow } = this;
    const startedAt = flow.startedAt;
    const { bytesIn, bytesOut, server } = flow;
    openFlow(this.context, flow, this.listener.application, rule, verdict, startedAt);
    flow.bytesIn = bytesIn;
    flow.bytesOut = bytesOut;
    flow.server = server;
    flow.protocols = this.protocols;
  }

  private get over(): boolean {
    return this.state === OVER;
  }

  redecide(): boolean {
    if (this.state === OVER) return false;
    const { policy } = this.context;
    if (this.listener.vip < 0) {
      this.revoke('vip removed');
      return true;
    }
    this.decided = policy;
    this.application = policy.application(this.listener.application);
    this.pool = policy.poolOf(this.listener.application);
    this.atom =
      this.atom === NO_ADDRESS_ATOM
        ? NO_ADDRESS_ATOM
        : atomOf(policy.image, this.source[0], this.source[1], this.source[2], this.source[3]);
    this.idleMs = this.application.timeouts.idle;
    if (!this.flow.live) {
      // No verdict yet: what it waits for may have changed, or it may be out of the question now.
      const decision = decide(policy.image, this.listener.vip, this.atom, this.protocols, null);
      if (this.state === DETECTING || (kindOf(decision) === DENY && !this.application.observes)) this.consider();
      return this.over;
    }
    let decision = decide(policy.image, this.listener.vip, this.atom, this.protocols, null);
    // A flow that was admitted without a look at its bytes is past them now: what it carries can no longer be told.
    if (kindOf(decision) !== ALLOW && kindOf(decision) !== DENY)
      decision = decide(policy.image, this.listener.vip, this.atom, UNKNOWN, null);
    if (kindOf(decision) !== DENY || this.application.observes) return false;
    this.revoke(`revoked by ${policy.image.ruleName(ruleOf(decision))}`);
    return true;
  }

  private revoke(reason: string): void {
    if (this.listener.application >= 0) this.context.policy.ledger.add(this.listener.application, ledger.FLOWS_REVOKED, 1);
    this.finish('policy', reason, true);
  }

  // --- the server ----------------------------------------------------------------------------------------------------------------

  private connect(): void {
    this.state = DIALLING;
    this.client.pause();
    this.pool.counted(this.context.clock.coarse);
    this.dialNext();
  }

  private dialNext(): void {
    const { context } = this;
    const candidate = this.pool.pick(this.source, context.clock.epoch + context.clock.coarse, this.tried);
    if (candidate === null) {
      this.finish('proxy', 'no server available', true);
      return;
    }
    this.candidate = candidate;
    this.flow.server = candidate.label;
    context.serverFlows.add(context.worker, candidate.server.row, 1);
    context.wheel.arm(this, context.clock.coarse + this.application.timeouts.connect);
    this.dialling = dial(candidate.server.target, this, this.dialled);
  }

  private readonly dialled = (wire: Wire | null, result: DialResult): void => {
    const { context } = this;
    this.dialling = null;
    context.servers.dialled(context.worker, this.candidate!.server.row, result);
    if (wire === null) {
      this.dialFailed(result);
      return;
    }
    this.pool.succeeded(this.candidate!);
    this.server = wire;
    if (this.flow.live) this.carry();
    else {
      this.state = BANNER;
      context.wheel.arm(this, context.clock.coarse + this.application.timeouts.detect);
      wire.resume();
      // A client that was thought silent may speak after all.
      this.client.resume();
    }
  };

  private dialFailed(result: DialResult): void {
    const { context } = this;
    const failed = this.candidate!;
    this.leaveServer();
    this.pool.failed(failed, context.clock.epoch + context.clock.coarse);
    this.tried = [...(this.tried ?? []), failed.server.row];
    if (this.tried.length <= this.pool.plan.retries.attempts) {
      if (this.pool.mayRetry(context.clock.coarse)) {
        this.dialNext();
        return;
      }
      context.policy.ledger.limit(this.listener.application, 'retry-budget');
    }
    this.finish('proxy', `dial ${result}`, true);
  }

  private leaveServer(): void {
    if (this.candidate === null) return;
    this.context.serverFlows.add(this.context.worker, this.candidate.server.row, -1);
    this.candidate = null;
  }

  // --- carrying ------------------------------------------------------------------------------------------------------------------

  /** Both sides are there and the verdict is yes: what was held back goes out, and bytes flow. */
  private carry(): void {
    const fromServer = this.state === BANNER && this.heldFromServer;
    this.state = RELAYING;
    const held = this.held;
    this.held = null;
    if (held !== null) {
      if (held.length > 0) {
        this.count(fromServer ? 1 : 0, held.length);
        (fromServer ? this.client : this.server!).writeChunk(held);
      } else giveChunk(held);
    }
    this.context.wheel.arm(this, Math.min(this.context.clock.coarse + this.idleMs, this.totalDeadline));
    if (this.server!.pending === 0) this.client.resume();
    if (this.client.pending === 0) this.server!.resume();
    // An end that came while there was nobody to pass it on to.
    if (this.client.ended) this.server!.end();
    if (this.server!.ended) this.client.end();
    this.endIfDone();
  }

  private heldFromServer = false;

  /** hot: must not allocate, and touches nothing but this flow's own state and counters. */
  wireData(wire: Wire, bytes: Buffer, length: number): void {
    if (this.state === RELAYING) {
      const fromClient = wire === this.client;
      this.deadline = Math.min(this.context.clock.coarse + this.idleMs, this.totalDeadline);
      this.count(fromClient ? 0 : 1, length);
      (fromClient ? this.server! : this.client).relay(wire, bytes, 0, length);
    } else if (this.state !== OVER) this.hold(wire, bytes, length);
  }

  /** hot */
  private count(direction: 0 | 1, length: number): void {
    if (direction === 0) this.flow.bytesIn += length;
    else this.flow.bytesOut += length;
    const application = this.listener.application;
    if (application >= 0) this.context.policy.ledger.add(application, direction === 0 ? ledger.BYTES_IN : ledger.BYTES_OUT, length);
  }

  /** First bytes, of the client or of a server that speaks first. */
  private hold(wire: Wire, bytes: Buffer, length: number): void {
    const fromServer = wire !== this.client;
    if (this.held !== null && this.heldFromServer !== fromServer) {
      // Both spoke: whoever spoke first is judged, the other waits in the kernel's buffer. These bytes are the other's first.
      this.finish('proxy', 'both sides spoke before the protocol was known', true);
      return;
    }
    this.heldFromServer = fromServer;
    this.held ??= takeChunk(Math.max(length, DETECT_BYTES_MAX));
    const held = this.held;
    if (held.length + length > held.size) {
      const larger = takeChunk(held.length + length);
      larger.length = held.bytes.copy(larger.bytes, 0, 0, held.length);
      giveChunk(held);
      this.held = larger;
    }
    this.held.length += bytes.copy(this.held.bytes, this.held.length, 0, length);
    wire.pause();
    if (this.state === DIALLING) return;
    if (this.state === BANNER && !fromServer) this.server!.pause();
    else if (this.state === BANNER) this.client.pause();
    const found = fromServer ? detectServer(this.held.bytes, this.held.length) : detectClient(this.held.bytes, this.held.length);
    if (found === MORE) {
      if (this.state === DETECTING) this.context.wheel.arm(this, this.flow.startedAt + this.application.timeouts.detect);
      wire.resume();
      return;
    }
    this.protocols = found;
    this.consider();
  }

  wireEnd(wire: Wire): void {
    if (this.state === RELAYING) {
      const other = wire === this.client ? this.server! : this.client;
      if (other.ended) this.endIfDone();
      else {
        other.end();
        this.idleMs = this.application.timeouts.halfClosed;
        this.context.wheel.arm(this, Math.min(this.context.clock.coarse + this.idleMs, this.totalDeadline));
      }
      return;
    }
    if (wire === this.client && this.state !== DIALLING) {
      if (this.held === null || this.held.length === 0) this.finish('client', 'closed before its first byte', false);
      else this.settleUnknown();
    } else if (wire !== this.client) this.finish('server', 'closed before its first byte', true);
  }

  wireError(wire: Wire, errno: number): void {
    const reason = errno === -104 || errno === -32 ? 'reset' : `error ${errno}`;
    this.finish(wire === this.client ? 'client' : 'server', reason, true);
  }

  wireDrained(wire: Wire): void {
    if (this.state !== RELAYING) return;
    this.deadline = Math.min(this.context.clock.coarse + this.idleMs, this.totalDeadline);
    (wire === this.client ? this.server! : this.client).resume();
    this.endIfDone();
  }

  /** Both have sent their last byte and all of it is on its way: an orderly end. */
  private endIfDone(): void {
    const server = this.server!;
    if (!this.client.ended || !server.ended || this.client.pending > 0 || server.pending > 0) return;
    this.finish(this.client.shut ? 'server' : 'client', 'closed', false);
  }

  /** The bytes will not tell any more: judged as `unknown`. */
  private settleUnknown(): void {
    this.protocols = UNKNOWN;
    this.consider();
  }

  expired(now: number): void {
    if (this.state === DETECTING) {
      const possible = possibleProtocols(this.context.policy.image, this.listener.vip, this.atom);
      if (this.held === null && (possible & SERVER_FIRST) !== 0) this.connect();
      else {
        this.context.policy.ledger.limit(this.listener.application, 'detect');
        this.settleUnknown();
      }
    } else if (this.state === DIALLING) {
      this.dialling?.cancel();
      this.dialling = null;
      this.context.policy.ledger.limit(this.listener.application, 'connect');
      this.context.servers.dialled(this.context.worker, this.candidate!.server.row, 'timeout');
      this.dialFailed('timeout');
    } else if (this.state === BANNER) {
      this.context.policy.ledger.limit(this.listener.application, 'detect');
      this.settleUnknown();
    } else if (this.state === RELAYING) {
      const total = now >= this.totalDeadline;
      const half = this.client.ended || this.server!.ended;
      const limit = total ? 'total' : half ? 'half-closed' : 'idle';
      if (this.listener.application >= 0) this.context.policy.ledger.limit(this.listener.application, limit);
      this.finish('proxy', `${limit} timeout`, true);
    }
  }

  // --- the end -------------------------------------------------------------------------------------------------------------------

  drain(): void {
    if (this.state === DETECTING) this.finish('proxy', 'draining', true);
  }

  abort(reason: string): void {
    this.finish('proxy', reason, true);
  }

  describe(into: FlowRecord[]): void {
    if (this.flow.live) into.push(describeFlow(this.context, this.flow, this.party, null));
  }

  /** The one place where a flow ends. */
  private finish(by: EndedBy, reason: string, reset: boolean): void {
    if (this.state === OVER) return;
    this.state = OVER;
    const { context } = this;
    context.wheel.disarm(this);
    this.dialling?.cancel();
    this.dialling = null;
    this.leaveServer();
    if (reset) {
      this.client.reset();
      this.server?.reset();
    } else {
      this.client.close();
      this.server?.close();
    }
    if (this.held !== null) giveChunk(this.held);
    this.held = null;
    context.sessions.remove(this);
    context.caps.release(this.capsColumn, this.source);
    if (this.listener.application >= 0) context.policy.ledger.add(this.listener.application, ledger.CONNECTIONS_CLOSED, 1);
    if (!this.flow.live) {
      // It ended before a verdict: recorded, not counted as a flow of any rule.
      const { startedAt, bytesIn, bytesOut, server } = this.flow;
      openFlow(context, this.flow, this.listener.application, -1, -1, startedAt);
      this.flow.bytesIn = bytesIn;
      this.flow.bytesOut = bytesOut;
      this.flow.server = server;
    }
    this.flow.protocols = this.protocols;
    closeFlow(context, this.flow, this.listener.application, this.party, null, by, reason);
  }
}
