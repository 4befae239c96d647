/** A verdict with its why: the rule, its place, the rules before it, and what would have had to be different. */
import type { Document, FlowQuestion } from '../config/document.ts';
import { type ProtocolSet, protocolNames, REQUEST_PROTOCOLS } from '../config/protocols.ts';
import { matchesField, matchesHosts, matchesMethod, matchesPath } from './condition.ts';
import { NO_TLS } from './connection.ts';
import { ALLOW, kindOf, ruleOf } from './decide.ts';
import { hasAny, matchesDatabase, matchesTls, openSource } from './demand.ts';
import { databaseText, queryText, tlsFactsText, tlsText } from './demand-text.ts';
import { holdsAt } from './fitting.ts';
import type { Image, Tier } from './image.ts';
import { NOT_ASKED, RECORD_WORDS, VIP_WORDS } from './layout.ts';
import { limitsSentence } from './limits.ts';
import { imageAt } from './moment.ts';
import { type Nearest, nearestAllowing } from './nearest.ts';
import { ALL_PROTOCOLS } from './outcome.ts';
import { placeText } from './place.ts';
import { decideFacts, type Facts, factsOf, type Need } from './question.ts';
import { type Way, wayOf } from './way.ts';

/** What is taken for granted where the verdict depends on a fact that was not said. */
const ASSUMED: Record<Need, string> = {
  tls: 'The verdict depends on what the client says in TLS, which was not said: it is judged as without TLS.',
  protocol: 'The verdict depends on the protocol, which was not said: it is judged as unknown.',
  identities: 'The verdict depends on who the client is, which was not said: it is judged as nobody.',
  request: 'The verdict depends on what the client asks for, which was not said: rules that deny take it for theirs, and no others do.',
};

/** A rule before the deciding one, and why it didn't decide. */
export interface Considered {
  readonly rule: string;
  readonly tier: Tier;
  readonly at: string | null;
  readonly why: string;
}

export interface Explanation {
  readonly verdict: 'allow' | 'deny';
  /** null: no application listens there. */
  readonly application: string | null;
  readonly rule: string;
  readonly tier: Tier;
  /** `file:line:column`; null for what nobody wrote. */
  readonly at: string | null;
  readonly reason: string;
  /** A fact that wasn't said although the verdict depends on it. */
  readonly needs?: Need;
  /** Found when first read, as it grows with the number of rules. */
  readonly considered: readonly Considered[];
  /** For a denial the nearest rule that would have allowed, and the change of facts that it takes. Found when first read. */
  readonly nearest: Nearest | null;
}

/** Explains the verdict at the moment of the question, or at that for which the image was compiled. */
export function explain(now: Image, question: FlowQuestion): Explanation {
  const image = question.at === null ? now : imageAt(now, question.at);
  const facts = factsOf(image, question);
  if (facts === null) return nobodyListens(question);
  const decision = decideFacts(image, facts);
  const rule = ruleOf(decision);
  const app = image.vipApplication(facts.vip);
  const verdict = kindOf(decision) === ALLOW ? 'allow' : 'deny';
  let considered: readonly Considered[] | undefined;
  let nearest: Nearest | null | undefined;
  return {
    verdict,
    application: image.applicationName(app),
    rule: image.ruleName(rule),
    tier: image.ruleTier(rule),
    at: placeText(image.rulePlace(rule)),
    reason: [reasonOf(image, facts, rule), ...ofRequests(image, facts, question)].join(' '),
    ...(facts.assumed.length === 0 ? {} : { needs: facts.assumed[0]! }),
    get considered() {
      return (considered ??= consideredBefore(image, facts, rule));
    },
    get nearest() {
      if (nearest === undefined) nearest = verdict === 'allow' ? null : nearestAllowing(image, facts);
      return nearest;
    },
  };
}

/** Where the flow of a question goes once it is allowed; null where no application listens. `document` is what the image was compiled from. */
export function wayOfQuestion(image: Image, document: Document, question: FlowQuestion): Way | null {
  const facts = factsOf(image, question);
  if (facts === null) return null;
  const application = document.applications[image.vipApplication(facts.vip)]!;
  const { tls } = facts.connection;
  return wayOf(application, facts.request, question.path ?? '/', tls === NO_TLS ? null : tls);
}

function nobodyListens(question: FlowQuestion): Explanation {
  const reason = `No application has a VIP at ${question.to.text}.`;
  return { verdict: 'deny', application: null, rule: 'default', tier: 'default', at: null, reason, considered: [], nearest: null };
}

