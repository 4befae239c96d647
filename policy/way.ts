/** Where an allowed flow goes, for explanations: the route that takes it, and the pool behind that. */
import type { Application } from '../config/document.ts';
import type { Route } from '../config/route.ts';
import type { RequestFacts } from './request.ts';
import { RouteIndex } from './route-index.ts';
import { type HelloFacts, routeCondition } from './routes.ts';

/** Where an allowed flow goes. */
export interface Way {
  /** null: no route matches, and the application's own pool takes the flow. */
  readonly route: string | null;
  /** null where the client is sent elsewhere, or where flows are split. */
  readonly pool: string | null;
  /** The shares of pools, where more than one gets flows. */
  readonly split?: Readonly<Record<string, number>>;
  /** The client is sent elsewhere, and no server is asked. */
  readonly redirect?: true;
}

/** Made at the first question, for as long as the document lives. */
const indexes = new WeakMap<readonly Route[], RouteIndex>();

export function wayOf(
  application: Pick<Application, 'routes' | 'pool'>,
  request: RequestFacts | null,
  target: string,
  hello: HelloFacts | null,
): Way {
  let index = indexes.get(application.routes);
  if (index === undefined) indexes.set(application.routes, (index = new RouteIndex(application.routes.map(routeCondition))));
  const route = application.routes[index.find(request, target, hello)];
  if (route === undefined) return { route: null, pool: application.pool };
  if (route.redirect !== null) return { route: route.name, pool: null, redirect: true };
  const used = route.pools.filter(({ weight }) => weight > 0);
  if (used.length === 1) return { route: route.name, pool: used[0]!.pool };
  return { route: route.name, pool: null, split: Object.fromEntries(used.map(({ pool, weight }) => [pool, weight])) };
}
