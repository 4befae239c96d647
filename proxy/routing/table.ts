/**
 * The routes of an application as a worker asks them: the first that matches an allowed flow says where it goes. Pure: facts in, route out.
 */
import type { HeaderMatch } from '../../config/match.ts';
import type { Route } from '../../config/route.ts';
import { type Condition, conditionOf, matchesRequest } from '../../policy/condition.ts';
import { foldHostPattern, type HostPattern, matchesHost, type RequestFacts } from '../../policy/request.ts';
import { HeadEdit } from './edit.ts';

/** What a TLS client said in its hello, as far as routes ask. */
export interface HelloFacts {
  readonly sni: string | null;
  readonly alpn: readonly string[];
}

/** A route taken apart once a generation. Pools are indices of the plan. */
export interface CompiledRoute {
  readonly route: Route;
  readonly condition: Condition | null;
  readonly query: readonly QueryPattern[] | null;
  readonly sni: readonly HostPattern[] | null;
  /** Running sums of the shares: a number below the last falls to the first pool whose sum is above it. */
  readonly sums: readonly number[];
  readonly pools: readonly number[];
  readonly mirror: number;
  /** What becomes of the request's head on its way, and of the response's; null: nothing. */
  readonly requestEdit: HeadEdit | null;
  readonly responseEdit: HeadEdit | null;
}

interface QueryPattern {
  readonly name: string;
  readonly values: readonly { readonly text: string; readonly open: boolean }[];
}

export class RouteTable {
  readonly routes: readonly CompiledRoute[];
  /** Whether any of them asks for the path: it is then resolved before the request goes on. */
  readonly asksForPaths: boolean;
  readonly asksForRequests: boolean;

  /** `poolIndex` answers where a pool stands in the plan. */
  constructor(routes: readonly Route[], poolIndex: (name: string) => number) {
    this.routes = routes.map((route) => compile(route, poolIndex));
    this.asksForPaths = routes.some(({ http }) => http?.paths != null);
    this.asksForRequests = routes.some(({ http }) => http !== null);
  }

  /** The first route that matches; null for none. `target` is the request target as sent on, of which the query is looked at. */
  find(request: RequestFacts | null, target: string, hello: HelloFacts | null): CompiledRoute | null {
    for (const compiled of this.routes) {
      if (!matchesHello(compiled, hello)) continue;
      if (compiled.condition !== null && (request === null || !matchesRequest(compiled.condition, request))) continue;
      if (compiled.query !== null && !matchesQuery(compiled.query, target)) continue;
      return compiled;
    }
    return null;
  }
}

/** The pool that a flow of this route goes to. `random` is from 0 up to 1, not included. */
export function poolFor(compiled: CompiledRoute, random: () => number): number {
  const { pools, sums } = compiled;
  if (pools.length === 1) return pools[0]!;
  const at = random() * sums.at(-1)!;
  return pools[sums.findIndex((sum) => at < sum)]!;
}

function compile(route: Route, poolIndex: (name: string) => number): CompiledRoute {
  const { http, tls, mirror, rewrite, requestFields, responseFields } = route;
  let sum = 0;
  return {
    route,
    condition: http === null ? null : conditionOf(http.methods, http.hosts, http.paths, http.headers, true),
    query: http?.query?.map(queryPattern) ?? null,
    sni: tls?.sni?.map(foldHostPattern) ?? null,
    sums: route.pools.map(({ weight }) => (sum += weight)),
    pools: route.pools.map(({ pool }) => poolIndex(pool)),
    mirror: mirror === null ? -1 : poolIndex(mirror.pool),
    requestEdit: requestFields === null && rewrite === null ? null : new HeadEdit(requestFields, rewrite?.host ?? null),
    responseEdit: responseFields === null ? null : new HeadEdit(responseFields, null),
  };
}

function matchesHello({ route, sni }: CompiledRoute, hello: HelloFacts | null): boolean {
  if (route.tls === null) return true;
  if (hello === null) return false;
  if (sni !== null && (hello.sni === null || !sni.some((pattern) => matchesHost(pattern, hello.sni!)))) return false;
  const { alpn } = route.tls;
  return alpn === null || alpn.some((name) => hello.alpn.includes(name));
}

function queryPattern({ name, values }: HeaderMatch): QueryPattern {
  return {
    name,
    values: values.map((text) => (text.endsWith('*') ? { text: text.slice(0, -1), open: true } : { text, open: false })),
  };
}

/** A parameter that comes several times matches where one of its values does. */
function matchesQuery(patterns: readonly QueryPattern[], target: string): boolean {
  const mark = target.indexOf('?');
  if (mark < 0) return false;
  const fields = new URLSearchParams(target.slice(mark + 1));
  return patterns.every(({ name, values }) =>
    fields.getAll(name).some((value) => values.some(({ text, open }) => (open ? value.startsWith(text) : value === text))),
  );
}
