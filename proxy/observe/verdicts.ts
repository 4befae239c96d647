/** What the rules of a document can answer, and what they have answered: the ground of metrics and status. */
import type { Document, Rule } from '../../config/document.ts';
import type { RuleCounters } from './view.ts';

/** The name under which a flow that no rule decided is counted. */
export const DEFAULT_RULE = 'default';

export interface PossibleVerdicts {
  readonly allow: boolean;
  readonly deny: boolean;
  readonly wouldDeny: boolean;
  readonly wouldAllow: boolean;
}

const NONE: PossibleVerdicts = { allow: false, deny: false, wouldDeny: false, wouldAllow: false };

/**
 * Tells which verdicts a rule can give for an application. A `pass` decides nothing; a denial is `would_deny` where the application only
 * observes; a shadow rule gives nothing but `would_allow` or `would_deny`. Rules of two tiers may share a name, and then share the series.
 */
export function possibleVerdicts(document: Document): (application: string, rule: string) => PossibleVerdicts {
  const shared = actionsByName([...document.guardrails, ...document.baseline]);
  const own = new Map(
    document.applications.map((a) => [a.name, { observes: a.enforcement === 'observe', actions: actionsByName(a.rules) }]),
  );
  return (application, rule) => {
    const known = own.get(application);
    if (known === undefined) return NONE;
    const actions = (shared.get(rule) ?? 0) | (known.actions.get(rule) ?? 0) | (rule === DEFAULT_RULE ? DENY : 0);
    const denies = (actions & DENY) !== 0;
    return {
      allow: (actions & ALLOW) !== 0,
      deny: denies && !known.observes,
      wouldDeny: (denies && known.observes) || (actions & SHADOW_DENY) !== 0,
      wouldAllow: (actions & SHADOW_ALLOW) !== 0,
    };
  };
}

const ALLOW = 1;
const DENY = 2;
const SHADOW_ALLOW = 4;
const SHADOW_DENY = 8;

function actionsByName(rules: readonly Rule[]): Map<string, number> {
  const actions = new Map<string, number>();
  for (const rule of rules) {
    const bit = rule.action === 'allow' ? ALLOW : rule.action === 'deny' ? DENY : 0;
    actions.set(rule.name, (actions.get(rule.name) ?? 0) | (rule.shadow ? bit << 2 : bit));
  }
  return actions;
}

/**
 * One entry for each pair of application and rule name, in first-seen order. Two counters can carry the same pair (a guardrail and an
 * application's rule of one name); a series printed twice would make Prometheus refuse the whole scrape.
 */
export function ruleCountersByName(rules: readonly RuleCounters[]): RuleCounters[] {
  const seen = new Map<string, Map<string, number>>();
  const merged: RuleCounters[] = [];
  for (const counts of rules) {
    let byRule = seen.get(counts.application);
    if (byRule === undefined) seen.set(counts.application, (byRule = new Map()));
    const index = byRule.get(counts.rule);
    if (index === undefined) {
      byRule.set(counts.rule, merged.push(counts) - 1);
      continue;
    }
    const earlier = merged[index]!;
    merged[index] = {
      application: counts.application,
      rule: counts.rule,
      allow: earlier.allow + counts.allow,
      deny: earlier.deny + counts.deny,
      wouldDeny: earlier.wouldDeny + counts.wouldDeny,
      wouldAllow: earlier.wouldAllow + counts.wouldAllow,
    };
  }
  return merged;
}
