/** What changes for flows to one VIP: for each source the lines of both documents are decided side by side. */

import { type HttpFacts, matchesHost, normaliseHost } from './request.ts';
import { Candidates, conditionsOf, type Decided, decideKinds, nextDiffering } from './space/chain.ts';
import type { Clock } from './space/clock.ts';
import type { Judge } from './space/fact-parts.ts';
import { type Kinds, REQUEST_KINDS, toldKinds } from './space/kinds.ts';
import type { Condition, Line } from './space/lines.ts';
import { ANY_REQUEST, type Labelled, partOthers, partRequests, type RequestRegion, type Sample } from './space/requests.ts';

/** `gain` and `lose` change the verdict; the others leave it: another rule says it, or what the rule does beside is different. */
export type Change = 'gain' | 'lose' | 'rule' | 'treatment';

/** The deciding lines before and after; -1 is none. */
export interface Deciders {
  readonly old: number;
  readonly new: number;
}

/** One change, for some kinds of flows and some requests. */
export interface Entry {
  readonly change: Change;
  readonly kinds: Kinds;
  /** With `requests` false only `when` counts: rules judge such flows as the plainest request. */
  readonly region: RequestRegion;
  readonly requests: boolean;
  readonly key: string;
  readonly deciders: ReadonlyMap<string, Deciders>;
  /** A flow of the entry: its kind, its request, and who decides it. */
  readonly example: Example;
}

export interface Example {
  readonly kind: Kinds;
  readonly sample: Sample;
  readonly deciders: Deciders;
}

interface Label {
  readonly change: Change;
  readonly kinds: Kinds;
  readonly deciders: ReadonlyMap<string, Deciders>;
  readonly kind: Kinds;
  readonly first: Deciders;
}

export interface CompareOptions {
  /** Tell where another rule gives the same verdict. */
  readonly withRules: boolean;
  readonly clock: Clock;
}

/** Compares two lists of held lines, for all kinds that flows can be. `seesRequests`: one of the two applications speaks http; `host` is what is asked for by default. */
export function compareHeld(
  lines: readonly Line[],
  before: readonly number[],
  after: readonly number[],
  all: Kinds,
  seesRequests: boolean,
  host: string,
  { withRules, clock }: CompareOptions,
): Entry[] {
  const conditions = [...new Set([...conditionsOf(lines, before), ...conditionsOf(lines, after)])];
  const [was, is] = [new Candidates(lines, before), new Candidates(lines, after)];
  const isSame = (one: Line, other: Line) =>
    one === other ||
    (one.key === other.key &&
      one.treatment === other.treatment &&
      one.tier === other.tier &&
      (!withRules || one.rule.name === other.rule.name));
  const judge = (kinds: Kinds): Judge<Label> => ({
    ask: (matching) =>
      labelsOf(
        lines,
        decideKinds(lines, was.of(matching), matching, all),
        decideKinds(lines, is.of(matching), matching, all),
        kinds,
        withRules,
      ),
    next: (matching, maybe) => nextDiffering(lines, [before, after], matching, maybe, all, isSame),
    merge: (first, second) => ({ ...first, deciders: new Map([...first.deciders, ...second.deciders]) }),
  });
  if (!seesRequests || conditions.every(isWithoutRequest)) {
    return byKinds(lines, [...before, ...after], all, (kinds, asked) => {
      return partOthers(
        conditions.filter((condition) => asked.has(condition)),
        clock,
        judge(kinds),
      ).map((part) => entryOf(part, all, true));
    });
  }
  const plain: HttpFacts = { kind: 'http', method: 'GET', host: normaliseHost(host), path: '/' };
  const held = [...before, ...after];
  // Nothing is asked of a database in a request, so that what would be certain of one that is asked is not so of requests.
  const ofRequests = conditionsFor(lines, held, REQUEST_KINDS);
  const asked = conditions.filter((condition) => ofRequests.has(condition));
  const requests = partRequests(asked, clock, judge(REQUEST_KINDS)).map((part) => entryOf(part, all, true));
  const others = byKinds(lines, held, all & ~REQUEST_KINDS, (kinds, asked) => {
    const met = conditions.filter((condition) => asked.has(condition) && isMet(condition, plain));
    return partOthers(met, clock, judge(kinds)).map((part) => entryOf(part, all, false));
  });
  return joinKinds(requests, others);
}

function isWithoutRequest({ methods, hosts, paths, facts }: Condition): boolean {
  return methods === null && hosts === null && paths === null && !facts.some(({ kind }) => kind === 'header');
}

/** Whether a request meets a condition, opaque facts aside. */
export function isMet({ methods, hosts, paths, facts }: Condition, { method, host, path }: HttpFacts): boolean {
  if (methods !== null && !methods.includes(method)) return false;
  // A plain request has no fields.
  if (facts.some(({ kind }) => kind === 'header')) return false;
  const isHost = hosts === null || hosts.some((pattern) => matchesHost(pattern, host));
  return isHost && (paths === null || paths.some(({ exact, prefix }) => exact === path || (prefix !== null && path.startsWith(prefix))));
}

