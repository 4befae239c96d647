/** What check says of routes, and where explain says that flows go. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Document } from '../../config/document.ts';
import { parseDocument } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
import { compile } from '../../policy/compile.ts';
import { wayOfQuestion } from '../../policy/explain.ts';
import { lint } from '../../policy/lint.ts';
import type { HttpFacts } from '../../policy/request.ts';
import { wayOf } from '../../policy/way.ts';
import { question } from './documents.ts';

const SEED = Number(process.env.BULKHEAD_SEED ?? Date.now() % 2 ** 31);
const TLS = 'tls: { certificates: [{ certificate: /c.pem, key: /k.pem }] }';

/** An application with routes, each of them in flow style. */
function withRoutes(routes: readonly string[], more = 'mode: http'): Document {
  const text = [
    'version: 1',
    'networks: { inbound: [0.0.0.0/0], outbound: [0.0.0.0/0] }',
    'pools: { web: { servers: [127.0.0.1:9001] }, api: { servers: [127.0.0.1:9002] }, next: { servers: [127.0.0.1:9003] } }',
    'applications:',
    '  shop:',
    '    vips: [127.0.0.1:8080]',
    `    ${more}`,
    '    pool: web',
    '    rules: [{ name: all, action: allow }]',
    '    routes:',
    ...routes.map((route) => `      - ${route}`),
    '  others:',
    '    { vips: [127.0.0.1:8081], mode: tcp, pool: api, rules: [{ name: all, from: [127.0.0.1], action: allow }] }',
    '  next: { vips: [127.0.0.1:8082], mode: tcp, pool: next, rules: [{ name: all, from: [127.0.0.1], action: allow }] }',
    'silence: [{ code: pool-without-health, reason: routes alone are looked at }]',
  ].join('\n');
  const result = parseDocument([{ file: 'routes.yaml', text }], {});
  if (!result.ok) throw new Error(`${result.problems.map(formatProblem).join('\n')}\n${text}`);
  return result.document;
}

const findings = (document: Document) => lint(document).map(({ code, path }) => `${code} ${path.slice('/applications/shop/'.length)}`);

describe('a route that is never taken', () => {
  it.each<[string, string[], string[]]>([
    ['behind one for everything', ['{ name: a, pool: api }', '{ name: b, http: { paths: [/x] } }'], ['routes/1']],
    ['behind a wider path', ['{ name: a, http: { paths: [/api/*] } }', '{ name: b, http: { paths: [/api, /api/v1/*] } }'], ['routes/1']],
    ['not behind a narrower one', ['{ name: a, http: { paths: [/api/v1/*] } }', '{ name: b, http: { paths: [/api/*] } }'], []],
    ['not where one of its paths is left', ['{ name: a, http: { paths: [/api/*] } }', '{ name: b, http: { paths: [/api, /x] } }'], []],
    [
      'behind two that take it together',
      ['{ name: a, http: { paths: [/a*] } }', '{ name: b, http: { paths: [/b*] } }', '{ name: c, http: { paths: [/b/c, /a/c] } }'],
      ['routes/2'],
    ],
    [
      'behind a wider host',
      ['{ name: a, http: { hosts: ["*.example.com"] } }', '{ name: b, http: { hosts: [www.example.com, "*.a.example.com"] } }'],
      ['routes/1'],
    ],
    ['not for the name above', ['{ name: a, http: { hosts: ["*.example.com"] } }', '{ name: b, http: { hosts: [example.com] } }'], []],
    [
      'behind fewer fields',
      ['{ name: a, http: { headers: { x-team: "blue*" } } }', '{ name: b, http: { headers: { x-team: blue2, x-env: "*" } } }'],
      ['routes/1'],
    ],
    ['not behind more fields', ['{ name: a, http: { headers: { x-team: blue } } }', '{ name: b, http: { paths: [/x] } }'], []],
    ['not behind a parameter', ['{ name: a, http: { query: { v: "2" } } }', '{ name: b, http: { query: { v: "*" } } }'], []],
    ['behind the same methods', ['{ name: a, http: { methods: [GET, POST] } }', '{ name: b, http: { methods: [POST] } }'], ['routes/1']],
  ])('%s', (_, routes, expected) => {
    expect(findings(withRoutes(routes))).toEqual(expected.map((path) => `route-shadowed ${path}`));
  });

  it('is told with the ones that take it', () => {
    const [problem] = lint(withRoutes(['{ name: a, http: { paths: [/a*] } }', '{ name: b, http: { paths: [/a/x] } }']));
    expect(formatProblem(problem!)).toBe(
      'routes.yaml:12:9: warning[route-shadowed]: Route "b" is never taken: every flow that it matches goes by "a" (routes.yaml:11:9) before. Move it before them, or remove it. (at /applications/shop/routes/1)',
    );
  });

  const pattern = {
    method: fc.constantFrom('GET', 'POST'),
    host: fc.constantFrom('a.example', '*.example', '*.a.example'),
    path: fc.constantFrom('/', '/a', '/a/*', '/a*', '/a/b', '/*', '*'),
  };
  const some = <T>(entry: fc.Arbitrary<T>) => fc.option(fc.array(entry, { minLength: 1, maxLength: 2 }), { nil: undefined, freq: 2 });
  const condition = fc.record({ methods: some(pattern.method), hosts: some(pattern.host), paths: some(pattern.path) });
  const METHODS = ['GET', 'POST', 'PUT'];
  const HOSTS = ['a.example', 'b.a.example', 'example', 'b.example'];
  const PATHS = ['/', '/a', '/a/', '/a/b', '/ab', '/b', '*'];

  it(`never is one that a request takes (seed ${SEED})`, () => {
    let found = 0;
    fc.assert(
      fc.property(fc.array(condition, { minLength: 2, maxLength: 5 }), (conditions) => {
        const document = withRoutes(
          conditions.map(
            (http, i) => `{ name: r${i}, http: ${JSON.stringify(Object.fromEntries(Object.entries(http).filter(([, v]) => v)))} }`,
          ),
        );
        const shadowed = new Set(findings(document).map((text) => Number(text.split('/')[1])));
        found += shadowed.size;
        const taken = new Set<number>();
        for (const method of METHODS)
          for (const host of HOSTS)
            for (const path of PATHS) {
              const request: HttpFacts = { kind: 'http', method, host, path };
              const { route } = wayOf(document.applications.find(({ name }) => name === 'shop')!, request, path, null);
              if (route !== null) taken.add(Number(route.slice(1)));
            }
        expect([...taken].filter((index) => shadowed.has(index))).toEqual([]);
      }),
      { seed: SEED, numRuns: 150 },
    );
    expect(found).toBeGreaterThan(0);
  });
});

