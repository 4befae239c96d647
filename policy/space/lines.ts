/**
 * Lines: the rules that a flow to an application passes, in order, brought into a form in which two of them can be compared. What a
 * line narrows by and what this code does not know is kept as an opaque fact: equal to itself and to nothing else.
 */
import { type Application, type Document, PLAIN_RULE, type Rule } from '../../config/document.ts';
import type { HttpMatch } from '../../config/match.ts';
import { protocolBit } from '../../config/protocols.ts';
import type { Tier } from '../image.ts';
import { foldHostPattern, foldPathPattern, type HostPattern, type PathPattern } from '../request.ts';
import { NOBODY, type SourceCase, type SourceGraph } from '../sources.ts';
import { type SourcedRule, withSources } from '../sweep.ts';
import { databaseFacts, type Fact, headerFacts, identityFacts, opaqueFact, periodFacts, tlsFacts } from './facts.ts';
import { ALL_KINDS, type Kinds, kindsOf } from './kinds.ts';

/** What a request must be. Lines with equal conditions share one object. */
export interface Condition {
  readonly methods: readonly string[] | null;
  readonly hosts: readonly HostPattern[] | null;
  readonly paths: readonly PathPattern[] | null;
  /** Further facts, all of which must hold. */
  readonly facts: readonly Fact[];
  /** And facts none of which may hold. */
  readonly absent: readonly Fact[];
}

/** `rule` and `source` are what the sweep asks for. */
export interface Line extends SourcedRule {
  readonly tier: Tier;
  readonly kinds: Kinds;
  /** null: every request, and flows that are none. */
  readonly condition: Condition | null;
  /** What the rule does beside deciding (its limits, its log, …), as one comparable text. */
  readonly treatment: string;
  /** Everything about the line that can change a verdict. */
  readonly key: string;
}

/** The lines that flows to an application pass. */
export interface LineList {
  readonly lines: readonly Line[];
  /** Where the application's own begin. */
  readonly own: number;
}

/** Fields of a rule that this code looks into, or that change nothing. */
const UNDERSTOOD = new Set([
  'name',
  'action',
  'from',
  'except',
  'ports',
  'protocols',
  'http',
  'tls',
  'identities',
  'database',
  'place',
  'silence',
  'until',
  'schedule',
  'shadow',
]);
const UNDERSTOOD_HTTP = new Set(['methods', 'hosts', 'paths', 'headers']);

/** Fields that change what happens to a flow, and not which flows the rule decides. */
const TREATMENT = new Set(['limits', 'log', 'denyWith', 'onRevoke']);

/** Makes lines over one graph, so that equal sources have equal numbers and equal conditions are one object. */
export class LineMaker {
  readonly #graph: SourceGraph;
  readonly #conditions = new Map<string, Condition>();
  readonly #lists = new WeakMap<readonly Rule[], Map<string, readonly Line[]>>();

  constructor(graph: SourceGraph) {
    this.#graph = graph;
  }

  /** The lane that no rule can cut stands before everything. */
  cluster({ networks }: Document): Line {
    const from = networks.cluster.map((prefix) => ({ kind: 'prefix' as const, prefix }));
    const place = { file: '', line: 0, column: 0 };
    const rule = { name: 'cluster', action: 'allow', from, except: [], ...PLAIN_RULE, place } as const;
    return this.#linesOf(rule, 'cluster', true)[0]!;
  }

  /** Everything that flows to an application pass, in order. `own` is where its own rules begin. */
  list(document: Document, { rules, mode }: Pick<Application, 'rules' | 'mode'>): LineList {
    const guardrails = this.#shared(document.guardrails, 'guardrail', mode);
    const own = 1 + guardrails.length;
    const baseline = this.#shared(document.baseline, 'baseline', mode);
    return { lines: [this.cluster(document), ...guardrails, ...this.lines(rules, 'application', mode), ...baseline], own };
  }

