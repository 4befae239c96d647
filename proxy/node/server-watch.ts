/**
 * Looks at the servers of the policy in force, and says what no check says: servers that are ejected and come back, pools that have no server left
 * and have one again. Workers eject in shared memory without a word, so it is looked at from time to time.
 */
import type { Document } from '../../config/document.ts';
import type { Logger } from '../observe/log.ts';
import { sharedNow } from '../shared/monotonic.ts';
import type { ServerTable } from '../shared/servers.ts';
import type { Planner } from './planner.ts';
import type { Resolved } from './server-names.ts';
import { absence, type FaultOf } from './server-states.ts';

/** An ejection takes ten seconds by default, so hardly one is missed; a look at a thousand servers takes less than a millisecond. */
export const WATCH_MS_DEFAULT = 1_000;
/** The trouble of a server or a pool is said as often; its end is said at once, since whoever was called waits for it. */
const SAID_EVERY_MS = 60_000;

/** What is looked at. */
export interface WatchedServers {
  readonly planner: Pick<Planner, 'rowOf'>;
  readonly table: Pick<ServerTable, 'up' | 'ejectedUntil'>;
  readonly faultOf: FaultOf;
  readonly inForce: () => Resolved | null;
  /** Called after each look. */
  readonly looked?: () => void;
}

/** A pool that flows go to and that has no server for them, or ejected ones alone. */
export interface EmptyPool {
  readonly pool: string;
  readonly why: string;
  /** Every server that could take flows is ejected, so flows are sent to them all the same. */
  readonly isEjected: boolean;
}

/** What was last said of a server or a pool: its trouble, null that there is none. And when trouble was last said. */
interface Said {
  readonly trouble: string | null;
  readonly at: number;
}

const EJECTED = 'a server is ejected: flows to it failed in a row';
const ALL_EJECTED = 'every server of a pool that is up is ejected; flows are sent to them all the same';
const NONE_LEFT = 'a pool has no server left that takes flows';

export class ServerWatch {
  readonly #servers: WatchedServers;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout | null;
  #said = new Map<string, Said>();

  constructor(servers: WatchedServers, log: Logger, watchMs: number | null = WATCH_MS_DEFAULT, now: () => number = sharedNow) {
    this.#servers = servers;
    this.#log = log;
    this.#now = now;
    this.#timer = watchMs === null ? null : setInterval(() => this.look(), watchMs).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** One look at all servers. What is bounded is the log: two lines a server and a pool a minute. */
  look(): void {
    const now = this.#now();
    const resolved = this.#servers.inForce();
    if (resolved === null) return;
    const before = this.#said;
    this.#said = new Map();
    const say = (key: string, trouble: string | null, tell: (trouble: string | null) => void) => {
      const last = before.get(key) ?? { trouble: null, at: Number.NEGATIVE_INFINITY };
      const isDue = trouble !== last.trouble && (trouble === null || now - last.at >= SAID_EVERY_MS);
      if (isDue) tell(trouble);
      const said = isDue ? { trouble, at: trouble === null ? last.at : now } : last;
      if (said.at > Number.NEGATIVE_INFINITY) this.#said.set(key, said);
    };
    for (const pool of resolved.document.pools)
      for (const { endpoint } of pool.servers) {
        const until = this.#ejectedUntil(pool.name, endpoint.text, now);
        const named = { pool: pool.name, server: endpoint.text };
        say(`server ${pool.name} ${endpoint.text}`, until > 0 ? EJECTED : null, (trouble) => {
          if (trouble === null) this.#log.info(named, 'a server is no longer ejected');
          else this.#log.warn({ ...named, until: new Date(Date.now() + until - now).toISOString() }, trouble);
        });
      }
    const empty = new Map(this.emptyPools().map((each) => [each.pool, each]));
    for (const { name: pool } of resolved.document.pools) {
      const found = empty.get(pool);
      say(`pool ${pool}`, found === undefined ? null : found.isEjected ? ALL_EJECTED : NONE_LEFT, (trouble) => {
        if (trouble === null) this.#log.info({ pool }, 'a pool has a server again');
        else this.#log.error({ pool, why: found!.why }, trouble);
      });
    }
    this.#servers.looked?.();
  }

  /** Pools that flows go to and that have no server for them but ejected ones, with why. */
  emptyPools(): EmptyPool[] {
    const resolved = this.#servers.inForce();
    if (resolved === null) return [];
    const used = usedPools(resolved.document);
    return resolved.document.pools.flatMap((pool) => {
      if (!used.has(pool.name)) return [];
      const counts = { down: 0, ejected: 0, drained: 0, 'of weight 0': 0 };
      for (const { endpoint, drain, weight } of pool.servers) {
        const row = this.#servers.planner.rowOf(pool.name, endpoint.text);
        if (row === undefined) continue;
        if (drain) counts.drained++;
        else if (weight === 0) counts['of weight 0']++;
        else if (!this.#servers.table.up(row)) counts.down++;
        else if (this.#ejectedUntil(pool.name, endpoint.text, this.#now()) > 0) counts.ejected++;
        else return [];
      }
      const names = resolved.names.filter(({ pool: of, inUse }) => of === pool.name && inUse === 0);
      const whys = [
        ...Object.entries(counts).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`])),
        ...names.map((name) => `${name.server.endpoint.text}: ${absence(name, this.#servers.faultOf)}`),
      ];
      const why = whys.length === 0 ? 'it has no servers' : whys.join(', ');
      return [{ pool: pool.name, why, isEjected: counts.ejected > 0 }];
    });
  }

  /** 0: it is not ejected. */
  #ejectedUntil(pool: string, server: string, now: number): number {
    const row = this.#servers.planner.rowOf(pool, server);
    const until = row === undefined ? 0 : this.#servers.table.ejectedUntil(row);
    return until > now ? until : 0;
  }
}

/** Copies of requests are nobody's loss, so pools that get nothing else do not count. */
function usedPools({ applications }: Document): Set<string> {
  return new Set(applications.flatMap(({ pool, routes }) => [pool, ...routes.flatMap(({ pools }) => pools.map((one) => one.pool))]));
}
