/**
 * What a verdict still depends on, noted while rules are walked: for each rule that may match or not the facts that would tell. A rule
 * that can only say what everything after it says anyway makes no difference, so its facts are held back until something else is said.
 * One for a thread: a decision is over before the next one begins.
 */
import { MAY_ALLOW, MAY_DENY, MAY_NEXT } from './outcome.ts';

export const pending = {
  /** On which the verdict depends, as bits of demand.ts. */
  facts: 0,
  /** Of the last rules that may match and say `heldOutcome`. */
  held: 0,
  heldOutcome: 0,
};

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
