/**
 * What a flow keeps of the policy that admitted it. Once another is in force that is the words of one rule, and not the policy: else every flow that
 * lives for long would keep a whole image of its day.
 */
import type { OnRevoke } from '../../config/match.ts';
import type { Tier } from '../../policy/image.ts';

export interface Admitting {
  readonly generation: number;
  ruleName(rule: number): string;
  ruleTier(rule: number): Tier;
  ruleOnRevoke(rule: number): OnRevoke | null;
  /** The name of the application that the rule was asked for. */
  ruleApplication(rule: number): string;
  /** The name of the application at an index of the plan. */
  applicationName(index: number): string;
  /** The same for one rule alone. */
  remember(rule: number): Admitting;
}

/** Answers for one rule, whichever it is asked for. Shared by the flows that the rule had admitted. */
export class Remembered implements Admitting {
  readonly generation: number;
  private readonly name: string;
  private readonly tier: Tier;
  private readonly onRevoke: OnRevoke | null;
  private readonly application: string;

  constructor(policy: Admitting, rule: number) {
    this.generation = policy.generation;
    this.name = policy.ruleName(rule);
    this.tier = policy.ruleTier(rule);
    this.onRevoke = policy.ruleOnRevoke(rule);
    this.application = policy.ruleApplication(rule);
  }

  ruleName(): string {
    return this.name;
  }

  ruleTier(): Tier {
    return this.tier;
  }

  ruleOnRevoke(): OnRevoke | null {
    return this.onRevoke;
  }

  ruleApplication(): string {
    return this.application;
  }

  applicationName(): string {
    return this.application;
  }

  remember(): this {
    return this;
  }
}
