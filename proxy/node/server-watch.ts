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
/** A server that comes and goes has a line as often, and a pool too: with what holds then. */
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

/** What was last said of a server or a pool, and when. */
interface Said {
  readonly bad: boolean;
  readonly at: number;
}

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

  /** One look at all servers. What is bounded is the log: a line a server and a pool a minute. */
  look(): void {
    const now = this.#now();
    const resolved = this.#servers.inForce();
    if (resolved === null) return;
    const before = this.#said;
    this.#said = new Map();
    const say = (key: string, bad: boolean, tell: () => void) => {
      const last = before.get(key) ?? { bad: false, at: Number.NEGATIVE_INFINITY };
      const isDue = bad !== last.bad && now - last.at >= SAID_EVERY_MS;
      if (isDue) tell();
      const said = isDue ? { bad, at: now } : last;
      if (said.at > Number.NEGATIVE_INFINITY) this.#said.set(key, said);
    };
    for (const pool of resolved.document.pools)
      for (const { endpoint } of pool.servers) {
        const until = this.#ejectedUntil(pool.name, endpoint.text, now);
        const named = { pool: pool.name, server: endpoint.text };
        say(`server ${pool.name} ${endpoint.text}`, until > 0, () => {
          if (until > 0)
            this.#log.warn(
              { ...named, until: new Date(Date.now() + until - now).toISOString() },
              'a server is ejected: flows to it failed in a row',
            );
          else this.#log.info(named, 'a server is no longer ejected');
        });
      }
    const empty = new Map(this.emptyPools());
    for (const { name } of resolved.document.pools) {
      const why = empty.get(name);
      say(`pool ${name}`, why !== undefined, () => {
        if (why !== undefined) this.#log.error({ pool: name, why }, 'a pool has no server left that takes flows');
        else this.#log.info({ pool: name }, 'a pool has a server again');
      });
    }
    this.#servers.looked?.();
  }

  /** Pools that flows go to and that have no server for them, with why. */
  emptyPools(): (readonly [pool: string, why: string])[] {
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
      return [[pool.name, whys.length === 0 ? 'it has no servers' : whys.join(', ')] as const];
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
