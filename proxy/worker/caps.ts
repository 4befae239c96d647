/** Caps on connections: of the process, of an application, of one source to an application. Exact over workers; one accept claims, one close gives back. */

import type { SourceWords } from '../balance/pool.ts';
import type { PlannedApplication, SharedMemory } from '../node/plan.ts';
import { APPLICATIONS_MAX, PROCESS_COLUMN } from '../node/plan.ts';
import type { Limit } from '../shared/ledger.ts';
import { Slices, SOURCE_COLUMNS, sourceColumn } from '../shared/slices.ts';

export class ConnectionCaps {
  private readonly worker: number;
  private readonly connections: Slices;
  private readonly sources: Slices;

  constructor(worker: number, shared: SharedMemory) {
    this.worker = worker;
    this.connections = new Slices(shared.workers, APPLICATIONS_MAX + 1, shared.connections);
    this.sources = new Slices(shared.workers, SOURCE_COLUMNS, shared.sources);
  }

  /** hot: claims a place for one connection; answers the limit that refused it, or null. `release` must follow a null once. */
  claim(application: PlannedApplication, source: SourceWords, processMax: number): Limit | null {
    const { worker, connections } = this;
    if (!connections.claim(worker, PROCESS_COLUMN, processMax)) return 'process-connections';
    if (!connections.claim(worker, application.column, application.limits.connections ?? Number.POSITIVE_INFINITY)) {
      connections.add(worker, PROCESS_COLUMN, -1);
      return 'connections';
    }
    const perSource = application.limits.connectionsPerSource;
    const column = sourceColumn(source[0], source[1], source[2], source[3], application.column);
    if (perSource === null) this.sources.add(worker, column, 1);
    else if (!this.sources.claim(worker, column, perSource)) {
      connections.add(worker, application.column, -1);
      connections.add(worker, PROCESS_COLUMN, -1);
      return 'connections-per-source';
    }
    return null;
  }

  /** hot */
  release(applicationColumn: number, source: SourceWords): void {
    const { worker, connections } = this;
    connections.add(worker, PROCESS_COLUMN, -1);
    connections.add(worker, applicationColumn, -1);
    this.sources.add(worker, sourceColumn(source[0], source[1], source[2], source[3], applicationColumn), -1);
  }
}
