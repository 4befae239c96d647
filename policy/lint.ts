/** Findings about a document that is right but perhaps not meant. */
import type { Document, Place, Problem, Rule, SourceTerm } from '../config/document.ts';
import { protocolNames, REQUEST_PROTOCOLS } from '../config/protocols.ts';
import { databaseProblems } from './lint-databases.ts';
import { unwatchedPools } from './lint-pools.ts';
import { type Redundant, redundantRules } from './lint-redundant.ts';
import { routedPools, routeProblems } from './lint-routes.ts';
import { addressForms, allowAny, emptySegments, type PlacedRule, placedRules, pointer } from './lint-sources.ts';
import { testProblems } from './lint-tests.ts';
import { clearKeys } from './lint-tokens.ts';
import { Witnesses } from './lint-witness.ts';
import { placeText } from './place.ts';
import { type RuleFinding, unreachedRules } from './reach.ts';
import { momentText } from './schedule.ts';

/** Rules that take a flow before a shadowed one, named in the finding. */
const NAMED = 3;

/** With more findings than this none has an example: looking for one takes a walk through all rules. */
const WITNESSES_MOST = 256;

export interface LintOptions {
  /** Milliseconds since 1970, to tell rules that have ended or soon will. Absent: nothing is said of them. */
  readonly now?: number;
}

/** A rule that ends within this time is spoken of, so that someone can decide about it in working hours. */
const SOON_MS = 14 * 86_400_000;

/** Warnings, in the order of the document's parts. Exact: sources are compared atom by atom, so a finding always holds. */
export function lint(document: Document, { now }: LintOptions = {}): Problem[] {
  const rules = placedRules(document);
  const unreached = unreachedRules(document);
  const idle = new Set(unreached.map(({ rule }) => rule));
  const { redundant, covered } = redundantRules(document, idle);
  const paths = new Map(rules.map(({ rule, path }) => [rule, path]));
  const shadowed = covered.map(({ rule, takenBy }) => shadowedProblem(rule, paths.get(rule)!, takenBy));
  const found = [
    ...unusedSegments(document),
    ...emptySegments(document),
    ...addressForms(document, rules),
    ...unusedPools(document),
    ...unwatchedPools(document),
    ...clearKeys(document),
    ...withoutRules(document),
    ...routeProblems(document),
    ...databaseProblems(document, rules),
    ...testProblems(document),
    ...unreached.map(ruleProblem),
    ...shadowed,
    ...redundantProblems(redundant, paths),
    ...allowAny(rules.filter(({ rule }) => !idle.has(rule))),
    ...(now === undefined ? [] : ending(rules, now)),
  ];
  return [...withWitnesses(heard(found, document, rules), document, rules), ...idleSilences(found, document, rules)];
}

/** Findings about rules that a flow can show, each with one: what is shadowed by another rule, or could be removed. */
function withWitnesses(found: readonly Problem[], document: Document, rules: readonly PlacedRule[]): Problem[] {
  const decides = new Map([
    ['rule-shadowed', false],
    ['rule-redundant', true],
  ]);
  const shown = found.filter(({ code }) => decides.has(code));
  if (shown.length === 0 || shown.length > WITNESSES_MOST) return [...found];
  const witnesses = new Witnesses(document);
  const byPath = new Map(rules.map(({ rule, path }) => [path, rule]));
  return found.map((problem) => {
    const wanted = decides.get(problem.code);
    const witness = wanted === undefined ? null : witnesses.of(byPath.get(problem.path)!, wanted);
    return witness === null ? problem : { ...problem, witness };
  });
}

/** Findings without those that are silenced, on their rule or for the whole file. */
function heard(found: readonly Problem[], document: Document, rules: readonly PlacedRule[]): Problem[] {
  const codes = new Set(document.silence?.map(({ code }) => code));
  const ofRules = new Map(rules.flatMap(({ rule, path }) => (rule.silence === undefined ? [] : [[path, rule.silence] as const])));
  const isSilenced = ({ path, code }: Problem) => {
    const rulePath = /^.*?\/(?:guardrails|rules|baseline)\/\d+/.exec(path)?.[0] ?? path;
    return codes.has(code) || ofRules.get(rulePath)?.some((silence) => silence.code === code) === true;
  };
  return found.filter((problem) => !isSilenced(problem));
}

