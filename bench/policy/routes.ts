/** What finding the route of a flow costs against the number of routes of an application. `--json` prints the figures as JSON. */

import type { Route, RouteMatch } from '../../config/route.ts';
import type { HttpFacts } from '../../policy/request.ts';
import { RouteIndex } from '../../policy/route-index.ts';
import { type HelloFacts, routeCondition } from '../../policy/routes.ts';
import { headWith, withHead } from './head.ts';

const SIZES = [1, 10, 100, 1_000, 10_000];
const FLOWS = 500;
const ROUND_NS = 2e6;
const ROUNDS = 6;

interface Shape {
  readonly name: string;
  readonly http?: (i: number) => Partial<RouteMatch>;
  readonly sni?: (i: number) => string;
  readonly flow: (i: number) => { request: HttpFacts | null; hello: HelloFacts | null; head?: Buffer };
}

const request = (host: string, path: string): HttpFacts => ({ kind: 'http', method: 'GET', host, path });

const SHAPES: readonly Shape[] = [
  {
    name: 'paths',
    http: (i) => ({ paths: [`/service-${i}/*`] }),
    flow: (i) => ({ request: request('a', `/service-${i}/cart`), hello: null }),
  },
  {
    name: 'hosts',
    http: (i) => ({ hosts: [`shop-${i}.example`] }),
    flow: (i) => ({ request: request(`shop-${i}.example`, '/'), hello: null }),
  },
  {
    name: '100 hosts by paths',
    http: (i) => ({ hosts: [`shop-${i % 100}.example`], paths: [`/service-${Math.floor(i / 100)}/*`] }),
    flow: (i) => ({ request: request(`shop-${i % 100}.example`, `/service-${Math.floor(i / 100)}/cart`), hello: null }),
  },
  {
    name: 'values of a field',
    http: (i) => ({ headers: [{ name: 'x-tenant', values: [`tenant-${i}`] }] }),
    flow: (i) => ({ request: request('a', '/'), hello: null, head: headWith('X-Tenant', `tenant-${i}`) }),
  },
  { name: 'SNI', sni: (i) => `shop-${i}.example`, flow: (i) => ({ request: null, hello: { sni: `shop-${i}.example`, alpn: [] } }) },
];

function routeOf({ http, sni }: Shape, i: number): Route {
  return {
    name: `route-${i}`,
    http: http === undefined ? null : { methods: null, hosts: null, paths: null, headers: null, query: null, ...http(i) },
    tls: sni === undefined ? null : { sni: [sni(i)], alpn: null },
    pools: [],
    redirect: null,
    rewrite: null,
    requestFields: null,
    responseFields: null,
    mirror: null,
    place: { file: 'bench.yaml', line: 1, column: 1 },
  };
}

let kept = 0;

function nanoseconds(run: (i: number) => number): number {
  const round = (count: number) => {
    const start = process.hrtime.bigint();
    for (let i = 0; i < count; i++) kept += run(i % FLOWS);
    return Number(process.hrtime.bigint() - start);
  };
  const count = Math.max(50, Math.min(50_000, Math.round((ROUND_NS * 100) / round(100))));
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ROUNDS; i++) best = Math.min(best, round(count) / count);
  return Math.round(best);
}

function measure(shape: Shape, routes: number): { routes: string; count: number; findNs: number; walkNs: number } {
  const conditions = Array.from({ length: routes }, (_, i) => routeCondition(routeOf(shape, i)));
  const flows = Array.from({ length: FLOWS }, (_, i) => shape.flow((i * Math.max(1, Math.floor(routes / FLOWS))) % routes));
  const [index, walk] = [new RouteIndex(conditions), new RouteIndex(conditions, Number.POSITIVE_INFINITY)];
  const find = (one: RouteIndex, { request, head, hello }: ReturnType<Shape['flow']>) => one.find(withHead(request, head), '/', hello);
  const costOf = (one: RouteIndex) => nanoseconds((i) => find(one, flows[i]!));
  return { routes: shape.name, count: routes, findNs: costOf(index), walkNs: costOf(walk) };
}

for (const shape of SHAPES) measure(shape, 100);
const figures = SHAPES.flatMap((shape) => SIZES.map((routes) => measure(shape, routes)));
if (Number.isNaN(kept)) throw new Error('no routes');
if (process.argv.includes('--json')) console.log(JSON.stringify({ figures }, null, 2));
else console.table(figures);
