/** How long a live flow may go on: what a later policy makes of it, and of its limits. */
import { ALLOW, DENY, type Decision, kindOf, ruleOf } from '../../policy/decide.ts';
import * as ledger from '../shared/ledger.ts';
import { CUT, DRAINING, KEPT, type Redecided } from './redecided.ts';
import { type Draining, drainingOf } from './revocation.ts';
import { type LimitedPlace, moveLimits } from './rule-limits.ts';

/** The session whose flow it is. */
export interface TenurePlace extends LimitedPlace {
  /** Whether there is something to finish. A flow that no server has yet is over at once. */
  readonly canDrain: boolean;
  /** Ends the flow now. */
  cut(reason: string): void;
  /** Its deadlines are to be those of `draining` now. `relieved`: they may be later than before. */
  takeTimes(relieved: boolean): void;
}

export class Tenure {
  /** No longer allowed, and coming to its end; null where the policy in force has nothing against the flow. */
  draining: Draining | null = null;
  private readonly place: TenurePlace;

  constructor(place: TenurePlace) {
    this.place = place;
  }

  /** The verdict of a new policy on a flow that is live. One that is allowed again goes on as if nothing had been. */
  renew(decision: Decision, observes: boolean): Redecided {
    const { place } = this;
    if (kindOf(decision) === DENY && !observes) {
      const draining = place.canDrain ? drainingOf(place.context, ruleOf(decision), place.flow, this.draining) : null;
      if (draining === null) return this.revoke(`revoked by ${place.context.policy.image.ruleName(ruleOf(decision))}`);
      this.set(draining);
      return DRAINING;
    }
    if (kindOf(decision) === ALLOW) moveLimits(place, ruleOf(decision), observes);
    this.set(null);
    return KEPT;
  }

  /** Ends the flow, and counts it as revoked. */
  revoke(reason: string): typeof CUT {
    const { context, listener, flow } = this.place;
    if (flow.live && listener.application >= 0) context.policy.ledger.add(listener.application, ledger.FLOWS_REVOKED, 1);
    this.place.cut(reason);
    return CUT;
  }

  /** The time in which it was to end is over. */
  runOut(): void {
    this.revoke(`${this.draining!.reason}, its time to drain is over`);
  }

  private set(draining: Draining | null): void {
    const { flow } = this.place;
    flow.policy = flow.policy?.remember(flow.rule) ?? null;
    const before = this.draining;
    this.draining = draining;
    flow.draining = draining !== null;
    this.place.takeTimes(before !== null && (draining === null || draining.until > before.until));
  }
}
