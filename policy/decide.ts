/**
 * The one function that says yes or no. It admits flows, asks again after a change, rehearses tests and explains; nothing else judges.
 *
 * In order: the cluster lane, which nothing can cut; guardrails, where allow and deny are final and `pass` goes on to the application's
 * rules; the application's rules; the baseline; then deny.
 */
import { PROTOCOLS, type ProtocolSet } from '../config/protocols.ts';
import { matchesRequest } from './condition.ts';
import { type ConnectionFacts, UNKNOWN_CONNECTION } from './connection.ts';
import { ASKS_IDENTITY, ASKS_TLS } from './demand.ts';
import type { Image } from './image.ts';
import { APPLICATION_WORDS, NOT_ASKED, RECORD_WORDS, VIP_WORDS } from './layout.ts';
import { ALL_PROTOCOLS, MAY_ALLOW, MAY_DENY, MAY_NEXT, OUTCOME_BITS, outcomeOf } from './outcome.ts';
import { isMeant, pending, settlePending } from './pending.ts';
import { BY_DEMAND, BY_PROTOCOL, BY_REQUEST, MANY_CONDITIONS, outcomeWords, PAIRS_SHIFT, PASS_BY_PROTOCOL } from './programs.ts';
import { type HttpFacts, type RequestFacts, UNREAD_PATH } from './request.ts';
import { programAt } from './rows.ts';
import { walkDemands, walkProposed } from './walk.ts';

export const DENY = 0;
export const ALLOW = 1;
/** The facts that a verdict may still depend on, the cheapest first: the ClientHello, the protocol, who the client is, what it asks for. */
export const NEED_TLS = 2;
export const NEED_PROTOCOL = 3;
export const NEED_IDENTITY = 4;
export const NEED_REQUEST = 5;

export type DecisionKind = typeof DENY | typeof ALLOW | typeof NEED_TLS | typeof NEED_PROTOCOL | typeof NEED_IDENTITY | typeof NEED_REQUEST;

/** A kind in the low three bits, and above them the id of the deciding rule (0 with a need). */
export type Decision = number;

export function kindOf(decision: Decision): DecisionKind {
  return (decision & 7) as DecisionKind;
}

export function ruleOf(decision: Decision): number {
  return decision >>> 3;
}

/**
 * Decides a flow from an atom to a VIP. `protocols` 0, `request` null and what is null in `connection` are facts not known yet: the answer
 * names the cheapest fact that the verdict still depends on, or is the verdict where it depends on none. With all facts the rule is the
 * first that matches; before, it is the last that the flow reaches whatever the rest turns out to be. Conditions on requests, TLS and
 * identities are taken to be independent of each other, so a need may be asked for that a look at all that these can be would spare.
 *
 * hot: allocates nothing, and costs the same for one rule and for ten thousand. While the protocol is not known it is decided once for all protocols that
 * no rule looked at tells apart. Of the rules that hold at the source and the port, these are looked at one by one:
 * - those that share with more than a few others all patterns that they are found by together, which are of up to JOINED_MAX things that they ask for, and
 *   so many that there are at most PAIRS_MAX combinations of them;
 * - all of a list, where facts are known in another order than they are asked for in, or where one flow leads to more than LISTS_MAX
 *   lists, as a command on a hundred keys may.
 * Where rules ask for fields the head is read besides, in about half a microsecond.
 */
export function decide(
  image: Image,
  vip: number,
  atom: number,
  protocols: ProtocolSet,
  request: RequestFacts | null,
  connection: ConnectionFacts,
): Decision {
  const decision = decideReading(image, vip, atom, protocols, request, connection);
  if (request === null || request.kind !== 'http' || request.readings === undefined) return decision;
  return strictest(image, vip, atom, protocols, request, connection, decision);
}

/** A path that servers read differently passes only where it passes in every reading; the first that does not is the verdict. */
function strictest(
  image: Image,
  vip: number,
  atom: number,
  protocols: ProtocolSet,
  request: HttpFacts,
  connection: ConnectionFacts,
  first: Decision,
): Decision {
  if (kindOf(first) !== ALLOW) return first;
  for (const path of request.readings!) {
    if (path === UNREAD_PATH) return unread(image, vip, atom, protocols, connection, first);
    const decision = decideReading(image, vip, atom, protocols, { ...request, path, readings: undefined }, connection);
    if (kindOf(decision) !== ALLOW) return decision;
  }
  return first;
}

/** Where the path could be anything: it passes where the verdict does not depend on the request, otherwise nothing lets it. */
function unread(image: Image, vip: number, atom: number, protocols: ProtocolSet, connection: ConnectionFacts, first: Decision): Decision {
  if (kindOf(decideReading(image, vip, atom, protocols, null, connection)) === ALLOW) return first;
  const app = image.vips[vip * VIP_WORDS + 1]!;
  return ((image.applications[(app + 1) * APPLICATION_WORDS + 3]! - 1) << 3) | DENY;
}

