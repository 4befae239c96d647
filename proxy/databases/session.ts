/**
 * A flow to a database whose rules ask for more than its protocol. It begins where first bytes have told the protocol, takes both wires over from
 * there, and carries them to their end; what is said meanwhile is the business of the three that extend it.
 */
import type { DenyWith } from '../../config/document.ts';
import { ALLOW, DENY, kindOf, ruleOf } from '../../policy/decide.ts';
import type { RequestFacts } from '../../policy/request.ts';
import type { Lease, LeasePlace, Lessee } from '../balance/lease.ts';
import type { DialResult, FlowRecord } from '../observe/view.ts';
import { bidFarewell, holdInTarpit } from '../relay/farewell.ts';
import { Relay, type RelayPlace } from '../relay/relay.ts';
import * as ledger from '../shared/ledger.ts';
import { Held } from '../wire/held.ts';
import type { Timed } from '../wire/wheel.ts';
import type { Wire, WireOwner } from '../wire/wire.ts';
import { closeFlow, describeFlow, type EndedBy, openFlow } from '../worker/account.ts';
import { CUT, DRAINING, KEPT, type Redecided } from '../worker/redecided.ts';
import { type Draining, drainingOf } from '../worker/revocation.ts';
import { claimLimits, type LimitedPlace, moveLimits } from '../worker/rule-limits.ts';
import type { Session } from '../worker/session.ts';
import { type Handover, JudgedFlow } from './judged-flow.ts';

export abstract class DatabaseSession extends JudgedFlow implements WireOwner, Session, LeasePlace, Lessee, RelayPlace, LimitedPlace {
  deadline = Number.POSITIVE_INFINITY;
  wheelSlot = -1;
  wheelNext: Timed | null = null;
  wheelPrevious: Timed | null = null;
  nextSession: Session | null = null;
  previousSession: Session | null = null;

  protected readonly client: Wire;
  protected server: Wire | null;
  /** Bytes of the client that wait for a verdict, or for a server. */
  protected readonly held = new Held();
  /** What the flow was admitted for, as far as it holds for all of it. */
  protected request: RequestFacts | null = null;
  draining: Draining | null = null;
  protected relay: Relay | null = null;
  protected over = false;
  private dialling = false;
  protected readonly lease: Lease;
  private readonly capsColumn: number;

  constructor(from: Handover) {
    super(from);
    const { context } = from;
    this.capsColumn = from.capsColumn;
    this.client = from.client;
    this.server = from.server;
    this.lease = from.lease;
    from.lease.handTo(this, this);
    from.client.owner = this;
    if (from.server !== null) from.server.owner = this;
    context.sessions.add(this);
    this.count(!from.isFirstOfServer, from.first.length);
    this.awaitWords();
  }

  /** What a client that is denied is told. */
  protected abstract words(receipt: string): Buffer;
  /** Bytes of the client before there is a verdict. */
  protected abstract heard(bytes: Buffer, length: number): void;
  /** Both sides are there, and the verdict is yes. */
  protected abstract carried(): void;

  /** Bytes of a server before there is a verdict; only servers that speak first have any. */
  protected greeted(_bytes: Buffer, _length: number): void {
    this.finish('server', 'spoke before its time', true);
  }

  /** hot: bytes of the client, once carried. */
  protected fromClient(bytes: Buffer, length: number): void {
    this.relay!.toServer(bytes, length);
  }

  /** hot: bytes of the server, once carried. */
  protected fromServer(bytes: Buffer, length: number): void {
    this.relay!.toClient(bytes, 0, length);
  }

  // --- the verdict ---------------------------------------------------------------------------------------------------------------

  /** A client that is to say who it is does so within the time that detection has. */
  protected awaitWords(): void {
    this.context.wheel.arm(this, this.context.clock.coarse + this.application.timeouts.detect);
  }

  /** Everything is known: the flow is admitted and carried, or denied. */
  protected settle(request: RequestFacts): void {
    if (this.listener.vip < 0) {
      this.finish('policy', 'vip removed', true);
      return;
    }
    this.request = request;
    const decision = this.judge(request);
    if (kindOf(decision) === ALLOW) this.admit(ruleOf(decision), ledger.RULE_ALLOW);
    else if (this.application.observes) this.admit(ruleOf(decision), ledger.RULE_WOULD_DENY);
    else this.deny(ruleOf(decision), 'denied');
  }

