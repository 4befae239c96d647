/**
 * What a change of documents means: the flows whose verdict differs. Exact, not sampled: both documents are laid over one partition of
 * address space, and for every VIP, every part and every kind of flow the two lists of rules are decided side by side.
 */
import { formatAddress } from '../config/address.ts';
import type { Document, Endpoint, FlowQuestion, Rule } from '../config/document.ts';
import { PLAIN_QUESTION } from '../config/match.ts';
import { compile } from './compile.ts';
import { type Change, type CompareOptions, compareHeld, type Deciders, type Entry } from './diff-groups.ts';
import { explain } from './explain.ts';
import type { Image } from './image.ts';
import { type Knowledge, NOTHING_KNOWN } from './knowledge.ts';
import { partition } from './partition.ts';
import { rulesOf } from './schedule.ts';
import { type PoolMembership, SourceGraph } from './sources.ts';
import { AtomRanges, joinRuns } from './space/atoms.ts';
import { heldLines, type Run } from './space/chain.ts';
import { Clock } from './space/clock.ts';
import { type AddressRange, addressAt } from './space/cover.ts';
import { applicationAt, endpointsOf, Listeners } from './space/destinations.ts';
import { periodFacts, TooManyFacts } from './space/facts.ts';
import { type Kinds, kindsIn, protocolsOfFirst } from './space/kinds.ts';
import { type Line, LineMaker } from './space/lines.ts';
import { targetOf } from './space/pattern-tree.ts';
import type { RequestRegion } from './space/requests.ts';
import { unionOf } from './space/union.ts';
import { NO_PORT, portClassifier, sweep } from './sweep.ts';

