/** Which rules of a policy in force have limits. */
import { attachImage, type Image } from '../../policy/image.ts';
import type { PlannedLimits, PlannedRuleLimits } from '../node/plan.ts';

export class LimitsInForce {
  readonly membership: Image | null;
  private readonly byRecord: ReadonlyMap<number, PlannedRuleLimits>;
  private readonly image: Image;
  /** By rule; a guardrail is a rule of each application. */
  private readonly found = new Map<number, PlannedRuleLimits | null>();

  constructor(plan: PlannedLimits, image: Image) {
    this.byRecord = new Map(plan.rules.map((rule) => [rule.record, rule]));
    this.membership = plan.membership === null ? null : attachImage(plan.membership);
    this.image = image;
  }

  ofRule(rule: number): PlannedRuleLimits | null {
    let found = this.found.get(rule);
    if (found === undefined) {
      found = this.byRecord.get(this.image.ruleRecord(rule)) ?? null;
      this.found.set(rule, found);
    }
    return found;
  }
}
