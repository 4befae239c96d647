/** Caps on connections: of the process, of an application, of one source to an application. Exact over workers; one accept claims, one close gives back. */

import type { SourceWords } from '../balance/pool.ts';
import type { PlannedApplication, SharedMemory } from '../node/plan.ts';
import { APPLICATIONS_MAX, PROCESS_COLUMN } from '../node/plan.ts';
import { countedSource } from '../shared/counted-source.ts';
import type { Limit } from '../shared/ledger.ts';
import { Slices } from '../shared/slices.ts';
import { CLAIMED, NO_ROOM, SourceTable } from '../shared/sources.ts';

export class ConnectionCaps {
  private readonly worker: number;
  private readonly connections: Slices;
  private readonly sources: SourceTable;
  /** Connections that no cap concerned and the table had no room for, by source and application: they are not counted there, so nothing of it is theirs. */
  private readonly uncounted = new Map<string, number>();

  constructor(worker: number, shared: SharedMemory) {
    this.worker = worker;
    this.connections = new Slices(shared.workers, APPLICATIONS_MAX + 1, shared.connections);
    this.sources = new SourceTable(shared.workers, shared.sources);
  }

  /** hot: claims a place for one connection; answers the limit that refused it, or null. `release` must follow a null once. */
  claim(
    application: PlannedApplication,
    source: SourceWords,
    processMax: number,
    perSource = application.limits.connectionsPerSource ?? Number.POSITIVE_INFINITY,
  ): Limit | null {
    const { worker, connections } = this;
    if (!connections.claim(worker, PROCESS_COLUMN, processMax)) return 'process-connections';
    if (!connections.claim(worker, application.column, application.limits.connections ?? Number.POSITIVE_INFINITY)) {
      connections.add(worker, PROCESS_COLUMN, -1);
      return 'connections';
    }
    // Counted without a cap as well: one that comes with the next swap speaks of what is open then.
    const [a, b, c, d] = countedSource(source);
    const outcome = this.sources.claim(worker, a, b, c, d, application.column, perSource);
    if (outcome === CLAIMED) return null;
    if (perSource === Number.POSITIVE_INFINITY) {
      const key = keyOf(source, application.column);
      this.uncounted.set(key, (this.uncounted.get(key) ?? 0) + 1);
      return null;
    }
    connections.add(worker, application.column, -1);
    connections.add(worker, PROCESS_COLUMN, -1);
    return outcome === NO_ROOM ? 'source-table' : 'connections-per-source';
  }

  /** hot */
  release(applicationColumn: number, source: SourceWords): void {
    const { worker, connections } = this;
    connections.add(worker, PROCESS_COLUMN, -1);
    connections.add(worker, applicationColumn, -1);
    if (this.uncounted.size > 0 && this.releaseUncounted(keyOf(source, applicationColumn))) return;
    const [a, b, c, d] = countedSource(source);
    this.sources.release(worker, a, b, c, d, applicationColumn);
  }

  private releaseUncounted(key: string): boolean {
    const count = this.uncounted.get(key);
    if (count === undefined) return false;
    if (count === 1) this.uncounted.delete(key);
    else this.uncounted.set(key, count - 1);
    return true;
  }
}

function keyOf(source: SourceWords, applicationColumn: number): string {
  return [...countedSource(source), applicationColumn].join(' ');
}
