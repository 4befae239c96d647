/**
 * What a list of rules (guardrails, an application's own, baseline) can come to for a source, before all facts are known:
 * any of allow, deny and next (go on behind the list), and the rule at which no further one is reached.
 */
import { PROTOCOLS, type ProtocolSet } from '../config/protocols.ts';

export const MAY_ALLOW = 1;
export const MAY_DENY = 2;
export const MAY_NEXT = 4;
/** An outcome is these three bits, and above them the number of the unconditional rule that ends the list + 1; 0 for none. */
export const OUTCOME_BITS = 3;

export const ALL_PROTOCOLS: ProtocolSet = 2 ** PROTOCOLS.length - 1;

/** Actions as numbers, in the image. */
export const ACTIONS = ['allow', 'deny', 'pass'] as const;

/** The outcome bit of an action. */
export function outcomeOf(action: number): number {
  return 1 << action;
}

/** What a rule asks of a flow, as numbers. */
export interface RuleFacts {
  readonly protocols: ProtocolSet;
  /** Whether it asks for more than source, port and protocol. */
  readonly conditional: boolean;
  /** Whether it has a condition on HTTP requests, and a demand. */
  readonly asksHttp: boolean;
  readonly demanding: boolean;
  /** The facts that it asks for, bits of demand.ts. */
  readonly asks: number;
  /** Bits of the levels at which the index leads to it, see patterns.ts. */
  readonly levels: number;
  readonly action: number;
}

/**
 * The outcome for each protocol on its own, all at once: bit b of each mask is protocol b. Requests are not known here, so a rule
 * with a condition on them may match or not. `pairs` are word and bits of the rules, by turns.
 */
export function outcomesByProtocol(pairs: readonly number[], facts: readonly RuleFacts[]): Uint32Array {
  let open = ALL_PROTOCOLS;
  const may = [0, 0, 0];
  const outcomes = new Uint32Array(PROTOCOLS.length);
  for (let i = 0; i < pairs.length && open !== 0; i += 2) {
    for (let bits = pairs[i + 1]!; bits !== 0 && open !== 0; bits &= bits - 1) {
      const index = pairs[i]! * 32 + 31 - Math.clz32(bits & -bits);
      const { protocols, conditional, action } = facts[index]!;
      const reached = protocols & open;
      may[action]! |= reached;
      if (conditional || reached === 0) continue;
      for (let bit = 0; bit < outcomes.length; bit++) if ((reached >>> bit) & 1) outcomes[bit] = (index + 1) << OUTCOME_BITS;
      open &= ~reached;
    }
  }
  may[2]! |= open;
  for (let bit = 0; bit < outcomes.length; bit++) {
    for (let action = 0; action < 3; action++) if ((may[action]! >>> bit) & 1) outcomes[bit]! |= outcomeOf(action);
  }
  return outcomes;
}
