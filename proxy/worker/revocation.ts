/** How flows end that a changed policy no longer allows: now, after a while, or by themselves. */
import type { OnRevoke } from '../../config/match.ts';
import type { Image } from '../../policy/image.ts';
import type { Flow } from './account.ts';
import type { Context } from './context.ts';

/** Of the time to drain, the last part, over which cuts are spread: clients that lose their connections together come back together. */
const JITTER_SHARE = 0.25;
/** A flow that is to end, and carries nothing for so long, is ended. Twice as long at most, by the same jitter. */
export const DRAIN_IDLE_MS = 1_000;

const CUT_NOW: OnRevoke = { kind: 'cut' };

/** A flow that is no longer allowed and may live a little. */
export interface Draining {
  /** By which rule, for the record. */
  readonly reason: string;
  /** When it is cut, in the milliseconds of the worker's clock; Infinity where it lives to its natural end. */
  readonly until: number;
  /** How long it may carry nothing meanwhile; Infinity: as long as any flow. */
  readonly idleMs: number;
}

/**
 * What the policy in force says of a live flow that it denies by `rule`. The rule that denies it now says how it ends; where none does, because it
 * falls to the default, the rule that had admitted it. null: it is cut. A drain that has begun is never put off by a later policy.
 */
export function drainingOf(context: Context, rule: number, flow: Flow, before: Draining | null): Draining | null {
  const { image } = context.policy;
  const way = wayOut(image, rule, flow);
  const reason = `revoked by ${image.ruleName(rule)}`;
  switch (way.kind) {
    case 'cut':
      return null;
    case 'finish':
      return { reason, until: Number.POSITIVE_INFINITY, idleMs: Number.POSITIVE_INFINITY };
    case 'drain': {
      const spread = context.random();
      const until = context.clock.now() + way.withinMs * (1 - JITTER_SHARE * spread);
      return { reason, until: Math.min(until, before?.until ?? until), idleMs: DRAIN_IDLE_MS * (1 + spread) };
    }
    default:
      return way satisfies never;
  }
}

function wayOut(image: Image, rule: number, flow: Flow): OnRevoke {
  const asked = image.ruleOnRevoke(rule);
  if (asked !== null) return asked;
  if (image.ruleTier(rule) !== 'default' || flow.policy === null || flow.rule < 0) return CUT_NOW;
  return flow.policy.ruleOnRevoke(flow.rule) ?? CUT_NOW;
}
