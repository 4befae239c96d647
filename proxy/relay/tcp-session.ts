/**
 * The life of a TCP flow: accepted, decided (on its first bytes where the rules ask for the protocol), dialled, relayed, accounted for.
 * This file owns that sequence and both sockets.
 */
import type { DenyWith } from '../../config/document.ts';
import { type ProtocolSet, SERVER_FIRST, UNKNOWN } from '../../config/protocols.ts';
import type { ConnectionFacts } from '../../policy/connection.ts';
import { ALLOW, DENY, type Decision, decide, kindOf, NEED_REQUEST, possibleProtocols, ruleOf } from '../../policy/decide.ts';
import { atomOf, NO_ADDRESS_ATOM } from '../../policy/lookup.ts';
import { Lease, type LeasePlace, type Lessee } from '../balance/lease.ts';
import type { PoolBalancer, SourceWords } from '../balance/pool.ts';
import { beginDatabase, speaksDatabase } from '../databases/begin.ts';
import type { PlannedApplication } from '../node/plan.ts';
import type { DialResult, FlowRecord } from '../observe/view.ts';
import * as ledger from '../shared/ledger.ts';
import { Held } from '../wire/held.ts';
import { Wire, type WireOwner } from '../wire/wire.ts';
import { closeFlow, countBytes, describeFlow, type EndedBy, Flow, openLate, Party } from '../worker/account.ts';
import { type Arrival, connectionOf } from '../worker/arrival.ts';
import type { Context } from '../worker/context.ts';
import { countShadows, logDecided } from '../worker/decided.ts';
import type { PolicyInForce } from '../worker/policy-in-force.ts';
import { CUT, KEPT, type Redecided } from '../worker/redecided.ts';
import type { Draining } from '../worker/revocation.ts';
import { claimLimits } from '../worker/rule-limits.ts';
import { type ListenerPlace, LiveSession } from '../worker/session.ts';
import { Tenure, type TenurePlace } from '../worker/tenure.ts';
import { denialWords } from './denial.ts';
import { detectClient, detectServer, MORE } from './detect.ts';
import { detectAsFar } from './detect-refined.ts';
import { type PartingPlace, partWith } from './parting.ts';
import { Relay, type RelayPlace } from './relay.ts';

/** Waiting for the client's first bytes; dialling; waiting for the server's banner; carrying; over. */
const DETECTING = 0;
const DIALLING = 1;
const BANNER = 2;
const RELAYING = 3;
const OVER = 4;

/** A silent client that may be waiting for a server to speak first gets a server after this long. */
const SILENCE_MS = 200;

export class TcpSession extends LiveSession implements WireOwner, LeasePlace, Lessee, RelayPlace, TenurePlace, PartingPlace {
  readonly listener: ListenerPlace;
  readonly context: Context;
  readonly client: Wire;
  readonly source: SourceWords;
  readonly arrival: Arrival;
  readonly known: ConnectionFacts;
  readonly hasAddress: boolean;
  private readonly party: Party;
  readonly flow = new Flow();
  private readonly capsColumn: number;
  /** The policy that this session was last decided by, and its application there: a swap reaches sessions one after the other. */
  private decided: PolicyInForce;
  application: PlannedApplication;
  pool: PoolBalancer;
  private atom: number;
  protocols: ProtocolSet = 0;
  private state: number = DETECTING;
  private server: Wire | null = null;
  private readonly lease: Lease;
  /** What was read before there was somewhere to send it: the client's first bytes, or the server's banner. */
  private readonly held = new Held();
  private heldFromServer = false;
  /** How the client's connection ends, once it is denied. */
  private denyWith: DenyWith | null = null;
  /** From when both sides are there on. */
  private relay: Relay | null = null;
  private readonly tenure = new Tenure(this);

