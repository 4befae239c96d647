/**
 * Limits of the rule that allows a flow: claimed when the flow is admitted, spent while it lives, given back when its account is closed. What is
 * shared between workers is in `shared/limit-table.ts`; here is what a flow of this worker knows of it.
 */
import type { RuleLimits } from '../../config/document.ts';
import type { ConnectionFacts } from '../../policy/connection.ts';
import { ALLOW, decide, kindOf } from '../../policy/decide.ts';
import { atomOf, NO_ADDRESS_ATOM } from '../../policy/lookup.ts';
import type { SourceWords } from '../balance/pool.ts';
import type { PlannedRuleLimits } from '../node/plan.ts';
import { countedSource } from '../shared/counted-source.ts';
import type { Limit } from '../shared/ledger.ts';
import { NO_ENTRY, OVER_FLOWS, OVER_NEW_FLOWS } from '../shared/limit-table.ts';
import { SHARED_AT_ZERO_MS } from '../shared/monotonic.ts';
import { OnWheel } from '../wire/wheel.ts';
import type { Wire } from '../wire/wire.ts';
import type { Flow, LimitsOfFlow } from './account.ts';
import type { Context } from './context.ts';
import type { ListenerPlace } from './session.ts';

const EVERYONE = [0, 0, 0, 0] as const;
/** After the end of another flow, of which nothing is known, there is room again. */
const RETRY_SECONDS_UNKNOWN = 1;

/** The session that carries the flow. */
export interface LimitedPlace {
  readonly context: Context;
  readonly listener: ListenerPlace;
  readonly source: SourceWords;
  readonly hasAddress: boolean;
  readonly known: ConnectionFacts;
  readonly flow: Flow;
  /** The wires of the flow, from which nothing is read while its bytes have to wait. */
  limitedWires(): Wire[];
  /** The flow has come to the end of what it may, and is to be ended. */
  limitPassed(limit: Limit, reason: string): void;
}

export interface LimitRefusal {
  readonly limit: Limit;
  readonly reason: string;
  readonly retrySeconds: number;
}

/** What a limit was that was passed, for the record. */
export function limitReason(limit: Limit, { name }: PlannedRuleLimits): string {
  return `limit ${limit} of rule ${name}`;
}

/**
 * Claims a place for a flow that `rule` allows. null: it is admitted, and its limits are on it. To be called where the policy has limits.
 * An application that observes counts what it would have refused, and lets it through.
 */
export function claimLimits(place: LimitedPlace, rule: number, observes: boolean): LimitRefusal | null {
  const { context } = place;
  const limited = context.policy.limits!.ofRule(rule);
  if (limited === null) return null;
  const refusal = enter(place, limited, true, observes);
  if (refusal === null) return null;
  context.policy.ledger.limit(place.listener.application, refusal.limit);
  if (!observes) return refusal;
  enter(place, limited, false, true);
  return null;
}

/** After a swap: a live flow counts for the rule that allows it now. It is live already, so it is counted whether there is room or not. */
export function moveLimits(place: LimitedPlace, rule: number, observes: boolean): void {
  const { flow, context } = place;
  const limited = context.policy.limits?.ofRule(rule) ?? null;
  if (limited === null && flow.limits === null) return;
  flow.limits?.release();
  flow.limits = null;
  if (limited !== null) enter(place, limited, false, observes);
}

function enter(place: LimitedPlace, limited: PlannedRuleLimits, enforced: boolean, observes: boolean): LimitRefusal | null {
  const { context, flow } = place;
  const { limitTable: table, worker } = context;
  const now = context.clock.now() + SHARED_AT_ZERO_MS;
  const entries: number[] = [];
  for (const [id, words] of countedFor(place, limited)) {
    const entry = table.claim(worker, id, words, limited.limits, now, enforced);
    if (entry >= 0) {
      entries.push(entry);
      continue;
    }
    // Live already, and without an entry: it goes uncounted, which is counted.
    if (!enforced) {
      context.policy.ledger.limit(place.listener.application, 'limit-table');
      continue;
    }
    const { retryMs } = table;
    for (const claimed of entries) table.undo(worker, claimed, limited.limits, now);
    return refusalOf(entry, limited, retryMs);
  }
  flow.limits = new FlowLimits(place, limited, entries, observes);
  return null;
}