function decideReading(
  image: Image,
  vip: number,
  atom: number,
  protocols: ProtocolSet,
  request: RequestFacts | null,
  connection: ConnectionFacts,
): Decision {
  const at = vip * VIP_WORDS;
  const app = image.vips[at + 1]!;
  if ((image.clusterAtoms[atom >>> 5]! >>> (atom & 31)) & 1) return (image.applications[app * APPLICATION_WORDS + 3]! << 3) | ALLOW;
  const guardrails = programAt(image, image.vips[at + 2]!, atom);
  const own = programAt(image, image.vips[at + 3]!, atom);
  const baseline = programAt(image, image.vips[at + 4]!, atom);
  if (protocols !== 0) return judge(image, app, atom, guardrails, own, baseline, protocols, request, connection);
  const { programs } = image;
  if (((programs[guardrails]! | programs[own]! | programs[baseline]!) & BY_PROTOCOL) === 0) {
    return judge(image, app, atom, guardrails, own, baseline, ALL_PROTOCOLS, request, connection);
  }
  return judgeAnyProtocol(image, app, atom, guardrails, own, baseline, request, connection);
}

/** Protocols with which the flow may still be allowed: in what a flow may turn out to be, at least one of them is found. */
export function possibleProtocols(image: Image, vip: number, atom: number, connection: ConnectionFacts = UNKNOWN_CONNECTION): ProtocolSet {
  const at = vip * VIP_WORDS;
  const app = image.vips[at + 1]!;
  if ((image.clusterAtoms[atom >>> 5]! >>> (atom & 31)) & 1) return ALL_PROTOCOLS;
  const guardrails = programAt(image, image.vips[at + 2]!, atom);
  const own = programAt(image, image.vips[at + 3]!, atom);
  const baseline = programAt(image, image.vips[at + 4]!, atom);
  const inPairs = (image.programs[guardrails]! & PASS_BY_PROTOCOL) !== 0;
  let possible = 0;
  for (let left = ALL_PROTOCOLS; left !== 0; ) {
    const one = left & -left;
    // A pair repeats its single protocol, so pairs cover both.
    for (let others = inPairs ? left : one; others !== 0; others &= others - 1) {
      const pair = one | (others & -others);
      const isPossible = kindOf(judgeFor(image, app, atom, guardrails, own, baseline, pair, null, connection)) !== DENY;
      if (isPossible) possible |= inPairs ? pair : alike;
    }
    left &= ~(inPairs ? one : alike);
  }
  return possible;
}

/** The protocols for which `judgeFor` judged, that it was asked for among them. */
let alike: ProtocolSet = 0;

/** Decides for one protocol, and for all others with which no rule that was looked at would have said anything else. */
function judgeFor(
  image: Image,
  app: number,
  atom: number,
  guardrails: number,
  own: number,
  baseline: number,
  protocols: ProtocolSet,
  request: RequestFacts | null,
  connection: ConnectionFacts,
): Decision {
  pending.alike = ALL_PROTOCOLS;
  const decision = judge(image, app, atom, guardrails, own, baseline, protocols, request, connection);
  alike = pending.alike | protocols;
  pending.alike = 0;
  return decision;
}

/** hot. Decides with protocols known. */
function judge(
  image: Image,
  app: number,
  atom: number,
  guardrails: number,
  own: number,
  baseline: number,
  protocols: ProtocolSet,
  request: RequestFacts | null,
  connection: ConnectionFacts,
): Decision {
  const { applications, guardrailCount } = image;
  pending.facts = 0;
  pending.held = 0;
  const firstRule = applications[app * APPLICATION_WORDS + 3]!;
  let outcome = outcomeIn(image, guardrails, 0, atom, protocols, request, connection);
  let may = outcome;
  // An outcome counts rules from 1, as ids do: `cluster` stands before the guardrails.
  let rule = firstRule + (outcome >>> OUTCOME_BITS);
  if (outcome & MAY_NEXT) {
    outcome = outcomeIn(image, own, applications[app * APPLICATION_WORDS + 4]!, atom, protocols, request, connection);
    may |= outcome;
    rule = firstRule + guardrailCount + (outcome >>> OUTCOME_BITS);
    if (outcome & MAY_NEXT) {
      const lastRule = applications[(app + 1) * APPLICATION_WORDS + 3]! - 1;
      outcome = outcomeIn(image, baseline, guardrailCount, atom, protocols, request, connection);
      may |= outcome;
      rule = lastRule - image.baselineCount - 1 + (outcome >>> OUTCOME_BITS);
      if (outcome & MAY_NEXT) {
        may |= MAY_DENY;
        settlePending(MAY_DENY);
        rule = lastRule;
      }
    }
  }
  may &= MAY_ALLOW | MAY_DENY;
  if (may === MAY_ALLOW) return (rule << 3) | ALLOW;
  if (may === MAY_DENY) return (rule << 3) | DENY;
  if (pending.facts & ASKS_TLS) return NEED_TLS;
  return pending.facts & ASKS_IDENTITY ? NEED_IDENTITY : NEED_REQUEST;
}

