/** Rules that could be removed without any verdict changing, although they decide flows: what stands behind them says the same. */
import type { Document, Rule } from '../config/document.ts';
import { partition } from './partition.ts';
import { rulesOf } from './schedule.ts';
import { SourceGraph } from './sources.ts';
import { Candidates, conditionsOf, type Decided, decideKinds } from './space/chain.ts';
import { Clock, periodFacts, TooManyFacts } from './space/facts.ts';
import { isFinal, type Line, LineMaker } from './space/lines.ts';
import { type Judge, partOthers, partRequests } from './space/requests.ts';
import { NO_PORT, portClassifier, sweep } from './sweep.ts';

export interface Redundant {
  readonly rule: Rule;
  /** What decides its flows without it; null is the default. */
  readonly without: readonly (Rule | null)[];
}

interface Fate {
  decides: boolean;
  needed: boolean;
  readonly without: Set<Rule | null>;
}

/** Each rule taken by itself. `idle` are rules that never decide: they stand behind nothing. */
export function redundantRules(document: Document, idle: ReadonlySet<Rule>): Redundant[] {
  const graph = new SourceGraph(document);
  const maker = new LineMaker(graph);
  const cluster = maker.cluster(document);
  const lists = document.applications.map(({ rules, mode }) => {
    const guardrails = maker.lines(document.guardrails, 'guardrail', mode);
    return [cluster, ...guardrails, ...maker.lines(rules, 'application', mode), ...maker.lines(document.baseline, 'baseline', mode)];
  });
  const atoms = partition(graph);
  const clock = new Clock([...rulesOf(document)].flatMap(periodFacts), 0);
  const fates = new Map<Rule, Fate>();
  for (const rule of rulesOf(document)) fates.set(rule, { decides: false, needed: hasOtherUse(rule), without: new Set() });
  for (const [index, application] of document.applications.entries()) {
    const lines = lists[index]!;
    const classOf = portClassifier(lines.map(({ rule }) => rule));
    const ports = new Map(
      application.vips.map(({ endpoint }) =>
        endpoint.kind === 'tcp' ? [String(classOf(endpoint.port)), endpoint.port] : ['unix', NO_PORT],
      ),
    );
    for (const port of ports.values()) {
      const seen = new Set<string>();
      sweep(lines, port, atoms, (atom, holding, end) => {
        if (port === NO_PORT ? atom > 0 : atom === 0 && end === 1 && !atoms.zeroHasAddresses) return;
        const held = heldTwice(holding, lines, idle);
        const key = held.join();
        if (seen.has(key)) return;
        seen.add(key);
        try {
          judgeHeld(lines, held, application.mode === 'http', clock, fates);
        } catch (error) {
          if (!(error instanceof TooManyFacts)) throw error;
          for (const number of held) fateOf(fates, lines[number]!).needed = true;
        }
      });
    }
  }
  const found = [...fates].filter(([rule, { decides, needed, without }]) => decides && !needed && !isSpelledOutDefault(rule, without));
  return found.map(([rule, { without }]) => ({ rule, without: [...without] }));
}

/** What it does beside deciding would be lost. */
function hasOtherUse(rule: Rule): boolean {
  return rule.log || rule.denyWith !== null || rule.limits !== null || rule.shadow;
}

/** A last rule that denies everything says what holds anyway: people write it to be read. */
function isSpelledOutDefault(rule: Rule, without: ReadonlySet<Rule | null>): boolean {
  const narrows = rule.except.length > 0 || rule.ports !== null || rule.protocols !== null || rule.http !== null;
  return rule.action === 'deny' && !narrows && rule.from.some(({ kind }) => kind === 'any') && without.size === 1 && without.has(null);
}

/** Held lines up to the second behind which nothing is reached: the first may be the one that is taken away. */
function heldTwice(holding: Uint32Array, lines: readonly Line[], idle: ReadonlySet<Rule>): number[] {
  const held: number[] = [];
  let finals = 0;
  for (const [word, bitsOfWord] of holding.entries()) {
    for (let bits = bitsOfWord; bits !== 0; bits &= bits - 1) {
      const index = word * 32 + 31 - Math.clz32(bits & -bits);
      const line = lines[index]!;
      if (idle.has(line.rule)) continue;
      held.push(index);
      if (line.tier === 'cluster') return held;
      // Guardrails that pass send flows past the ones that end.
      if (line.tier !== 'guardrail' && isFinal(line) && ++finals === 2) return held;
    }
  }
  return held;
}

function judgeHeld(lines: readonly Line[], held: readonly number[], seesRequests: boolean, clock: Clock, fates: Map<Rule, Fate>): void {
  const candidates = new Candidates(lines, held);
  const judge: Judge<null> = {
    ask(matching) {
      const open = candidates.of(matching);
      const passed = new Map<number, number>();
      const decided = decideKinds(lines, open, matching, passed);
      const involved = [...new Set([...passed.keys(), ...decided.map(({ line }) => line)])];
      for (const number of involved) {
        if (number < 0 || lines[number]!.tier === 'cluster') continue;
        const fate = fateOf(fates, lines[number]!);
        fate.decides = true;
        if (fate.needed) continue;
        const without = decideKinds(
          lines,
          open.filter((other) => other !== number),
          matching,
        );
        compare(lines, decided, without, number, fate);
      }
      return [];
    },
    merge: (first) => first,
  };
  const conditions = conditionsOf(lines, held);
  if (seesRequests) partRequests(conditions, clock, judge);
  else partOthers(conditions, clock, judge);
}

function compare(lines: readonly Line[], decided: readonly Decided[], without: readonly Decided[], number: number, fate: Fate): void {
  for (const one of decided) {
    for (const other of without) {
      if ((one.kinds & other.kinds) === 0) continue;
      if ((lines[one.line]?.rule.action ?? 'deny') !== (lines[other.line]?.rule.action ?? 'deny')) fate.needed = true;
      else if (one.line === number) fate.without.add(lines[other.line]?.rule ?? null);
    }
  }
}

function fateOf(fates: Map<Rule, Fate>, { rule }: Line): Fate {
  let fate = fates.get(rule);
  // The cluster lane is no rule of the document.
  if (fate === undefined) fates.set(rule, (fate = { decides: false, needed: true, without: new Set() }));
  return fate;
}
