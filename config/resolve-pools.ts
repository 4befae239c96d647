/** Pools: each server once, and inside the outbound lane. */
import { isWildcard } from './address.ts';
import { HEALTH_EXPECT_DEFAULT, HEALTH_PATH_DEFAULT } from './defaults.ts';
import type { Endpoint, HealthCheck, NamedEndpoint, NamedServer, Networks, Pool, Server } from './document.ts';
import { isInside, outsideLane } from './lanes.ts';
import { SERVER_NAMES_MAX } from './limits.ts';
import { formatPlace, shown } from './problem.ts';
import { formatDuration } from './quantity.ts';
import { resolveServerTls } from './resolve-tls.ts';
import type { FileShape } from './schema.ts';
import type { Path, Report } from './tree.ts';
import { valueAt } from './tree.ts';

type PoolShape = FileShape['pools'][string];

/** Without lanes (they are wrong themselves) no server is held against one. */
export function resolvePools(file: FileShape, lanes: Networks | null, report: Report): Pool[] {
  let room = SERVER_NAMES_MAX;
  return Object.entries(file.pools).map(([name, shape]): Pool => {
    const path = ['pools', name];
    const { servers, names } = resolveServers(shape, path, lanes, report);
    if (room >= 0 && (room -= names.length) < 0)
      report.error(
        'too-many',
        [...path, 'servers'],
        `There are more than ${SERVER_NAMES_MAX} servers by name in all pools together. Write the addresses of some, or let one name stand for several.`,
      );
    const tls = resolveServerTls(shape.tls, servers, path, report);
    return {
      name,
      balance: shape.balance,
      servers,
      ...(names.length === 0 ? {} : { names }),
      health: resolveHealth(shape, path, report),
      ejection: shape.ejection === 'off' ? null : { failures: shape.ejection.failures, forMs: shape.ejection.for },
      retries: shape.retries,
      idleConnections: shape.idle.connections,
      idleTimeoutMs: shape.idle.timeout,
      protocol: shape.protocol,
      ...resolveProxyProtocol(shape),
      ...(tls === null ? {} : { tls: shape.protocol === 'h2' && shape.tls?.alpn === undefined ? { ...tls, alpn: ['h2'] } : tls }),
      place: report.place(path, 'key'),
    };
  });
}

type Written = Omit<Server, 'endpoint'> & { readonly endpoint: Endpoint | NamedEndpoint };

function resolveServers(
  shape: PoolShape,
  pool: Path,
  lanes: Networks | null,
  report: Report,
): { readonly servers: Server[]; readonly names: NamedServer[] } {
  const seen = new Map<string, Written>();
  for (const [index, entry] of shape.servers.entries()) {
    const mapping = 'address' in entry && 'weight' in entry ? entry : null;
    const endpoint = mapping === null ? (entry as Written['endpoint']) : mapping.address;
    const path = [...pool, 'servers', index, ...(mapping === null ? [] : ['address'])];
    const earlier = seen.get(endpoint.text);
    if (earlier !== undefined) {
      report.error(
        'duplicate-server',
        path,
        `The server ${shown(endpoint.text)} is already in this pool at ${formatPlace(earlier.place)}. Remove one; to give it a larger share, write weight:.`,
      );
      continue;
    }
    if (endpoint.kind === 'tcp' && isWildcard(endpoint.address)) {
      report.error(
        'bad-address',
        path,
        `${shown(endpoint.text)} stands for every address and cannot be dialled. Write the address of the server.`,
      );
    } else if (endpoint.kind !== 'name' && lanes !== null && !isInside(lanes.outbound, endpoint)) {
      report.error('outside-lane', path, outsideLane(lanes, 'outbound', 'server', endpoint.text, false));
    }
    seen.set(endpoint.text, { endpoint, weight: mapping?.weight ?? 1, drain: mapping?.drain ?? false, place: report.place(path) });
  }
  const all = [...seen.values()];
  return { servers: all.filter(isServer), names: all.filter(isNamed) };
}

function isServer(written: Written): written is Server {
  return written.endpoint.kind !== 'name';
}

function isNamed(written: Written): written is NamedServer {
  return written.endpoint.kind === 'name';
}

function resolveHealth(shape: PoolShape, pool: Path, report: Report): HealthCheck | null {
  const { health } = shape;
  if (health === undefined) return null;
  if (health.type === 'tcp') {
    for (const key of ['path', 'host', 'expect'] as const) {
      if (health[key] === undefined) continue;
      report.error(
        'mode-mismatch',
        [...pool, 'health', key],
        `A check of type tcp asks nothing, so ${key}: has no meaning in it. Remove it, or write type: http.`,
        { side: 'key' },
      );
    }
  }
  // A default that is larger was nobody's decision.
  const written = valueAt(report.tree, [...pool, 'health', 'timeout']) !== undefined;
  if (written && health.timeout > health.interval) {
    const downMs = health.fall * (health.timeout + health.interval);
    report.warning(
      'slow-checks',
      [...pool, 'health', 'timeout'],
      `A check may take longer than the interval between two of them, so that a server that hangs is found down only after up to ${formatDuration(downMs)}. Make timeout: shorter than interval:.`,
    );
  }
  return {
    type: health.type,
    path: health.path ?? HEALTH_PATH_DEFAULT,
    host: health.host ?? null,
    expect: health.expect ?? HEALTH_EXPECT_DEFAULT,
    intervalMs: health.interval,
    timeoutMs: health.timeout,
    rise: health.rise,
    fall: health.fall,
  };
}

function resolveProxyProtocol({ 'proxy-protocol': shape }: PoolShape): Pick<Pool, 'proxyProtocol'> {
  if (shape === undefined) return {};
  if (typeof shape === 'string') return { proxyProtocol: { version: shape === 'v1' ? 1 : 2, tlvs: [] } };
  return { proxyProtocol: shape };
}
