/** What is shown of the servers of a document: weights from the file, health and flows from shared memory. */
import type { Document } from '../../config/document.ts';
import type { ServerState } from '../observe/view.ts';
import type { ServerTable } from '../shared/servers.ts';
import type { Health } from './health.ts';
import type { Planner } from './planner.ts';

/** In the order of the document, whose servers the planner must have planned. */
export function serverStates(document: Document, planner: Planner, table: ServerTable, health: Health, now: number): ServerState[] {
  return document.pools.flatMap((pool) =>
    pool.servers.map((server): ServerState => {
      const row = planner.rowOf(pool.name, server.endpoint.text)!;
      const ejectedUntil = table.ejectedUntil(row);
      return {
        pool: pool.name,
        server: server.endpoint.text,
        weight: server.weight,
        draining: server.drain,
        up: table.up(row),
        checkDetail: health.detail(pool.name, server.endpoint.text),
        ejectedUntil: ejectedUntil > now ? ejectedUntil : 0,
        flowsActive: table.flows.total(row),
        dials: table.dialsOf(row),
      };
    }),
  );
}