  protected admit(rule: number, verdict: ledger.RuleVerdict): void {
    if (verdict === ledger.RULE_ALLOW && this.context.policy.limits !== null) {
      const refusal = claimLimits(this, rule, this.application.observes);
      if (refusal !== null) {
        this.deny(rule, refusal.reason);
        return;
      }
    }
    this.open(rule, verdict);
    if (this.server === null) this.connect();
    else this.carry();
  }

  protected deny(rule: number, reason: string): void {
    this.open(rule, ledger.RULE_DENY);
    this.finish('policy', reason, true, this.context.policy.image.ruleDenyWith(rule) ?? 'reply');
  }

  private open(rule: number, verdict: ledger.RuleVerdict): void {
    const { context, flow, listener } = this;
    const { startedAt, server, bytesIn, bytesOut } = flow;
    openFlow(context, flow, listener.application, rule, verdict, startedAt);
    Object.assign(flow, { server, bytesIn, bytesOut, protocols: this.protocols });
    this.tell(flow, this.request);
  }

  redecide(): Redecided {
    if (this.over) return KEPT;
    if (this.listener.vip < 0) {
      this.revoke('vip removed');
      return CUT;
    }
    this.takePolicy();
    // Where the flow is not admitted for one request, what the connection alone decides is decided, and every request by itself.
    const decision = this.judge(this.request);
    const denied = kindOf(decision) === DENY && !this.application.observes;
    if (!this.flow.live) {
      if (!denied) return KEPT;
      this.deny(ruleOf(decision), 'denied');
      return CUT;
    }
    if (denied) return this.disallow(ruleOf(decision));
    if (kindOf(decision) === ALLOW) moveLimits(this, ruleOf(decision), this.application.observes);
    this.comeToEnd(null);
    return KEPT;
  }

  private disallow(rule: number): Redecided {
    const draining = this.relay === null ? null : drainingOf(this.context, rule, this.flow, this.draining);
    if (draining !== null) {
      this.comeToEnd(draining);
      return DRAINING;
    }
    this.revoke(`revoked by ${this.context.policy.image.ruleName(rule)}`);
    return CUT;
  }

  private comeToEnd(draining: Draining | null): void {
    const before = this.draining;
    this.draining = draining;
    this.flow.draining = draining !== null;
    this.relay?.swapped(before !== null && (draining === null || draining.until > before.until));
  }

  private revoke(reason: string): void {
    if (this.flow.live && this.listener.application >= 0)
      this.context.policy.ledger.add(this.listener.application, ledger.FLOWS_REVOKED, 1);
    this.finish('policy', reason, true);
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
    this.dialling = true;
    this.client.pause();
    this.reach();
  }

  reach(): void {
    const { context } = this;
    if (!this.pickServer()) {
      this.finish('proxy', 'no server available', true);
      return;
    }
    context.wheel.arm(this, context.clock.coarse + this.application.timeouts.connect);
    this.lease.dial(this);
  }

  /** Picks the server that is to be dialled. */
  protected pickServer(): boolean {
    return this.lease.pick() !== null;
  }

  reached(wire: Wire): void {
    this.lease.praise();
    this.server = wire;
    this.carry();
  }

  unreached(result: DialResult): void {
    this.finish('proxy', `dial ${result}`, true);
  }

  private carry(): void {
    this.dialling = false;
    const server = this.server!;
    this.relay = new Relay(this, this.client, server, this.flow.startedAt);
    this.carried();
    if (this.over) return;
    if (server.pending === 0) this.readClient();
    if (this.client.pending === 0) server.resume();
    if (this.client.ended && !this.holdsBack) server.end();
    if (server.ended) this.client.end();
    if (this.relay.done) this.finishInOrder();
  }

  /** Reads the client on, where nothing of its has to wait. */
  protected readClient(): void {
    this.client.resume();
  }

  /** Bytes of the client are still to go to the server, and its end behind them. */
  protected get holdsBack(): boolean {
    return false;
  }

  /** What came is longer than what may wait for a verdict. */
  protected countTooLong(): void {
    if (this.listener.application >= 0) this.context.policy.ledger.limit(this.listener.application, 'database-message-size');
  }

  /** Words of our own, to a client that is past its verdict. One that does not take them is not read on. */
  protected say(words: Buffer): void {
    this.count(false, words.length);
    this.client.writeBytes(words);
    if (this.client.pending > 0) this.client.pause();
  }

  // --- what the wires tell -------------------------------------------------------------------------------------------------------