  constructor(context: Context, arrival: Arrival) {
    super();
    const { listener, source, hasAddress, application, early } = arrival;
    this.context = context;
    this.listener = listener;
    this.source = source;
    this.arrival = early === null ? arrival : { ...arrival, early: null };
    this.hasAddress = hasAddress;
    this.known = connectionOf(arrival);
    this.party = new Party(listener, arrival.sourceText, arrival.tls);
    this.capsColumn = application.column;
    this.application = application;
    this.decided = context.policy;
    this.pool = context.policy.poolFor(listener.application, arrival.tls, context.random);
    this.client = new Wire(arrival.handle, this);
    this.lease = new Lease(this, this);
    this.atom = hasAddress ? atomOf(context.policy.image, source[0], source[1], source[2], source[3]) : NO_ADDRESS_ATOM;
    context.sessions.add(this);
    this.flow.startedAt = context.clock.now();
    this.consider();
    if (early !== null) this.wireData(this.client, early, early.length);
  }

  // --- the verdict ---------------------------------------------------------------------------------------------------------------

  /** Asks the policy with what is known; goes on, ends, or waits for what is missing. */
  private consider(): void {
    if (this.context.policy !== this.decided) {
      this.redecide();
      return;
    }
    const decision = this.judge(this.protocols);
    const kind = kindOf(decision);
    if (kind === ALLOW) this.admit(ruleOf(decision), ledger.RULE_ALLOW);
    else if (kind === DENY) {
      if (this.application.observes) this.admit(ruleOf(decision), ledger.RULE_WOULD_DENY);
      else this.deny(ruleOf(decision));
    } else if (kind === NEED_REQUEST && speaksDatabase(this.protocols)) this.handOver();
    else this.waitForProtocol();
  }

  /** The rules ask for what is said to a database: a session that understands it takes the flow over, wires and all. */
  private handOver(): void {
    const { arrival, capsColumn, client, context, flow, held, lease, party, protocols, server } = this;
    this.state = OVER;
    context.wheel.disarm(this);
    context.sessions.remove(this);
    const from = { context, arrival, party, capsColumn, protocols, startedAt: flow.startedAt, client, server, lease };
    beginDatabase({ ...from, serverLabel: flow.server }, held, this.heldFromServer);
  }

  private waitForProtocol(): void {
    if (this.state === BANNER) {
      // The server's first bytes are still too few to tell.
      this.server!.resume();
      return;
    }
    const possible = possibleProtocols(this.context.policy.image, this.listener.vip, this.atom, this.known);
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
    if (verdict === ledger.RULE_ALLOW && this.context.policy.limits !== null) {
      const refusal = claimLimits(this, rule, this.application.observes);
      if (refusal !== null) {
        this.deny(rule, refusal.reason);
        return;
      }
    }
    this.open(rule, verdict);
    if (this.state === BANNER) this.carry();
    else this.connect();
  }

  private deny(rule: number, reason = 'denied'): void {
    this.open(rule, ledger.RULE_DENY);
    this.denyWith = this.context.policy.image.ruleDenyWith(rule) ?? 'reply';
    this.finish('policy', reason, true);
  }

  private open(rule: number, verdict: ledger.RuleVerdict): void {
    const { flow } = this;
    openLate(this.context, flow, this.listener.application, rule, verdict);
    flow.protocols = this.protocols;
    const { image } = this.context.policy;
    if (image.hasShadows) countShadows(this.context, this.listener.vip, this.atom, flow, this.protocols, null, this.known);
    if (image.hasLogged) logDecided(this.context, flow, this.party);
  }

  words(receipt: string): Buffer | null {
    return denialWords(this.protocols, receipt);
  }

  /** What the client has begun with, in memory of its own; null where it has said nothing. */
  private get begun(): Buffer | null {
    const { held } = this;
    return held.empty || this.heldFromServer ? null : Buffer.from(held.bytes.subarray(0, held.length));
  }

  private get over(): boolean {
    return this.state === OVER;
  }

