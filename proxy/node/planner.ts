/**
 * Turns a document into what the workers carry out, and hands out the rows and columns of shared memory that servers and
 * applications keep through changes.
 */
import { formatAddress } from '../../config/address.ts';
import type { Document, Endpoint, Pool } from '../../config/document.ts';
import type { Image } from '../../policy/image.ts';
import { maglevTable } from '../balance/maglev.ts';
import { SERVERS_MAX, type ServerTable } from '../shared/servers.ts';
import type { ClientMaterial } from '../tls/material.ts';
import type { TlsFiles } from '../tls/tls-files.ts';
import type { Target } from '../wire/dial.ts';
import { APPLICATIONS_MAX, type Plan, type PlannedPool, type PlannedServer } from './plan.ts';

export class PlanError extends Error {
  readonly code = 'too-many';
}

export class Planner {
  private readonly servers: ServerTable;
  private readonly tls: TlsFiles;
  private readonly rows = new Map<string, number>();
  private readonly taken = new Uint8Array(SERVERS_MAX);
  private readonly columns = new Map<string, number>();

  constructor(servers: ServerTable, tls: TlsFiles) {
    this.servers = servers;
    this.tls = tls;
  }

  /** The plan of a document but for its limits, and for the ledger, which each worker gets its own of. Throws PlanError where shared memory has no room. */
  plan(document: Document, image: Image, generation: number): Omit<Plan, 'ledger' | 'limits'> {
    const pools = document.pools.map((pool) => this.pool(pool));
    const poolIndex = new Map(document.pools.map((pool, i) => [pool.name, i]));
    const alike = sharing();
    return {
      generation,
      image: image.buffer,
      connectionsMax: document.process.connections,
      pools,
      applications: document.applications.map((application) => ({
        name: application.name,
        mode: application.mode,
        observes: application.enforcement === 'observe',
        pool: poolIndex.get(application.pool)!,
        routes: application.routes,
        tokens: application.tokens,
        trusted: application.trusted,
        timeouts: alike(application.timeouts),
        limits: alike(application.limits),
        proxyProtocol: application.proxyProtocol ?? null,
        tls: this.tls.application(application),
        column: this.column(application.name),
      })),
      vips: vipsInImageOrder(document, image),
    };
  }

  /** Forgets servers that are in no pool of `document` and carry nothing any more; their rows are free again. */
  settle(document: Document): void {
    const wanted = new Set(document.pools.flatMap((pool) => pool.servers.map((server) => rowKey(pool.name, server.endpoint.text))));
    for (const [key, row] of this.rows) {
      if (wanted.has(key) || this.servers.flows.total(row) > 0) continue;
      this.rows.delete(key);
      this.taken[row] = 0;
      this.servers.clear(row);
    }
  }

  /** The row of a server, or undefined where it has none. */
  rowOf(pool: string, server: string): number | undefined {
    return this.rows.get(rowKey(pool, server));
  }

  private pool(pool: Pool): PlannedPool {
    const tls = this.tls.pool(pool);
    const servers = pool.servers.map(
      (server): PlannedServer => ({
        row: this.row(pool.name, server.endpoint.text),
        text: server.endpoint.text,
        target: targetOf(server.endpoint, tls),
        weight: server.drain ? 0 : server.weight,
      }),
    );
    const hashes = pool.balance === 'maglev' || pool.balance === 'source-hash';
    const table = hashes
      ? maglevTable(
          servers.map((server) => server.text),
          servers.map((server) => server.weight),
        )
      : null;
    return {
      name: pool.name,
      balance: pool.balance,
      servers,
      ejection: pool.ejection,
      retries: pool.retries,
      idleConnections: pool.idleConnections,
      idleTimeoutMs: pool.idleTimeoutMs,
      protocol: pool.protocol,
      proxyProtocol: pool.proxyProtocol ?? null,
      maglev: table === null ? null : (table.buffer as SharedArrayBuffer),
    };
  }

  private row(pool: string, server: string): number {
    const key = rowKey(pool, server);
    const known = this.rows.get(key);
    if (known !== undefined) return known;
    const row = this.taken.indexOf(0);
    if (row < 0)
      throw new PlanError(
        `there are more than ${SERVERS_MAX} servers in all pools together; this node has no room for ${server} of pool ${pool}`,
      );
    this.rows.set(key, row);
    this.taken[row] = 1;
    this.servers.clear(row);
    return row;
  }

  /** Column 0 is the whole process. A column is not given to another name: connections of the old one may still be closing. */
  private column(application: string): number {
    const known = this.columns.get(application);
    if (known !== undefined) return known;
    if (this.columns.size >= APPLICATIONS_MAX)
      throw new PlanError(
        `this node has seen more than ${APPLICATIONS_MAX} application names since it started; restart it to apply ${application}`,
      );
    this.columns.set(application, this.columns.size + 1);
    return this.columns.size;
  }
}

function rowKey(pool: string, server: string): string {
  return `${pool} ${server}`;
}

/** One object for all that are equal: a message carries it once, and a worker takes over a plan of a thousand applications sooner. */
function sharing(): <T extends object>(value: T) => T {
  const known = new Map<string, object>();
  return <T extends object>(value: T): T => {
    const key = JSON.stringify(value);
    const same = known.get(key);
    if (same === undefined) known.set(key, value);
    return (same ?? value) as T;
  };
}

function vipsInImageOrder(document: Document, image: Image): Plan['vips'] {
  const endpoints = new Map(
    document.applications.flatMap((application) => application.vips.map((vip): [string, Endpoint] => [vip.endpoint.text, vip.endpoint])),
  );
  return Array.from({ length: image.vipCount }, (_, vip) => ({
    endpoint: endpoints.get(image.vipEndpoint(vip))!,
    application: image.vipApplication(vip),
  }));
}

function targetOf(endpoint: Endpoint, material: ClientMaterial | null): Target {
  const tls = material === null ? {} : { tls: material };
  if (endpoint.kind === 'unix') return { kind: 'unix', host: endpoint.path, port: 0, ...tls };
  return { kind: endpoint.address.family === 4 ? 'tcp4' : 'tcp6', host: formatAddress(endpoint.address), port: endpoint.port, ...tls };
}
