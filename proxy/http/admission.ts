/** What the policy makes of the request under way: admitted with its verdict and its limits, and asked again when the policy changes. */
import type { DenyWith } from '../../config/document.ts';
import type { ConnectionFacts } from '../../policy/connection.ts';
import { DENY, kindOf, ruleOf } from '../../policy/decide.ts';
import type { SourceWords } from '../balance/pool.ts';
import * as ledger from '../shared/ledger.ts';
import type { Wire } from '../wire/wire.ts';
import { type Flow, openFlow } from '../worker/account.ts';
import type { Context } from '../worker/context.ts';
import { countShadows, logDecided } from '../worker/decided.ts';
import type { Redecided } from '../worker/redecided.ts';
import { claimLimits, type LimitRefusal } from '../worker/rule-limits.ts';
import type { ListenerPlace } from '../worker/session.ts';
import { Tenure, type TenurePlace } from '../worker/tenure.ts';
import type { Exchange } from './exchange.ts';
import type { Judgement } from './judgement.ts';
import { type RoutedPlace, Routing } from './routing.ts';
import type { Sender } from './sender.ts';

/** The client connection that the request came by. */
export interface AdmittingPlace extends RoutedPlace {
  readonly sender: Sender;
  /** How the connection is to end, as the rule says that has denied its request; null: in order. */
  denyWith: DenyWith | null;
}

export class Admission implements TenurePlace {
  readonly context: Context;
  readonly listener: ListenerPlace;
  readonly hasAddress: boolean;
  readonly flow: Flow;
  readonly tenure: Tenure;
  private readonly place: AdmittingPlace;
  private readonly exchange: Exchange;
  private readonly judgement: Judgement;
  private readonly routing: Routing;
  /** Its VIP is gone: what it carries is not answered any more. */
  private abandons: boolean;

  constructor(place: AdmittingPlace, exchange: Exchange, judgement: Judgement) {
    this.context = place.context;
    this.listener = place.listener;
    this.hasAddress = judgement.hasAddress;
    this.flow = exchange.flow;
    this.place = place;
    this.exchange = exchange;
    this.judgement = judgement;
    this.routing = new Routing(place, exchange, judgement);
    this.abandons = false;
    this.tenure = new Tenure(this);
  }

  get source(): SourceWords {
    return this.place.source;
  }

  get known(): ConnectionFacts {
    return this.judgement.known;
  }

  /** hot: judges the request that was just prepared, of which so many bytes have come, and sends it on or denies it. */
  admit(bytes: number, now: number): void {
    const { context, exchange, flow, judgement, listener } = this;
    const { upgrading } = exchange.request;
    const decision = judgement.onRequest(upgrading);
    const rule = ruleOf(decision);
    const denied = kindOf(decision) === DENY;
    const { observes } = judgement.application;
    let refusal: LimitRefusal | null = null;
    if (!denied && context.policy.limits !== null) {
      flow.startedAt = now;
      flow.bytesIn = flow.bytesOut = 0;
      refusal = claimLimits(this, rule, observes);
    }
    const refused = refusal !== null || (denied && !observes);
    const verdict = refused ? ledger.RULE_DENY : denied ? ledger.RULE_WOULD_DENY : ledger.RULE_ALLOW;
    openFlow(context, flow, listener.application, rule, verdict, now);
    flow.protocols = judgement.spokenIn(upgrading);
    flow.bytesIn = bytes;
    const { image } = judgement.decided;
    if (image.hasShadows) countShadows(context, listener.vip, judgement.atom, flow, flow.protocols, judgement.facts(), judgement.known);
    if (image.hasLogged) logDecided(context, flow, this.place.party);
    if (refusal !== null) exchange.conclusion.refuseByLimit(refusal);
    else if (refused) this.deny(rule);
    else {
      if (flow.limits !== null) flow.limits.spend(bytes);
      this.routing.send();
    }
  }

  /** Denied: told so with a 403, unless its rule says otherwise. */
  private deny(rule: number): void {
    const way = this.context.policy.image.ruleDenyWith(rule);
    if (way === null || way === 'reply') {
      const { sender } = this.place;
      this.exchange.conclusion.deny(!this.judgement.deniesAll || sender.isShared, sender.bearer.fault);
    } else {
      this.place.denyWith = way;
      this.exchange.abort('policy', 'denied');
    }
  }

  /** The policy has changed. */
  renew(): Redecided {
    const { judgement, exchange } = this;
    return this.tenure.renew(judgement.again(exchange.flow.protocols), judgement.application.observes);
  }

  /** What it came by is no more. */
  abandon(reason: string): Redecided {
    this.abandons = true;
    return this.tenure.revoke(reason);
  }

  get canDrain(): boolean {
    return !this.exchange.isReaching;
  }

  cut(reason: string): void {
    if (this.abandons) this.exchange.abort('policy', reason);
    else this.exchange.conclusion.revoke(reason);
  }

  takeTimes(relieved: boolean): void {
    const { place, exchange } = this;
    const { draining } = this.tenure;
    if (exchange.tunnelled) exchange.tunnel!.swapped(relieved);
    else if (relieved) place.expireIn(this.judgement.application.timeouts.response);
    else if (draining !== null && draining.until < place.deadline) this.context.wheel.arm(place, draining.until);
  }

  limitedWires(): Wire[] {
    const server = this.exchange.serverWire;
    return server === null ? [this.place.client] : [this.place.client, server];
  }

  limitPassed(limit: ledger.Limit, reason: string): void {
    this.exchange.conclusion.limitPassed(limit, reason);
  }
}
