/** Random policies and flows against the oracle. BULKHEAD_DECISIONS raises the count, BULKHEAD_SEED repeats a run. */

import { expect, it } from 'vitest';
import { parseAddress } from '../../config/address.ts';
import type { Application, Document } from '../../config/document.ts';
import { PROTOCOLS, protocolBit } from '../../config/protocols.ts';
import { compile } from '../../policy/compile.ts';
import { type ConnectionFacts, PLAIN_CONNECTION, UNKNOWN_CONNECTION } from '../../policy/connection.ts';
import {
  ALLOW,
  DENY,
  decide,
  kindOf,
  NEED_IDENTITY,
  NEED_PROTOCOL,
  NEED_REQUEST,
  NEED_TLS,
  possibleProtocols,
  ruleOf,
} from '../../policy/decide.ts';
import { fieldsOf } from '../../policy/header-lookup.ts';
import type { Image } from '../../policy/image.ts';
import { atomOf, NO_ADDRESS_ATOM } from '../../policy/lookup.ts';
import { shadowRules } from '../../policy/shadow.ts';
import { oracle, oracleAnswer } from './oracle.ts';
import {
  CLIENTS,
  edgeSources,
  HEADERS,
  HELLOS,
  HOSTS,
  KNOWLEDGE,
  METHODS,
  NOW,
  PATHS,
  type Random,
  randomDocument,
  randomFrom,
  randomQuery,
} from './randomDocument.ts';

const DECISIONS = Number(process.env.BULKHEAD_DECISIONS ?? 1_000_000);
const SEED = Number(process.env.BULKHEAD_SEED ?? Date.now() % 2 ** 31);
const DECISIONS_PER_DOCUMENT = 500;

/** Every other document is decided by the index, however few its rules are. */
function walked(number: number): number | undefined {
  return number % 2 === 0 ? 0 : undefined;
}

/** One, two or three of the protocols that rules name, or others. */
function randomProtocols(random: Random): number {
  const one = () => 1 << (random(4) === 0 ? random(PROTOCOLS.length) : random(7));
  return random(3) === 0 ? one() | one() | one() : one();
}

function randomRequest(random: Random) {
  return {
    kind: 'http' as const,
    method: METHODS[random(METHODS.length)]!,
    host: HOSTS[random(HOSTS.length)]!,
    path: PATHS[random(PATHS.length)]!,
  };
}

function atomAt(image: Image, source: string | null): number {
  if (source === null) return NO_ADDRESS_ATOM;
  return atomOf(image, ...parseAddress(source)!.words);
}

function vipsOf(document: Document): { application: Application; text: string; port: number | null }[] {
  return document.applications.flatMap((application) =>
    application.vips.map(({ endpoint }) => ({ application, text: endpoint.text, port: endpoint.kind === 'tcp' ? endpoint.port : null })),
  );
}

it(`decides ${DECISIONS} random flows as rules walked one by one do (seed ${SEED})`, { timeout: 600_000 }, () => {
  const random = randomFrom(SEED);
  let decided = 0;
  let shadowed = 0;
  const seen = new Map<string, number>();
  for (let number = 0; decided < DECISIONS; number++) {
    const document = randomDocument(random);
    const now = random(4) === 0 ? null : NOW;
    const image = compile(document, { now: now ?? undefined, knowledge: KNOWLEDGE, conditionsWalked: walked(number) });
    const sources = edgeSources(document, random).map((source) => ({ source, atom: atomAt(image, source) }));
    const vips = vipsOf(document);
    for (let i = 0; i < DECISIONS_PER_DOCUMENT; i++, decided++) {
      const { source, atom } = sources[random(sources.length)]!;
      const { application, text, port } = vips[random(vips.length)]!;
      const flow = {
        source,
        port,
        protocols: randomProtocols(random),
        request: randomRequest(random),
        headers: HEADERS[random(HEADERS.length)]!,
        tls: HELLOS[random(HELLOS.length)]!,
        identities: CLIENTS[random(CLIENTS.length)]!,
        query: application.mode === 'tcp' ? randomQuery(random) : null,
      };
      if (flow.query !== null && random(2) === 0) flow.protocols = protocolBit(flow.query.kind)!;
      const request = flow.query ?? { ...flow.request, headers: fieldsOf(flow.headers) };
      const connection = { tls: flow.tls, identities: flow.identities };
      const decision = decide(image, image.vipIndex(text), atom, flow.protocols, request, connection);
      const rule = ruleOf(decision);
      const answer = `${kindOf(decision) === ALLOW ? 'allow' : 'deny'} ${image.ruleTier(rule)}/${image.ruleName(rule)}`;
      const { verdict: expected, shadows } = oracleAnswer(document, application, flow, now, KNOWLEDGE.countries);
      const found: number[] = [];
      shadowRules(image, image.vipIndex(text), atom, flow.protocols, request, connection, rule, found);
      const foundNames = found.map((id) => `${image.ruleTier(id)}/${image.ruleName(id)}`);
      if (shadows.length > 0) shadowed++;
      seen.set(image.ruleTier(rule), (seen.get(image.ruleTier(rule)) ?? 0) + 1);
      if (
        answer !== expected ||
        foundNames.join() !== shadows.join() ||
        image.ruleApplication(rule) !== document.applications.indexOf(application)
      ) {
        expect.fail(
          `seed ${SEED}, document ${number}: ${answer} (shadows ${foundNames}), oracle ${expected} (shadows ${shadows})\n${JSON.stringify({ text, ...flow })}\n${JSON.stringify(document)}`,
        );
      }
    }
  }
  expect(shadowed).toBeGreaterThan(DECISIONS / 200);
  for (const tier of ['cluster', 'guardrail', 'application', 'baseline', 'default'])
    expect(seen.get(tier), tier).toBeGreaterThan(DECISIONS / 200);
});

