/**
 * What of a policy can be said in addresses and ports alone, for targets that see no more. A source is let in where every flow from it is
 * allowed, whatever it speaks or asks for and whenever it comes; where that depends on more, the source is left out and the report says
 * so. What comes out is therefore never wider than the policy.
 */
import type { Document, Endpoint, Rule } from '../config/document.ts';
import { proxiesLeftOut, withoutProxies } from './export-proxies.ts';
import { type Knowledge, NOTHING_KNOWN } from './knowledge.ts';
import { partition } from './partition.ts';
import { placeText } from './place.ts';
import { rulesOf } from './schedule.ts';
import { type PoolMembership, SourceGraph } from './sources.ts';
import { AtomRanges, joinRuns } from './space/atoms.ts';
import { Candidates, conditionsOf, decideKinds, heldLines, nextOpen } from './space/chain.ts';
import { Clock } from './space/clock.ts';
import { type AddressRange, prefixRange } from './space/cover.ts';
import type { Judge } from './space/fact-parts.ts';
import { periodFacts, TooManyFacts } from './space/facts.ts';
import { type Kinds, kindsIn } from './space/kinds.ts';
import { type Line, LineMaker } from './space/lines.ts';
import { partOthers, partRequests } from './space/requests.ts';
import { portClassifier, sweep } from './sweep.ts';

/** One VIP with the sources that may reach it. */
export interface OpenVip {
  readonly application: string;
  readonly endpoint: Extract<Endpoint, { kind: 'tcp' }>;
  /** Of the VIP's own family, ascending. */
  readonly sources: readonly AddressRange[];
}

export interface Exportable {
  readonly vips: readonly OpenVip[];
  readonly applications: readonly string[];
  /** The lane that nothing may cut. */
  readonly cluster: readonly AddressRange[];
  /** What could not be said, in sentences. */
  readonly left: readonly string[];
  /** Applications that somebody can reach by the policy at an address, and nobody could by what is exported of it. */
  readonly cutOff: readonly string[];
}

export interface ExportOptions {
  /** Milliseconds since 1970: rules that have ended by then are gone. Absent: the beginning. */
  readonly now?: number;
  readonly membership?: PoolMembership;
  readonly knowledge?: Knowledge;
}

/** Of flows to the VIPs of an application on like ports. */
interface OpenSources {
  /** That are let in. */
  readonly sources: readonly AddressRange[];
  /** The same by rules alone, without the lane that nothing may cut. */
  readonly outside: readonly AddressRange[];
  /** Of which the policy lets any flow in. */
  readonly allowed: readonly AddressRange[];
}

/** A verdict on a source by address and port alone. */
type Answer = 'open' | 'closed' | 'depends';

interface Judged {
  readonly answer: Answer;
  /** Whether a rule lets any flow in, the cluster lane aside. */
  readonly allows: boolean;
  /** On which more than address and port is asked for. */
  readonly rules: ReadonlySet<Rule>;
}

export function exportable(document: Document, { now = 0, membership, knowledge = NOTHING_KNOWN }: ExportOptions = {}): Exportable {
  const graph = new SourceGraph(document, membership, knowledge);
  const maker = new LineMaker(graph);
  const lists = document.applications.map((application) => maker.list(document, application));
  const atoms = partition(graph);
  const ranges = new AtomRanges(atoms);
  const clock = new Clock([...rulesOf(document)].flatMap(periodFacts), now);
  const vips: OpenVip[] = [];
  const left = new Set<string>();
  const reachable = new Set<string>();
  const reached = new Set<string>();
  for (const [index, application] of document.applications.entries()) {
    const { lines, own } = lists[index]!;
    const classOf = portClassifier(lines.map(({ rule }) => rule));
    const known = new Map<number, OpenSources>();
    if (application.enforcement === 'observe') {
      left.add(`Application "${application.name}" only observes; the export enforces its rules.`);
    }
    const proxied = proxiesLeftOut(application);
    if (proxied !== null) left.add(proxied);
    for (const { endpoint } of application.vips) {
      if (endpoint.kind === 'unix') {
        left.add(`${endpoint.text} of application "${application.name}" is no address: flows over unix sockets are not in the export.`);
        continue;
      }
      const portClass = classOf(endpoint.port);
      let found = known.get(portClass);
      if (found === undefined) {
        const [open, outside, allowed]: [number, number][][] = [[], [], []];
        const memo = new Map<string, Judged>();
        const list = { first: 0, own, end: lines.length };
        const kinds = kindsIn([application.mode]);
        sweep(lines, endpoint.port, atoms, (atom, holding, end) => {
          const held = heldLines(holding, lines, list, kinds);
          const key = held.join();
          let judged = memo.get(key);
          if (judged === undefined) memo.set(key, (judged = judge(lines, held, kinds, application.mode === 'http', clock)));
          const run: [number, number] = [atom, end];
          if (judged.answer === 'open') open!.push(run);
          if (judged.answer === 'open' && judged.allows) outside!.push(run);
          if (judged.allows || application.enforcement === 'observe') allowed!.push(run);
          for (const rule of judged.rules) left.add(leftOut(rule, graph.dependsOnIdentity([...rule.from, ...rule.except])));
        });
        const rangesOf = (runs: readonly [number, number][]) => ranges.of(joinRuns(runs));
        found = {
          sources: withoutProxies(application, rangesOf(open!)),
          outside: withoutProxies(application, rangesOf(outside!)),
          allowed: rangesOf(allowed!),
        };
        known.set(portClass, found);
      }
      const isOwn = ({ family }: AddressRange) => family === endpoint.address.family;
      vips.push({ application: application.name, endpoint, sources: found.sources.filter(isOwn) });
      if (found.allowed.some(isOwn)) reachable.add(application.name);
      if (found.outside.some(isOwn)) reached.add(application.name);
    }
  }
  const lane = document.networks.cluster.map(prefixRange);
  const cutOff = [...reachable].filter((name) => !reached.has(name));
  return { vips, applications: document.applications.map(({ name }) => name), cluster: joined(lane), left: [...left], cutOff };
}

