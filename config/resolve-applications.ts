/** Applications: VIPs of their own inside the inbound lane, a pool that exists. */
import { isWildcard } from './address.ts';
import type { Application, Endpoint, Networks, Place, Vip } from './document.ts';
import type { EndpointRange } from './endpoint.ts';
import { expandEndpoints } from './endpoint.ts';
import { warnOfHostBit } from './host-bits.ts';
import { TOKEN_ALGORITHMS, type TokenIssuer } from './jwt.ts';
import { isInside, outsideLane } from './lanes.ts';
import { VIPS_PER_APPLICATION_MAX } from './limits.ts';
import type { Names } from './names.ts';
import { formatPlace, shown } from './problem.ts';
import { resolveRoutes } from './resolve-routes.ts';
import { resolveRules } from './resolve-rules.ts';
import { resolveApplicationTls } from './resolve-tls.ts';
import type { FileShape } from './schema.ts';
import type { Path, Report } from './tree.ts';

type ApplicationShape = FileShape['applications'][string];

/** Who listens where. */
interface Claim {
  readonly owner: string;
  readonly endpoint: Endpoint;
  readonly place: Place;
}

export function resolveApplications(
  file: FileShape,
  names: Names,
  lanes: Networks | null,
  admin: Endpoint | null,
  report: Report,
): Application[] {
  const claims = new Claims(report);
  if (admin !== null) claims.take('the admin endpoint', admin, ['process', 'admin', 'listen']);
  return Object.entries(file.applications).map(([name, shape]): Application => {
    const path = ['applications', name];
    if (!report.isLost([...path, 'pool'])) names.hasPool(shape.pool, [...path, 'pool']);
    const vips = resolveVips(name, shape, [...path, 'vips'], lanes, claims, report);
    const vipPorts = [...new Set(vips.flatMap(({ endpoint }) => (endpoint.kind === 'tcp' ? [endpoint.port] : [])))].sort((a, b) => a - b);
    const tls = resolveApplicationTls(shape.tls, report.isLost([...path, 'mode']) ? null : shape.mode, path, report);
    return {
      name,
      vips,
      mode: shape.mode,
      pool: shape.pool,
      routes: resolveRoutes(shape.routes, [...path, 'routes'], {
        mode: report.isLost([...path, 'mode']) ? null : shape.mode,
        seesTls: 'tls' in shape,
        pool: shape.pool,
        names,
        report,
      }),
      trusted: resolveForwarded(shape, path, report),
      tokens: resolveTokens(shape, path, report),
      enforcement: shape.enforcement,
      rules: resolveRules(shape.rules, [...path, 'rules'], {
        mode: report.isLost([...path, 'mode']) ? null : shape.mode,
        vipPorts,
        names,
        report,
      }),
      timeouts: resolveTimeouts(shape),
      limits: resolveLimits(shape),
      ...resolveProxyProtocol(shape, vips, path, report),
      ...(tls === null ? {} : { tls }),
      place: report.place(path, 'key'),
    };
  });
}

function resolveVips(owner: string, shape: ApplicationShape, list: Path, lanes: Networks | null, claims: Claims, report: Report): Vip[] {
  const vips: Vip[] = [];
  if (report.isLost(list)) return vips;
  for (const [index, range] of shape.vips.entries()) {
    const path = [...list, index];
    if (vips.length + portsOf(range) > VIPS_PER_APPLICATION_MAX) {
      report.error(
        'too-many',
        path,
        `With this entry the application would have more than ${VIPS_PER_APPLICATION_MAX} VIPs. Narrow the range of ports, or use several applications.`,
      );
      continue;
    }
    const endpoints = expandEndpoints(range);
    if (lanes !== null && !isInside(lanes.inbound, range)) {
      const wildcard = range.kind === 'tcp' && isWildcard(range.address);
      report.error('outside-lane', path, outsideLane(lanes, 'inbound', 'VIP', endpoints[0]!.text, wildcard));
    }
    // One complaint an entry: a range that overlaps another does so in many ports.
    let complained = false;
    for (const endpoint of endpoints) {
      complained = claims.take(`the application ${shown(owner)}`, endpoint, path, complained) || complained;
      vips.push({ endpoint, place: report.place(path) });
    }
  }
  return vips;
}

function portsOf(range: EndpointRange): number {
  return range.kind === 'tcp' ? range.last - range.first + 1 : 1;
}

/** Every listening address once; a wildcard takes the port from every address of its family. */
class Claims {
  readonly #exact = new Map<string, Claim>();
  /** The first claim of a port in a family, and the first wildcard among them. */
  readonly #ports = new Map<string, { any: Claim; wildcard: Claim | null }>();
  readonly #report: Report;

  constructor(report: Report) {
    this.#report = report;
  }

