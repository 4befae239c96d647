/**
 * What every flow has that is one connection, from its client to one server: both wires, the server that is leased and dialled, the time that it may go
 * on, its account, and the one place where it ends. When it is admitted, and what happens to its bytes, is for those that extend it.
 */
import type { DenyWith } from '../../config/document.ts';
import type { ProtocolSet } from '../../config/protocols.ts';
import type { ConnectionFacts } from '../../policy/connection.ts';
import type { Lease, LeasePlace, Lessee } from '../balance/lease.ts';
import type { PoolBalancer, SourceWords } from '../balance/pool.ts';
import type { PlannedApplication } from '../node/plan.ts';
import type { DialResult, FlowRecord } from '../observe/view.ts';
import * as ledger from '../shared/ledger.ts';
import { breakageOf } from '../wire/breakage.ts';
import { Held } from '../wire/held.ts';
import type { Wire, WireOwner } from '../wire/wire.ts';
import { closeFlow, countBytes, describeFlow, type EndedBy, Flow, openLate, type Party } from '../worker/account.ts';
import { type Arrival, connectionOf } from '../worker/arrival.ts';
import type { Context } from '../worker/context.ts';
import type { Redecided } from '../worker/redecided.ts';
import type { Draining } from '../worker/revocation.ts';
import { claimLimits } from '../worker/rule-limits.ts';
import { type ListenerPlace, LiveSession } from '../worker/session.ts';
import { Tenure, type TenurePlace } from '../worker/tenure.ts';
import { type PartingPlace, partWith } from './parting.ts';
import type { Relay, RelayPlace } from './relay.ts';

export abstract class RelayedSession extends LiveSession implements WireOwner, LeasePlace, Lessee, RelayPlace, TenurePlace, PartingPlace {
  readonly context: Context;
  readonly arrival: Arrival;
  readonly listener: ListenerPlace;
  readonly source: SourceWords;
  readonly hasAddress: boolean;
  readonly known: ConnectionFacts;
  readonly flow = new Flow();
  abstract readonly client: Wire;
  protected server: Wire | null = null;
  protected abstract readonly lease: Lease;
  /** From when both sides are there on. */
  protected relay: Relay | null = null;
  /** What was read before there was a verdict, or somewhere to send it. */
  protected readonly held = new Held();
  protected readonly party: Party;
  protected readonly tenure: Tenure;
  protected over = false;
  /** Of the policy that it was last decided by. */
  application: PlannedApplication;
  pool: PoolBalancer;
  /** Under the caps. */
  protected readonly capsColumn: number;

  constructor(context: Context, arrival: Arrival, party: Party, application: PlannedApplication, pool: PoolBalancer, capsColumn: number) {
    super();
    this.context = context;
    this.arrival = arrival;
    this.listener = arrival.listener;
    this.source = arrival.source;
    this.hasAddress = arrival.hasAddress;
    this.known = connectionOf(arrival);
    this.party = party;
    this.tenure = new Tenure(this);
    this.application = application;
    this.pool = pool;
    this.capsColumn = capsColumn;
  }

  /** What the flow speaks, as far as that is known. */
  abstract readonly protocols: ProtocolSet;
  abstract wireData(wire: Wire, bytes: Buffer, length: number): void;
  abstract wireEnd(wire: Wire): void;
  abstract wireDrained(wire: Wire): void;
  /** The server is there. */
  abstract reached(wire: Wire): void;
  abstract words(receipt: string): Buffer | null;
  /** What a client that is denied has begun with, in memory of its own; null where it has said nothing, or is past that. */
  protected abstract get begun(): Buffer | null;
  /** The flow has its verdict: what that brings about beside it. */
  protected abstract opened(): void;
  /** It is admitted: dials, or goes on with the server that is there. */
  protected abstract goOn(): void;

  // --- the verdict ---------------------------------------------------------------------------------------------------------------

  protected admit(rule: number, verdict: ledger.RuleVerdict): void {
    if (verdict === ledger.RULE_ALLOW && this.context.policy.limits !== null) {
      const refusal = claimLimits(this, rule, this.application.observes);
      if (refusal !== null) {
        this.deny(rule, refusal.reason);
        return;
      }
    }
    this.open(rule, verdict);
    this.goOn();
  }

  protected deny(rule: number, reason = 'denied'): void {
    this.open(rule, ledger.RULE_DENY);
    this.finish('policy', reason, true, this.context.policy.image.ruleDenyWith(rule) ?? 'reply');
  }

  private open(rule: number, verdict: ledger.RuleVerdict): void {
    openLate(this.context, this.flow, this.listener.application, rule, verdict);
    this.flow.protocols = this.protocols;
    this.opened();
  }

  // --- how long it may go on -----------------------------------------------------------------------------------------------------

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

  limitPassed(_limit: ledger.Limit, reason: string): void {
    this.finish('policy', reason, true);
  }

  // --- the server ----------------------------------------------------------------------------------------------------------------

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

  unreached(_result: DialResult, _label: string, words: string): void {
    this.finish('proxy', `dial ${words}`, true);
  }

  // --- what the wires tell -------------------------------------------------------------------------------------------------------

  /** hot */
  count(direction: 0 | 1, length: number): void {
    countBytes(this, direction, length);
  }

  wireError(wire: Wire, errno: number): void {
    this.finish(wire === this.client ? 'client' : 'server', breakageOf(wire, errno), true);
  }

  /** A time is over: that in which the relay is to have had bytes, or `detect` where there is none yet. null: it goes on. */
  protected timeOver(limit: ledger.Limit | 'draining' | null): void {
    if (limit === null) return;
    if (limit === 'draining') {
      this.tenure.runOut();
      return;
    }
    if (this.listener.application >= 0) this.context.policy.ledger.limit(this.listener.application, limit);
    this.finish('proxy', `${limit} timeout`, true);
  }

  // --- the end -------------------------------------------------------------------------------------------------------------------

  abstract override redecide(): Redecided;

  abort(reason: string): void {
    this.finish('proxy', reason, true);
  }

  describe(into: FlowRecord[]): void {
    if (this.flow.live) into.push(describeFlow(this.context, this.flow, this.party, null));
  }

  protected finishInOrder(): void {
    this.finish(this.relay!.endedBy, 'closed', false);
  }

  /** The one place where a flow ends. `way`: how its client is denied. */
  protected finish(by: EndedBy, reason: string, reset: boolean, way: DenyWith | null = null): void {
    if (this.over) return;
    this.over = true;
    const { context, flow, listener } = this;
    context.wheel.disarm(this);
    this.lease.cancel();
    this.lease.release();
    if (reset) {
      if (way === null || !partWith(this, way, this.protocols, this.begun)) this.client.reset();
      this.server?.reset();
    } else {
      this.client.close();
      this.server?.close();
    }
    this.held.drop();
    context.sessions.remove(this);
    // It ended before a verdict: recorded, not counted as a flow of any rule.
    if (!flow.live) openLate(context, flow, listener.application, -1, -1);
    flow.protocols = this.protocols;
    closeFlow(context, flow, listener.application, this.party, null, by, reason, context.clock.now());
    // Last, so that who sees no connection sees no flow of one either.
    context.caps.release(this.capsColumn, this.source);
    if (listener.application >= 0) context.policy.ledger.add(listener.application, ledger.CONNECTIONS_CLOSED, 1);
  }
}
