/** Random pairs of documents: `diff` against flows asked of both. BULKHEAD_PAIRS raises the count, BULKHEAD_SEED repeats a run. */
import { expect, it } from 'vitest';
import { parseAddress } from '../../config/address.ts';
import type { Document, FlowQuestion } from '../../config/document.ts';
import { PLAIN_QUESTION } from '../../config/match.ts';
import { H2, PROTOCOLS, protocolBit, WEBSOCKET } from '../../config/protocols.ts';
import { compile } from '../../policy/compile.ts';
import { type DiffGroup, diffDocuments } from '../../policy/diff.ts';
import { explain } from '../../policy/explain.ts';
import { normaliseHost, normalisePath } from '../../policy/request.ts';
import { inactivity, rulesOf } from '../../policy/schedule.ts';
import { endpointKey } from '../../policy/space/destinations.ts';
import { databaseFacts, type Fact, headerFacts, identityFacts, periodFacts, tlsFacts } from '../../policy/space/facts.ts';
import { REQUEST_KINDS, WEBSOCKET_OVER_H2 } from '../../policy/space/kinds.ts';
import { isInRegion } from '../../policy/space/requests.ts';
import { changed, rewritten } from './changes.ts';
import {
  CLIENTS,
  edgeSources,
  HELLOS,
  HOSTS,
  METHODS,
  PATHS,
  type Random,
  randomDocument,
  randomFrom,
  randomQuery,
} from './randomDocument.ts';

const SEED = Number(process.env.BULKHEAD_SEED ?? Date.now() % 2 ** 31);
const PAIRS = Number(process.env.BULKHEAD_PAIRS ?? 25);
const FLOWS = 150;
const MOMENTS = [0, Date.UTC(2026, 5, 3, 12), Date.UTC(2031, 0, 4, 3)];
/** Every second pair is asked at one moment only: an image of another moment is compiled anew. */
const ONE_MOMENT = [0];

interface Flow extends FlowQuestion {
  /** One bit. */
  readonly kind: number;
}

function numberOf({ words: [a, b, c, d], family }: FlowQuestion['from']): bigint {
  return family === 4 ? BigInt(d) : (BigInt(a) << 96n) | (BigInt(b) << 64n) | (BigInt(c) << 32n) | BigInt(d);
}

/** Whether a group speaks of a flow, read from nothing but what the group says. */
function isIn(group: DiffGroup, flow: Flow, facts: ReadonlyMap<string, Fact>): boolean {
  if (!group.vips.some((vip) => endpointKey(vip) === endpointKey(flow.to)) || (group.kinds & flow.kind) === 0) return false;
  const value = numberOf(flow.from);
  if (!group.sources.some(({ family, first, last }) => family === flow.from.family && first <= value && value <= last)) return false;
  const holds = (text: string) => {
    return factHolds(facts.get(text) ?? identityFacts(text.slice('identity '.length).split(' or '))[0]!, flow);
  };
  const { when } = group.region;
  if (when.length > 0 && !when.some(({ holding, failing }) => holding.every(holds) && !failing.some(holds))) return false;
  if (!group.requests || (flow.kind & REQUEST_KINDS) === 0) return true;
  const request = { method: flow.method ?? 'GET', host: normaliseHost(flow.host!), path: normalisePath(flow.path!) };
  return isInRegion(group.region, request);
}

/** Read from the fact's own words, as someone would who was told them. */
function factHolds({ kind, dimension, values, denies, until, schedule, header }: Fact, flow: Flow): boolean {
  const isOne = (text: string | null) =>
    text !== null && values.some((pattern) => (pattern.endsWith('*') ? text.startsWith(pattern.slice(0, -1)) : text === pattern));
  switch (kind) {
    case 'until':
    case 'schedule':
      return inactivity({ until, schedule }, flow.at) === null;
    case 'header':
      return header === null;
    case 'sni':
      return flow.sni !== null && values.some((name) => (name.startsWith('*') ? flow.sni!.endsWith(name.slice(1)) : flow.sni === name));
    case 'alpn':
      return flow.alpn.some(isOne);
    case 'ja4':
      return isOne(flow.ja4);
    case 'identity':
      return flow.identities!.some(isOne);
    case 'text': {
      const [protocol, field] = dimension.split(' ') as [string, 'user'];
      if (flow.kind !== protocolBit(protocol)) return false;
      return flow[field] === null ? denies : isOne(flow[field]);
    }
    case 'keys':
      if (flow.kind !== protocolBit('redis') || flow.keys === null) return flow.kind === protocolBit('redis') && denies;
      return denies ? flow.keys.some(isOne) : flow.keys.length > 0 && flow.keys.every(isOne);
    default:
      throw new Error(`what is ${kind}?`);
  }
}

