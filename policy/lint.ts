/** Findings about a document that is right but perhaps not meant. */
import type { Document, Place, Problem, Rule, SourceTerm } from '../config/document.ts';
import { placeText } from './place.ts';
import { type RuleFinding, unreachedRules } from './reach.ts';

/** Rules that take a flow before a shadowed one, named in the finding. */
const NAMED = 3;

/** Warnings, in the order of the document's parts. Exact: sources are compared atom by atom, so a finding always holds. */
export function lint(document: Document): Problem[] {
  return [...unusedSegments(document), ...unusedPools(document), ...withoutRules(document), ...unreachedRules(document).map(ruleProblem)];
}

function warning(code: string, path: string, place: Place, message: string): Problem {
  return { code, severity: 'warning', path, place, message };
}

function ruleProblem(finding: RuleFinding): Problem {
  const { rule, path, takenBy } = finding;
  if (takenBy.length === 0) {
    const why = finding.sourceIsEmpty
      ? 'no address is in its source'
      : rule.http !== null && !finding.seesRequests
        ? 'it asks of requests, and every application it stands for carries bytes (mode: tcp)'
        : 'no VIP has a port that it names';
    return warning('rule-never-matches', path, rule.place, `Rule "${rule.name}" can never match: ${why}. Correct it, or remove it.`);
  }
  const names = takenBy
    .slice(0, NAMED)
    .map((other) => (other === null ? 'the cluster lane' : `"${other.name}" (${placeText(other.place)})`));
  if (takenBy.length > NAMED) names.push(`${takenBy.length - NAMED} more`);
  const inVain = takenBy.some((other) => (other?.action ?? 'allow') !== rule.action);
  const advice = inVain
    ? `Its ${rule.action} never takes effect: move it before them, or remove it.`
    : 'It can be removed without any change.';
  return warning(
    'rule-shadowed',
    path,
    rule.place,
    `Rule "${rule.name}" never decides: every flow that it matches is taken before by ${names.join(', ')}. ${advice}`,
  );
}

function withoutRules(document: Document): Problem[] {
  const others = document.guardrails.length + document.baseline.length;
  return document.applications
    .filter(({ rules }) => rules.length === 0)
    .map(({ name, place }) => {
      const then = others === 0 ? 'every flow to it is denied' : 'only guardrails and baseline decide';
      return warning('application-without-rules', `/applications/${pointer(name)}`, place, `Application "${name}" has no rules: ${then}.`);
    });
}

/** Segments that no rule speaks of, not even through another segment. */
function unusedSegments(document: Document): Problem[] {
  const byName = new Map(document.segments.map((segment) => [segment.name, segment]));
  const used = new Set<string>();
  const open = termsOf(document).flatMap((term) => (term.kind === 'segment' ? [term.name] : []));
  while (open.length > 0) {
    const name = open.pop()!;
    if (used.has(name)) continue;
    used.add(name);
    const segment = byName.get(name);
    if (segment === undefined) continue;
    open.push(...segment.segments);
    for (const term of segment.except) if (term.kind === 'segment') open.push(term.name);
  }
  return document.segments
    .filter(({ name }) => !used.has(name))
    .map(({ name, place }) =>
      warning('segment-unused', `/segments/${pointer(name)}`, place, `Segment "${name}" is in no rule: name it in one, or remove it.`),
    );
}

function unusedPools(document: Document): Problem[] {
  const used = new Set(document.applications.map(({ pool }) => pool));
  for (const term of [...termsOf(document), ...document.segments.flatMap(({ except }) => except)])
    if (term.kind === 'pool') used.add(term.name);
  for (const { pools } of document.segments) for (const name of pools) used.add(name);
  return document.pools
    .filter(({ name }) => !used.has(name))
    .map(({ name, place }) =>
      warning('pool-unused', `/pools/${pointer(name)}`, place, `Pool "${name}" serves no application and is in no segment.`),
    );
}

function termsOf(document: Document): SourceTerm[] {
  const rules: Rule[] = [
    ...document.guardrails,
    ...document.baseline,
    ...document.applications.flatMap((application) => application.rules),
  ];
  return rules.flatMap(({ from, except }) => [...from, ...except]);
}

/** A name as a part of a JSON pointer (RFC 6901 §3). */
function pointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
