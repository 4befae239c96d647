/**
 * The life of a TCP flow: accepted, decided (on its first bytes where the rules ask for the protocol), dialled, relayed, accounted for.
 * This file owns that sequence and both sockets.
 */
import type { DenyWith } from '../../config/document.ts';
import { type ProtocolSet, SERVER_FIRST, UNKNOWN } from '../../config/protocols.ts';
import { ALLOW, DENY, decide, kindOf, possibleProtocols, ruleOf } from '../../policy/decide.ts';
import { atomOf, NO_ADDRESS_ATOM } from '../../policy/lookup.ts';
import { Lease, type LeasePlace, type Lessee } from '../balance/lease.ts';
import type { PoolBalancer, SourceWords } from '../balance/pool.ts';
import type { PlannedApplication } from '../node/plan.ts';
import type { DialResult, FlowRecord } from '../observe/view.ts';
import * as ledger from '../shared/ledger.ts';
import { Held } from '../wire/held.ts';
import type { Timed } from '../wire/wheel.ts';
import { Wire, type WireOwner } from '../wire/wire.ts';
import { closeFlow, describeFlow, type EndedBy, Flow, openFlow, Party } from '../worker/account.ts';
import type { Arrival } from '../worker/arrival.ts';
import type { Context } from '../worker/context.ts';
import { countShadows, logDecided } from '../worker/decided.ts';
import type { PolicyInForce } from '../worker/policy-in-force.ts';
import type { ListenerPlace, Session } from '../worker/session.ts';
import { denialWords } from './denial.ts';
import { detectClient, detectServer, MORE } from './detect.ts';
import { bidFarewell, holdInTarpit } from './farewell.ts';

/** Waiting for the client's first bytes; dialling; waiting for the server's banner; carrying; over. */
const DETECTING = 0;
const DIALLING = 1;
const BANNER = 2;
const RELAYING = 3;
const OVER = 4;

/** A silent client that may be waiting for a server to speak first gets a server after this long. */
const SILENCE_MS = 200;

export class TcpSession implements WireOwner, Timed, Session, LeasePlace, Lessee {
  deadline = Number.POSITIVE_INFINITY;
  wheelSlot = -1;
  wheelNext: Timed | null = null;
  wheelPrevious: Timed | null = null;
  nextSession: Session | null = null;
  previousSession: Session | null = null;

  readonly listener: ListenerPlace;
  readonly context: Context;
  private readonly client: Wire;
  readonly source: SourceWords;
  private readonly hasAddress: boolean;
  private readonly party: Party;
  readonly flow = new Flow();
  private readonly capsColumn: number;
  /** The policy that this session was last decided by, and its application there: a swap reaches sessions one after the other. */
  private decided: PolicyInForce;
  private application: PlannedApplication;
  pool: PoolBalancer;
  private atom: number;
  private protocols: ProtocolSet = 0;
  private state: number = DETECTING;
  private server: Wire | null = null;
  private readonly lease: Lease;
  /** What was read before there was somewhere to send it: the client's first bytes, or the server's banner. */
  private readonly held = new Held();
  private heldFromServer = false;
  /** How the client's connection ends, once it is denied. */
  private denyWith: DenyWith | null = null;
  private totalDeadline = Number.POSITIVE_INFINITY;
  /** How long no byte may come: idle, or half-closed once one side has ended. */
  private idleMs = 0;