export interface DiffOptions {
  /** Tell also where another rule gives the same verdict. */
  readonly rules?: boolean;
  /** Milliseconds since 1970: rules that have ended by then are gone. Absent: the beginning, so that every rule counts. */
  readonly now?: number;
  readonly membership?: PoolMembership;
  readonly knowledge?: Knowledge;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Who decides on one side. An application that is null is none: nobody listens there. */
export interface Verdict {
  readonly verdict: 'allow' | 'deny';
  readonly applications: readonly (string | null)[];
  /** The rules that say so, in the order of their list; null where none does, and the flow is denied by default. */
  readonly rules: readonly (Rule | null)[];
}

/** Flows that change alike. Groups of one kind of change don't overlap. */
export interface DiffGroup {
  readonly change: Change;
  /** Ascending; empty for flows over a unix socket, which have no address. */
  readonly sources: readonly AddressRange[];
  readonly vips: readonly Endpoint[];
  readonly kinds: Kinds;
  readonly region: RequestRegion;
  /** false: flows that carry no requests. */
  readonly requests: boolean;
  readonly old: Verdict;
  readonly new: Verdict;
  /** A flow of the group, found by `explain` to be so under both documents; null where no question can put it. */
  readonly witness: FlowQuestion | null;
}

/** An application whose denials begin or cease to be enforced. */
export interface EnforcementChange {
  readonly application: string;
  readonly old: 'enforce' | 'observe';
  readonly new: 'enforce' | 'observe';
  readonly vips: readonly Endpoint[];
}

export interface Difference {
  /** Whether any flow is treated otherwise, or may be. Changes of kind `rule` are none. */
  readonly differs: boolean;
  readonly groups: readonly DiffGroup[];
  readonly enforcement: readonly EnforcementChange[];
  /** What could not be compared, in sentences. */
  readonly uncertain: readonly string[];
}

/** One document, laid out for comparing. */
interface Side {
  readonly document: Document;
  readonly listeners: Listeners;
  readonly lists: readonly List[];
  /** Rules as they are written, where the lines hold others. */
  readonly written: ReadonlyMap<Rule, Rule>;
}

/** The lines that flows to an application pass. */
interface List {
  readonly lines: readonly Line[];
  /** Where the application's own lines begin. */
  readonly own: number;
  readonly key: string;
}

interface Found {
  readonly entry: Entry;
  readonly runs: (readonly [number, number])[];
  /** With each run the example that is true of it. */
  readonly examples: { readonly run: readonly [number, number]; readonly entry: Entry }[];
  readonly deciders: Map<string, Deciders>;
}

const NOWHERE: List = { lines: [], own: 0, key: 'nowhere' };

export function diffDocuments(old: Document, next: Document, options: DiffOptions = {}): Difference {
  const { membership, knowledge = NOTHING_KNOWN, now = 0 } = options;
  const clock = new Clock([...rulesOf(old), ...rulesOf(next)].flatMap(periodFacts), now);
  const compare = { withRules: options.rules === true, clock };
  const union = unionOf(old, next);
  const graph = new SourceGraph(union.document, membership, knowledge);
  const maker = new LineMaker(graph);
  const before = sideOf(old, maker, compare.withRules, new Map());
  const after = sideOf(union.second, maker, compare.withRules, union.written);
  const atoms = partition(graph);
  const uncertain = new Set<string>();
  const collector = new Collector();
  const enforcement = new Map<string, { change: EnforcementChange; vips: Endpoint[] }>();
  const endpoints = endpointsOf([old, next]);
  const known = new Map<string, Map<string, Found> | null>();
  for (const [done, endpoint] of endpoints.entries()) {
    options.onProgress?.(done, endpoints.length);
    const [first, second] = [before.listeners.at(endpoint), after.listeners.at(endpoint)];
    noteEnforcement(enforcement, endpoint, applicationAt(old, first), applicationAt(next, second));
    const lists = [before.lists[first] ?? NOWHERE, after.lists[second] ?? NOWHERE] as const;
    if (lists[0].key === lists[1].key) continue;
    noteUnresolved(uncertain, graph, lists);
    const modes = [applicationAt(old, first), applicationAt(next, second)].flatMap((application) => application?.mode ?? []);
    const seesRequests = modes.includes('http');
    const port = endpoint.kind === 'tcp' ? endpoint.port : NO_PORT;
    const portClass = portClassifier(lists.flatMap(({ lines }) => lines.map(({ rule }) => rule)))(port);
    // Rules on requests judge what carries none as a request for the VIP's own address.
    const key = `${first} ${second} ${port === NO_PORT ? 'unix' : portClass} ${seesRequests ? hostOf(endpoint) : ''}`;
    let found = known.get(key);
    if (found === undefined) {
      try {
        found = compareLists(lists, port, atoms, kindsIn(modes), seesRequests, hostOf(endpoint), compare);
      } catch (error) {
        if (!(error instanceof TooManyFacts)) throw error;
        uncertain.add(`Flows to ${endpoint.text} were not compared: too many schedules and fields come together there.`);
        found = null;
      }
      known.set(key, found);
    }
    if (found !== null) collector.add(endpoint, [first, second], found);
  }
  options.onProgress?.(endpoints.length, endpoints.length);
  const groups = collector.size === 0 ? [] : collector.groups(before, after, new AtomRanges(atoms));
  if (groups.length > 0) confirm(groups, old, next, options);
  const changes = [...enforcement.values()].map(({ change, vips }) => ({ ...change, vips }));
  const differs = changes.length > 0 || uncertain.size > 0 || groups.some(({ change }) => change !== 'rule');
  return { differs, groups, enforcement: changes, uncertain: [...uncertain] };
}

function sideOf(document: Document, maker: LineMaker, withRules: boolean, written: ReadonlyMap<Rule, Rule>): Side {
  const keyOf = (line: Line) => (line.key === '' ? '' : `${line.key} ${line.treatment}${withRules ? ` ${line.rule.name}` : ''}\n`);
  const keys = new Map<Line, string>();
  const keyOnce = (line: Line) => {
    let key = keys.get(line);
    if (key === undefined) keys.set(line, (key = keyOf(line)));
    return key;
  };
  const lists = document.applications.map((application): List => {
    const { lines, own } = maker.list(document, application);
    const tiers = new Map<string, string>();
    for (const line of lines) tiers.set(line.tier, (tiers.get(line.tier) ?? '') + keyOnce(line));
    return { lines, own, key: `${application.mode} ${[...tiers].join('\t')}` };
  });
  return { document, listeners: new Listeners(document), lists, written };
}

/** What differs for flows to a VIP, by entry. */
function compareLists(
  [before, after]: readonly [List, List],
  port: number,
  atoms: ReturnType<typeof partition>,
  all: Kinds,
  seesRequests: boolean,
  host: string,
  compare: CompareOptions,
): Map<string, Found> {
  const lines = [...before.lines, ...after.lines];
  const count = before.lines.length;
  const old: Run = { first: 0, own: before.own, end: count };
  const next: Run = { first: count, own: count + after.own, end: lines.length };
  const entries = new Map<string, readonly Entry[]>();
  const found = new Map<string, Found>();
  sweep(lines, port, atoms, (atom, holding, end) => {
    // A flow over a unix socket has no address.
    if (port === NO_PORT && atom > 0) return;
    const [was, is] = [heldLines(holding, lines, old, all), heldLines(holding, lines, next, all)];
    const key = `${was.join()}|${is.join()}`;
    let changes = entries.get(key);
    if (changes === undefined) entries.set(key, (changes = compareHeld(lines, was, is, all, seesRequests, host, compare)));
    for (const entry of changes) {
      const run = [atom, port === NO_PORT ? 1 : end] as const;
      let group = found.get(entry.key);
      if (group === undefined) found.set(entry.key, (group = { entry, runs: [], examples: [], deciders: new Map() }));
      group.runs.push(run);
      group.examples.push({ run, entry });
      for (const [pair, deciders] of entry.deciders) group.deciders.set(pair, deciders);
    }
  });
  return found;
}

interface Destination {
  readonly endpoint: Endpoint;
  readonly apps: readonly [old: number, new: number];
  readonly found: Found;
}

/** Joins what is alike at several VIPs. */
class Collector {
  readonly #groups = new Map<string, { runs: number[]; at: [Destination, ...Destination[]] }>();

