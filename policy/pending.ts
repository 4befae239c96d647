/**
 * What a verdict still depends on, noted while rules are walked: for each rule that may match or not the facts that would tell. A rule
 * that can only say what everything after it says anyway makes no difference, so its facts are held back until something else is said.
 * One for a thread: a decision is over before the next one begins.
 */
import type { ProtocolSet } from '../config/protocols.ts';
import { MAY_ALLOW, MAY_DENY, MAY_NEXT } from './outcome.ts';

export const pending = {
  /** On which the verdict depends, as bits of demand.ts. */
  facts: 0,
  /** Of the last rules that may match and say `heldOutcome`. */
  held: 0,
  heldOutcome: 0,
  /** Protocols with which all that was looked at would be the same; kept where one is tried for all of them, and 0 where not. */
  alike: 0,
};

/** hot: whether a rule for these protocols is one for what a flow speaks. What it tells from that is not alike. */
export function isMeant(protocols: ProtocolSet, spoken: ProtocolSet): boolean {
  const is = (protocols & spoken) !== 0;
  pending.alike &= is ? protocols : ~protocols;
  return is;
}

/** hot: a rule with this outcome may match. */
export function notePending(outcome: number, facts: number): void {
  if (outcome === MAY_NEXT) {
    pending.facts |= facts;
    return;
  }
  if (pending.heldOutcome !== outcome) {
    pending.facts |= pending.held;
    pending.held = 0;
    pending.heldOutcome = outcome;
  }
  pending.held |= facts;
}

/** hot: what follows can come to these outcomes. */
export function settlePending(outcomes: number): void {
  if ((outcomes & (MAY_ALLOW | MAY_DENY) & ~pending.heldOutcome) === 0) return;
  pending.facts |= pending.held;
  pending.held = 0;
}

/**
 * hot: whether a rule of a group (patterns.ts) that may match or not would change nothing any more, where outcomes `may` of its list were met before:
 * all that it could say is said or held back already.
 */
export function saysNothingNew(group: number, may: number): boolean {
  const outcome = 1 << (group & 3);
  if ((may & outcome) === 0) return false;
  const open = group >>> 2;
  if (outcome === MAY_NEXT) return (open & ~pending.facts) === 0;
  if (pending.heldOutcome === outcome) return (open & ~(pending.held | pending.facts)) === 0;
  return ((open | pending.held) & ~pending.facts) === 0;
}
