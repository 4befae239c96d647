/**
 * The nearest rule that would have allowed a flow: the fewest facts changed, and among equals the first rule. Every proposal is put to
 * `decide`, so what is named does allow. The search is bounded; where nothing is found within the bounds the answer is null.
 */
import { PROTOCOLS, type ProtocolSet, protocolNames, protocolsOn, REQUEST_PROTOCOLS } from '../config/protocols.ts';
import { ALLOW, kindOf, ruleOf } from './decide.ts';
import { queryText, tlsFactsText } from './demand-text.ts';
import { type Changed, type Fitted, fitted } from './fitting.ts';
import type { Image } from './image.ts';
import { RECORD_WORDS, VIP_WORDS } from './layout.ts';
import { imageAt } from './moment.ts';
import { placeText } from './place.ts';
import { decideFacts, type Facts } from './question.ts';
import type { HttpFacts, RequestFacts } from './request.ts';

/** Sources, VIPs and rules tried. A source stands for all that the same rules hold for. */
const SOURCES_TRIED = 256;
const VIPS_TRIED = 256;
const RULES_TRIED = 1_024;

export interface Nearest {
  readonly rule: string;
  readonly at: string | null;
  /** What would have to be different, in words. */
  readonly change: string;
}

interface Found {
  readonly image: Image;
  readonly rule: number;
  readonly proposal: Fitted;
  /** Facts changed, the time among them. */
  readonly changes: number;
}

export function nearestAllowing(image: Image, facts: Facts): Nearest | null {
  const fittings = rulesThatLetOn(image, facts).flatMap((rule) => fitted(image, facts, rule) ?? []);
  const others = [...withProtocols(image, facts), ...withPlainRequests(facts), ...withSources(image, facts), ...withVips(image, facts)];
  // What no rule asks for may be what a rule before keeps out: a source or a VIP elsewhere, with what the rules ask for.
  const twice = others.slice(0, 64).flatMap((one) => {
    return one.changed.some((what) => what === 'source' || what === 'vip') ? fittingsOf(image, one) : [];
  });
  const now = best(image, facts, [...others, ...fittings, ...twice], null);
  const found = image.hasInactive ? inTime(image, facts, fittings, now) : now;
  if (found === null) return null;
  const { rule, proposal } = found;
  const words = proposal.changed.map((what) => changeWords(image, facts, proposal.facts, what, rule));
  if (found.image !== image && image.ruleInactivity(rule) !== null) words.push(`a time within ${image.rulePeriod(rule)}`);
  return { rule: image.ruleName(rule), at: placeText(image.rulePlace(rule)), change: words.join(' and ') };
}

/** The same with every rule in its time: to wait counts as a change like any other. */
function inTime(image: Image, facts: Facts, fittings: readonly Fitted[], now: Found | null): Found | null {
  const always = imageAt(image, null);
  const own = fittings.length === 0 ? rulesThatLetOn(always, facts).flatMap((rule) => fitted(always, facts, rule) ?? []) : fittings;
  const later = rulesThatLetOn(always, facts).filter((rule) => image.ruleInactivity(rule) === 'off-schedule');
  const proposals = [{ facts, changed: [] }, ...own, ...later.flatMap((rule) => fitted(always, facts, rule) ?? [])];
  return best(always, facts, proposals, now, (rule) => (image.ruleInactivity(rule) === 'off-schedule' ? 1 : null));
}

/** `waits` tells how many more changes a rule takes; null where it must not be named. */
function best(
  image: Image,
  asked: Facts,
  proposals: readonly Fitted[],
  before: Found | null,
  waits: (rule: number) => number | null = () => 0,
): Found | null {
  let found = before;
  for (const proposal of proposals) {
    const decision = decideFacts(image, proposal.facts);
    const rule = ruleOf(decision);
    // To be a node of the cluster is no advice.
    if (kindOf(decision) !== ALLOW || image.ruleTier(rule) === 'cluster') continue;
    const more = waits(rule);
    if (more === null) continue;
    const changes = more + proposal.changed.reduce((sum, what) => sum + weightOf(asked, proposal.facts, what), 0);
    if (found === null || changes < found.changes || (changes === found.changes && rule < found.rule))
      found = { image, rule, proposal, changes };
  }
  return found;
}