function reasonOf(image: Image, facts: Facts, rule: number): string {
  const name = image.ruleName(rule);
  const app = image.vipApplication(facts.vip);
  const sentences = [verdictSentence(image, rule, name)];
  const limits = image.ruleAction(rule) === 'allow' ? image.ruleLimits(rule) : null;
  if (limits !== null) sentences.push(limitsSentence(limits));
  const unknown = image.ruleUnknown(rule);
  if (unknown !== null) sentences.push(`What it says of its sources is not all known (${unknown}).`);
  const reading = readingThatDecides(image, facts, rule);
  if (reading !== null) sentences.push(`A server may read the path as ${reading}, so it is judged as that too.`);
  const absent = image.hasInactive ? ruleInItsTime(image, facts) : rule;
  if (absent !== rule) sentences.push(`At another time rule "${image.ruleName(absent)}" would decide. ${whyInactive(image, absent)}`);
  for (const need of facts.assumed) sentences.push(ASSUMED[need]);
  if (image.observes(app) && image.ruleAction(rule) === 'deny') {
    sentences.push('The application only observes: the flow is recorded and let through.');
  }
  return sentences.join(' ');
}

/** What an application of requests makes of a flow that was not said, or not possible, to be one. */
function ofRequests(image: Image, { vip, protocols }: Facts, { protocols: said, method, path }: FlowQuestion): string[] {
  if (image.applicationMode(image.vipApplication(vip)) !== 'http') return [];
  if ((protocols & REQUEST_PROTOCOLS) === 0)
    return [`But no such flow comes about: the application carries requests (mode: http), and answers ${namesText(protocols)} with 400.`];
  if (said !== 0 && path !== null) return [];
  const missing = [...(said === 0 ? ['protocol'] : []), ...(method === null ? ['method'] : []), ...(path === null ? ['path'] : [])];
  const names = missing.length === 1 ? missing[0]! : `${missing.slice(0, -1).join(', ')} and ${missing.at(-1)}`;
  const assumed = `${protocolNames(protocols).at(-1)} ${method ?? 'GET'} ${path ?? '/'}`;
  return [`The request's ${names} ${missing.length === 1 ? 'was' : 'were'} not said: it is judged as ${assumed}.`];
}

function verdictSentence(image: Image, rule: number, name: string): string {
  const tier = image.ruleTier(rule);
  switch (tier) {
    case 'cluster':
      return 'The source is in the cluster lane, which no rule can cut.';
    case 'default':
      return 'No rule decides this flow, and what no rule allows is denied.';
    case 'guardrail':
    case 'application':
    case 'baseline':
      return `The ${tier === 'application' ? 'rule' : tier === 'baseline' ? 'baseline rule' : 'guardrail'} "${name}" ${image.ruleAction(rule) === 'allow' ? 'allows' : 'denies'} this flow.`;
    default:
      return tier satisfies never;
  }
}

function consideredBefore(image: Image, facts: Facts, deciding: number): Considered[] {
  const app = image.vipApplication(facts.vip);
  const first = image.applicationRuleBase(app);
  const considered: Considered[] = [];
  for (let rule = first; rule < deciding; rule++) {
    const why = whyNot(image, facts, rule);
    considered.push({
      rule: image.ruleName(rule),
      tier: image.ruleTier(rule),
      at: placeText(image.rulePlace(rule)),
      why: why ?? 'It passes the flow on.',
    });
    // Only a guardrail that passes can match before the deciding rule; the guardrails after it are not asked.
    if (why === null) rule = Math.max(rule, first + image.guardrailCount);
  }
  return considered;
}

/** Why a rule that stands before the deciding one doesn't match; null where it does. */
function whyNot(image: Image, facts: Facts, rule: number): string | null {
  const record = image.ruleRecord(rule);
  if (record < 0) return 'The source is not in the cluster lane.';
  if (image.ruleInactivity(rule) !== null) return whyInactive(image, rule);
  const matched = whyNotMatched(image, facts, rule, record);
  if (matched === null && image.ruleShadows(rule)) return 'It is a shadow rule: it matches, is counted, and decides nothing.';
  return matched;
}

