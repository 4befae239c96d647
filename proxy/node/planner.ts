/**
 * Turns a document into what the workers carry out, and hands out the rows and columns of shared memory that servers and
 * applications keep through changes.
 */
import type { Document, Endpoint, Pool, Server } from '../../config/document.ts';
import type { Image } from '../../policy/image.ts';
import { maglevTable } from '../balance/maglev.ts';
import { DIAL_RESULTS, type DialResult } from '../observe/view.ts';
import { hitNodeLimit } from '../shared/node-limits.ts';
import { SERVERS_MAX, type ServerTable } from '../shared/servers.ts';
import type { TlsFiles } from '../tls/tls-files.ts';
import { APPLICATIONS_MAX, type Plan, type PlannedPool, type PlannedServer } from './plan.ts';
import { targetOf } from './target.ts';

export class PlanError extends Error {
  readonly code = 'too-many';
}

interface Row {
  readonly row: number;
  /** Under which what is counted by name is kept; null for a server by address. */
  name: string | null;
}

const NO_DIALS = Object.fromEntries(DIAL_RESULTS.map((result) => [result, 0])) as Record<DialResult, number>;

export class Planner {
  private readonly servers: ServerTable;
  private readonly tls: TlsFiles;
  private readonly rows = new Map<string, Row>();
  /** Dials to addresses that names have had, by pool and name: what is counted by name never steps back. */
  private readonly gone = new Map<string, Record<DialResult, number>>();
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
      answers: document.process.answers,
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
    for (const [key, { row, name }] of this.rows) {
      if (wanted.has(key) || this.servers.flows.total(row) > 0) continue;
      this.rows.delete(key);
      this.taken[row] = 0;
      if (name !== null) this.remember(name, this.servers.dialsOf(row));
      this.servers.clear(row);
    }
    const names = new Set(document.pools.flatMap((pool) => (pool.names ?? []).map(({ endpoint }) => rowKey(pool.name, endpoint.text))));
    for (const key of this.gone.keys()) if (!names.has(key)) this.gone.delete(key);
  }

  /** The row of a server, or undefined where it has none. */
  rowOf(pool: string, server: string): number | undefined {
    return this.rows.get(rowKey(pool, server))?.row;
  }

  /** Whether a server carries flows. */
  isBusy(pool: string, server: string): boolean {
    const row = this.rowOf(pool, server);
    return row !== undefined && this.servers.flows.total(row) > 0;
  }

  /** Dials to addresses that a name has had and whose rows are gone. */
  goneDials(pool: string, name: string): Readonly<Record<DialResult, number>> {
    return this.gone.get(rowKey(pool, name)) ?? NO_DIALS;
  }

  private remember(name: string, dials: Record<DialResult, number>): void {
    const sums = { ...(this.gone.get(name) ?? NO_DIALS) };
    for (const result of DIAL_RESULTS) sums[result] += dials[result];
    this.gone.set(name, sums);
  }

  private pool(pool: Pool): PlannedPool {
    const tls = this.tls.pool(pool);
    const servers = pool.servers.flatMap((server): PlannedServer[] => {
      const { text } = server.endpoint;
      const row = this.row(pool.name, server);
      // What DNS says is no reason to refuse a policy: the address is done without.
      if (row === null && server.named !== undefined) {
        hitNodeLimit('server-places');
        return [];
      }
      if (row === null)
        throw new PlanError(
          `there are more than ${SERVERS_MAX} servers in all pools together; this node has no room for ${text} of pool ${pool.name}`,
        );
      return [{ row, text, target: targetOf(server, tls), weight: server.drain ? 0 : server.weight }];
    });
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

  /** null where none is free. */
  private row(pool: string, { endpoint, named }: Server): number | null {
    const key = rowKey(pool, endpoint.text);
    const name = named === undefined ? null : rowKey(pool, named.text);
    const known = this.rows.get(key);
    if (known !== undefined) {
      known.name = name;
      return known.row;
    }
    const row = this.taken.indexOf(0);
    if (row < 0) return null;
    this.rows.set(key, { row, name });
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