it(`answers early what every completion of the facts answers (seed ${SEED})`, { timeout: 600_000 }, () => {
  const random = randomFrom(SEED + 1);
  const headers = fieldsOf([['x-team', 'blue']]);
  const requests = METHODS.concat('PUT').flatMap((method) =>
    HOSTS.flatMap((host) => PATHS.map((path) => ({ kind: 'http' as const, method, host, path, headers }))),
  );
  const singles = PROTOCOLS.slice(0, 8).map((_, bit) => 1 << bit);
  const sets = singles.flatMap((a) => singles.map((b) => a | b));
  const kinds: Record<number, number> = { [ALLOW]: 0, [DENY]: 0, [NEED_PROTOCOL]: 0, [NEED_REQUEST]: 0 };
  for (let number = 0; number < DECISIONS / 5_000; number++) {
    const document = randomDocument(random, false);
    const image = compile(document, { knowledge: KNOWLEDGE, conditionsWalked: walked(number) });
    const sources = edgeSources(document, random);
    const { application, text, port } = vipsOf(document)[0]!;
    const vip = image.vipIndex(text);
    for (let i = 0; i < 4; i++) {
      const source = sources[random(sources.length)]!;
      const atom = atomAt(image, source);
      const verdicts = (protocols: readonly number[], candidates: readonly (typeof requests)[number][]) =>
        new Set(
          protocols.flatMap((set) =>
            candidates.map(
              (request) =>
                oracle(
                  document,
                  application,
                  { source, port, protocols: set, request, headers: [['x-team', 'blue']] },
                  null,
                  KNOWLEDGE.countries,
                ).split(' ')[0],
            ),
          ),
        );
      const usesRequest =
        application.mode === 'http' &&
        [...document.guardrails, ...document.baseline, ...application.rules].some((rule) => rule.http !== null);
      const candidates = usesRequest ? requests : requests.slice(0, 1);
      const why = `seed ${SEED}, document ${number}, from ${source} to ${text}\n${JSON.stringify(document)}`;

      const known = randomProtocols(random);
      const early = kindOf(decide(image, vip, atom, known, null, PLAIN_CONNECTION));
      const atKnown = verdicts([known], candidates);
      kinds[early]!++;
      if (early === ALLOW || early === DENY) expect(atKnown, why).toEqual(new Set([early === ALLOW ? 'allow' : 'deny']));
      else expect(early, why).toBe(NEED_REQUEST);
      // Conditions on requests are taken as independent, so a need for the request is exact only where there are none.
      if (early === NEED_REQUEST) expect(usesRequest, why).toBe(true);

      const blind = kindOf(decide(image, vip, atom, 0, null, PLAIN_CONNECTION));
      kinds[blind]!++;
      const one = usesRequest ? [requests[random(requests.length)]!] : candidates;
      const sampled = verdicts(sets, one);
      if (blind === ALLOW || blind === DENY) expect(sampled, why).toEqual(new Set([blind === ALLOW ? 'allow' : 'deny']));
      else if (!usesRequest) {
        expect(blind, why).toBe(NEED_PROTOCOL);
        expect(sampled.size, why).toBe(2);
      }
      const withRequest = kindOf(decide(image, vip, atom, 0, one[0]!, PLAIN_CONNECTION));
      if (withRequest === NEED_PROTOCOL) expect(sampled.size, why).toBe(2);
      else expect(sampled, why).toEqual(new Set([withRequest === ALLOW ? 'allow' : 'deny']));

      const possible = possibleProtocols(image, vip, atom);
      for (const set of singles) if (verdicts([set], one).has('allow')) expect(possible & set, why).toBe(set);
      if (!usesRequest)
        for (const set of singles)
          if ((possible & set) !== 0)
            expect(
              verdicts(
                singles.map((b) => set | b),
                one,
              ).has('allow'),
              why,
            ).toBe(true);
    }
  }
  // All four kinds of answers occur, so that the assertions above mean something.
  for (const count of Object.values(kinds)) expect(count).toBeGreaterThan(0);
});