/** What the flow is counted for: number and source of each entry. */
function* countedFor(place: LimitedPlace, limited: PlannedRuleLimits): Iterable<readonly [id: number, words: readonly number[]]> {
  switch (limited.limits.per) {
    case 'all':
      yield [limited.id, EVERYONE];
      return;
    case 'source':
      yield [limited.id, countedSource(place.source)];
      return;
    case 'segment': {
      const { membership } = place.context.policy.limits!;
      if (membership === null) return;
      const { source, hasAddress, known } = place;
      const atom = hasAddress ? atomOf(membership, source[0], source[1], source[2], source[3]) : NO_ADDRESS_ATOM;
      for (const { id, asked } of limited.sources) {
        const vip = membership.vipIndex(`unix:/source/${asked}`);
        if (kindOf(decide(membership, vip, atom, 0, null, known)) === ALLOW) yield [id, EVERYONE];
      }
      return;
    }
    default:
      limited.limits.per satisfies never;
  }
}

function refusalOf(outcome: number, limited: PlannedRuleLimits, retryMs: number): LimitRefusal {
  const limit: Limit =
    outcome === NO_ENTRY ? 'limit-table' : outcome === OVER_FLOWS ? 'flows' : outcome === OVER_NEW_FLOWS ? 'new-flows' : 'requests';
  const retrySeconds = retryMs > 0 ? Math.max(1, Math.ceil(retryMs / 1_000)) : RETRY_SECONDS_UNKNOWN;
  return { limit, reason: limitReason(limit, limited), retrySeconds };
}

/** What a live flow may still do. On the wheel for the moment at which it may read again, or has to end. */
export class FlowLimits extends OnWheel implements LimitsOfFlow {
  private readonly place: LimitedPlace;
  private readonly limited: PlannedRuleLimits;
  private readonly entries: readonly number[];
  /** Bytes of each entry that could not be counted yet. */
  private readonly uncounted: number[];
  private readonly limits: RuleLimits | null;
  private readonly endsAt: number;
  heldUntil = Number.NEGATIVE_INFINITY;
  private held: Wire[] = [];
  private over = false;

  constructor(place: LimitedPlace, limited: PlannedRuleLimits, entries: readonly number[], observes: boolean) {
    super();
    const { durationMs } = limited.limits;
    this.place = place;
    this.limited = limited;
    this.entries = entries;
    this.uncounted = entries.map(() => 0);
    this.limits = observes ? null : limited.limits;
    this.endsAt = durationMs === null || observes ? Number.POSITIVE_INFINITY : place.flow.startedAt + durationMs;
    place.context.wheel.arm(this, this.endsAt);
    // A flow that came under a new limit has spent already.
    this.checkTotal();
  }

  /** hot where there are limits: bytes that were read for the flow. Holds the flow back where its rate asks for it. */
  spend(length: number): void {
    const { limits, uncounted } = this;
    if (limits === null || this.over) return;
    this.checkTotal();
    if (limits.bytes === null) return;
    const { context } = this.place;
    const now = context.clock.now() + SHARED_AT_ZERO_MS;
    let wait = 0;
    for (let i = 0; i < this.entries.length; i++) {
      uncounted[i]! += length;
      const answer = context.limitTable.chargeBytes(context.worker, this.entries[i]!, uncounted[i]!, limits.bytes, now);
      if (answer >= 0) uncounted[i] = 0;
      if (answer > wait) wait = answer;
    }
    if (wait > 0) this.hold(wait);
  }

  expired(now: number): void {
    if (now >= this.endsAt) {
      this.pass('duration');
      return;
    }
    this.letGo();
    this.place.context.wheel.arm(this, this.endsAt);
  }

  /** The flow is over, or counts for another rule now. */
  release(): void {
    if (this.over) return;
    this.over = true;
    const { context } = this.place;
    context.wheel.disarm(this);
    this.letGo();
    for (const entry of this.entries) context.limitTable.release(context.worker, entry);
  }

  private checkTotal(): void {
    const { flow } = this.place;
    const total = this.limits?.bytesTotal ?? null;
    if (total !== null && flow.bytesIn + flow.bytesOut > total) this.pass('bytes-total');
  }

  private hold(milliseconds: number): void {
    const { place } = this;
    const { context } = place;
    if (this.held.length === 0) context.policy.ledger.limit(place.listener.application, 'bytes');
    this.bar();
    this.heldUntil = context.clock.now() + milliseconds;
    context.wheel.arm(this, Math.min(this.endsAt, this.heldUntil));
  }

  private bar(): void {
    this.letGo();
    this.held = this.place.limitedWires();
    for (const wire of this.held) wire.bar();
  }

  private letGo(): void {
    const { held } = this;
    this.held = [];
    for (const wire of held) wire.unbar();
  }

  /** Told later: it is found in the middle of the session's work, which must not find itself ended underneath. */
  private pass(limit: Limit): void {
    if (this.limits === null || this.over) return;
    const { place } = this;
    this.bar();
    queueMicrotask(() => {
      if (this.over) return;
      if (place.listener.application >= 0) place.context.policy.ledger.limit(place.listener.application, limit);
      place.limitPassed(limit, limitReason(limit, this.limited));
    });
  }
}