/** A silence that keeps nothing quiet hides the next finding of its kind. */
function idleSilences(found: readonly Problem[], document: Document, rules: readonly PlacedRule[]): Problem[] {
  const message = (code: string) => `There is no finding ${code} to be silenced here. Remove the silence.`;
  const ofRules = rules.flatMap(({ rule, path }) =>
    (rule.silence ?? []).flatMap(({ code }, i) => {
      const isNeeded = found.some((problem) => problem.code === code && (problem.path === path || problem.path.startsWith(`${path}/`)));
      return isNeeded ? [] : [warning('silence-unused', `${path}/silence/${i}`, rule.place, message(code))];
    }),
  );
  const ofFile = (document.silence ?? []).flatMap(({ code }, i): Problem[] => {
    if (found.some((problem) => problem.code === code)) return [];
    return [{ code: 'silence-unused', severity: 'warning', path: `/silence/${i}`, place: null, message: message(code) }];
  });
  return [...ofRules, ...ofFile];
}

function redundantProblems(redundant: readonly Redundant[], paths: ReadonlyMap<Rule, string>): Problem[] {
  return redundant.map(({ rule, without: then }) => {
    const names = then.slice(0, NAMED).map((other) => (other === null ? 'the default' : `"${other.name}" (${placeText(other.place)})`));
    if (then.length > NAMED) names.push(`${then.length - NAMED} more`);
    const by = names.length === 0 ? '' : `: ${names.join(', ')} would ${rule.action} the same flows`;
    const message = `Rule "${rule.name}" changes no verdict${by}. It can be removed.`;
    return warning('rule-redundant', paths.get(rule)!, rule.place, message);
  });
}

function ending(rules: readonly PlacedRule[], now: number): Problem[] {
  return rules.flatMap(({ rule, path }) => {
    if (rule.until === null || rule.until - now > SOON_MS) return [];
    const until = momentText(rule.until);
    if (rule.until <= now) {
      return [
        warning(
          'rule-expired',
          path,
          rule.place,
          `Rule "${rule.name}" ended at ${until} and no longer matches. Remove it, or move until:.`,
        ),
      ];
    }
    const message = `Rule "${rule.name}" ends at ${until}, within two weeks. Move until: if it is still needed.`;
    return [warning('rule-expires-soon', path, rule.place, message)];
  });
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
        : rule.database !== null && !finding.seesBytes
          ? `it asks for ${rule.database.kind}, and every application it stands for carries requests (mode: http)`
          : rule.protocols !== null && (rule.protocols & REQUEST_PROTOCOLS) === 0 && !finding.seesBytes
            ? `it is for ${protocolNames(rule.protocols).join(', ')}, and every application it stands for carries requests (mode: http)`
            : 'no VIP has a port that it names';
    return warning('rule-never-matches', path, rule.place, `Rule "${rule.name}" can never match: ${why}. Correct it, or remove it.`);
  }
  return shadowedProblem(rule, path, takenBy);
}

/** `takenBy`: null is the cluster lane. */
function shadowedProblem(rule: Rule, path: string, takenBy: readonly (Rule | null)[]): Problem {
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
  const used = new Set(document.applications.flatMap((application) => [application.pool, ...routedPools(application)]));
  for (const term of [...termsOf(document), ...document.segments.flatMap(({ except }) => except)])
    if (term.kind === 'pool') used.add(term.name);
  for (const { pools } of document.segments) for (const name of pools) used.add(name);
  return document.pools
    .filter(({ name }) => !used.has(name))
    .map(({ name, place }) =>
      warning(
        'pool-unused',
        `/pools/${pointer(name)}`,
        place,
        `Pool "${name}" serves no application, takes no route and is in no segment: name it where it is needed, or remove it.`,
      ),
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
