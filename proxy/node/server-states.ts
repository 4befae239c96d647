/** What is shown of the servers of a document: weights from the file, health and flows from shared memory. */
import type { ServerNameState, ServerState } from '../observe/view.ts';
import { DIAL_RESULTS, type DialResult } from '../observe/view.ts';
import { sharedNow } from '../shared/monotonic.ts';
import type { ServerTable } from '../shared/servers.ts';
import type { Health } from './health.ts';
import type { Planner } from './planner.ts';
import type { Resolved, ResolvedName } from './server-names.ts';

/** The code of the resolver for a host that has no address, or whose last lookup failed. */
export type FaultOf = (host: string) => string | null;

const NO_DIALS = Object.fromEntries(DIAL_RESULTS.map((result) => [result, 0])) as Record<DialResult, number>;

/** In the order of the document, whose servers the planner must have planned; what names have that is no server stands after the servers of its pool. */
export function serverStates(
  { document, names }: Resolved,
  planner: Planner,
  table: ServerTable,
  health: Health,
  faultOf: FaultOf,
  now: number,
): ServerState[] {
  return document.pools.flatMap((pool) => [
    ...pool.servers.flatMap((server): ServerState[] => {
      const { text } = server.endpoint;
      const row = planner.rowOf(pool.name, text);
      if (row === undefined) return [];
      const flowsActive = table.flows.total(row);
      // Nothing keeps it any more: it goes with the next change.
      if (server.leaving && flowsActive === 0) return [];
      const ejectedFor = table.ejectedUntil(row) - sharedNow();
      return [
        {
          pool: pool.name,
          server: text,
          ...(server.named === undefined ? {} : { name: server.named.text }),
          weight: server.weight,
          draining: server.drain,
          up: table.up(row),
          checkDetail: server.leaving ? 'its name has this address no longer' : health.detail(pool.name, text),
          ejectedUntil: ejectedFor > 0 ? now + ejectedFor : 0,
          flowsActive,
          dials: table.dialsOf(row),
        },
      ];
    }),
    ...names.filter((name) => name.pool === pool.name).flatMap((name) => absent(name, faultOf)),
  ]);
}

/** What a name has that is no server. */
function absent(name: ResolvedName, faultOf: FaultOf): ServerState[] {
  const { pool, server, inUse, refused } = name;
  const { text } = server.endpoint;
  const state = (address: string, checkDetail: string): ServerState => ({
    ...{ pool, server: address, name: text, weight: server.weight, draining: server.drain, up: false, checkDetail },
    ...{ ejectedUntil: 0, flowsActive: 0, dials: NO_DIALS },
  });
  if (inUse === 0 && refused.length === 0) return [state(text, absence(name, faultOf))];
  return refused.map((one) => state(one.text, `never dialled: ${one.why}`));
}

/** Why a name has no address, with the code of the resolver. */
export function absence({ server, isKnown }: ResolvedName, faultOf: FaultOf): string {
  const code = faultOf(server.endpoint.host);
  return `${isKnown ? 'its name has no address of its own' : 'its name has had no answer yet'}${code === null ? '' : ` (${code})`}`;
}

/** Servers by name, each as one. */
export function nameStates({ names }: Resolved, planner: Planner): ServerNameState[] {
  return names.map(({ pool, server, isKnown, inUse, leaving, refused }) => {
    const { text } = server.endpoint;
    return { pool, server: text, isKnown, inUse, leaving, refused: refused.length, goneDials: planner.goneDials(pool, text) };
  });
}
