/** Routes: pools that exist, and nothing that the application's mode can never know or do. */
import type { Mode } from './document.ts';
import type { Names } from './names.ts';
import type { Place } from './place.ts';
import { formatPlace, shown } from './problem.ts';
import type { FieldEdits, Route, RouteMatch } from './route.ts';
import type { FileShape } from './schema.ts';
import type { Path, Report } from './tree.ts';

type RouteShape = FileShape['applications'][string]['routes'][number];

/** What routes are resolved against. `mode` is null where it could not be read; `seesTls`: hellos of TLS clients are read. */
export interface RouteContext {
  readonly mode: Mode | null;
  readonly seesTls: boolean;
  readonly pool: string;
  readonly names: Names;
  readonly report: Report;
}

export function resolveRoutes(shapes: readonly RouteShape[], list: Path, context: RouteContext): Route[] {
  const { report } = context;
  const seen = new Map<string, number>();
  return shapes.map((shape, index) => {
    const path = [...list, index];
    const earlier = seen.get(shape.name);
    if (earlier !== undefined && !report.isLost([...path, 'name'])) {
      const where = formatPlace(report.place([...list, earlier]));
      const message = `The route at ${where} is named ${shown(shape.name)} too. Give each route of a list a name of its own.`;
      report.error('duplicate-name', [...path, 'name'], message);
    } else seen.set(shape.name, index);
    checkPools(shape, path, context);
    checkMode(shape, path, context);
    checkTogether(shape, path, report);
    checkStar(shape, path, report);
    return resolveRoute(shape, context.pool, report.place(path));
  });
}

function resolveRoute(shape: RouteShape, pool: string, place: Place): Route {
  const { redirect, rewrite, mirror, tls } = shape;
  return {
    name: shape.name,
    http: shape.http === undefined ? null : routeMatch(shape.http),
    tls: tls === undefined ? null : { sni: tls.sni ?? null, alpn: tls.alpn ?? null },
    pools: shape.split ?? [{ pool: shape.pool ?? pool, weight: 1 }],
    redirect:
      redirect === undefined
        ? null
        : {
            scheme: redirect.scheme ?? null,
            host: ('host' in redirect ? redirect.host : undefined) ?? null,
            port: ('port' in redirect ? redirect.port : undefined) ?? null,
            path: ('path' in redirect ? redirect.path : undefined) ?? null,
            status: redirect.status,
          },
    rewrite: rewrite === undefined ? null : { path: rewrite.path ?? null, host: rewrite.host ?? null },
    requestFields: fieldEdits(shape['request-headers']),
    responseFields: fieldEdits(shape['response-headers']),
    mirror: mirror === undefined ? null : { pool: mirror.pool, share: mirror.share ?? 1 },
    place,
  };
}

function routeMatch(shape: NonNullable<RouteShape['http']>): RouteMatch {
  return {
    methods: shape.methods ?? null,
    hosts: shape.hosts ?? null,
    paths: shape.paths ?? null,
    headers: shape.headers ?? null,
    query: shape.query ?? null,
  };
}

function fieldEdits(shape: RouteShape['request-headers']): FieldEdits | null {
  if (shape === undefined) return null;
  return { set: shape.set ?? [], add: shape.add ?? [], remove: (shape.remove ?? []).map((name) => name.toLowerCase()) };
}

function checkPools(shape: RouteShape, path: Path, { names }: RouteContext): void {
  if (shape.pool !== undefined) names.hasPool(shape.pool, [...path, 'pool']);
  for (const { pool } of shape.split ?? []) names.hasPool(pool, [...path, 'split', pool]);
  if (shape.mirror !== undefined) names.hasPool(shape.mirror.pool, [...path, 'mirror', 'pool']);
}

const REQUEST_KEYS = ['http', 'redirect', 'rewrite', 'request-headers', 'response-headers', 'mirror'] as const;

function checkMode(shape: RouteShape, path: Path, { mode, seesTls, report }: RouteContext): void {
  if (mode === 'tcp') {
    for (const key of REQUEST_KEYS) {
      if (shape[key] === undefined) continue;
      const message = `An application with mode: tcp carries bytes and never sees a request, so that ${key}: has no meaning here. Remove it, or write mode: http.`;
      report.error('mode-mismatch', [...path, key], message, { side: 'key' });
    }
  }
  if (shape.tls !== undefined && !seesTls) {
    const message =
      'This application reads no TLS hello, so that this would never match. Write tls: in the application (tls: passthrough to route without decrypting), or remove it here.';
    report.error('mode-mismatch', [...path, 'tls'], message, { side: 'key' });
  }
}

function checkTogether(shape: RouteShape, path: Path, report: Report): void {
  if (shape.pool !== undefined && shape.split !== undefined) {
    report.error('mode-mismatch', [...path, 'split'], 'pool: and split: both say where flows go. Keep one of them.', { side: 'key' });
  }
  if (shape.redirect === undefined) return;
  for (const key of ['pool', 'split', 'rewrite', 'request-headers', 'mirror'] as const) {
    if (shape[key] === undefined) continue;
    const message = `A request that is redirected goes to no server, so that ${key}: has no meaning beside redirect:. Keep one of them.`;
    report.error('mode-mismatch', [...path, key], message, { side: 'key' });
  }
}

/** What "*" at the end of a new path stands for must be known from every pattern of the route. */
function checkStar(shape: RouteShape, path: Path, report: Report): void {
  for (const [key, text] of [
    ['rewrite', shape.rewrite?.path],
    ['redirect', shape.redirect !== undefined && 'path' in shape.redirect ? shape.redirect.path : undefined],
  ] as const) {
    if (text === undefined || !text.endsWith('*')) continue;
    const paths = shape.http?.paths ?? [];
    if (paths.length > 0 && paths.every((pattern) => pattern.endsWith('*'))) continue;
    const message =
      '"*" at the end of the new path is what "*" stood for in http: paths:, so that every path there has to end in "*". Write http: { paths: [/api/*] }, or a path without "*".';
    report.error('wrong-value', [...path, key, 'path'], message);
  }
}