  /** hot */
  wireData(wire: Wire, bytes: Buffer, length: number): void {
    if (this.over) return;
    if (this.listener.vip < 0) {
      // A swap that has not come by here yet.
      this.revoke('vip removed');
      return;
    }
    const fromClient = wire === this.client;
    this.count(fromClient, length);
    if (this.over) return;
    if (this.relay !== null) {
      if (fromClient) this.fromClient(bytes, length);
      else this.fromServer(bytes, length);
    } else if (!fromClient) this.greeted(bytes, length);
    else if (this.dialling) {
      this.held.append(bytes, 0, length);
      wire.pause();
    } else this.heard(bytes, length);
  }

  /** hot */
  protected count(fromClient: boolean, length: number): void {
    const { flow } = this;
    if (fromClient) flow.bytesIn += length;
    else flow.bytesOut += length;
    const { application } = this.listener;
    if (application >= 0) this.context.policy.ledger.add(application, fromClient ? ledger.BYTES_IN : ledger.BYTES_OUT, length);
    if (flow.limits !== null) flow.limits.spend(length);
  }

  wireEnd(wire: Wire): void {
    if (this.relay !== null) {
      if (this.relay.ended(wire)) this.finishInOrder();
    } else if (wire !== this.client) this.finish('server', 'closed before its time', true);
    // One that waits for its server may have said its last word.
    else if (!this.dialling) this.finish('client', 'closed before a verdict', false);
  }

  wireError(wire: Wire, errno: number): void {
    const reason = errno === -104 || errno === -32 ? 'reset' : `error ${errno}`;
    this.finish(wire === this.client ? 'client' : 'server', reason, true);
  }

  wireDrained(wire: Wire): void {
    if (this.relay === null) return;
    if (this.relay.drained(wire)) this.finishInOrder();
    // What it did not take may have been words of ours.
    else if (wire === this.client && this.server!.pending === 0) this.readClient();
  }

  private finishInOrder(): void {
    this.finish(this.relay!.endedBy, 'closed', false);
  }

  expired(now: number): void {
    if (!this.isCurrent) {
      this.redecide();
      if (!this.over && this.wheelSlot < 0) this.context.wheel.arm(this, now);
      return;
    }
    if (this.dialling) {
      this.lease.timedOut();
      return;
    }
    const limit = this.relay === null ? 'detect' : this.relay.limit(now);
    if (limit === 'draining') {
      this.revoke(`${this.draining!.reason}, its time to drain is over`);
      return;
    }
    if (this.listener.application >= 0) this.context.policy.ledger.limit(this.listener.application, limit);
    this.finish('proxy', `${limit} timeout`, true);
  }

  // --- the end -------------------------------------------------------------------------------------------------------------------

  drain(): void {
    if (!this.flow.live) this.finish('proxy', 'draining', true);
  }

  abort(reason: string): void {
    this.finish('proxy', reason, true);
  }

  describe(into: FlowRecord[]): void {
    if (this.flow.live) into.push(describeFlow(this.context, this.flow, this.party, null));
  }

  /** False where a reset is what is left. */
  private partWith(way: DenyWith): boolean {
    const { context, client } = this;
    if (way === 'reset') return false;
    if (way === 'tarpit') return holdInTarpit(context, client, this.listener.application);
    if (way === 'close') {
      client.close();
      return true;
    }
    const words = this.words(context.journal.receipt(this.flow.receipt));
    // The bytes are those of a protocol that is known to be past its first words.
    if (client.error !== 0 || !bidFarewell(context, client, words, 0, null)) return false;
    this.flow.bytesOut += words.length;
    return true;
  }

  /** The one place where it ends. */
  protected finish(by: EndedBy, reason: string, reset: boolean, way: DenyWith | null = null): void {
    if (this.over) return;
    this.over = true;
    const { context, flow, listener } = this;
    context.wheel.disarm(this);
    this.lease.cancel();
    this.lease.release();
    if (!reset) {
      this.client.close();
      this.server?.close();
    } else {
      if (way === null || !this.partWith(way)) this.client.reset();
      this.server?.reset();
    }
    this.held.drop();
    context.sessions.remove(this);
    context.caps.release(this.capsColumn, this.source);
    if (listener.application >= 0) context.policy.ledger.add(listener.application, ledger.CONNECTIONS_CLOSED, 1);
    if (!flow.live) {
      const { startedAt, bytesIn, bytesOut, server } = flow;
      // It ended before a verdict: recorded, not counted as a flow of any rule.
      openFlow(context, flow, listener.application, -1, -1, startedAt);
      Object.assign(flow, { bytesIn, bytesOut, server, protocols: this.protocols });
    }
    closeFlow(context, flow, listener.application, this.party, null, by, reason, context.clock.now());
  }
}
