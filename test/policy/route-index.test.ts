/** Routes that are looked up are those that walking them one by one finds. BULKHEAD_SEED repeats a run. */

import { describe, expect, it } from 'vitest';
import type { Route } from '../../config/route.ts';
import { fieldsOf } from '../../policy/header-lookup.ts';
import type { HttpFacts } from '../../policy/request.ts';
import { RouteIndex } from '../../policy/route-index.ts';
import { type HelloFacts, matchesRoute, type RouteCondition, routeCondition } from '../../policy/routes.ts';
import { HEADERS, HELLOS, HOSTS, METHODS, PATHS, type Random, randomFrom } from './randomDocument.ts';

const SEED = Number(process.env.BULKHEAD_SEED ?? Date.now() % 2 ** 31);
const HOST_PATTERNS = ['a.example', '*.example', '*.a.example', '*'];
const PATH_PATTERNS = ['/', '/admin', '/admin/*', '/admin*', '/api/*', '/Api/V1', '*', '/*'];

function routeOf(words: { http?: Partial<Route['http']>; tls?: Partial<Route['tls']> }): Route {
  const { http, tls } = words;
  return {
    name: 'r',
    http: http == null ? null : { methods: null, hosts: null, paths: null, headers: null, query: null, ...http },
    tls: tls == null ? null : { sni: null, alpn: null, ...tls },
    pools: [],
    redirect: null,
    rewrite: null,
    requestFields: null,
    responseFields: null,
    mirror: null,
    place: { file: 'test.yaml', line: 1, column: 1 },
  };
}

function randomRoute(random: Random): Route {
  const some = (list: readonly string[]) => Array.from({ length: 1 + random(2) }, () => list[random(list.length)]!);
  const http: Partial<Route['http']> = {
    ...(random(3) === 0 ? { methods: some(METHODS) } : {}),
    ...(random(2) === 0 ? { hosts: some(HOST_PATTERNS) } : {}),
    ...(random(2) === 0 ? { paths: some(PATH_PATTERNS) } : {}),
    ...(random(4) === 0 ? { headers: [{ name: 'x-team', values: some(['blue', 'blue*', 'red']) }] } : {}),
    ...(random(4) === 0 ? { query: [{ name: 'q', values: ['1'] }] } : {}),
  };
  const tls = { ...(random(2) === 0 ? { sni: some(['a.example', '*.example']) } : {}), ...(random(2) === 0 ? { alpn: ['h2'] } : {}) };
  return routeOf({ ...(random(5) > 0 ? { http } : {}), ...(random(4) === 0 ? { tls } : {}) });
}

it(`finds what walking finds (seed ${SEED})`, () => {
  const random = randomFrom(SEED);
  const found = new Set<number>();
  for (let table = 0; table < 300; table++) {
    // Those that take everything stand last, or no others would be reached.
    const routes = Array.from({ length: 1 + random(60) }, () => randomRoute(random)).filter(
      ({ http, tls }) => http !== null || tls !== null,
    );
    const conditions = routes.map(routeCondition);
    const index = new RouteIndex(conditions, 0);
    for (let i = 0; i < 50; i++) {
      const headers = HEADERS[random(HEADERS.length)]!;
      const request: HttpFacts | null =
        random(6) === 0
          ? null
          : {
              kind: 'http',
              method: METHODS[random(METHODS.length)]!,
              host: HOSTS[random(HOSTS.length)]!,
              path: PATHS[random(PATHS.length)]!,
              headers: fieldsOf(headers),
            };
      const hello: HelloFacts | null = random(3) === 0 ? null : HELLOS[random(HELLOS.length)]!;
      const target = random(2) === 0 ? '/?q=1' : '/';
      const expected = conditions.findIndex((one) => matchesRoute(one, request, target, hello));
      const why = `seed ${SEED}, table ${table}: ${JSON.stringify({ request, hello, target })}\n${JSON.stringify(routes)}`;
      expect(index.find(request, target, hello), why).toBe(expected);
      found.add(expected);
    }
  }
  expect(found.size).toBeGreaterThan(8);
});

describe('of a thousand routes', () => {
  /** Counts the conditions that are looked at. */
  function counted(routes: readonly Route[]) {
    const counter = { looks: 0 };
    const conditions = routes.map((route): RouteCondition => {
      const { condition, ...rest } = routeCondition(route);
      return {
        ...rest,
        get condition() {
          counter.looks++;
          return condition;
        },
      };
    });
    return { index: new RouteIndex(conditions), counter };
  }
  const request = (host: string, path: string): HttpFacts => ({ kind: 'http', method: 'GET', host, path });
  const routes = (http: (i: number) => Partial<Route['http']>) => Array.from({ length: 1_000 }, (_, i) => routeOf({ http: http(i) }));
  it.each([
    ['paths', routes((i) => ({ paths: [`/s-${i}/*`] })), request('a', '/s-700/x'), 700],
    ['hosts', routes((i) => ({ hosts: [`h${i}`] })), request('h700', '/'), 700],
    ['hosts by paths', routes((i) => ({ hosts: [`h${i % 32}`], paths: [`/s-${i >>> 5}/*`] })), request('h7', '/s-20/x'), 647],
    ['none', routes((i) => ({ hosts: [`h${i}`] })), request('other', '/'), -1],
  ] as const)('by %s few are looked at', (_, list, asked, expected) => {
    const { index, counter } = counted(list);
    expect(index.find(asked, '/', null)).toBe(expected);
    // Each look reads the condition twice.
    expect(counter.looks).toBeLessThan(6);
  });
});
