/** Lists whose rules are found by an index answer as lists that are walked, whichever facts are known. BULKHEAD_SEED repeats a run. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../config/address.ts';
import { protocolBit } from '../../config/protocols.ts';
import { compile } from '../../policy/compile.ts';
import { type ConnectionFacts, NO_TLS, PLAIN_CONNECTION } from '../../policy/connection.ts';
import { ALLOW, decide, kindOf, NEED_IDENTITY, NEED_REQUEST, NEED_TLS, ruleOf } from '../../policy/decide.ts';
import { fieldsOf } from '../../policy/header-lookup.ts';
import { atomOf, NO_ADDRESS_ATOM } from '../../policy/lookup.ts';
import type { HttpFacts, RequestFacts } from '../../policy/request.ts';
import { documentOf, type RuleWords } from './documents.ts';
import {
  CLIENTS,
  edgeSources,
  HEADERS,
  HELLOS,
  HOSTS,
  KNOWLEDGE,
  METHODS,
  PATHS,
  type Random,
  randomDocument,
  randomFrom,
  randomQuery,
} from './randomDocument.ts';

const SEED = Number(process.env.BULKHEAD_SEED ?? Date.now() % 2 ** 31);
const DOCUMENTS = 250;
const DECISIONS_PER_DOCUMENT = 150;

function anyRequest(random: Random, tcp: boolean): RequestFacts {
  if (tcp) return randomQuery(random);
  const headers = HEADERS[random(HEADERS.length)]!;
  return {
    kind: 'http',
    method: METHODS[random(METHODS.length)]!,
    host: HOSTS[random(HOSTS.length)]!,
    path: PATHS[random(PATHS.length)]!,
    headers: fieldsOf(headers),
  };
}

/** Any fact may be the one that is not known. */
function anyConnection(random: Random): ConnectionFacts {
  return {
    tls: random(3) === 0 ? null : HELLOS[random(HELLOS.length)]!,
    identities: random(3) === 0 ? null : CLIENTS[random(CLIENTS.length)]!,
  };
}

it(`decides as without it (seed ${SEED})`, () => {
  const random = randomFrom(SEED + 3);
  const kinds = new Map<number, number>();
  for (let number = 0; number < DOCUMENTS; number++) {
    const document = randomDocument(random, true);
    const walked = compile(document, { knowledge: KNOWLEDGE, conditionsWalked: Number.POSITIVE_INFINITY });
    const indexed = compile(document, { knowledge: KNOWLEDGE, conditionsWalked: 0 });
    const sources = edgeSources(document, random);
    for (let i = 0; i < DECISIONS_PER_DOCUMENT; i++) {
      const vip = random(walked.vipCount);
      const source = sources[random(sources.length)]!;
      const atom = source === null ? NO_ADDRESS_ATOM : atomOf(walked, ...parseAddress(source)!.words);
      const tcp = walked.applicationMode(walked.vipApplication(vip)) === 'tcp';
      const request = random(3) === 0 ? null : anyRequest(random, tcp);
      const connection = anyConnection(random);
      const protocols = [0, 1, 2, 4, 3, 6, 1 << random(20)][random(7)]!;
      const expected = decide(walked, vip, atom, protocols, request, connection);
      const found = decide(indexed, vip, atom, protocols, request, connection);
      if (found !== expected) {
        const flow = JSON.stringify({ vip, source, protocols, request, connection });
        expect(found, `seed ${SEED}, document ${number}: ${flow}\n${JSON.stringify(document)}`).toBe(expected);
      }
      kinds.set(kindOf(expected), (kinds.get(kindOf(expected)) ?? 0) + 1);
    }
  }
  // Every kind of answer occurs, so that the assertion above means something.
  expect([...kinds.keys()].sort()).toEqual([0, 1, 2, 3, 4, 5]);
});

