/** The conditions of routes, taken apart: which route an allowed flow takes. Pure: facts in, route out. */
import type { HeaderMatch } from '../config/match.ts';
import type { Route } from '../config/route.ts';
import { type Condition, conditionOf, matchesRequest } from './condition.ts';
import { foldHostPattern, type HostPattern, matchesHost, type RequestFacts } from './request.ts';

/** What a TLS client said in its hello, as far as routes ask. */
export interface HelloFacts {
  readonly sni: string | null;
  readonly alpn: readonly string[];
}

/** What a route asks for. null parts match everything. */
export interface RouteCondition {
  readonly route: Route;
  readonly condition: Condition | null;
  readonly query: readonly QueryPattern[] | null;
  readonly sni: readonly HostPattern[] | null;
}

interface QueryPattern {
  readonly name: string;
  readonly values: readonly { readonly text: string; readonly open: boolean }[];
}

export function routeCondition(route: Route): RouteCondition {
  const { http, tls } = route;
  return {
    route,
    condition: http === null ? null : conditionOf(http.methods, http.hosts, http.paths, http.headers, true),
    query: http?.query?.map(queryPattern) ?? null,
    sni: tls?.sni?.map(foldHostPattern) ?? null,
  };
}

/** `request` null: the flow is none, or nothing of it was read. `target` is the request target as sent on, of which the query is looked at. */
export function matchesRoute(asked: RouteCondition, request: RequestFacts | null, target: string, hello: HelloFacts | null): boolean {
  if (!matchesHello(asked, hello)) return false;
  if (asked.condition !== null && (request === null || !matchesRequest(asked.condition, request))) return false;
  return asked.query === null || matchesQuery(asked.query, target);
}

function matchesHello({ route, sni }: RouteCondition, hello: HelloFacts | null): boolean {
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