function randomFlow(documents: readonly Document[], sources: readonly string[], random: Random, moments: readonly number[]): Flow {
  const endpoints = documents.flatMap(({ applications }) => applications.flatMap(({ vips }) => vips.map(({ endpoint }) => endpoint)));
  // Flows over unix sockets have no address, so no question describes them.
  const to = endpoints.filter(({ kind }) => kind === 'tcp');
  const query = randomQuery(random);
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  const vip = pick(to);
  const modes = documents.map(({ applications }) => {
    return applications.find(({ vips }) => vips.some(({ endpoint }) => endpointKey(endpoint) === endpointKey(vip)))?.mode ?? null;
  });
  const requests = ['http', 'h2', 'grpc', 'websocket'].map((name) => protocolBit(name)!);
  const any = random(3) === 0 ? protocolBit(query.kind)! : 1 << (random(3) === 0 ? random(PROTOCOLS.length) : random(6));
  // To applications of requests nothing else comes; only these tell what carries a WebSocket.
  const inRequests = modes.includes('http') ? [...requests, WEBSOCKET_OVER_H2] : requests;
  const kind = modes.includes('tcp') && random(3) > 0 ? any : pick(inRequests);
  const carries = (kind & REQUEST_KINDS) !== 0;
  return {
    from: parseAddress(pick(sources))!,
    to: vip,
    protocols: kind === WEBSOCKET_OVER_H2 ? WEBSOCKET | H2 : kind,
    method: carries ? pick([...METHODS, 'PUT']) : null,
    host: carries ? pick(HOSTS) : null,
    path: carries ? pick(PATHS) : null,
    headers: [],
    ...PLAIN_QUESTION,
    ...(kind === protocolBit(query.kind) ? query : {}),
    // Redis names whoever has no name.
    ...(kind === protocolBit('redis') ? { user: (query.kind === 'redis' ? query.user : null) ?? 'default' } : {}),
    kind,
    ...pick(HELLOS),
    identities: pick(CLIENTS),
    at: pick(moments),
  };
}

function factsOf(documents: readonly Document[]): Map<string, Fact> {
  const rules = documents.flatMap((document) => [...rulesOf(document)]);
  // Lists of segments are put together where several are meant at once, so identities are read from the text.
  return new Map(
    rules.flatMap((rule) =>
      [
        ...periodFacts(rule),
        ...headerFacts(rule.http?.headers),
        ...tlsFacts(rule.tls),
        ...identityFacts(rule.identities),
        ...databaseFacts(rule.database, rule.action === 'deny'),
      ].map((fact) => [fact.text, fact]),
    ),
  );
}

it(`tells every flow whose verdict differs, once, and no other (seed ${SEED})`, { timeout: 300_000 }, () => {
  const random = randomFrom(SEED);
  const counts = { same: 0, different: 0, none: 0, groups: 0 };
  for (let number = 0; number < PAIRS; number++) {
    const old = randomDocument(random);
    const next = random(10) === 0 ? randomDocument(random) : changed(old, random);
    const why = `seed ${SEED}, pair ${number}`;
    let groups: readonly DiffGroup[];
    try {
      const difference = diffDocuments(old, next);
      // Where too many facts come together nothing is claimed.
      if (difference.uncertain.some((sentence) => sentence.includes('too many'))) continue;
      groups = difference.groups;
    } catch (error) {
      throw new Error(why, { cause: error });
    }
    counts.groups += groups.length;
    if (groups.length === 0) counts.none++;
    const [before, after] = [compile(old, { now: 0 }), compile(next, { now: 0 })];
    const facts = factsOf([old, next]);
    const sources = [...edgeSources(old, random), ...edgeSources(next, random)].filter((source) => source !== null);
    for (let i = 0; i < FLOWS; i++) {
      const flow = randomFlow([old, next], sources, random, number % 4 === 0 ? MOMENTS : ONE_MOMENT);
      const [was, is] = [explain(before, flow).verdict, explain(after, flow).verdict];
      const speaking = groups.filter((group) => isIn(group, flow, facts));
      const expected = was === is ? [] : [is === 'allow' ? 'gain' : 'lose'];
      const found = speaking.filter(({ change }) => change === 'gain' || change === 'lose').map(({ change }) => change);
      if (`${found}` !== `${expected}`) {
        expect.fail(
          `${why}: groups say [${found}], the policies [${expected}]\n${JSON.stringify(flow)}\n${JSON.stringify(old)}\n${JSON.stringify(next)}`,
        );
      }
      counts[was === is ? 'same' : 'different']++;
    }
  }
  // Otherwise the assertions above would mean little.
  expect(counts.different).toBeGreaterThan(PAIRS / 2);
  expect(counts.none).toBeGreaterThan(PAIRS / 50 - 1);
});

it(`finds no difference where only the text differs (seed ${SEED})`, { timeout: 300_000 }, () => {
  const random = randomFrom(SEED + 1);
  for (let number = 0; number < PAIRS; number++) {
    const old = randomDocument(random);
    const why = `seed ${SEED + 1}, document ${number}`;
    expect(diffDocuments(old, rewritten(rewritten(old, random), random)).groups, why).toEqual([]);
  }
});