  /** Returns whether there was something to complain about; with `silent` it does not complain. */
  take(owner: string, endpoint: Endpoint, path: Path, silent = false): boolean {
    // The kernel chooses: no conflict can be known.
    if (endpoint.kind === 'tcp' && endpoint.port === 0) return false;
    const claim: Claim = { owner, endpoint, place: this.#report.place(path) };
    const same = this.#exact.get(endpoint.text);
    if (same !== undefined) {
      if (!silent) this.#report.error('vip-conflict', path, conflict(claim, same));
      return true;
    }
    this.#exact.set(endpoint.text, claim);
    if (endpoint.kind === 'unix') return false;
    const key = `${endpoint.address.family} ${endpoint.port}`;
    const earlier = this.#ports.get(key);
    const wild = isWildcard(endpoint.address);
    if (earlier === undefined) {
      this.#ports.set(key, { any: claim, wildcard: wild ? claim : null });
      return false;
    }
    const rival = wild ? earlier.any : earlier.wildcard;
    if (wild) earlier.wildcard = claim;
    if (rival === null) return false;
    if (!silent) {
      const message = `${endpoint.text} overlaps with ${rival.endpoint.text} of ${rival.owner} (at ${formatPlace(rival.place)}): a wildcard address takes its port from every address. Write the addresses one by one, or use another port.`;
      this.#report.error('vip-overlap', path, message);
    }
    return true;
  }
}

function conflict(claim: Claim, same: Claim): string {
  const where = formatPlace(same.place);
  if (claim.owner === same.owner)
    return `${sentence(claim.owner)} has ${claim.endpoint.text} twice, the first time at ${where}. Remove one.`;
  return `${sentence(claim.owner)} and ${same.owner} (at ${where}) both listen on ${claim.endpoint.text}. Give one of them another address or port.`;
}

function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}`;
}

function resolveTimeouts({ timeouts }: ApplicationShape): Application['timeouts'] {
  return {
    connect: timeouts.connect,
    idle: timeouts.idle,
    total: timeouts.total === 'off' ? null : timeouts.total,
    halfClosed: timeouts['half-closed'],
    handshake: timeouts.handshake,
    detect: timeouts.detect,
    requestHead: timeouts['request-head'],
    requestBody: timeouts['request-body'],
    response: timeouts.response,
    keepAlive: timeouts['keep-alive'],
  };
}

function resolveLimits({ limits }: ApplicationShape): Application['limits'] {
  return {
    connections: limits.connections ?? null,
    connectionsPerSource: limits['connections-per-source'] ?? null,
    headBytes: limits['head-size'],
    headFields: limits['head-fields'],
    targetBytes: limits['target-size'],
    streams: limits.streams,
  };
}

function resolveProxyProtocol(
  { 'proxy-protocol': shape }: ApplicationShape,
  vips: readonly Vip[],
  application: Path,
  report: Report,
): Pick<Application, 'proxyProtocol'> {
  if (shape === undefined) return {};
  const path = [...application, 'proxy-protocol', 'from'];
  const prefixes = shape.from.flatMap((source, index) => {
    if (source === 'unix') {
      if (!report.isLost(path) && vips.length > 0 && vips.every(({ endpoint }) => endpoint.kind === 'tcp'))
        report.error('mode-mismatch', [...path, index], 'No VIP of the application is a unix socket. Remove this entry.');
      return [];
    }
    warnOfHostBit(source, [...path, index], report);
    return [source];
  });
  return {
    proxyProtocol: {
      from: prefixes,
      unix: shape.from.includes('unix'),
      required: shape.require,
      trustIdentity: shape['trust-identity'],
      timeoutMs: shape.timeout,
      headerBytes: shape['header-size'],
    },
  };
}

function resolveForwarded({ forwarded, mode }: ApplicationShape, path: Path, report: Report): Application['trusted'] {
  if (forwarded !== undefined && mode === 'tcp' && !report.isLost([...path, 'mode'])) {
    const message =
      'An application with mode: tcp never sees the fields of a request. Remove forwarded:, write mode: http, or use proxy-protocol: where the proxies in front can send its header.';
    report.error('mode-mismatch', [...path, 'forwarded'], message, { side: 'key' });
  }
  return forwarded?.trust ?? [];
}

function resolveTokens({ jwt, mode }: ApplicationShape, path: Path, report: Report): Application['tokens'] {
  if (jwt.length > 0 && mode === 'tcp' && !report.isLost([...path, 'mode'])) {
    const message = 'An application with mode: tcp never sees a request, and so no token. Remove jwt:, or write mode: http.';
    report.error('mode-mismatch', [...path, 'jwt'], message, { side: 'key' });
  }
  return jwt.map(
    (shape): TokenIssuer => ({
      issuer: shape.issuer,
      audiences: shape.audiences,
      keys: shape.keys,
      carrier: shape.from ?? { kind: 'header', name: 'authorization' },
      algorithms: shape.algorithms ?? TOKEN_ALGORITHMS,
      clockSkewMs: shape['clock-skew'],
      claims: shape.claims,
    }),
  );
}
