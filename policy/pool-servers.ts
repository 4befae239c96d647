/** The servers of a pool as they are now: those that the file has by address, and every address that its names have, inside the outbound lane. */
import { type Address, formatAddress, formatHostPort, isWildcard, type Prefix } from '../config/address.ts';
import type { NamedServer, Pool, Server } from '../config/document.ts';
import { isInside } from '../config/lanes.ts';

export interface PoolServers {
  readonly servers: readonly Server[];
  /** Addresses of names that are never dialled, and belong to no segment. */
  readonly refused: readonly RefusedAddress[];
  /** Names that have never had an answer. */
  readonly unknown: readonly NamedServer[];
}

export interface RefusedAddress {
  readonly name: NamedServer;
  readonly address: Address;
  /** What it would be called. */
  readonly text: string;
  readonly why: string;
}

/** An address that the file has itself, or that an earlier name has, stays what it is there. */
export function serversOf(pool: Pool, known: ReadonlyMap<string, readonly Address[]>, outbound: readonly Prefix[]): PoolServers {
  const { servers, names = [], apart } = pool;
  if (names.length === 0) return { servers, refused: [], unknown: [] };
  const found = new Map<string, Server>(servers.map((server) => [server.endpoint.text, server]));
  const refused: RefusedAddress[] = [];
  for (const name of names) {
    const { endpoint, ...rest } = name;
    for (const address of known.get(endpoint.host) ?? []) {
      const text = formatHostPort(address, endpoint.port);
      const why = whyNot(address, outbound);
      if (why !== null) refused.push({ name, address, text, why });
      else if (!found.has(text)) {
        const state = apart?.get(text);
        const set = state === undefined ? {} : { drain: true, ...(state === 'maintenance' ? { maintenance: true as const } : {}) };
        found.set(text, { ...rest, ...set, endpoint: { kind: 'tcp', address, port: endpoint.port, text }, named: endpoint });
      }
    }
  }
  return { servers: [...found.values()], refused, unknown: names.filter(({ endpoint }) => !known.has(endpoint.host)) };
}

function whyNot(address: Address, outbound: readonly Prefix[]): string | null {
  // The kernel takes a wildcard for this machine itself, whatever the lane holds.
  if (isWildcard(address)) return `${formatAddress(address)} stands for every address and cannot be dialled`;
  if (isInside(outbound, { kind: 'tcp', address })) return null;
  return `${formatAddress(address)} is outside networks.outbound: put its network there, or correct the name`;
}
