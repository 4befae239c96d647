/**
 * The nearest rule that would have allowed a flow: the fewest facts changed, and among equals the first rule. Every proposal is put to
 * `decide`, so what is named does allow. The search is bounded; where nothing is found within the bounds the answer is null.
 */
import { PROTOCOLS, protocolNames } from '../config/protocols.ts';
import { type Condition, matchesField, matchesHosts, matchesMethod, matchesPath } from './condition.ts';
import { ALLOW, kindOf, ruleOf } from './decide.ts';
import type { Image } from './image.ts';
import { NOT_ASKED, RECORD_WORDS, VIP_WORDS } from './layout.ts';
import { placeText } from './place.ts';
import { decideFacts, type Facts } from './question.ts';
import type { HeaderLookup, RequestFacts } from './request.ts';

/** Sources and requests tried. A source stands for all that the same rules hold for. */
const SOURCES_TRIED = 256;
const REQUESTS_TRIED = 256;

export interface Nearest {
  readonly rule: string;
  readonly at: string | null;
  /** What would have to be different, in words. */
  readonly change: string;
}

interface Proposal {
  readonly facts: Facts;
  readonly changed: readonly ('protocol' | 'request' | 'source' | 'vip')[];
}

export function nearestAllowing(image: Image, facts: Facts): Nearest | null {
  const protocols = withProtocols(facts);
  const requests = withRequests(image, facts);
  const sources = withSources(image, facts);
  const single = best(image, facts, [...protocols, ...requests, ...sources, ...withVips(image, facts)]);
  if (single !== null) return single;
  const both = (list: readonly Proposal[], more: (facts: Facts) => readonly Proposal[]) =>
    list.flatMap((one) => more(one.facts).map((two) => ({ facts: two.facts, changed: [...one.changed, ...two.changed] })));
  // In http mode the request tells more than the protocol, in tcp mode there is none.
  if (facts.request === null) return best(image, facts, both(sources, withProtocols));
  return (
    best(image, facts, both(requests, withProtocols)) ??
    best(
      image,
      facts,
      both(sources.slice(0, 32), (from) => withRequests(image, from)),
    )
  );
}

function best(image: Image, asked: Facts, proposals: readonly Proposal[]): Nearest | null {
  let found: { rule: number; proposal: Proposal } | null = null;
  for (const proposal of proposals) {
    const decision = decideFacts(image, proposal.facts);
    const rule = ruleOf(decision);
    // To be a node of the cluster is no advice.
    if (kindOf(decision) !== ALLOW || image.ruleTier(rule) === 'cluster') continue;
    if (found === null || rule < found.rule) found = { rule, proposal };
  }
  if (found === null) return null;
  const { rule, proposal } = found;
  const words = proposal.changed.map((what) => changeWords(image, asked, proposal.facts, what, rule));
  return { rule: image.ruleName(rule), at: placeText(image.rulePlace(rule)), change: words.join(' and ') };
}

function changeWords(image: Image, asked: Facts, facts: Facts, what: Proposal['changed'][number], rule: number): string {
  switch (what) {
    case 'protocol': {
      const before = asked.protocols === 0 ? '' : ` instead of ${protocolNames(asked.protocols).join(', ')}`;
      return `protocol ${protocolNames(facts.protocols).join(', ')}${before}`;
    }
    case 'request':
      return requestWords(asked.request!, facts.request!);
    case 'source':
      return sourceWords(image, asked, rule);
    case 'vip':
      return `VIP ${image.vipEndpoint(facts.vip)} instead of ${image.vipEndpoint(asked.vip)}`;
    default:
      return what satisfies never;
  }
}

/** Where the rule is for anyone, it's a rule before it that keeps the source out. */
function sourceWords(image: Image, asked: Facts, rule: number): string {
  const textOf = (id: number) => (image.ruleRecord(id) < 0 ? 'any' : image.text(image.records[image.ruleRecord(id) * RECORD_WORDS + 7]!));
  const keepsOut = textOf(ruleOf(decideFacts(image, asked)));
  return textOf(rule) === 'any' && keepsOut !== 'any' ? `a source outside ${keepsOut}` : `a source in ${textOf(rule)}`;
}

