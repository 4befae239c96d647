/**
 * Lines: the rules that a flow to an application passes, in order, brought into a form in which two of them can be compared. What a
 * line narrows by and what this code does not know is kept as an opaque fact: equal to itself and to nothing else.
 */
import { type Application, type Document, type HttpMatch, PLAIN_RULE, type Rule } from '../../config/document.ts';
import type { Tier } from '../image.ts';
import { foldHostPattern, foldPathPattern, type HostPattern, type PathPattern } from '../request.ts';
import { NOBODY, type SourceGraph } from '../sources.ts';
import { type SourcedRule, withSources } from '../sweep.ts';
import { type Fact, headerFacts, opaqueFact, periodFacts } from './facts.ts';
import { ALL_KINDS, type Kinds, kindsOf } from './kinds.ts';

/** What a request must be. Lines with equal conditions share one object. */
export interface Condition {
  readonly methods: readonly string[] | null;
  readonly hosts: readonly HostPattern[] | null;
  readonly paths: readonly PathPattern[] | null;
  /** Further facts, all of which must hold. */
  readonly facts: readonly Fact[];
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

/** Fields of a rule that this code looks into, or that change nothing. */
const UNDERSTOOD = new Set([
  'name',
  'action',
  'from',
  'except',
  'ports',
  'protocols',
  'http',
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

  constructor(graph: SourceGraph) {
    this.#graph = graph;
  }

  /** The lane that no rule can cut stands before everything. */
  cluster({ networks }: Document): Line {
    const from = networks.cluster.map((prefix) => ({ kind: 'prefix' as const, prefix }));
    const place = { file: '', line: 0, column: 0 };
    const rule = { name: 'cluster', action: 'allow', from, except: [], ...PLAIN_RULE, place } as const;
    return this.#line(rule, 'cluster', true);
  }

  lines(rules: readonly Rule[], tier: Tier, mode: Application['mode']): Line[] {
    return rules.map((rule) => this.#line(rule, tier, mode === 'http'));
  }

  #line(rule: Rule, tier: Tier, seesRequests: boolean): Line {
    const unknown = unknownFields(rule, UNDERSTOOD, TREATMENT).map(opaqueFact);
    const facts = [...periodFacts(rule), ...unknown];
    const conditionKey = rule.http === null && facts.length === 0 ? '' : JSON.stringify([rule.http, facts.map(({ text }) => text)]);
    // In tcp mode no flow is a request. A shadow rule decides nothing.
    const decides = !rule.shadow && (rule.http === null || seesRequests);
    const source = decides ? withSources([rule], this.#graph)[0]!.source : NOBODY;
    const kinds = kindsOf(rule.protocols);
    const key =
      source === NOBODY ? '' : `${source} ${rule.action} ${kinds} ${rule.ports === null ? '' : JSON.stringify(rule.ports)} ${conditionKey}`;
    return { rule, source, tier, kinds, condition: this.#condition(conditionKey, rule.http, facts), treatment: treatmentOf(rule), key };
  }

  #condition(key: string, http: HttpMatch | null, facts: readonly Fact[]): Condition | null {
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
      };
      this.#conditions.set(key, condition);
    }
    return condition;
  }
}

/** A line behind which nothing is reached. */
export function isFinal({ kinds, condition, rule }: Line): boolean {
  return kinds === ALL_KINDS && condition === null && rule.action !== 'pass';
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