  redecide(): Redecided {
    if (this.state === OVER) return KEPT;
    const { policy } = this.context;
    if (this.listener.vip < 0) {
      return this.tenure.revoke('vip removed');
    }
    this.decided = policy;
    this.application = policy.application(this.listener.application);
    this.pool = policy.poolFor(this.listener.application, this.arrival.tls, this.context.random);
    // Addresses in no prefix share an atom with what has none, so the atom before does not tell whether there is an address.
    if (this.hasAddress) this.atom = atomOf(policy.image, this.source[0], this.source[1], this.source[2], this.source[3]);
    if (!this.flow.live) {
      // No verdict yet: what it waits for may have changed, or it may be out of the question now. A dial under way is waited for.
      const kind = kindOf(this.judge(this.protocols));
      if (this.state !== DIALLING || (kind === DENY && !this.application.observes)) this.consider();
      return this.over && this.client.owner === this ? CUT : KEPT;
    }
    let decision = this.judge(this.protocols);
    // A flow that was admitted without a look at its bytes is past them now: what it carries can no longer be told.
    if (kindOf(decision) !== ALLOW && kindOf(decision) !== DENY) decision = this.judge(UNKNOWN);
    return this.tenure.renew(decision, this.application.observes);
  }

  get canDrain(): boolean {
    return this.relay !== null;
  }

  takeTimes(relieved: boolean): void {
    this.relay?.swapped(relieved);
  }

  cut(reason: string): void {
    this.finish('policy', reason, true);
  }

  get draining(): Draining | null {
    return this.tenure.draining;
  }

  limitedWires(): Wire[] {
    return this.server === null ? [this.client] : [this.client, this.server];
  }

  heldBack(milliseconds: number): void {
    this.relay?.heldBack(milliseconds);
  }

  limitPassed(_limit: ledger.Limit, reason: string): void {
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
    this.relay = new Relay(this, this.client, this.server!, this.flow.startedAt);
    if (this.server!.pending === 0) this.client.resume();
    if (this.client.pending === 0) this.server!.resume();
    // An end that came while there was nobody to pass it on to.
    if (this.client.ended) this.server!.end();
    if (this.server!.ended) this.client.end();
    if (this.relay.done) this.finishInOrder();
  }

  /** hot: must not allocate, and touches nothing but this flow's own state and counters. */
  wireData(wire: Wire, bytes: Buffer, length: number): void {
    if (this.state === RELAYING) {
      const fromClient = wire === this.client;
      this.count(fromClient ? 0 : 1, length);
      if (fromClient) this.relay!.toServer(bytes, length);
      else this.relay!.toClient(bytes, 0, length);
    } else if (this.state !== OVER) this.hold(wire, bytes, length);
  }

  /** hot */
  count(direction: 0 | 1, length: number): void {
    countBytes(this, direction, length);
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
    const found = fromServer ? detectServer(held.bytes, held.length) : detectAsFar(held, (protocols) => this.judge(protocols));
    if (found === MORE) {
      if (this.state === DETECTING) this.context.wheel.arm(this, this.flow.startedAt + this.application.timeouts.detect);
      wire.resume();
      return;
    }
    this.protocols = found;
    this.consider();
  }

  private judge(protocols: ProtocolSet): Decision {
    return decide(this.context.policy.image, this.listener.vip, this.atom, protocols, null, this.known);
  }

  wireEnd(wire: Wire): void {
    if (this.state === RELAYING) {
      if (this.relay!.ended(wire)) this.finishInOrder();
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
    if (this.state === RELAYING && this.relay!.drained(wire)) this.finishInOrder();
  }

  private finishInOrder(): void {
    this.finish(this.relay!.endedBy, 'closed', false);
  }

  /** The bytes will not tell any more: judged as what they have told, or as `unknown`. */
  private settleUnknown(): void {
    this.protocols = (this.held.empty || this.heldFromServer ? MORE : detectClient(this.held.bytes, this.held.length)) || UNKNOWN;
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
      const possible = possibleProtocols(this.context.policy.image, this.listener.vip, this.atom, this.known);
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
      const limit = this.relay!.limit(now);
      if (limit === 'draining') {
        this.tenure.runOut();
        return;
      }
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
    this.lease.cancel();
    this.lease.release();
    if (reset) {
      if (this.denyWith === null || !partWith(this, this.denyWith, this.protocols, this.begun)) this.client.reset();
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
      openLate(context, this.flow, this.listener.application, -1, -1);
    }
    this.flow.protocols = this.protocols;
    closeFlow(context, this.flow, this.listener.application, this.party, null, by, reason, context.clock.now());
  }
}