/** Every protocol on its own, one for all that no rule tells apart here; and where a `pass` is for some protocols only, every two together. */
function judgeAnyProtocol(
  image: Image,
  app: number,
  atom: number,
  guardrails: number,
  own: number,
  baseline: number,
  request: RequestFacts | null,
  connection: ConnectionFacts,
): Decision {
  const inPairs = (image.programs[guardrails]! & PASS_BY_PROTOCOL) !== 0;
  let all = -1;
  let differs = false;
  for (let left = image.protocolClasses; left !== 0; ) {
    const one = left & -left;
    for (let others = inPairs ? left : one; others !== 0; others &= others - 1) {
      const decision = judgeFor(image, app, atom, guardrails, own, baseline, one | (others & -others), request, connection);
      // What a ClientHello says is known before what is spoken behind it.
      if (decision === NEED_TLS) return NEED_TLS;
      // Whatever the other protocols come to, what is spoken has to be known.
      if (connection.tls !== null && (decision === NEED_IDENTITY || decision === NEED_REQUEST)) return NEED_PROTOCOL;
      if (all >= 0 && kindOf(all) !== kindOf(decision)) {
        if (connection.tls !== null) return NEED_PROTOCOL;
        differs = true;
      }
      // The rule furthest down is the one that asks least.
      if (decision > all) all = decision;
    }
    left &= ~(inPairs ? one : alike);
  }
  // Rules tell protocols apart here, and what is spoken is cheaper to know than who speaks and what for.
  return differs || all === NEED_IDENTITY || all === NEED_REQUEST ? NEED_PROTOCOL : all;
}

/** hot. What a list comes to; with a request, or where it asks for none, exactly one of allow, deny and next. */
export function outcomeIn(
  image: Image,
  program: number,
  firstRecord: number,
  atom: number,
  protocols: ProtocolSet,
  request: RequestFacts | null,
  connection: ConnectionFacts,
): number {
  const head = image.programs[program]!;
  if ((head & BY_DEMAND) !== 0) return walkDemands(image, program, firstRecord, atom, protocols, request, connection);
  const outcome = outcomeWithoutDemands(image, program, head, firstRecord, atom, protocols, request, connection);
  if (pending.held !== 0) settlePending(outcome);
  return outcome;
}

function outcomeWithoutDemands(
  image: Image,
  program: number,
  head: number,
  firstRecord: number,
  atom: number,
  protocols: ProtocolSet,
  request: RequestFacts | null,
  connection: ConnectionFacts,
): number {
  if ((head & BY_REQUEST) === 0 || request === null) {
    if ((head & BY_PROTOCOL) === 0) return image.programs[program + 1]!;
    if ((protocols & (protocols - 1)) === 0) {
      const word = image.programs[program + 1 + 31 - Math.clz32(protocols)]!;
      if (pending.alike !== 0) pending.alike &= protocolsWith(image, program, word);
      return word;
    }
  }
  return (head & MANY_CONDITIONS) === 0
    ? walk(image, program, firstRecord, protocols, request)
    : walkProposed(image, program, firstRecord, atom, protocols, request, connection);
}

/** The protocols with which a program comes to this. */
function protocolsWith({ programs }: Image, program: number, word: number): ProtocolSet {
  let set = 0;
  for (let bit = 0; bit < PROTOCOLS.length; bit++) if (programs[program + 1 + bit] === word) set |= 1 << bit;
  return set;
}

/** Rule by rule. Without a request a rule that asks for one may match or not. */
function walk(image: Image, program: number, firstRecord: number, protocols: ProtocolSet, request: RequestFacts | null): number {
  const { programs, records } = image;
  const head = programs[program]!;
  let at = program + 1 + outcomeWords(head);
  const end = at + (head >>> PAIRS_SHIFT) * 2;
  let may = 0;
  for (; at < end; at += 2) {
    for (let bits = programs[at + 1]!; bits !== 0; bits &= bits - 1) {
      const index = programs[at]! * 32 + 31 - Math.clz32(bits & -bits);
      const record = (firstRecord + index) * RECORD_WORDS;
      if (!isMeant(records[record + 5]!, protocols)) continue;
      const outcome = outcomeOf(records[record + 4]!);
      const condition = records[record + 6]!;
      if (condition === NOT_ASKED || (request !== null && matchesRequest(image.condition(condition), request))) {
        return may | outcome | ((index + 1) << OUTCOME_BITS);
      }
      if (request === null) may |= outcome;
    }
  }
  return may | MAY_NEXT;
}