  get size(): number {
    return this.#groups.size;
  }

  add(endpoint: Endpoint, apps: readonly [number, number], entries: ReadonlyMap<string, Found>): void {
    for (const [key, found] of entries) {
      const runs = joinRuns(found.runs);
      const whole = `${endpoint.kind} ${found.entry.requests ? '' : 'plain'} ${key} ${runs.join()}`;
      const group = this.#groups.get(whole);
      if (group === undefined) this.#groups.set(whole, { runs, at: [{ endpoint, apps, found }] });
      else group.at.push({ endpoint, apps, found });
    }
  }

  groups(before: Side, after: Side, atoms: AtomRanges): DiffGroup[] {
    const groups: DiffGroup[] = [];
    for (const { runs, at } of this.#groups.values()) {
      const [{ endpoint, found }] = at;
      const unix = endpoint.kind === 'unix';
      const sources = unix ? [] : atoms.of(runs);
      // No address is in atom 0 where prefixes cover everything.
      if (!unix && sources.length === 0) continue;
      const { change, kinds, region, requests } = found.entry;
      const old = verdictOf(before, at, change, ({ apps: [app], found: { deciders } }) => {
        return [app, [...deciders.values()].map((pair) => pair.old)];
      });
      const next = verdictOf(
        after,
        at,
        change === 'gain' ? 'lose' : change === 'lose' ? 'gain' : change,
        ({ apps, found: { deciders } }) => {
          // The lines of the second list stand behind those of the first.
          const offset = before.lists[apps[0]]?.lines.length ?? 0;
          return [apps[1], [...deciders.values()].map((pair) => (pair.new < 0 ? -1 : pair.new - offset))];
        },
      );
      const witness = witnessOf(found, endpoint, atoms);
      groups.push({ change, sources, vips: at.map((one) => one.endpoint), kinds, region, requests, old, new: next, witness });
    }
    return groups;
  }
}

/** `change` as it looks from this side: what is gained is denied here. */
function verdictOf(
  side: Side,
  at: readonly Destination[],
  change: Change,
  deciding: (at: Destination) => readonly [number, readonly number[]],
): Verdict {
  const rules = new Set<Rule | null>();
  const applications = new Set<string | null>();
  // VIPs of one application on several ports may be decided by rules of their own.
  for (const [app, numbers] of new Map(at.map((one) => [one.found, deciding(one)])).values()) {
    applications.add(applicationAt(side.document, app)?.name ?? null);
    for (const number of [...numbers].sort((a, b) => a - b)) {
      const rule = side.lists[app]?.lines[number]?.rule ?? null;
      rules.add(rule === null ? null : (side.written.get(rule) ?? rule));
    }
  }
  const allowed = change === 'lose' || (change !== 'gain' && [...rules].some((rule) => rule?.action === 'allow'));
  return { verdict: allowed ? 'allow' : 'deny', applications: [...applications], rules: [...rules] };
}

function witnessOf({ examples }: Found, to: Endpoint, atoms: AtomRanges): FlowQuestion | null {
  for (const { run, entry } of examples) {
    const ranges = atoms.of(run);
    const range = ranges[0];
    if (range === undefined) continue;
    const { kind, sample } = entry.example;
    if (!sample.shown) return null;
    // The address that names a network is no good example of a host in it.
    const from = addressAt(range.last > range.first ? range.first + 1n : range.first, range.family);
    const { method, host, path, flow } = sample;
    const request = { method, host, path: path === null ? null : targetOf(path), headers: [] };
    return { from, to, protocols: protocolsOfFirst(kind), ...request, ...PLAIN_QUESTION, at: null, ...flow };
  }
  return null;
}

/** Puts every witness to `explain` under both documents. One that is not confirmed is a fault of ours. */
function confirm(groups: readonly DiffGroup[], old: Document, next: Document, { membership, knowledge, now }: DiffOptions): void {
  const circumstances = { membership, knowledge };
  const images = [compile(old, circumstances), compile(next, circumstances)] as const;
  for (const group of groups) {
    if (group.witness === null) continue;
    const question = { ...group.witness, at: group.witness.at ?? now ?? 0 };
    confirmSide(images[0], question, group.old);
    confirmSide(images[1], question, group.new);
  }
}

function confirmSide(image: Image, question: FlowQuestion, { verdict, applications, rules }: Verdict): void {
  const found = explain(image, question);
  const names = rules.map((rule) => rule?.name ?? 'default');
  if (found.verdict === verdict && applications.includes(found.application) && names.includes(found.rule)) return;
  const said = `${formatAddress(question.from)} to ${question.to.text}`;
  throw new Error(
    `diff found ${verdict} by ${names.join(' or ')}, and explain ${found.verdict} by ${found.rule}, for ${said} ${JSON.stringify(question)}`,
  );
}

type ApplicationOrNone = ReturnType<typeof applicationAt>;

function noteEnforcement(
  found: Map<string, { change: EnforcementChange; vips: Endpoint[] }>,
  endpoint: Endpoint,
  old: ApplicationOrNone,
  next: ApplicationOrNone,
): void {
  if (next === null || (old?.enforcement ?? 'enforce') === next.enforcement) return;
  const change = { application: next.name, old: old?.enforcement ?? 'enforce', new: next.enforcement, vips: [] };
  const key = `${old?.name} ${next.name}`;
  const known = found.get(key);
  if (known === undefined) found.set(key, { change, vips: [endpoint] });
  else known.vips.push(endpoint);
}

/** Sources that nobody knows at present could be anyone: where rules on them changed, nothing is certain. */
function noteUnresolved(uncertain: Set<string>, graph: SourceGraph, lists: readonly [List, List]): void {
  for (const { rule } of lists.flatMap(({ lines }) => lines)) {
    const unknown = graph.unknownIn([...rule.from, ...rule.except]);
    if (unknown !== null) uncertain.add(`Rules were changed around sources that are not known here: ${unknown}.`);
  }
}

function hostOf(endpoint: Endpoint): string {
  if (endpoint.kind === 'unix') return 'localhost';
  return endpoint.address.family === 6 ? `[${formatAddress(endpoint.address)}]` : formatAddress(endpoint.address);
}
