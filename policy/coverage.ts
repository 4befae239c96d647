/** Which rules the tests of a file reach: a rule that no test reaches can be broken without anyone being told. */
import type { Document, Rule } from '../config/document.ts';
import { placedRules } from './lint-sources.ts';
import type { Rehearsal } from './rehearse.ts';

export interface RuleCoverage {
  readonly rule: Rule;
  /** JSON pointer. */
  readonly path: string;
  /** The tests that the rule decides, by their number in the file. */
  readonly tests: readonly number[];
}

/** Every rule in the order of the document. `rehearsals` are those of the document's tests, in their order. */
export function coverage(document: Document, rehearsals: readonly Rehearsal[]): RuleCoverage[] {
  const reached = new Map<string, number[]>();
  for (const [number, { explanation }] of rehearsals.entries()) {
    const { tier, application, rule } = explanation;
    const key = tier === 'application' ? `${application} ${rule}` : `${tier}/ ${rule}`;
    const tests = reached.get(key);
    if (tests === undefined) reached.set(key, [number]);
    else tests.push(number);
  }
  const owners = new Map(document.applications.flatMap(({ name, rules }) => rules.map((rule) => [rule, name] as const)));
  const guardrails = new Set(document.guardrails);
  return placedRules(document).map(({ rule, path }) => {
    const owner = owners.get(rule) ?? (guardrails.has(rule) ? 'guardrail/' : 'baseline/');
    return { rule, path, tests: reached.get(`${owner} ${rule.name}`) ?? [] };
  });
}
