/** Findings about routes: those that no flow takes, shares of nothing, and redirects that come back. */
import type { Application, Document, Problem } from '../config/document.ts';
import type { HeaderMatch } from '../config/match.ts';
import type { Redirect, Route } from '../config/route.ts';
import { pointer } from './lint-sources.ts';
import { placeText } from './place.ts';
import { foldHostPattern, foldPathPattern, type HostPattern, matchesHost } from './request.ts';

/** What a route asks for is looked at piece by piece where it comes to no more pieces than this, and otherwise as a whole. */
const PIECES_MAX = 256;

export function routeProblems(document: Document): Problem[] {
  return document.applications.flatMap((application) => [...unreached(application), ...zeroShares(application), ...circles(application)]);
}

/** Pools that routes name. */
export function routedPools({ routes }: Application): string[] {
  return routes.flatMap(({ pools, mirror }) => [...pools.map(({ pool }) => pool), ...(mirror === null ? [] : [mirror.pool])]);
}

function problem(application: Application, index: number, code: string, message: string): Problem {
  const path = `/applications/${pointer(application.name)}/routes/${index}`;
  return { code, severity: 'warning', path, place: application.routes[index]!.place, message };
}

function unreached(application: Application): Problem[] {
  const { routes } = application;
  const asked = routes.map(askedBy);
  return routes.flatMap((route, index) => {
    const takenBy = new Set<Route>();
    for (const piece of piecesOf(asked[index]!)) {
      const taker = asked.findIndex((earlier, i) => i < index && covers(earlier, piece));
      if (taker < 0) return [];
      takenBy.add(routes[taker]!);
    }
    const names = [...takenBy].slice(0, 3).map((other) => `"${other.name}" (${placeText(other.place)})`);
    if (takenBy.size > names.length) names.push(`${takenBy.size - names.length} more`);
    const message = `Route "${route.name}" is never taken: every flow that it matches goes by ${names.join(', ')} before. Move it before them, or remove it.`;
    return [problem(application, index, 'route-shadowed', message)];
  });
}

function zeroShares(application: Application): Problem[] {
  return application.routes.flatMap(({ name, pools, mirror }, index) => {
    const found: Problem[] = [];
    for (const { pool, weight } of pools) {
      if (weight > 0) continue;
      const message = `Pool "${pool}" has a share of 0 in route "${name}" and gets no flows. Give it a share, or remove it from split:.`;
      found.push(problem(application, index, 'route-share-zero', message));
    }
    if (mirror !== null && mirror.share === 0) {
      const message = `Route "${name}" copies no request to pool "${mirror.pool}": its share is 0. Give it a share, or remove mirror:.`;
      found.push(problem(application, index, 'route-share-zero', message));
    }
    return found;
  });
}

/** Redirects that send a client to where it comes from: it would follow them until it gives up. */
function circles(application: Application): Problem[] {
  return application.routes.flatMap((route, index) => {
    if (route.redirect === null || !comesBack(application, route, route.redirect)) return [];
    const https = route.redirect.scheme === 'https' && route.redirect.host === null && route.redirect.path === null;
    const advice = https
      ? 'This application ends TLS itself, so that every request comes by https already: put the route into the application whose VIPs are in clear.'
      : 'Say with http: which requests are meant (hosts: or paths:), without those that the redirect leads to.';
    return [
      problem(
        application,
        index,
        'redirect-circle',
        `Route "${route.name}" sends clients to what it redirects again, in a circle. ${advice}`,
      ),
    ];
  });
}

function comesBack({ tls }: Application, { http, tls: hello }: Route, redirect: Redirect): boolean {
  const own = tls?.kind === 'terminate' ? 'https' : 'http';
  // Another port is another VIP, as far as can be told; fields and names may be other ones the next time.
  if ((redirect.scheme ?? own) !== own || redirect.port !== null || hello !== null) return false;
  if (http === null) return true;
  if (http.headers !== null) return false;
  // Clients go on with GET after these (RFC 9110 §15.4).
  if (http.methods !== null && !http.methods.includes('GET') && redirect.status <= 303) return false;
  const { host, path } = redirect;
  if (host !== null && http.hosts !== null && !http.hosts.some((pattern) => matchesHost(foldHostPattern(pattern), host.toLowerCase())))
    return false;
  if (path === null || http.paths === null) return true;
  const target = path.endsWith('*') ? path : foldPathPattern(path).exact!;
  return http.paths.some((pattern) => pathWithin(pattern, target));
}

