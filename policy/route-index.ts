/** Which route of an application takes an allowed flow, found by what routes ask for as rules are: a thousand routes cost what a few cost. */
import { ASKS_REQUEST, ASKS_TLS, takeApart } from './demand.ts';
import { handlesOf } from './handles.ts';
import { ALL_PROTOCOLS } from './outcome.ts';
import { PatternIndex } from './pattern-index.ts';
import { PatternLookup } from './pattern-lookup.ts';
import { LEVELS } from './patterns.ts';
import type { RequestFacts } from './request.ts';
import { type HelloFacts, matchesRoute, type RouteCondition } from './routes.ts';

/** Routes that are walked faster than patterns are looked up. */
const ROUTES_WALKED = 8;
/** All that a flow ever says is known by the time it is routed. */
const LEVEL = LEVELS - 1;

export class RouteIndex {
  readonly #routes: readonly RouteCondition[];
  readonly #lookup: PatternLookup | null;
  /** Routes that nothing leads to, ascending. */
  readonly #rest: number[] = [];

  /** `walked`: with more routes they are looked up. It changes what an answer costs, and no answer. */
  constructor(routes: readonly RouteCondition[], walked = ROUTES_WALKED) {
    this.#routes = routes;
    this.#lookup = routes.length > walked ? this.#indexed() : null;
  }

  /** hot: allocates nothing. The number of the first route that matches, see `matchesRoute`; -1 for none. */
  find(request: RequestFacts | null, target: string, hello: HelloFacts | null): number {
    const lookup = this.#lookup;
    if (lookup === null) return this.#walk(request, target, hello);
    lookup.begin(LEVEL, 0, this.#routes.length, ALL_PROTOCOLS, true);
    if (hello !== null) lookup.seekHello(hello);
    if (request !== null) lookup.seekRequest(request);
    lookup.seekPairs();
    return lookup.overflown ? this.#walk(request, target, hello) : this.#merge(lookup, request, target, hello);
  }

  #walk(request: RequestFacts | null, target: string, hello: HelloFacts | null): number {
    for (let i = 0; i < this.#routes.length; i++) if (matchesRoute(this.#routes[i]!, request, target, hello)) return i;
    return -1;
  }

  /** By turns from the lists that were found, in the order of routes. */
  #merge({ at, ends, count, records }: PatternLookup, request: RequestFacts | null, target: string, hello: HelloFacts | null): number {
    let rest = 0;
    for (;;) {
      let least = rest < this.#rest.length ? this.#rest[rest]! : this.#routes.length;
      for (let i = 0; i < count; i++) if (at[i]! < ends[i]! && records[at[i]!]! < least) least = records[at[i]!]!;
      if (least === this.#routes.length) return -1;
      if (matchesRoute(this.#routes[least]!, request, target, hello)) return least;
      if (this.#rest[rest] === least) rest++;
      for (let i = 0; i < count; i++) if (at[i]! < ends[i]! && records[at[i]!] === least) at[i]!++;
    }
  }

  #indexed(): PatternLookup {
    const index = new PatternIndex();
    for (const [number, { route }] of this.#routes.entries()) {
      const { http, tls } = route;
      const demand =
        tls === null ? null : takeApart({ tls: { ...tls, ja4: null }, identities: null, cases: null, database: null, denies: false });
      const asks = (tls === null ? 0 : ASKS_TLS) | (http === null ? 0 : ASKS_REQUEST);
      index.add(number, handlesOf(http, demand, index), { asks, action: 0, protocols: ALL_PROTOCOLS });
    }
    const attached = index.settle();
    for (let number = 0; number < this.#routes.length; number++) if (!attached.has(number)) this.#rest.push(number);
    return new PatternLookup(index.encode());
  }
}
