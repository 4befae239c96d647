/** A generation as one worker carries it out: image, plan, balancers and counters, built at a swap and never changed. */
import { attachImage, type Image } from '../../policy/image.ts';
import { PoolBalancer } from '../balance/pool.ts';
import type { Plan, PlannedApplication } from '../node/plan.ts';
import { LedgerSlice } from '../shared/ledger.ts';
import type { ServerTable } from '../shared/servers.ts';

export class PolicyInForce {
  readonly plan: Plan;
  readonly image: Image;
  readonly ledger: LedgerSlice;
  readonly pools: readonly PoolBalancer[];

  constructor(plan: Plan, servers: ServerTable, random: () => number) {
    this.plan = plan;
    this.image = attachImage(plan.image);
    this.ledger = new LedgerSlice(plan.ledger, plan.applications.length);
    this.pools = plan.pools.map((pool) => new PoolBalancer(pool, servers, random));
  }

  get generation(): number {
    return this.plan.generation;
  }

  application(index: number): PlannedApplication {
    return this.plan.applications[index]!;
  }

  poolOf(application: number): PoolBalancer {
    return this.pools[this.plan.applications[application]!.pool]!;
  }
}