  constructor(context: Context, arrival: Arrival) {
    const { listener, source, hasAddress, application, early } = arrival;
    this.context = context;
    this.listener = listener;
    this.source = source;
    this.hasAddress = hasAddress;
    this.party = new Party(listener, arrival.sourceText);
    this.capsColumn = application.column;
    this.application = application;
    this.decided = context.policy;
    this.pool = context.policy.poolOf(listener.application);
    this.client = new Wire(arrival.handle, this);
    this.lease = new Lease(this, this);
    this.atom = hasAddress ? atomOf(context.policy.image, source[0], source[1], source[2], source[3]) : NO_ADDRESS_ATOM;
    context.sessions.add(this);
    this.flow.startedAt = context.clock.now();
    this.takeTimeouts();
    this.consider();
    if (early !== null) this.wireData(this.client, early, early.length);
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
    if ((possible & ~SERVER_FIRST) === 0 && this.held.empty) {
      // Every protocol that could be allowed has the server speak first: a client of one of them says nothing now.
      this.connect();
      return;
    }
    this.state = DETECTING;
    const wait =
      (possible & SERVER_FIRST) !== 0 && this.held.empty
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
    this.denyWith = this.context.policy.image.ruleDenyWith(rule) ?? 'reply';
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
    const { image } = this.context.policy;
    if (image.hasShadows) countShadows(this.context, this.listener.vip, this.atom, flow, this.protocols, null);
    if (image.hasLogged) logDecided(this.context, flow, this.party);
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
    // Addresses in no prefix share an atom with what has none, so the atom before does not tell whether there is an address.
    if (this.hasAddress) this.atom = atomOf(policy.image, this.source[0], this.source[1], this.source[2], this.source[3]);
    this.takeTimeouts();
    if (!this.flow.live) {
      // No verdict yet: what it waits for may have changed, or it may be out of the question now. A dial under way is waited for.
      const kind = kindOf(decide(policy.image, this.listener.vip, this.atom, this.protocols, null));
      if (this.state !== DIALLING || (kind === DENY && !this.application.observes)) this.consider();
      return this.over;
    }
    let decision = decide(policy.image, this.listener.vip, this.atom, this.protocols, null);
    // A flow that was admitted without a look at its bytes is past them now: what it carries can no longer be told.
    if (kindOf(decision) !== ALLOW && kindOf(decision) !== DENY)
      decision = decide(policy.image, this.listener.vip, this.atom, UNKNOWN, null);
    if (kindOf(decision) !== DENY || this.application.observes) {
      // A swap can bring a deadline nearer; it never moves one away, or frequent swaps would keep idle flows for ever.
      if (this.state === RELAYING && this.nextDeadline() < this.deadline) this.context.wheel.arm(this, this.nextDeadline());
      return false;
    }
    this.revoke(`revoked by ${policy.image.ruleName(ruleOf(decision))}`);
    return true;
  }

  /** Of the policy in force, for a flow in the stage that it is in. */
  private takeTimeouts(): void {
    const { idle, total, halfClosed } = this.application.timeouts;
    this.totalDeadline = total === null ? Number.POSITIVE_INFINITY : this.flow.startedAt + total;
    this.idleMs = this.client.ended || this.server?.ended === true ? halfClosed : idle;
  }

  /** hot */
  private nextDeadline(): number {
    return Math.min(this.context.clock.coarse + this.idleMs, this.totalDeadline);
  }

  private revoke(reason: string): void {
    if (this.flow.live && this.listener.application >= 0)
      this.context.policy.ledger.add(this.listener.application, ledger.FLOWS_REVOKED, 1);
    this.finish('policy', reason, true);
  }

  // --- the server ----------------------------------------------------------------------------------------------------------------

  private connect(): void {
    this.state = DIALLING;
    this.client.pause();
    this.reach();
  }

  reach(): void {
    const { context } = this;
    if (this.lease.pick() === null) {
      this.finish('proxy', 'no server available', true);
      return;
    }
    context.wheel.arm(this, context.clock.coarse + this.application.timeouts.connect);
    this.lease.dial(this);
  }

  reached(wire: Wire): void {
    const { context } = this;
    this.lease.praise();
    this.server = wire;
    if (this.flow.live) this.carry();
    else {
      this.state = BANNER;
      context.wheel.arm(this, context.clock.coarse + this.application.timeouts.detect);
      // A client that was thought silent may speak after all.
      this.client.resume();
      // Reads the server, unless a swap has made the answer plain meanwhile.
      this.consider();
    }
  }

  unreached(result: DialResult): void {
    this.finish('proxy', `dial ${result}`, true);
  }

  // --- carrying ------------------------------------------------------------------------------------------------------------------

  /** Both sides are there and the verdict is yes: what was held back goes out, and bytes flow. */
  private carry(): void {
    const fromServer = this.state === BANNER && this.heldFromServer;
    this.state = RELAYING;
    const held = this.held.take();
    if (held !== null) {
      this.count(fromServer ? 1 : 0, held.length);
      (fromServer ? this.client : this.server!).writeChunk(held);
    }
    this.takeTimeouts();
    this.context.wheel.arm(this, this.nextDeadline());
    if (this.server!.pending === 0) this.client.resume();
    if (this.client.pending === 0) this.server!.resume();
    // An end that came while there was nobody to pass it on to.
    if (this.client.ended) this.server!.end();
    if (this.server!.ended) this.client.end();
    this.endIfDone();
  }