describe('of a thousand rules', () => {
  const thousand = (words: (i: number) => Omit<RuleWords, 'name' | 'action'>, mode: 'tcp' | 'http' = 'tcp') =>
    compile(
      documentOf({
        applications: {
          a: { mode, rules: Array.from({ length: 1_000 }, (_, i) => ({ name: `rule-${i}`, action: 'allow', ...words(i) })) },
        },
      }),
    );
  const identities = (...list: string[]): ConnectionFacts => ({ tls: NO_TLS, identities: list });
  const hello = (sni: string | null, alpn: string[] = [], ja4: string | null = null): ConnectionFacts => ({
    tls: { sni, alpn, ja4 },
    identities: [],
  });
  const http = (path: string, host = 'shop.example'): HttpFacts => ({ kind: 'http', method: 'GET', host, path });
  const redis = (command: string, ...keys: string[]): RequestFacts => ({ kind: 'redis', user: 'default', command, keys });

  const byIdentity = thousand((i) => ({ identities: [i % 2 === 0 ? `spiffe://x/${i}` : `spiffe://x/${i}/*`] }));
  const bySni = thousand((i) => ({ tls: { sni: [i % 2 === 0 ? `${i}.example` : `*.${i}.example`] } }));
  const byJa4 = thousand((i) => ({ tls: { ja4: [`t13d${i}_*`] } }));
  const byUser = thousand((i) => ({ database: { kind: 'postgres', users: [`u${i}`], databases: null } }));
  const byKey = thousand((i) => ({ database: { kind: 'redis', users: null, commands: null, keys: [`app-${i}:*`] } }));
  const byBoth = thousand((i) => ({ identities: ['cn:web'], http: { paths: [`/s-${i}/*`] } }), 'http');

  it.each([
    ['an identity', byIdentity, null, identities('cn:a', 'spiffe://x/500'), 'rule-500'],
    ['the beginning of an identity', byIdentity, null, identities('spiffe://x/501/y'), 'rule-501'],
    ['an identity that only begins as one', byIdentity, null, identities('spiffe://x/5000'), 'default'],
    ['the first of two identities that are met', byIdentity, null, identities('spiffe://x/900', 'spiffe://x/2'), 'rule-2'],
    ['no identity', byIdentity, null, identities(), 'default'],
    ['a name', bySni, null, hello('500.example'), 'rule-500'],
    ['a name below', bySni, null, hello('a.501.example'), 'rule-501'],
    ['a name above', bySni, null, hello('501.example'), 'default'],
    ['no name', bySni, null, hello(null), 'default'],
    ['a fingerprint', byJa4, null, hello(null, [], 't13d17_ab'), 'rule-17'],
    ['a user', byUser, { kind: 'postgres', user: 'u999', database: 'x' }, PLAIN_CONNECTION, 'rule-999'],
    ['a user that cannot be told', byUser, { kind: 'postgres', user: null, database: 'x' }, PLAIN_CONNECTION, 'default'],
    ['keys', byKey, redis('mget', 'app-3:a', 'app-3:b'), PLAIN_CONNECTION, 'rule-3'],
    ['keys of two rules', byKey, redis('mget', 'app-3:a', 'app-4:b'), PLAIN_CONNECTION, 'default'],
    [
      'more keys than are looked up',
      byKey,
      redis('mget', ...Array.from({ length: 500 }, (_, i) => `app-${i}:a`)),
      PLAIN_CONNECTION,
      'default',
    ],
    ['a path of one identity', byBoth, http('/s-700/a'), identities('cn:web'), 'rule-700'],
    ['a path of another identity', byBoth, http('/s-700/a'), identities('cn:ana'), 'default'],
  ] as [string, typeof byUser, RequestFacts | null, ConnectionFacts, string][])('%s is found', (_, image, request, connection, rule) => {
    const decision = decide(image, 0, NO_ADDRESS_ATOM, protocolBit(request?.kind ?? 'tls')!, request, connection);
    expect(image.ruleName(ruleOf(decision))).toBe(rule);
    expect(kindOf(decision) === ALLOW).toBe(rule !== 'default');
  });

  it.each([
    ['who it is', byIdentity, { tls: NO_TLS, identities: null }, NEED_IDENTITY],
    ['the hello', bySni, { tls: null, identities: null }, NEED_TLS],
    ['the request', byUser, PLAIN_CONNECTION, NEED_REQUEST],
  ] as const)('the answer is that %s has to be known', (_, image, connection, need) => {
    expect(kindOf(decide(image, 0, NO_ADDRESS_ATOM, protocolBit(image === byUser ? 'postgres' : 'tls')!, null, connection))).toBe(need);
  });
});

