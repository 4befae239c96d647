/** Which line decides a flow: the same order as in `decide`, over lines that are known to hold for the source and the port. */
import type { Kinds } from './kinds.ts';
import { type Condition, isFinal, type Line } from './lines.ts';

/** Flows of some kinds that one line decides; -1: none does, and they are denied. */
export interface Decided {
  readonly kinds: Kinds;
  readonly line: number;
}

/**
 * Decides flows of all kinds that there are and that match exactly the conditions given. `held` numbers the lines that hold, ascending. `passed` takes for
 * each guardrail that passes flows on the kinds of those.
 */
export function decideKinds(
  lines: readonly Line[],
  held: readonly number[],
  matching: ReadonlySet<Condition>,
  all: Kinds,
  passed?: Map<number, Kinds>,
): Decided[] {
  const decided: Decided[] = [];
  let open = all;
  let passing = 0;
  let inGuardrails = true;
  for (const index of held) {
    const { kinds, condition, rule, tier } = lines[index]!;
    if (inGuardrails && tier !== 'guardrail' && tier !== 'cluster') {
      inGuardrails = false;
      open |= passing;
    }
    const taken = kinds & open;
    if (taken === 0 || (condition !== null && !matching.has(condition))) continue;
    open &= ~taken;
    if (rule.action === 'pass') {
      passing |= taken;
      passed?.set(index, taken);
    } else decided.push({ kinds: taken, line: index });
  }
  if (inGuardrails) open |= passing;
  if (open !== 0) decided.push({ kinds: open, line: -1 });
  return decided;
}

/** A run of lines in a longer list: one application's, of one document. Guardrails end before `own`. */
export interface Run {
  readonly first: number;
  readonly own: number;
  readonly end: number;
}

/** The lines of a run that hold, up to the first behind which nothing is reached. `holding` has a bit a line. */
export function heldLines(holding: Uint32Array, lines: readonly Line[], { first, own, end }: Run, all: Kinds): number[] {
  const held: number[] = [];
  let passes = false;
  let from = first;
  for (let word = first >>> 5; word * 32 < end; word++) {
    for (let bits = holding[word]!; bits !== 0; bits &= bits - 1) {
      const index = word * 32 + 31 - Math.clz32(bits & -bits);
      if (index < from) continue;
      if (index >= end) return held;
      held.push(index);
      const line = lines[index]!;
      if (line.rule.action === 'pass') passes = true;
      if (!isFinal(line, all)) continue;
      // What a guardrail passed goes on behind the guardrails, whatever ends them for the rest.
      if (index >= own || !passes) return held;
      from = own;
    }
  }
  return held;
}

export function conditionsOf(lines: readonly Line[], held: readonly number[]): Condition[] {
  const conditions = new Set<Condition>();
  for (const index of held) {
    const { condition } = lines[index]!;
    if (condition !== null) conditions.add(condition);
  }
  return [...conditions];
}

/** The held lines that can match, found without a look at all the others. */
export class Candidates {
  readonly #held: readonly number[];
  readonly #free: number[] = [];
  readonly #conditional = new Map<Condition, number[]>();

  constructor(lines: readonly Line[], held: readonly number[]) {
    this.#held = held;
    for (const index of held) {
      const { condition } = lines[index]!;
      const known = condition === null ? this.#free : this.#conditional.get(condition);
      if (known === undefined) this.#conditional.set(condition!, [index]);
      else known.push(index);
    }
  }

  /** Ascending. */
  of(matching: ReadonlySet<Condition>): readonly number[] {
    if (matching.size * 4 > this.#held.length) return this.#held;
    const found = [...this.#free];
    for (const condition of matching) found.push(...(this.#conditional.get(condition) ?? []));
    return found.sort((a, b) => a - b);
  }
}

/**
 * The held lines that can still take a flow, where conditions of `matching` match and those of `maybe` may: not those behind lines that
 * surely take all their flows. `spared`: also where any one rule is taken away.
 */
export function reachable(
  lines: readonly Line[],
  held: readonly number[],
  matching: ReadonlySet<Condition>,
  maybe: ReadonlySet<Condition>,
  all: Kinds,
  spared = false,
): number[] {
  const found: number[] = [];
  /** Kinds that a line takes for sure, and those that lines of two rules do. */
  let once = ~all;
  let twice = ~all;
  let passing = 0;
  let inGuardrails = true;
  let rule: Line['rule'] | null = null;
  let byOthers = 0;
  for (const index of held) {
    const line = lines[index]!;
    if (inGuardrails && line.tier !== 'guardrail' && line.tier !== 'cluster') {
      inGuardrails = false;
      once &= ~passing;
      twice &= ~passing;
    }
    if ((line.kinds & ~(spared ? twice : once)) === 0) continue;
    const { condition } = line;
    const isSure = condition === null || matching.has(condition);
    if (!isSure && !maybe.has(condition)) continue;
    found.push(index);
    // What passes for some flows goes on behind the guardrails, whatever ends them for others.
    if (line.rule.action === 'pass') passing |= line.kinds & all;
    if (!isSure) continue;
    if (line.rule !== rule) {
      rule = line.rule;
      byOthers = once;
    }
    twice |= byOthers & line.kinds;
    once |= line.kinds;
  }
  return found;
}

/** The first condition of `maybe` at which a verdict can still change; null where there is none. */
export function nextOpen(
  lines: readonly Line[],
  held: readonly number[],
  matching: ReadonlySet<Condition>,
  maybe: ReadonlySet<Condition>,
  all: Kinds,
  spared = false,
): Condition | null {
  return firstOf(lines, reachable(lines, held, matching, maybe, all, spared), maybe);
}

/** The same for two lists that are compared: where the same lines are left in both, nothing can differ. */
export function nextDiffering(
  lines: readonly Line[],
  [before, after]: readonly [readonly number[], readonly number[]],
  matching: ReadonlySet<Condition>,
  maybe: ReadonlySet<Condition>,
  all: Kinds,
  isSame: (one: Line, other: Line) => boolean,
): Condition | null {
  const was = reachable(lines, before, matching, maybe, all);
  const is = reachable(lines, after, matching, maybe, all);
  if (was.length === is.length && was.every((index, i) => isSame(lines[index]!, lines[is[i]!]!))) return null;
  return firstOf(lines, was, maybe) ?? firstOf(lines, is, maybe);
}

function firstOf(lines: readonly Line[], found: readonly number[], maybe: ReadonlySet<Condition>): Condition | null {
  for (const index of found) {
    const { condition } = lines[index]!;
    if (condition !== null && maybe.has(condition)) return condition;
  }
  return null;
}