function whyNotMatched(image: Image, facts: Facts, rule: number, record: number): string | null {
  const at = record * RECORD_WORDS;
  const conditionNumber = image.records[at + 6]!;
  if (conditionNumber !== NOT_ASKED && facts.request === null) return 'It asks of requests, and the application carries bytes.';
  const ports = image.recordPorts(record);
  // On a unix socket this is greater than any port.
  const port = image.vips[facts.vip * VIP_WORDS + 5]!;
  if (ports !== null && !ports.some(([low, high]) => low <= port && port <= high)) return `It is for port ${portsText(ports)}.`;
  if (!holdsAt(image, facts, rule)) {
    const unknown = image.ruleUnknown(rule);
    return `The source is not in ${image.text(image.records[at + 7]!)}${unknown === null ? '' : `, of which ${unknown} is not known`}.`;
  }
  const protocols = image.records[at + 5]!;
  if (facts.protocols === 0 && protocols !== ALL_PROTOCOLS)
    return `It is for protocol ${namesText(protocols)}, and the verdict is the same without.`;
  if (facts.protocols !== 0 && (protocols & facts.protocols) === 0) {
    return `It is for protocol ${namesText(protocols)}, and this is ${namesText(facts.protocols)}.`;
  }
  const unmet = whyUnmet(image, facts, at);
  if (unmet !== null) return unmet;
  const { request } = facts;
  if (conditionNumber === NOT_ASKED || request === null || request.kind !== 'http') return null;
  const condition = image.condition(conditionNumber);
  if (!matchesMethod(condition, request)) return `It is for method ${condition.methods!.join(', ')}, and this is ${request.method}.`;
  if (!matchesHosts(condition, request)) return `It is for host ${condition.hostTexts!.join(', ')}, and this is ${request.host}.`;
  if (!matchesPath(condition, request)) return `It is for path ${condition.pathTexts!.join(', ')}, and this is ${request.path}.`;
  const field = condition.headers?.find((pattern) => !matchesField(pattern, request));
  if (field !== undefined) {
    const lines = request.headers?.fieldLines(field.name) ?? [];
    return `It is for ${field.name}: ${field.texts.join(', ')}, and this has ${lines.length === 0 ? 'no such field' : lines.join(', ')}.`;
  }
  return null;
}

/** Why a demand is not met; null where it is. */
function whyUnmet(image: Image, { atom, request, connection }: Facts, at: number): string | null {
  const number = image.records[at + 14]!;
  if (number === NOT_ASKED) return null;
  const { tls, identities, cases, database, written } = image.demand(number);
  if (tls !== null && !matchesTls(tls, connection.tls))
    return `It is for ${tlsText(written.tls!)}, and this ${tlsFactsText(connection.tls)}.`;
  const who = connection.identities.length === 0 ? 'nobody' : connection.identities.join(', ');
  if (identities !== null && !hasAny(identities, connection.identities))
    return `It is for ${written.identities!.join(', ')}, and this is ${who}.`;
  if (cases !== null && openSource(image, cases, atom, connection.identities) !== 0)
    return `The source is not in ${image.text(image.records[at + 7]!)}, neither by its address nor as ${who}.`;
  if (database === null || (request !== null && matchesDatabase(database, request))) return null;
  return `It is for ${databaseText(written.database!)}, and ${request === null ? 'the verdict is the same without' : `this is ${queryText(request)}`}.`;
}

/** The rule that would decide if every rule held, whatever its schedule. */
function ruleInItsTime(image: Image, facts: Facts): number {
  return ruleOf(decideFacts(imageAt(image, null), facts));
}

function whyInactive(image: Image, rule: number): string {
  const period = image.rulePeriod(rule);
  return image.ruleInactivity(rule) === 'expired' ? `It has expired (${period}).` : `It is outside its schedule (${period}).`;
}

/** The reading of the path that was judged, where it is another than the first; null where it is that. */
function readingThatDecides(image: Image, facts: Facts, rule: number): string | null {
  const { request } = facts;
  if (request === null || request.kind !== 'http' || request.readings === undefined) return null;
  const { readings, ...first } = request;
  const decides = (path: string) => ruleOf(decideFacts(image, { ...facts, request: { ...first, path } })) === rule;
  return decides(request.path) ? null : (readings.find(decides) ?? null);
}

function portsText(ports: readonly (readonly [number, number])[]): string {
  return ports.map(([low, high]) => (low === high ? String(low) : `${low}-${high}`)).join(', ');
}

function namesText(set: ProtocolSet): string {
  return protocolNames(set).join(', ');
}