  /** hot: must not allocate, and touches nothing but this flow's own state and counters. */
  wireData(wire: Wire, bytes: Buffer, length: number): void {
    if (this.state === RELAYING) {
      const fromClient = wire === this.client;
      this.deadline = this.nextDeadline();
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
    const { held } = this;
    if (!held.empty && this.heldFromServer !== fromServer) {
      // Both spoke: whoever spoke first is judged, the other waits in the kernel's buffer. These bytes are the other's first.
      this.finish('proxy', 'both sides spoke before the protocol was known', true);
      return;
    }
    this.heldFromServer = fromServer;
    held.append(bytes, 0, length);
    wire.pause();
    if (this.state === DIALLING) return;
    if (this.state === BANNER && !fromServer) this.server!.pause();
    else if (this.state === BANNER) this.client.pause();
    const found = fromServer ? detectServer(held.bytes, held.length) : detectClient(held.bytes, held.length);
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
        this.takeTimeouts();
        this.context.wheel.arm(this, this.nextDeadline());
      }
      return;
    }
    if (wire === this.client && this.state !== DIALLING) {
      // It has nothing to say and listens: the banner decides, and its end is passed on with the verdict.
      if (this.state === BANNER && (this.held.empty || this.heldFromServer)) return;
      if (this.held.empty) this.finish('client', 'closed before its first byte', false);
      else this.settleUnknown();
    } else if (wire !== this.client) this.finish('server', 'closed before its first byte', true);
  }

  wireError(wire: Wire, errno: number): void {
    const reason = errno === -104 || errno === -32 ? 'reset' : `error ${errno}`;
    this.finish(wire === this.client ? 'client' : 'server', reason, true);
  }

  wireDrained(wire: Wire): void {
    if (this.state !== RELAYING) return;
    this.deadline = this.nextDeadline();
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
    if (this.decided !== this.context.policy) {
      // A swap is under way that has not come by here yet; what it leaves in place is looked at again with the next tick.
      this.redecide();
      if (this.state !== OVER && this.wheelSlot < 0) this.context.wheel.arm(this, now);
      return;
    }
    if (this.state === DETECTING) {
      const possible = possibleProtocols(this.context.policy.image, this.listener.vip, this.atom);
      if (this.held.empty && (possible & SERVER_FIRST) !== 0) this.connect();
      else {
        this.context.policy.ledger.limit(this.listener.application, 'detect');
        this.settleUnknown();
      }
    } else if (this.state === DIALLING) this.lease.timedOut();
    else if (this.state === BANNER) {
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

  /** Ends a denied client's connection in the way that the rule asks for. False where a reset is what is left. */
  private partWith(way: DenyWith): boolean {
    const { context, client, held } = this;
    switch (way) {
      case 'reset':
        return false;
      case 'close':
        client.close();
        return true;
      case 'tarpit':
        return holdInTarpit(context, client, this.listener.application);
      case 'reply': {
        const words = denialWords(this.protocols, context.journal.receipt(this.flow.receipt));
        if (words === null || client.error !== 0) return false;
        const first = held.empty || this.heldFromServer ? null : Buffer.from(held.bytes.subarray(0, held.length));
        if (!bidFarewell(context, client, words, this.protocols, first)) return false;
        this.count(1, words.length);
        return true;
      }
      default:
        return way satisfies never;
    }
  }

  /** The one place where a flow ends. */
  private finish(by: EndedBy, reason: string, reset: boolean): void {
    if (this.state === OVER) return;
    this.state = OVER;
    const { context } = this;
    context.wheel.disarm(this);
    this.lease.cancel();
    this.lease.release();
    if (reset) {
      if (this.denyWith === null || !this.partWith(this.denyWith)) this.client.reset();
      this.server?.reset();
    } else {
      this.client.close();
      this.server?.close();
    }
    this.held.drop();
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
    closeFlow(context, this.flow, this.listener.application, this.party, null, by, reason, context.clock.now());
  }
}
