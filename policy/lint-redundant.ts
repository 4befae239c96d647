/** Rules that could be removed without any verdict changing, although they decide flows: what stands behind them says the same. */
import type { Document, Rule } from '../config/document.ts';
import { partition } from './partition.ts';
import { rulesOf } from './schedule.ts';
import { SourceGraph } from './sources.ts';
import { Candidates, conditionsOf, type Decided, decideKinds, nextOpen } from './space/chain.ts';
import { Clock } from './space/clock.ts';
import type { Judge } from './space/fact-parts.ts';
import { periodFacts, TooManyFacts } from './space/facts.ts';
import { type Kinds, kindsIn } from './space/kinds.ts';
import { type Condition, isFinal, type Line, LineMaker } from './space/lines.ts';
import { partOthers, partRequests } from './space/requests.ts';
import { NO_PORT, portClassifier, sweep } from './sweep.ts';

/** Combinations of facts gone through for a whole document; beyond them nothing is said of rules that ask for such facts. */
const LEAVES_MOST = 16_384;

/** Enough to name those who take a rule's flows. */
const TAKERS_MOST = 16;

export interface Redundant {
  readonly rule: Rule;
  /** What decides its flows without it; null is the default. */
  readonly without: readonly (Rule | null)[];
}

/** A rule that never decides, since for all that is asked for others stand before it. */
export interface Covered {
  readonly rule: Rule;
  readonly takenBy: readonly (Rule | null)[];
}

interface Fate {
  decides: boolean;
  /** Rules that take what would match; null is the cluster lane. */
  readonly takenBy: Set<Rule | null>;
  needed: boolean;
  readonly without: Set<Rule | null>;
}

/** Each rule taken by itself. `idle` are rules that never decide: they stand behind nothing. */
export function redundantRules(document: Document, idle: ReadonlySet<Rule>): { redundant: Redundant[]; covered: Covered[] } {
  const graph = new SourceGraph(document);
  const maker = new LineMaker(graph);
  const lists = document.applications.map((application) => maker.list(document, application).lines);
  const atoms = partition(graph);
  const clock = new Clock([...rulesOf(document)].flatMap(periodFacts), 0);
  const budget = { left: LEAVES_MOST };
  const fates = new Map<Rule, Fate>();
  for (const rule of rulesOf(document))
    fates.set(rule, { decides: false, needed: hasOtherUse(rule), without: new Set(), takenBy: new Set() });
  for (const [index, application] of document.applications.entries()) {
    const lines = lists[index]!;
    const kinds = kindsIn([application.mode]);
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
        const held = heldTwice(holding, lines, idle, kinds);
        const key = held.join();
        if (seen.has(key)) return;
        seen.add(key);
        try {
          judgeHeld(lines, held, kinds, application.mode === 'http', clock, fates, budget);
        } catch (error) {
          if (!(error instanceof TooManyFacts)) throw error;
          for (const number of held) {
            const fate = fateOf(fates, lines[number]!);
            fate.needed = true;
            fate.decides = true;
          }
        }
      });
    }
  }
  const found = [...fates].filter(([rule, { decides, needed, without }]) => decides && !needed && !isSpelledOutDefault(rule, without));
  const covered = [...fates].filter(([rule, { decides, takenBy }]) => !decides && takenBy.size > 0 && !rule.shadow && !idle.has(rule));
  return {
    redundant: found.map(([rule, { without }]) => ({ rule, without: [...without] })),
    covered: covered.map(([rule, { takenBy }]) => ({ rule, takenBy: [...takenBy] })),
  };
}

/** What it does beside deciding would be lost. */
function hasOtherUse(rule: Rule): boolean {
  return rule.log || rule.denyWith !== null || rule.onRevoke !== null || rule.limits !== null || rule.shadow;
}

/** A last rule that denies everything says what holds anyway: people write it to be read. */
function isSpelledOutDefault(rule: Rule, without: ReadonlySet<Rule | null>): boolean {
  const asks = rule.http !== null || rule.tls !== null || rule.identities !== null || rule.database !== null;
  const narrows = rule.except.length > 0 || rule.ports !== null || rule.protocols !== null || asks;
  return rule.action === 'deny' && !narrows && rule.from.some(({ kind }) => kind === 'any') && without.size === 1 && without.has(null);
}

/** Held lines up to the second behind which nothing is reached: the first may be the one that is taken away. */
function heldTwice(holding: Uint32Array, lines: readonly Line[], idle: ReadonlySet<Rule>, kinds: Kinds): number[] {
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
      if (line.tier !== 'guardrail' && isFinal(line, kinds) && ++finals === 2) return held;
    }
  }
  return held;
}

function judgeHeld(
  lines: readonly Line[],
  held: readonly number[],
  kinds: Kinds,
  seesRequests: boolean,
  clock: Clock,
  fates: Map<Rule, Fate>,
  budget: { left: number },
): void {
  const candidates = new Candidates(lines, held);
  const judge: Judge<null> = {
    budget,
    ask(matching) {
      const open = candidates.of(matching);
      const passed = new Map<number, number>();
      const decided = decideKinds(lines, open, matching, kinds, passed);
      noteTaken(lines, open, matching, decided, fates);
      const involved = [...new Set([...passed.keys(), ...decided.map(({ line }) => line)])];
      for (const number of involved) {
        if (number < 0 || lines[number]!.tier === 'cluster') continue;
        const fate = fateOf(fates, lines[number]!);
        fate.decides = true;
        if (fate.needed) continue;
        const { rule } = lines[number]!;
        const without = decideKinds(
          lines,
          open.filter((other) => lines[other]!.rule !== rule),
          matching,
          kinds,
        );
        compare(lines, decided, without, rule, fate);
      }
      return [];
    },
    next: (matching, maybe) => nextOpen(lines, held, matching, maybe, kinds, true),
    merge: (first) => first,
  };
  const conditions = conditionsOf(lines, held);
  if (seesRequests) partRequests(conditions, clock, judge);
  else partOthers(conditions, clock, judge);
}

/** Who decides the flows of the lines that match and do not decide them. */
function noteTaken(
  lines: readonly Line[],
  open: readonly number[],
  matching: ReadonlySet<Condition>,
  decided: readonly Decided[],
  fates: Map<Rule, Fate>,
): void {
  for (const number of open) {
    const line = lines[number]!;
    if (line.condition !== null && !matching.has(line.condition)) continue;
    const fate = fates.get(line.rule);
    if (fate === undefined || fate.decides || fate.takenBy.size > TAKERS_MOST) continue;
    for (const { kinds, line: taker } of decided) {
      if ((kinds & line.kinds) === 0 || taker < 0 || taker >= number) continue;
      const { rule, tier } = lines[taker]!;
      if (rule !== line.rule) fate.takenBy.add(tier === 'cluster' ? null : rule);
    }
  }
}

function compare(lines: readonly Line[], decided: readonly Decided[], without: readonly Decided[], rule: Rule, fate: Fate): void {
  for (const one of decided) {
    for (const other of without) {
      if ((one.kinds & other.kinds) === 0) continue;
      if ((lines[one.line]?.rule.action ?? 'deny') !== (lines[other.line]?.rule.action ?? 'deny')) fate.needed = true;
      else if (lines[one.line]?.rule === rule) fate.without.add(lines[other.line]?.rule ?? null);
    }
  }
}

function fateOf(fates: Map<Rule, Fate>, { rule }: Line): Fate {
  let fate = fates.get(rule);
  // The cluster lane is no rule of the document.
  if (fate === undefined) fates.set(rule, (fate = { decides: false, needed: true, without: new Set(), takenBy: new Set() }));
  return fate;
}
