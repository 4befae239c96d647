/**
 * A flow to a database whose rules ask for more than its protocol. It begins where first bytes have told the protocol, takes both wires over from
 * there, and carries them to their end; what is said meanwhile is the business of the three that extend it.
 */
import type { DenyWith } from '../../config/document.ts';
import { ALLOW, DENY, kindOf, ruleOf } from '../../policy/decide.ts';
import type { RequestFacts } from '../../policy/request.ts';
import type { Lease, LeasePlace, Lessee } from '../balance/lease.ts';
import type { DialResult, FlowRecord } from '../observe/view.ts';
import { type PartingPlace, partWith } from '../relay/parting.ts';
import { Relay, type RelayPlace } from '../relay/relay.ts';
import * as ledger from '../shared/ledger.ts';
import { Held } from '../wire/held.ts';
import type { Wire, WireOwner } from '../wire/wire.ts';
import { closeFlow, countBytes, describeFlow, type EndedBy, openLate } from '../worker/account.ts';
import { CUT, KEPT, type Redecided } from '../worker/redecided.ts';
import type { Draining } from '../worker/revocation.ts';
import { claimLimits } from '../worker/rule-limits.ts';
import { Tenure, type TenurePlace } from '../worker/tenure.ts';
import { type Handover, JudgedFlow } from './judged-flow.ts';

export abstract class DatabaseSession extends JudgedFlow implements WireOwner, LeasePlace, Lessee, RelayPlace, TenurePlace, PartingPlace {
  readonly client: Wire;
  protected server: Wire | null;
  /** Bytes of the client that wait for a verdict, or for a server. */
  protected readonly held = new Held();
  /** What the flow was admitted for, as far as it holds for all of it. */
  protected request: RequestFacts | null = null;
  protected readonly tenure = new Tenure(this);
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
    this.count(from.isFirstOfServer ? 1 : 0, from.first.length);
    this.awaitWords();
  }

  /** What a client that is denied is told. */
  abstract words(receipt: string): Buffer;
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
    const { flow } = this;
    openLate(this.context, flow, this.listener.application, rule, verdict);
    flow.protocols = this.protocols;
    this.tell(flow, this.request);
  }

  redecide(): Redecided {
    if (this.over) return KEPT;
    if (this.listener.vip < 0) return this.tenure.revoke('vip removed');
    this.takePolicy();
    // Where the flow is not admitted for one request, what the connection alone decides is decided, and every request by itself.
    const decision = this.judge(this.request);
    if (this.flow.live) return this.tenure.renew(decision, this.application.observes);
    if (kindOf(decision) !== DENY || this.application.observes) return KEPT;
    this.deny(ruleOf(decision), 'denied');
    return CUT;
  }

  get draining(): Draining | null {
    return this.tenure.draining;
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
    this.count(1, words.length);
    this.client.writeBytes(words);
    if (this.client.pending > 0) this.client.pause();
  }

  // --- what the wires tell -------------------------------------------------------------------------------------------------------

  /** hot */
  wireData(wire: Wire, bytes: Buffer, length: number): void {
    if (this.over) return;
    if (this.listener.vip < 0) {
      // A swap that has not come by here yet.
      this.tenure.revoke('vip removed');
      return;
    }
    const fromClient = wire === this.client;
    this.count(fromClient ? 0 : 1, length);
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
  count(direction: 0 | 1, length: number): void {
    countBytes(this, direction, length);
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
      this.tenure.runOut();
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
      // What was said is that of a protocol which is known to be past its first words.
      if (way === null || !partWith(this, way, 0, null)) this.client.reset();
      this.server?.reset();
    }
    this.held.drop();
    context.sessions.remove(this);
    context.caps.release(this.capsColumn, this.source);
    if (listener.application >= 0) context.policy.ledger.add(listener.application, ledger.CONNECTIONS_CLOSED, 1);
    if (!flow.live) {
      // It ended before a verdict: recorded, not counted as a flow of any rule.
      openLate(context, flow, listener.application, -1, -1);
      flow.protocols = this.protocols;
    }
    closeFlow(context, flow, listener.application, this.party, null, by, reason, context.clock.now());
  }
}