function labelsOf(
  lines: readonly Line[],
  before: readonly Decided[],
  after: readonly Decided[],
  asked: Kinds,
  withRules: boolean,
): { key: string; label: Label }[] {
  const found = new Map<Change, { kinds: Kinds; deciders: Map<string, Deciders>; kind: Kinds; first: Deciders }>();
  for (const old of before) {
    for (const other of after) {
      const kinds = old.kinds & other.kinds & asked;
      if (kinds === 0) continue;
      const change = changeBetween(lines[old.line], lines[other.line], withRules);
      if (change === null) continue;
      const deciders = { old: old.line, new: other.line };
      const key = `${old.line} ${other.line}`;
      const known = found.get(change);
      if (known === undefined) found.set(change, { kinds, deciders: new Map([[key, deciders]]), kind: kinds, first: deciders });
      else {
        known.kinds |= kinds;
        known.deciders.set(key, deciders);
      }
    }
  }
  return [...found].map(([change, rest]) => ({ key: `${change} ${rest.kinds}`, label: { change, ...rest } }));
}

function changeBetween(before: Line | undefined, after: Line | undefined, withRules: boolean): Change | null {
  const was = before?.rule.action ?? 'deny';
  const is = after?.rule.action ?? 'deny';
  if (was !== is) return is === 'allow' ? 'gain' : 'lose';
  if ((before?.treatment ?? '') !== (after?.treatment ?? '')) return 'treatment';
  if (!withRules) return null;
  return before?.rule.name === after?.rule.name && before?.tier === after?.tier ? null : 'rule';
}

function entryOf(
  { label: { change, kinds: found, deciders, kind, first }, region, sample }: Labelled<Label>,
  all: Kinds,
  hasRequests: boolean,
): Entry {
  const kinds = toldKinds(found, all);
  return {
    change,
    kinds,
    region,
    requests: hasRequests,
    key: keyOf(change, kinds, region, hasRequests),
    deciders,
    example: { kind, sample, deciders: first },
  };
}

/**
 * Flows to databases apart from each other and from the rest: what is asked for in one of them says nothing of the others. What changes
 * alike is told together.
 */
function byKinds(
  lines: readonly Line[],
  held: readonly number[],
  kinds: Kinds,
  compare: (kinds: Kinds, asked: ReadonlySet<Condition>) => Entry[],
): Entry[] {
  const own = new Set(held.flatMap((index) => (lines[index]!.rule.database === null ? [] : [lines[index]!.kinds & kinds])));
  const rest = [...own].reduce((left, one) => left & ~one, kinds);
  const joined = new Map<string, Entry>();
  for (const some of [rest, ...own]) {
    if (some === 0) continue;
    for (const entry of compare(some, conditionsFor(lines, held, some))) {
      const key = `${entry.change} ${JSON.stringify(entry.region)}`;
      const known = joined.get(key);
      joined.set(key, known === undefined ? entry : together(known, entry));
    }
  }
  return [...joined.values()];
}

/** The conditions of rules that are for these kinds of flows. */
function conditionsFor(lines: readonly Line[], held: readonly number[], kinds: Kinds): ReadonlySet<Condition> {
  return new Set(
    held.flatMap((index) => {
      const { condition, kinds: named } = lines[index]!;
      return condition === null || (named & kinds) === 0 ? [] : [condition];
    }),
  );
}

function together(first: Entry, second: Entry): Entry {
  const kinds = first.kinds | second.kinds;
  const deciders = new Map([...first.deciders, ...second.deciders]);
  return { ...first, kinds, deciders, key: keyOf(first.change, kinds, first.region, first.requests) };
}

function keyOf(change: Change, kinds: Kinds, region: RequestRegion, hasRequests: boolean): string {
  return `${change} ${kinds} ${JSON.stringify(hasRequests ? region : region.when)}`;
}

/** Where requests make no difference, flows that carry none are told together with those that do. */
function joinKinds(requests: readonly Entry[], others: readonly Entry[]): Entry[] {
  const left = [...others];
  const joined = requests.map((entry) => {
    if (!isAny(entry.region)) return entry;
    const at = left.findIndex(({ change, key }) => change === entry.change && key.endsWith(' []'));
    if (at < 0) return entry;
    const [other] = left.splice(at, 1);
    const kinds = entry.kinds | other!.kinds;
    const deciders = new Map([...entry.deciders, ...other!.deciders]);
    return { ...entry, kinds, deciders, key: `${entry.change} ${kinds} ${JSON.stringify(entry.region)}` };
  });
  return [...joined, ...left];
}

function isAny(region: RequestRegion): boolean {
  return JSON.stringify(region) === JSON.stringify(ANY_REQUEST);
}