function judge(lines: readonly Line[], held: readonly number[], kinds: Kinds, seesRequests: boolean, clock: Clock): Judged {
  const verdicts = new Set<'allow' | 'deny'>();
  let allows = false;
  const narrowing = new Set<Rule>();
  const candidates = new Candidates(lines, held);
  const asking: Judge<null> = {
    ask(matching) {
      for (const { line } of decideKinds(lines, candidates.of(matching), matching, kinds)) {
        const rule = lines[line]?.rule;
        if (rule?.action === 'allow' && lines[line]!.tier !== 'cluster') allows = true;
        // An allowance with limits would be one without.
        const limited = rule?.action === 'allow' && rule.limits !== null;
        if (limited) narrowing.add(rule);
        verdicts.add(rule?.action === 'allow' && !limited ? 'allow' : 'deny');
      }
      return [];
    },
    // Once both are possible, more facts tell nothing new.
    next: (matching, maybe) => (verdicts.size === 2 ? null : nextOpen(lines, held, matching, maybe, kinds)),
    merge: (first) => first,
  };
  const conditions = conditionsOf(lines, held);
  try {
    if (seesRequests) partRequests(conditions, clock, asking);
    else partOthers(conditions, clock, asking);
  } catch (error) {
    if (!(error instanceof TooManyFacts)) throw error;
    verdicts.add('deny').add('allow');
    allows = true;
  }
  if (verdicts.size === 1 && narrowing.size === 0) return { answer: verdicts.has('allow') ? 'open' : 'closed', allows, rules: narrowing };
  for (const index of held) {
    const { rule } = lines[index]!;
    if (rule.protocols !== null || lines[index]!.condition !== null) narrowing.add(rule);
  }
  return { answer: verdicts.size === 1 && verdicts.has('deny') ? 'closed' : 'depends', allows, rules: narrowing };
}

function leftOut(rule: Rule, byIdentity: boolean): string {
  const asks = [
    rule.protocols === null ? '' : 'the protocol',
    rule.http === null ? '' : 'the request',
    rule.database === null ? '' : 'what is asked of a database',
    rule.tls === null ? '' : 'the ClientHello',
    rule.identities === null && !byIdentity ? '' : 'who the client is',
    rule.schedule === null && rule.until === null ? '' : 'the time',
    rule.limits === null ? '' : 'limits',
  ].filter((what) => what !== '');
  return `Rule "${rule.name}" (${placeText(rule.place)}) depends on ${asks.length === 0 ? 'more than addresses' : asks.join(' and ')}: sources whose verdict depends on it are kept out.`;
}

/** Ranges that touch or overlap as one. */
function joined(ranges: readonly AddressRange[]): AddressRange[] {
  const found: AddressRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.family - b.family || (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
    const before = found[found.length - 1];
    if (before !== undefined && before.family === range.family && before.last + 1n >= range.first) {
      found[found.length - 1] = { ...before, last: before.last > range.last ? before.last : range.last };
    } else found.push(range);
  }
  return found;
}