it(`asks for one fact after the other, and never takes back what it said (seed ${SEED})`, { timeout: 600_000 }, () => {
  const random = randomFrom(SEED + 2);
  const counts: Record<number, number> = {
    [ALLOW]: 0,
    [DENY]: 0,
    [NEED_TLS]: 0,
    [NEED_PROTOCOL]: 0,
    [NEED_IDENTITY]: 0,
    [NEED_REQUEST]: 0,
  };
  for (let number = 0; number < DECISIONS / 2_000; number++) {
    const document = randomDocument(random, true);
    const image = compile(document, { knowledge: KNOWLEDGE, conditionsWalked: walked(number) });
    const sources = edgeSources(document, random);
    const { application, text, port } = vipsOf(document)[0]!;
    const vip = image.vipIndex(text);
    const asks = asksOf(document, application);
    for (let i = 0; i < 20; i++) {
      const source = sources[random(sources.length)]!;
      const atom = atomAt(image, source);
      const query = application.mode === 'tcp' ? randomQuery(random) : null;
      const protocols = query === null ? randomProtocols(random) : protocolBit(query.kind)!;
      const flow = {
        source,
        port,
        protocols,
        request: randomRequest(random),
        headers: HEADERS[random(HEADERS.length)]!,
        tls: HELLOS[random(HELLOS.length)]!,
        identities: CLIENTS[random(CLIENTS.length)]!,
        query,
      };
      const expected = oracle(document, application, flow, null, KNOWLEDGE.countries).split(' ')[0];
      const why = `seed ${SEED}, document ${number}: ${JSON.stringify({ text, ...flow })}\n${JSON.stringify(document)}`;
      const request = query ?? { ...flow.request, headers: fieldsOf(flow.headers) };
      let known: { protocols: number; request: typeof request | null; connection: ConnectionFacts } = {
        protocols: 0,
        request: null,
        connection: UNKNOWN_CONNECTION,
      };
      const asked: number[] = [];
      for (;;) {
        const kind = kindOf(decide(image, vip, atom, known.protocols, known.request, known.connection));
        counts[kind]!++;
        if (kind === ALLOW || kind === DENY) {
          expect(kind === ALLOW ? 'allow' : 'deny', `asked ${asked}; ${why}`).toBe(expected);
          break;
        }
        // A fact is asked for once, cheaper ones first, and only where a rule wants it.
        expect(asks.has(kind) && !asked.includes(kind), `asked ${asked}, then ${kind}; ${why}`).toBe(true);
        // A flow that is several protocols at once can come to what none of them does alone.
        expect((protocols & (protocols - 1)) !== 0 || asked.every((other) => other < kind), `asked ${asked}, then ${kind}; ${why}`).toBe(
          true,
        );
        asked.push(kind);
        if (kind === NEED_TLS) known = { ...known, connection: { ...known.connection, tls: flow.tls } };
        if (kind === NEED_PROTOCOL) known = { ...known, protocols };
        if (kind === NEED_IDENTITY) known = { ...known, connection: { ...known.connection, identities: flow.identities } };
        if (kind === NEED_REQUEST) known = { ...known, request };
      }
    }
  }
  for (const [kind, count] of Object.entries(counts)) expect(count, kind).toBeGreaterThan(DECISIONS / 100_000);
});

/** What the rules that a flow to an application can meet ask for at all. */
function asksOf(document: Document, application: Application): Set<number> {
  const asks = new Set<number>();
  const byIdentity = document.segments.some(({ identities }) => identities.length > 0);
  for (const rule of [...document.guardrails, ...document.baseline, ...application.rules]) {
    if (rule.tls !== null) asks.add(NEED_TLS);
    if (rule.protocols !== null) asks.add(NEED_PROTOCOL);
    if (rule.identities !== null || (byIdentity && [...rule.from, ...rule.except].some(({ kind }) => kind === 'segment')))
      asks.add(NEED_IDENTITY);
    if (rule.http !== null || rule.database !== null) asks.add(NEED_REQUEST);
  }
  return asks;
}