/** Conditions as lists of patterns; null: whatever. Fields and parameters are all asked for, of the other lists any one does. */
interface Asked {
  readonly methods: readonly string[] | null;
  readonly hosts: readonly string[] | null;
  readonly paths: readonly string[] | null;
  readonly sni: readonly string[] | null;
  readonly alpn: readonly string[] | null;
  readonly fields: readonly HeaderMatch[];
  readonly parameters: readonly HeaderMatch[];
  readonly asksHello: boolean;
  readonly asksRequest: boolean;
}

function askedBy({ http, tls }: Route): Asked {
  return {
    methods: http?.methods ?? null,
    hosts: http?.hosts ?? null,
    paths: http?.paths ?? null,
    sni: tls?.sni ?? null,
    alpn: tls?.alpn ?? null,
    fields: http?.headers ?? [],
    parameters: http?.query ?? [],
    asksHello: tls !== null,
    asksRequest: http !== null,
  };
}

/** One pattern of each list at a time: together they are what the route asks for. */
function piecesOf(asked: Asked): Asked[] {
  const lists = ['methods', 'hosts', 'paths', 'sni', 'alpn'] as const;
  const count = lists.reduce((product, list) => product * (asked[list]?.length ?? 1), 1);
  if (count > PIECES_MAX) return [asked];
  let pieces = [asked];
  for (const list of lists)
    pieces = pieces.flatMap((piece) => piece[list]?.map((pattern): Asked => ({ ...piece, [list]: [pattern] })) ?? [piece]);
  return pieces;
}

/** Whether whatever meets `later` meets `earlier`. */
function covers(earlier: Asked, later: Asked): boolean {
  if ((earlier.asksHello && !later.asksHello) || (earlier.asksRequest && !later.asksRequest)) return false;
  return (
    each(earlier.methods, later.methods, (one, other) => one === other) &&
    each(earlier.hosts, later.hosts, hostWithin) &&
    each(earlier.paths, later.paths, pathWithin) &&
    each(earlier.sni, later.sni, hostWithin) &&
    each(earlier.alpn, later.alpn, (one, other) => one === other) &&
    earlier.fields.every((field) => later.fields.some((other) => valuesWithin(field, other))) &&
    earlier.parameters.every((field) => later.parameters.some((other) => valuesWithin(field, other)))
  );
}

function each(
  wide: readonly string[] | null,
  narrow: readonly string[] | null,
  isWithin: (wide: string, narrow: string) => boolean,
): boolean {
  return wide === null || narrow?.every((one) => wide.some((other) => isWithin(other, one))) === true;
}

function hostWithin(wide: string, narrow: string): boolean {
  const outer: HostPattern = foldHostPattern(wide);
  const inner: HostPattern = foldHostPattern(narrow);
  if (inner.exact !== null) return matchesHost(outer, inner.exact);
  return outer.suffix !== null && inner.suffix!.endsWith(outer.suffix);
}

function pathWithin(wide: string, narrow: string): boolean {
  const outer = foldPathPattern(wide);
  const inner = foldPathPattern(narrow);
  const begins = (text: string) => outer.prefix !== null && text.startsWith(outer.prefix);
  return (inner.exact === null || inner.exact === outer.exact || begins(inner.exact)) && (inner.prefix === null || begins(inner.prefix));
}

function valuesWithin(wide: HeaderMatch, narrow: HeaderMatch): boolean {
  const within = (one: string, other: string) => (one.endsWith('*') ? other.startsWith(one.slice(0, -1)) : one === other);
  return wide.name === narrow.name && narrow.values.every((value) => wide.values.some((other) => within(other, value)));
}