describe('a share of nothing', () => {
  it.each<[string, string[]]>([
    ['{ name: a, split: { web: 0, api: 10 } }', ['route-share-zero routes/0']],
    ['{ name: a, split: { web: 1, api: 10 } }', []],
    ['{ name: a, mirror: { pool: next, share: 0% } }', ['route-share-zero routes/0']],
  ])('%s', (route, expected) => {
    expect(findings(withRoutes([route]))).toEqual(expected);
  });
});

describe('a redirect in a circle', () => {
  it.each<[string, string, boolean]>([
    ['mode: http', '{ name: a, redirect: https }', false],
    [`mode: http\n    ${TLS}`, '{ name: a, redirect: https }', true],
    [`mode: http\n    ${TLS}`, '{ name: a, http: { paths: [/x/*] }, redirect: https }', true],
    [`mode: http\n    ${TLS}`, '{ name: a, redirect: { scheme: https, port: 8443 } }', false],
    [`mode: http\n    ${TLS}`, '{ name: a, redirect: { scheme: http, host: old.example } }', false],
    ['mode: http', '{ name: a, redirect: { host: www.example } }', true],
    ['mode: http', '{ name: a, http: { hosts: [example] }, redirect: { host: www.example } }', false],
    ['mode: http', '{ name: a, http: { hosts: ["*.example"] }, redirect: { host: www.example } }', true],
    ['mode: http', '{ name: a, http: { paths: [/old/*] }, redirect: { path: /new/* } }', false],
    ['mode: http', '{ name: a, http: { paths: [/old/*] }, redirect: { path: /old/new/* } }', true],
    ['mode: http', '{ name: a, http: { methods: [POST] }, redirect: { path: /done, status: 303 } }', false],
    ['mode: http', '{ name: a, http: { methods: [POST] }, redirect: { path: /done, status: 307 } }', true],
  ])('%s, %s: %s', (more, route, expected) => {
    expect(findings(withRoutes([route], more))).toEqual(expected ? ['redirect-circle routes/0'] : []);
  });
});

it('counts pools of routes and copies as used', () => {
  const text = withRoutes(['{ name: a, http: { paths: [/a] }, pool: api }', '{ name: b, mirror: { pool: next } }']);
  const shop = { ...text, applications: text.applications.filter(({ name }) => name === 'shop') };
  expect(lint(shop).map(({ code }) => code)).toEqual([]);
});

describe('an allowed flow goes', () => {
  const document = withRoutes([
    '{ name: api, http: { paths: [/api/*], query: { version: "2" } }, pool: api }',
    '{ name: canary, http: { paths: [/new/*] }, split: { web: 90, next: 10, api: 0 } }',
    '{ name: old, http: { paths: [/old] }, redirect: { path: /new } }',
    '{ name: one, http: { hosts: [one.example] }, split: { web: 0, next: 10 } }',
  ]);
  const image = compile(document);
  it.each([
    [{ path: '/api/x?version=2' }, { route: 'api', pool: 'api' }],
    [{ path: '/api/x' }, { route: null, pool: 'web' }],
    [{ path: '/new/x' }, { route: 'canary', pool: null, split: { web: 90, next: 10 } }],
    [{ path: '/old' }, { route: 'old', pool: null, redirect: true }],
    [
      { path: '/', host: 'ONE.example:8080' },
      { route: 'one', pool: 'next' },
    ],
  ])('for %j: %j', (asked, expected) => {
    expect(wayOfQuestion(image, document, question('192.0.2.1', '127.0.0.1:8080', asked))).toEqual(expected);
  });

  it('by its hello', () => {
    const routes = ['{ name: a, tls: { sni: ["*.a.example"] }, pool: api }', '{ name: h2, tls: { alpn: [h2] }, pool: next }'];
    const passing = withRoutes(routes, 'mode: tcp\n    tls: passthrough');
    const way = (more: object) => wayOfQuestion(compile(passing), passing, question('192.0.2.1', '127.0.0.1:8080', more));
    expect(way({ sni: 'x.a.example' })).toEqual({ route: 'a', pool: 'api' });
    expect(way({ alpn: ['h2'] })).toEqual({ route: 'h2', pool: 'next' });
    expect(way({})).toEqual({ route: null, pool: 'web' });
  });

  it('nowhere where nobody listens', () => {
    expect(wayOfQuestion(image, document, question('192.0.2.1', '127.0.0.1:1'))).toBe(null);
  });
});
