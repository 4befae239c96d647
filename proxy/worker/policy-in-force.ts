/** A generation as one worker carries it out: image, plan, balancers and counters, built at a swap and never changed. */
import type { OnRevoke } from '../../config/match.ts';
import { attachImage, type Image, type Tier } from '../../policy/image.ts';
import { PoolBalancer } from '../balance/pool.ts';
import { type Keys, TokenChecker } from '../identity/token.ts';
import type { Plan, PlannedApplication } from '../node/plan.ts';
import { type HelloFacts, poolFor, RouteTable } from '../routing/table.ts';
import { LedgerSlice } from '../shared/ledger.ts';
import type { ServerTable } from '../shared/servers.ts';
import { contextsOf, type ServerContexts } from '../tls/contexts.ts';
import { type Admitting, Remembered } from './admitting.ts';
import { LimitsInForce } from './limits-in-force.ts';

export class PolicyInForce implements Admitting {
  readonly plan: Plan;
  readonly image: Image;
  readonly ledger: LedgerSlice;
  readonly pools: readonly PoolBalancer[];
  /** null where no rule has limits, so that flows of such a policy pay nothing for them. */
  readonly limits: LimitsInForce | null;
  /** By application; null where it has no routes. */
  private readonly routes: readonly (RouteTable | null)[];

  /** By application; null where TLS does not end here. */
  private readonly tls: readonly (ServerContexts | null)[];
  private readonly checkers: readonly (TokenChecker | null)[];

  constructor(plan: Plan, servers: ServerTable, keys: Keys, random: () => number) {
    this.plan = plan;
    this.image = attachImage(plan.image);
    this.limits = plan.limits === null ? null : new LimitsInForce(plan.limits, this.image);
    this.ledger = new LedgerSlice(plan.ledger, plan.applications.length);
    this.pools = plan.pools.map((pool) => new PoolBalancer(pool, servers, random));
    this.tls = contextsOf(
      plan.applications.map(({ tls }) => (tls?.kind === 'terminate' ? tls : null)),
      Date.now,
    );
    this.checkers = plan.applications.map(({ tokens }) => (tokens.length === 0 ? null : new TokenChecker(tokens, keys)));
    const indices = new Map(plan.pools.map(({ name }, index) => [name, index]));
    this.routes = plan.applications.map(({ routes }) =>
      routes.length === 0 ? null : new RouteTable(routes, (name) => indices.get(name)!),
    );
  }

  /** Pools go on where they were with their servers and retries. To be called once, before the first flow. */
  continueFrom({ pools }: PolicyInForce): void {
    const earlier = new Map(pools.map((pool) => [pool.plan.name, pool]));
    for (const pool of this.pools) {
      const was = earlier.get(pool.plan.name);
      if (was !== undefined) pool.continueFrom(was);
    }
  }

  /** By rule: what flows of an earlier day keep of this policy. */
  private readonly remembered = new Map<number, Remembered>();

  get generation(): number {
    return this.plan.generation;
  }

  ruleName(rule: number): string {
    return this.image.ruleName(rule);
  }

  ruleTier(rule: number): Tier {
    return this.image.ruleTier(rule);
  }

  ruleOnRevoke(rule: number): OnRevoke | null {
    return this.image.ruleOnRevoke(rule);
  }

  ruleApplication(rule: number): string {
    return this.image.applicationName(this.image.ruleApplication(rule));
  }

  applicationName(index: number): string {
    return this.plan.applications[index]?.name ?? '';
  }

  remember(rule: number): Admitting {
    if (rule < 0) return this;
    let remembered = this.remembered.get(rule);
    if (remembered === undefined) this.remembered.set(rule, (remembered = new Remembered(this, rule)));
    return remembered;
  }

  application(index: number): PlannedApplication {
    return this.plan.applications[index]!;
  }

  /** Who checks the tokens of an application's requests; null where it names no issuer. */
  checkerOf(application: number): TokenChecker | null {
    return this.checkers[application] ?? null;
  }

  /** Keys have changed. */
  forgetTokens(): void {
    for (const checker of this.checkers) checker?.forget();
  }

  routesOf(application: number): RouteTable | null {
    return this.routes[application] ?? null;
  }

  /** What TLS ends with; null where it does not end here. */
  tlsOf(application: number): ServerContexts | null {
    return this.tls[application] ?? null;
  }

  /** What has become of a pool of an earlier policy; the application's own where it is gone. */
  sameAs(pool: PoolBalancer, application: number): PoolBalancer {
    return this.pools.find(({ plan }) => plan.name === pool.plan.name) ?? this.poolOf(application);
  }

  /** Where a flow of bytes goes: by what its client has said in TLS. */
  poolFor(application: number, hello: HelloFacts | null, random: () => number): PoolBalancer {
    const route = this.routesOf(application)?.find(null, '', hello) ?? null;
    return route === null ? this.poolOf(application) : this.pools[poolFor(route, random)]!;
  }

  poolOf(application: number): PoolBalancer {
    return this.pools[this.plan.applications[application]!.pool]!;
  }
}
