/** The memory that the main thread and all workers have in common, for as long as the node lives. */
import { randomBytes } from 'node:crypto';
import { LimitTable } from '../shared/limit-table.ts';
import { createNodeLimits } from '../shared/node-limits.ts';
import { ServerTable } from '../shared/servers.ts';
import { Slices } from '../shared/slices.ts';
import { SourceTable } from '../shared/sources.ts';
import { APPLICATIONS_MAX, PROCESS_COLUMN, type SharedMemory } from './plan.ts';

export class SharedState {
  readonly servers: ServerTable;
  /** As the workers get it. */
  readonly memory: SharedMemory;
  private readonly connections: Slices;
  private readonly sources: SourceTable;
  private readonly ruleLimits: LimitTable;

  constructor(workers: number) {
    this.servers = new ServerTable(workers);
    this.connections = new Slices(workers, APPLICATIONS_MAX + 1);
    this.sources = new SourceTable(workers, { seed: randomBytes(4).readInt32LE() });
    this.ruleLimits = new LimitTable(workers);
    this.memory = {
      workers,
      servers: this.servers.buffers,
      connections: this.connections.buffer,
      sources: this.sources.buffer,
      ruleLimits: this.ruleLimits.buffer,
      limits: createNodeLimits(workers),
    };
  }

  connectionsOf(worker: number): number {
    return this.connections.own(worker, PROCESS_COLUMN);
  }

  /** A worker is gone, and all that it held with it. */
  clear(worker: number): void {
    this.servers.flows.clear(worker);
    this.connections.clear(worker);
    this.sources.clear(worker);
    this.ruleLimits.clear(worker);
  }
}