/** How many facts a change is. */
function weightOf(asked: Facts, { request, connection }: Facts, what: Changed): number {
  if (what === 'tls') {
    const { sni, alpn, ja4 } = asked.connection.tls;
    const now = connection.tls;
    return Number(sni !== now.sni) + Number(alpn !== now.alpn) + Number(ja4 !== now.ja4);
  }
  return what === 'request' && request?.kind === 'http' && asked.request?.kind === 'http'
    ? changedParts(asked.request, request).length + Number(asked.request.headers !== request.headers)
    : 1;
}

function changeWords(image: Image, asked: Facts, facts: Facts, what: Changed, rule: number): string {
  switch (what) {
    case 'protocol': {
      const before = asked.protocols === 0 ? '' : ` instead of ${protocolText(asked.protocols)}`;
      return `protocol ${protocolText(facts.protocols)}${before}`;
    }
    case 'request':
      return requestWords(asked.request, facts.request!);
    case 'tls':
      return `a ClientHello that ${tlsFactsText(facts.connection.tls)}`;
    case 'identities':
      return identityWords(asked.connection.identities, facts.connection.identities);
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

function identityWords(asked: readonly string[], proposed: readonly string[]): string {
  const more = proposed.filter((identity) => !asked.includes(identity));
  const fewer = asked.filter((identity) => !proposed.includes(identity));
  const words = [...(more.length === 0 ? [] : [`identity ${more.join(', ')}`]), ...(fewer.length === 0 ? [] : [`not ${fewer.join(', ')}`])];
  return words.join(' and ');
}

function requestWords(asked: RequestFacts | null, proposed: RequestFacts): string {
  if (proposed.kind !== 'http' || asked?.kind !== 'http') return queryText(proposed);
  const words = changedParts(asked, proposed).map((part) => `${part} ${proposed[part]} instead of ${asked[part]}`);
  if (asked.headers !== proposed.headers) words.push('the fields that it asks for');
  return words.join(' and ');
}

function changedParts(asked: HttpFacts, proposed: HttpFacts): ('method' | 'host' | 'path')[] {
  return (['method', 'host', 'path'] as const).filter((part) => asked[part] !== proposed[part]);
}

/** Rules of the flow's application that allow or pass on. */
function rulesThatLetOn(image: Image, facts: Facts): number[] {
  const app = image.vipApplication(facts.vip);
  const rules: number[] = [];
  const end = image.applicationRuleBase(app + 1) - 1;
  for (let rule = image.applicationRuleBase(app) + 1; rule < end && rules.length < RULES_TRIED; rule++) {
    if (image.ruleAction(rule) !== 'deny') rules.push(rule);
  }
  return rules;
}

function fittingsOf(image: Image, { facts, changed }: Fitted): Fitted[] {
  return rulesThatLetOn(image, facts)
    .slice(0, 32)
    .flatMap((rule) => {
      const more = fitted(image, facts, rule);
      return more === null || more.changed.some((what) => changed.includes(what))
        ? []
        : [{ ...more, changed: [...changed, ...more.changed] }];
    });
}

/** What is spoken within the rest, as a question says it. */
function protocolText(protocols: ProtocolSet): string {
  return protocolNames(protocols).at(-1)!;
}

function withProtocols(image: Image, facts: Facts): Fitted[] {
  const mode = image.applicationMode(image.vipApplication(facts.vip));
  const bits = PROTOCOLS.map((_, index) => 1 << index).filter((bit) => mode !== 'http' || (bit & REQUEST_PROTOCOLS) !== 0);
  return bits.map((bit) => ({ facts: { ...facts, protocols: protocolsOn(mode, bit) }, changed: ['protocol'] }));
}

/** What only a deny or nothing at all speaks of may be free elsewhere. */
function withPlainRequests(facts: Facts): Fitted[] {
  const { request } = facts;
  if (request === null || request.kind !== 'http') return [];
  const found: Fitted[] = [];
  if (request.path !== '/')
    found.push({ facts: { ...facts, request: { ...request, path: '/', readings: undefined } }, changed: ['request'] });
  if (request.method !== 'GET') found.push({ facts: { ...facts, request: { ...request, method: 'GET' } }, changed: ['request'] });
  return found;
}

function withSources(image: Image, facts: Facts): Fitted[] {
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

function withVips(image: Image, facts: Facts): Fitted[] {
  const app = image.vipApplication(facts.vip);
  const proposals: Fitted[] = [];
  for (let vip = 0; vip < image.vipCount && proposals.length < VIPS_TRIED; vip++) {
    if (vip !== facts.vip && image.vipApplication(vip) === app) proposals.push({ facts: { ...facts, vip }, changed: ['vip'] });
  }
  return proposals;
}
