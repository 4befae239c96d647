import { describe, expect, it } from 'vitest';
import type { Route } from '../../config/route.ts';
import { fieldsOf } from '../../policy/header-lookup.ts';
import { type HelloFacts, poolFor, RouteTable } from '../../proxy/routing/table.ts';

const NOTHING = {
  http: null,
  tls: null,
  pools: [{ pool: 'web', weight: 1 }],
  redirect: null,
  rewrite: null,
  requestFields: null,
  responseFields: null,
  mirror: null,
  place: { file: 'test.yaml', line: 1, column: 1 },
} as const;
const ANY = { methods: null, hosts: null, paths: null, headers: null, query: null } as const;
const POOLS = ['web', 'api', 'next'];
const route = (name: string, words: Partial<Route>): Route => ({ ...NOTHING, name, ...words });
const table = (...routes: Route[]) => new RouteTable(routes, (pool) => POOLS.indexOf(pool));

interface Asked {
  readonly method?: string;
  readonly host?: string;
  readonly target?: string;
  readonly fields?: Record<string, string[]>;
}

function find(routes: RouteTable, { method = 'GET', host = 'shop.example.com', target = '/', fields = {} }: Asked, hello?: HelloFacts) {
  const path = target.split('?')[0]!;
  const headers = fieldsOf(Object.entries(fields).flatMap(([name, values]) => values.map((value) => [name, value] as const)));
  return routes.find({ kind: 'http', method, host, path, headers }, target, hello ?? null)?.route.name ?? null;
}

describe('the first route that matches', () => {
  const routes = table(
    route('post', { http: { ...ANY, methods: ['POST'] } }),
    route('next', { http: { ...ANY, query: [{ name: 'version', values: ['2', 'beta*'] }] } }),
    route('blue', { http: { ...ANY, headers: [{ name: 'x-team', values: ['blue'] }] } }),
    route('api', { http: { ...ANY, hosts: ['*.example.com'], paths: ['/api/*'] } }),
    route('rest', { http: { ...ANY, hosts: ['shop.example.com'] } }),
  );
  it.each<[Asked, string | null]>([
    [{ method: 'POST', target: '/api/x' }, 'post'],
    [{ target: '/api/x' }, 'api'],
    [{ target: '/api' }, 'api'],
    [{ target: '/apiary' }, 'rest'],
    [{ target: '/api/x', host: 'example.com' }, null],
    [{ target: '/api/x?version=2' }, 'next'],
    [{ target: '/api/x?version=20' }, 'api'],
    [{ target: '/?a=1&version=beta-7' }, 'next'],
    [{ target: '/?version=1&version=2' }, 'next'],
    [{ target: '/?version=%32' }, 'next'],
    [{ fields: { 'x-team': ['red', 'blue'] } }, 'blue'],
    [{ fields: { 'x-team': ['red'] } }, 'rest'],
  ])('for %j is %s', (asked, expected) => {
    expect(find(routes, asked)).toBe(expected);
  });
});

describe('routes by the hello of a TLS client', () => {
  const routes = table(
    route('wild', { tls: { sni: ['*.example.com'], alpn: null } }),
    route('two', { tls: { sni: null, alpn: ['h2', 'h2c'] } }),
    route('all', {}),
  );
  it.each<[HelloFacts | undefined, string]>([
    [{ sni: 'a.example.com', alpn: ['h2'] }, 'wild'],
    [{ sni: 'example.com', alpn: ['http/1.1'] }, 'all'],
    [{ sni: null, alpn: ['http/1.1', 'h2'] }, 'two'],
    [undefined, 'all'],
  ])('%j', (hello, expected) => {
    expect(find(routes, {}, hello)).toBe(expected);
  });
});

describe('shares of a split', () => {
  it('go to their pools as the number falls', () => {
    const [split] = table(
      route('split', {
        pools: [
          { pool: 'web', weight: 90 },
          { pool: 'api', weight: 0 },
          { pool: 'next', weight: 10 },
        ],
      }),
    ).routes;
    const picked = [0, 0.5, 0.8999, 0.9, 0.9999].map((number) => POOLS[poolFor(split!, () => number)]);
    expect(picked).toEqual(['web', 'web', 'web', 'next', 'next']);
  });
});
