/**
 * Turns a document into what the workers carry out, and hands out the rows and columns of shared memory that servers and
 * applications keep through changes.
 */
import { formatAddress } from '../../config/address.ts';
import type { Document, Endpoint, Pool } from '../../config/document.ts';
import type { Image } from '../../policy/image.ts';
import { maglevTable } from '../balance/maglev.ts';
import { SERVERS_MAX, type ServerTable } from '../shared/servers.ts';
import type { Target } from '../wire/dial.ts';
import { APPLICATIONS_MAX, type Plan, type PlannedPool, type PlannedServer } from './plan.ts';

export class PlanError extends Error {
  readonly code = 'too-many';
}

export class Planner {
  private readonly servers: ServerTable;
  private readonly rows = new Map<string, number>();
  private readonly taken = new Uint8Array(SERVERS_MAX);
  private readonly columns = new Map<string, number>();

  constructor(servers: ServerTable) {
    this.servers = servers;
  }

  /** The plan of a document but for the ledger, which each worker gets its own of. Throws PlanError where shared memory has no room. */
  plan(document: Document, image: Image, generation: number): Omit<Plan, 'ledger'> {
    const pools = document.pools.map((pool) => this.pool(pool));
    const poolIndex = new Map(document.pools.map((pool, i) => [pool.name, i]));
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
        timeouts: application.timeouts,
        limits: application.limits,
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
    const servers = pool.servers.map(
      (server): PlannedServer => ({
        row: this.row(pool.name, server.endpoint.text),
        text: server.endpoint.text,
        target: targetOf(server.endpoint),
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

function vipsInImageOrder(document: Document, image: Image): Plan['vips'] {
  const endpoints = new Map(
    document.applications.flatMap((application) => application.vips.map((vip): [string, Endpoint] => [vip.endpoint.text, vip.endpoint])),
  );
  return Array.from({ length: image.vipCount }, (_, vip) => ({
    endpoint: endpoints.get(image.vipEndpoint(vip))!,
    application: image.vipApplication(vip),
  }));
}

function targetOf(endpoint: Endpoint): Target {
  if (endpoint.kind === 'unix') return { kind: 'unix', host: endpoint.path, port: 0 };
  return { kind: endpoint.address.family === 4 ? 'tcp4' : 'tcp6', host: formatAddress(endpoint.address), port: endpoint.port };
}