  /** A rule whose source depends on identities is a line for each case of it, one behind the other. */
  lines(rules: readonly Rule[], tier: Tier, mode: Application['mode']): Line[] {
    return rules.flatMap((rule) => this.#linesOf(rule, tier, mode === 'http'));
  }

  /** The lines of rules that applications of one mode share. */
  #shared(rules: readonly Rule[], tier: Tier, mode: Application['mode']): readonly Line[] {
    const known = this.#lists.get(rules) ?? new Map<string, readonly Line[]>();
    this.#lists.set(rules, known);
    let lines = known.get(`${tier} ${mode}`);
    if (lines === undefined) known.set(`${tier} ${mode}`, (lines = this.lines(rules, tier, mode)));
    return lines;
  }

  #linesOf(rule: Rule, tier: Tier, seesRequests: boolean): Line[] {
    const [sourced] = withSources([rule], this.#graph) as [SourcedRule];
    const cases: readonly SourceCase[] = sourced.cases ?? [{ source: sourced.source, has: [], hasNot: [] }];
    // A source that nobody can be is a line too, so that every rule has one.
    const lines = cases.length === 0 ? [{ source: NOBODY, has: [], hasNot: [] }] : cases;
    return lines.map((one) => this.#line(rule, one, tier, seesRequests));
  }

  #line(rule: Rule, { source: meant, has, hasNot }: SourceCase, tier: Tier, seesRequests: boolean): Line {
    const unknown = unknownFields(rule, UNDERSTOOD, TREATMENT).map(opaqueFact);
    const facts = [
      ...periodFacts(rule),
      ...tlsFacts(rule.tls),
      ...has.flatMap(identityFacts),
      ...identityFacts(rule.identities),
      ...databaseFacts(rule.database, rule.action === 'deny'),
      ...unknown,
    ];
    const absent = identityFacts(hasNot);
    const asks = rule.http !== null || facts.length > 0 || absent.length > 0;
    const conditionKey = asks ? JSON.stringify([rule.http, facts.map(({ text }) => text), absent.map(({ text }) => text)]) : '';
    // In tcp mode no flow is a request, in http mode none is to a database. A shadow rule decides nothing.
    const decides = !rule.shadow && (seesRequests ? rule.database : rule.http) === null;
    const source = decides ? meant : NOBODY;
    const kinds =
      kindsOf(rule.protocols, seesRequests ? 'http' : 'tcp') & (rule.database === null ? ALL_KINDS : protocolBit(rule.database.kind)!);
    const key =
      source === NOBODY ? '' : `${source} ${rule.action} ${kinds} ${rule.ports === null ? '' : JSON.stringify(rule.ports)} ${conditionKey}`;
    const condition = this.#condition(conditionKey, rule.http, facts, absent);
    return { rule, source, tier, kinds, condition, treatment: treatmentOf(rule), key };
  }

  #condition(key: string, http: HttpMatch | null, facts: readonly Fact[], absent: readonly Fact[]): Condition | null {
    if (key === '') return null;
    let condition = this.#conditions.get(key);
    if (condition === undefined) {
      condition = {
        methods: http?.methods ?? null,
        hosts: http?.hosts?.map(foldHostPattern) ?? null,
        paths: http?.paths?.map(foldPathPattern) ?? null,
        facts:
          http === null
            ? facts
            : [...facts, ...headerFacts(http.headers), ...unknownFields(http, UNDERSTOOD_HTTP, new Set()).map(opaqueFact)],
        absent,
      };
      this.#conditions.set(key, condition);
    }
    return condition;
  }
}

/** A line behind which nothing is reached, of all kinds that flows can be. */
export function isFinal({ kinds, condition, rule }: Line, all: Kinds): boolean {
  return (kinds & all) === all && condition === null && rule.action !== 'pass';
}

function unknownFields(holder: object, understood: ReadonlySet<string>, besides: ReadonlySet<string>): string[] {
  return Object.entries(holder)
    .filter(([key, value]) => !understood.has(key) && !besides.has(key) && isSaid(value))
    .map(([key, value]) => `${key} ${JSON.stringify(value)}`)
    .sort();
}

function treatmentOf(rule: Rule): string {
  return Object.entries(rule)
    .filter(([key, value]) => TREATMENT.has(key) && isSaid(value))
    .map(([key, value]) => `${key} ${JSON.stringify(value)}`)
    .sort()
    .join(', ');
}

/** Absent fields are null, off, or empty lists. */
function isSaid(value: unknown): boolean {
  return value !== null && value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0);
}
