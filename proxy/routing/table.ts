/**
 * The routes of an application as a worker asks them: the first that matches an allowed flow says where it goes. Pure: facts in, route out.
 */
import type { Route } from '../../config/route.ts';
import type { RequestFacts } from '../../policy/request.ts';
import { RouteIndex } from '../../policy/route-index.ts';
import { type HelloFacts, type RouteCondition, routeCondition } from '../../policy/routes.ts';
import { HeadEdit } from './edit.ts';

export type { HelloFacts };

/** A route taken apart once a generation. Pools are indices of the plan. */
export interface CompiledRoute extends RouteCondition {
  /** Running sums of the shares: a number below the last falls to the first pool whose sum is above it. */
  readonly sums: readonly number[];
  readonly pools: readonly number[];
  readonly mirror: number;
  /** What becomes of the request's head on its way, and of the response's; null: nothing. */
  readonly requestEdit: HeadEdit | null;
  readonly responseEdit: HeadEdit | null;
}

export class RouteTable {
  readonly routes: readonly CompiledRoute[];
  /** Whether any of them asks for the path: it is then resolved before the request goes on. */
  readonly asksForPaths: boolean;
  readonly asksForRequests: boolean;
  private readonly index: RouteIndex;

  /** `poolIndex` answers where a pool stands in the plan. */
  constructor(routes: readonly Route[], poolIndex: (name: string) => number) {
    this.routes = routes.map((route) => compile(route, poolIndex));
    this.index = new RouteIndex(this.routes);
    this.asksForPaths = routes.some(({ http }) => http?.paths != null);
    this.asksForRequests = routes.some(({ http }) => http !== null);
  }

  /** The first route that matches; null for none. `target` is the request target as sent on, of which the query is looked at. */
  find(request: RequestFacts | null, target: string, hello: HelloFacts | null): CompiledRoute | null {
    return this.routes[this.index.find(request, target, hello)] ?? null;
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
  const { mirror, rewrite, requestFields, responseFields } = route;
  let sum = 0;
  return {
    ...routeCondition(route),
    sums: route.pools.map(({ weight }) => (sum += weight)),
    pools: route.pools.map(({ pool }) => poolIndex(pool)),
    mirror: mirror === null ? -1 : poolIndex(mirror.pool),
    requestEdit: requestFields === null && rewrite === null ? null : new HeadEdit(requestFields, rewrite?.host ?? null),
    responseEdit: responseFields === null ? null : new HeadEdit(responseFields, null),
  };
}
