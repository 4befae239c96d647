/** Findings about rules on databases that a client can step around by not looking like the database. */
import type { Document, Problem, Rule } from '../config/document.ts';
import { protocolBit, UNKNOWN } from '../config/protocols.ts';
import type { PlacedRule } from './lint-sources.ts';
import { placeText } from './place.ts';

/**
 * What a first line to Redis can be taken for: its servers skip what they do not know, and take a command as a plain line, so that no look at
 * first bytes can find all of them.
 */
const TAKEN_FOR = UNKNOWN | protocolBit('memcached')!;

/** Denials of what is said to Redis, with a rule behind them that lets through what is not known to be Redis. */
export function databaseProblems(document: Document, rules: readonly PlacedRule[]): Problem[] {
  const paths = new Map(rules.map(({ rule, path }) => [rule, path]));
  const found = new Map<Rule, Problem>();
  for (const application of document.applications) {
    if (application.mode !== 'tcp') continue;
    const list = [...document.guardrails, ...application.rules, ...document.baseline];
    for (const [index, rule] of list.entries()) {
      if (found.has(rule) || rule.shadow || rule.action !== 'deny' || rule.database?.kind !== 'redis') continue;
      const open = list.slice(index + 1).find(letsThrough);
      if (open === undefined) continue;
      const message = `Rule "${rule.name}" denies what is said to Redis, but a flow that does not look like Redis at first goes by rule "${open.name}" (${placeText(open.place)}), and a server may take it for Redis all the same. Write protocols: in "${open.name}", without unknown and memcached.`;
      found.set(rule, { code: 'database-deny-evaded', severity: 'warning', path: paths.get(rule)!, place: rule.place, message });
    }
  }
  return [...found.values()];
}

function letsThrough({ action, shadow, protocols, database }: Rule): boolean {
  return action === 'allow' && !shadow && database === null && (protocols === null || (protocols & TAKEN_FOR) !== 0);
}
