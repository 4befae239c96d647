/**
 * Servers by name: what they come to as names change their addresses. An address that leaves its name takes no new flows and keeps those that it
 * has; one outside the outbound lane is never dialled, and said once.
 */
import type { Address } from '../../config/address.ts';
import type { Document, NamedServer, Pool, Server } from '../../config/document.ts';
import { type PoolServers, serversOf } from '../../policy/pool-servers.ts';
import type { Logger } from '../observe/log.ts';
import { hitNodeLimit } from '../shared/node-limits.ts';

/** A document whose pools have every server that is known now, and what else is known of their names. */
export interface Resolved {
  /** `servers` of its pools hold those by name as well, and those that are leaving. */
  readonly document: Document;
  readonly names: readonly ResolvedName[];
}

export interface ResolvedName {
  readonly pool: string;
  readonly server: NamedServer;
  /** Whether it has ever had an answer. */
  readonly isKnown: boolean;
  readonly inUse: number;
  /** Not of the name any more, but not without flows either. */
  readonly leaving: number;
  readonly refused: readonly { readonly text: string; readonly why: string }[];
}

/** Ends the keys of what was said of names without an address. */
const NO_ADDRESS = ' no address';

export class ServerNames {
  private readonly log: Logger;
  /** Whether a server carries flows. */
  private readonly isBusy: (pool: string, server: string) => boolean;
  /** The code of the resolver for a host that has no address. */
  private readonly faultOf: (host: string) => string | null;
  private inForce: Resolved | null = null;
  /** What has been said: refused addresses, and names without an address. */
  private said = new Set<string>();

  constructor(log: Logger, isBusy: (pool: string, server: string) => boolean, faultOf: (host: string) => string | null) {
    this.log = log;
    this.isBusy = isBusy;
    this.faultOf = faultOf;
  }

  /** Changes nothing. */
  resolve(document: Document, known: ReadonlyMap<string, readonly Address[]>): Resolved {
    if (document.pools.every(({ names }) => names === undefined)) return { document, names: [] };
    const before = new Map(this.inForce?.document.pools.map((pool) => [pool.name, pool.servers]));
    const names: ResolvedName[] = [];
    const pools = document.pools.map((pool): Pool => {
      if (pool.names === undefined) return pool;
      const found = serversOf(pool, known, document.networks.outbound);
      const leaving = this.leaving(pool, before.get(pool.name) ?? [], found.servers);
      names.push(...pool.names.map((server) => summary(pool.name, server, found, leaving)));
      return { ...pool, servers: [...found.servers, ...leaving] };
    });
    return { document: { ...document, pools }, names };
  }

  /** It is in force now. `anew`: by somebody's order, who is told again of what has no address. */
  settle(resolved: Resolved, anew: boolean): void {
    this.inForce = resolved;
    const said = new Set<string>();
    const before = anew ? new Set([...this.said].filter((key) => !key.endsWith(NO_ADDRESS))) : this.said;
    for (const { pool, server, isKnown, inUse, refused } of resolved.names) {
      const { text, host } = server.endpoint;
      const say = (what: string, tell: () => void) => {
        const key = `${pool} ${text} ${what}`;
        if (!before.has(key)) tell();
        said.add(key);
      };
      if (inUse === 0 && refused.length === 0) {
        const why = isKnown ? 'its name has none' : 'its name has had no answer yet';
        // Once for each reason: another code is news.
        const code = this.faultOf(host);
        say(`${code}${NO_ADDRESS}`, () => this.log.warn({ pool, server: text, code }, `a server has no address: ${why}`));
      } else if ([...this.said].some((key) => key.startsWith(`${pool} ${text} `) && key.endsWith(NO_ADDRESS)))
        this.log.info({ pool, server: text }, 'a server has an address again');
      for (const { text: address, why } of refused)
        say(address, () => {
          hitNodeLimit('server-outside-lane');
          this.log.warn({ pool, server: text, address, why }, 'an address of a server is never dialled');
        });
    }
    this.said = said;
  }

  /** Servers of names that the file still has, at addresses that the names have no longer, for as long as they carry flows. */
  private leaving({ name, names = [] }: Pool, before: readonly Server[], now: readonly Server[]): Server[] {
    const texts = new Set(now.map(({ endpoint }) => endpoint.text));
    const written = new Set(names.map(({ endpoint }) => endpoint.text));
    return before.flatMap((server): Server[] => {
      const { named, endpoint } = server;
      if (named === undefined || !written.has(named.text) || texts.has(endpoint.text) || !this.isBusy(name, endpoint.text)) return [];
      return [{ ...server, drain: true, maintenance: true, leaving: true }];
    });
  }
}

function summary(pool: string, server: NamedServer, { servers, refused, unknown }: PoolServers, leaving: readonly Server[]): ResolvedName {
  const { text } = server.endpoint;
  const count = (list: readonly Server[]) => list.filter(({ named }) => named?.text === text).length;
  return {
    pool,
    server,
    isKnown: !unknown.includes(server),
    inUse: count(servers),
    leaving: count(leaving),
    refused: refused.filter(({ name }) => name === server).map(({ text: address, why }) => ({ text: address, why })),
  };
}