it(`rules that share each two and three of what they ask for are found by all of it together (seed ${SEED})`, () => {
  const random = randomFrom(SEED + 7);
  const some = (name: (i: number) => string, most: number) => [...new Set(Array.from({ length: 1 + random(most) }, () => name(random(6))))];
  const [id, host, path, sni] = [
    (i: number) => `cn:${i}`,
    (i: number) => `${i}.example`,
    (i: number) => `/p${i}/*`,
    (i: number) => `s${i}.example`,
  ];
  const rules = Array.from(
    { length: 1_500 },
    (_, i): RuleWords => ({
      name: `rule-${i}`,
      action: random(3) === 0 ? 'deny' : 'allow',
      from: random(4) === 0 ? ['ops'] : ['any'],
      identities: some(id, 2),
      tls: { sni: some(sni, 2) },
      http: { hosts: some(host, 2), paths: some(path, 2) },
    }),
  );
  const segments = { ops: { addresses: ['10.1.0.0/16'], identities: ['cn:0', 'user:*'] } };
  const document = documentOf({ segments, applications: { a: { mode: 'http', rules } } });
  const [index, walk] = [compile(document), compile(document, { conditionsWalked: Number.POSITIVE_INFINITY })];
  const found = new Set<number>();
  for (let flow = 0; flow < 4_000; flow++) {
    const request: HttpFacts = { kind: 'http', method: 'GET', host: host(random(7)), path: `/p${random(7)}/a` };
    const identities = random(8) === 0 ? ['user:a'] : some(id, 3);
    const connection: ConnectionFacts = { tls: { sni: sni(random(7)), alpn: [], ja4: null }, identities };
    const address = parseAddress(random(2) === 0 ? '10.1.0.1' : '10.2.0.1')!.words;
    const known = random(5) === 0 ? null : request;
    const answer = (image: typeof index) => decide(image, 0, atomOf(image, ...address), protocolBit('http')!, known, connection);
    expect(answer(index), `seed ${SEED}, flow ${flow}`).toBe(answer(walk));
    found.add(ruleOf(answer(walk)));
  }
  expect(found.size).toBeGreaterThan(100);
});

it('a rule that an address is enough for is not taken for one of those that ask who the client is', () => {
  const rules: RuleWords[] = [
    { name: 'by-identity', tls: { sni: ['a.example'] }, identities: ['cn:ana'], action: 'allow' },
    { name: 'by-address', from: ['admins'], tls: { sni: ['a.example'] }, action: 'allow' },
    { name: 'nobody-else', action: 'deny' },
  ];
  const segments = { admins: { addresses: ['10.1.0.0/16'], identities: ['cn:root'] } };
  const image = compile(documentOf({ segments, applications: { a: { rules } } }), { conditionsWalked: 0 });
  const connection = { tls: { sni: 'a.example', alpn: [], ja4: null }, identities: null };
  const answer = (source: string) =>
    kindOf(decide(image, 0, atomOf(image, ...parseAddress(source)!.words), protocolBit('tls')!, null, connection));
  expect(answer('10.1.0.1')).toBe(ALLOW);
  expect(answer('10.2.0.1')).toBe(NEED_IDENTITY);
});

it('rules that ask for one pattern twice are found by it', () => {
  const rules = Array.from(
    { length: 40 },
    (_, i): RuleWords => ({ name: `r${i}`, from: ['ops'], identities: ['cn:ana'], action: 'allow' }),
  );
  const image = compile(documentOf({ segments: { ops: { identities: ['cn:ana'] } }, applications: { a: { rules } } }));
  const connection = { tls: NO_TLS, identities: ['cn:ana'] };
  expect(image.ruleName(ruleOf(decide(image, 0, NO_ADDRESS_ATOM, protocolBit('tls')!, null, connection)))).toBe('r0');
});

it('allocates nothing on the way to a decision', () => {
  const rules = Array.from({ length: 40 }, (_, i): RuleWords[] => [
    { identities: [`spiffe://x/${i}`, `cn:${i}*`], action: 'allow' },
    { tls: { sni: [`*.${i}.example`] }, action: 'allow' },
    { database: { kind: 'redis', users: null, commands: ['get'], keys: [`app-${i}:*`] }, action: 'allow' },
  ]).flat();
  const image = compile(documentOf({ applications: { a: { rules } } }));
  const flows: readonly (readonly [RequestFacts | null, ConnectionFacts])[] = [
    [null, { tls: NO_TLS, identities: ['spiffe://x/39', 'cn:none'] }],
    [null, { tls: NO_TLS, identities: null }],
    [{ kind: 'redis', user: 'default', command: 'get', keys: ['app-39:a', 'app-39:b'] }, PLAIN_CONNECTION],
    [
      { kind: 'redis', user: 'default', command: 'set', keys: ['other'] },
      { tls: { sni: 'a.39.example', alpn: [], ja4: null }, identities: [] },
    ],
  ];
  const redis = protocolBit('redis')!;
  const run = (count: number) => {
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const flow = flows[i & 3]!;
      sum += decide(image, 0, NO_ADDRESS_ATOM, redis, flow[0], flow[1]);
    }
    return sum;
  };
  run(200_000);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const before = process.memoryUsage().heapUsed;
  expect(run(500_000)).toBeGreaterThan(0);
  // One number boxed per decision would be 6 MB or more.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(200_000);
});