function requestWords(asked: RequestFacts, proposed: RequestFacts): string {
  const parts = (['method', 'host', 'path'] as const).filter((part) => asked[part] !== proposed[part]);
  const words = parts.map((part) => `${part} ${proposed[part]} instead of ${asked[part]}`);
  if (asked.headers !== proposed.headers) words.push('the fields that it asks for');
  return words.join(' and ');
}

function withProtocols(facts: Facts): Proposal[] {
  return PROTOCOLS.map((_, bit) => ({ facts: { ...facts, protocols: 1 << bit }, changed: ['protocol'] }));
}

/** A request that fits each condition of the rules that allow, changed no further than it takes. */
function withRequests(image: Image, facts: Facts): Proposal[] {
  if (facts.request === null) return [];
  const proposals: Proposal[] = [];
  const app = image.vipApplication(facts.vip);
  const first = image.applicationRuleBase(app);
  const tried = new Set<number>();
  for (let rule = first + 1; rule < image.applicationRuleBase(app + 1) - 1 && tried.size < REQUESTS_TRIED; rule++) {
    const number = image.records[image.ruleRecord(rule) * RECORD_WORDS + 6]!;
    if (number === NOT_ASKED || tried.has(number) || image.ruleAction(rule) === 'deny') continue;
    tried.add(number);
    proposals.push({ facts: { ...facts, request: fitting(image.condition(number), facts.request) }, changed: ['request'] });
  }
  // What only a deny or nothing at all speaks of may be free elsewhere.
  if (facts.request.path !== '/')
    proposals.push({ facts: { ...facts, request: { ...facts.request, path: '/', readings: undefined } }, changed: ['request'] });
  if (facts.request.method !== 'GET')
    proposals.push({ facts: { ...facts, request: { ...facts.request, method: 'GET' } }, changed: ['request'] });
  return proposals;
}

function fitting(condition: Condition, request: RequestFacts): RequestFacts {
  const { methods, hostTexts, paths } = condition;
  const field = condition.headers?.find((pattern) => !matchesField(pattern, request));
  const path = paths?.[0]?.exact ?? paths?.[0]?.prefix ?? request.path;
  return {
    method: matchesMethod(condition, request) ? request.method : (methods?.[0] ?? request.method),
    host: matchesHosts(condition, request) ? request.host : (hostTexts?.[0]?.replace(/^\*\./, 'any.') ?? request.host),
    ...(matchesPath(condition, request) ? { path: request.path, readings: request.readings } : { path }),
    headers: field === undefined ? request.headers : withFields(condition, request),
  };
}

/** The request's fields, with the ones that a condition asks for in place of those that do not fit. */
function withFields({ headers }: Condition, request: RequestFacts): HeaderLookup {
  const wanted = new Map(headers!.map(({ name, values }) => [name, values[0]!.exact ?? (values[0]!.prefix || 'any')]));
  return {
    fieldLines(name) {
      const value = wanted.get(name);
      return value === undefined ? (request.headers?.fieldLines(name) ?? []) : [value];
    },
  };
}

function withSources(image: Image, facts: Facts): Proposal[] {
  const atoms = new Set<number>();
  const programs = new Set<number>();
  for (const list of [2, 3, 4]) {
    const row = image.vips[facts.vip * VIP_WORDS + list]!;
    for (let i = image.rowStarts[row]!; i < image.rowStarts[row + 1]! && atoms.size < SOURCES_TRIED; i++) {
      if (programs.has(image.rowPrograms[i]!)) continue;
      programs.add(image.rowPrograms[i]!);
      atoms.add(image.rowAtoms[i]!);
    }
  }
  return [...atoms].map((atom) => ({ facts: { ...facts, atom }, changed: ['source'] }));
}

function withVips(image: Image, facts: Facts): Proposal[] {
  const app = image.vipApplication(facts.vip);
  const proposals: Proposal[] = [];
  for (let vip = 0; vip < image.vipCount; vip++) {
    if (vip !== facts.vip && image.vipApplication(vip) === app) proposals.push({ facts: { ...facts, vip }, changed: ['vip'] });
  }
  return proposals;
}
