/** All that the status page shows, gathered from the node's view in one reading. */
import type { Application } from '../../config/document.ts';
import { type History, latencyOf, type Rates } from '../observe/history.ts';
import { ruleCountersByName } from '../observe/verdicts.ts';
import type { ApplicationCounters, Counters, NodeView, RuleCounters, ServerState } from '../observe/view.ts';
import type { Orders } from '../versions/orders.ts';
import type { ApplicationStatus, ServerStatus, Status } from './schemas.ts';

const LIVE_FLOWS = 50;
const DENIED_FLOWS = 25;
const TOP_RULES = 5;
const VIPS_SHOWN = 8;
const PROBLEMS_SHOWN = 20;
const VERSIONS_SHOWN = 8;
const RATE_SECONDS = 10;
const ERROR_SHARE_SECONDS = 60;
const SERIES_STEP_SECONDS = 2;
/** The page renews itself every two seconds; a worker that answers later than this is not waited for. */
const FLOWS_TIMEOUT_MS = 1500;

/** The answer of `/api/v1/status`. Flows that a worker does not hand over in time are left out and the reason is told. */
export async function nodeStatus(view: NodeView, history: History, admin: Status['admin'], orders: Orders | null): Promise<Status> {
  const flows = await readFlows(view);
  const now = Date.now();
  const counters = view.counters();
  const { generation, appliedAt, document } = view.policy();
  const { ready, reason } = view.readiness();
  const refusal = view.lastRefusal();
  const rules = rulesByApplication(counters);
  const documented = new Map(document.applications.map((a) => [a.name, a]));
  const balances = new Map(document.pools.map((pool) => [pool.name, pool.balance]));
  const series = history.series(SERIES_STEP_SECONDS);
  return {
    node: view.node,
    version: view.version,
    pid: view.pid,
    now: iso(now),
    started_at: iso(view.startedAt),
    uptime_seconds: Math.max(0, (now - view.startedAt) / 1000),
    ready,
    reason,
    generation,
    applied_at: iso(appliedAt),
    in_force: orders?.inForce() ?? null,
    applies: view.applies(),
    last_refusal:
      refusal === null
        ? null
        : { at: iso(refusal.at), problems: refusal.problems.slice(0, PROBLEMS_SHOWN), problem_count: refusal.problems.length },
    problems: view.problems.list().map((problem) => ({ ...problem, since: iso(problem.since) })),
    workers: view.workers().map(({ id, generation, connections }) => ({ id, generation, connections })),
    worker_restarts: counters.workerRestarts,
    journal: { ...counters.journal },
    limits: counters.limits.filter((limit) => limit.hits > 0),
    node_limits: counters.nodeLimits.filter((limit) => limit.hits > 0),
    totals: {
      verdicts: sumVerdicts(counters.rules),
      flows_active: sum(counters.applications, (a) => a.flowsActive),
      connections_active: sum(counters.applications, (a) => a.connectionsActive),
      rates: wireRates(history.rates(null, RATE_SECONDS)),
    },
    applications: counters.applications.map((a) =>
      applicationStatus(a, documented.get(a.application), rules.get(a.application) ?? [], history),
    ),
    pools: poolStatus(view.servers(), balances, now),
    ...changes(orders),
    admin,
    flows,
    history: { times: series.times, allowed: series.allowed, denied: series.denied, bytes_in: series.bytesIn, bytes_out: series.bytesOut },
  };
}

/** What was changed last, and what holds beside the document. */
function changes(orders: Orders | null): Pick<Status, 'versions' | 'quarantines'> {
  if (orders === null) return { versions: [], quarantines: [] };
  const confirmBy = orders.confirmBy();
  const versions = orders.archive.versions().slice(0, VERSIONS_SHOWN);
  return {
    versions: versions.map(({ version, generation, time, cause, author, note, summary }, index) => {
      return { version, generation, time, cause, author, note, summary: summary.text, confirm_by: index === 0 ? confirmBy : null };
    }),
    quarantines: orders
      .overlay()
      .quarantines.map(({ name, target, until, author, reason }) => ({ name, source: target.text, until: iso(until), author, reason })),
  };
}

function applicationStatus(
  counters: ApplicationCounters,
  documented: Application | undefined,
  rules: readonly RuleCounters[],
  history: History,
): ApplicationStatus {
  const minute = history.rates(counters.application, ERROR_SHARE_SECONDS);
  const latency = latencyOf(counters);
  const quantiles = history.quantiles(counters.application, latency);
  const decided = (rule: RuleCounters) => rule.allow + rule.deny + rule.wouldDeny;
  return {
    application: counters.application,
    mode: documented?.mode ?? null,
    enforcement: documented?.enforcement ?? null,
    vips: (documented?.vips ?? []).slice(0, VIPS_SHOWN).map((vip) => vip.endpoint.text),
    vip_count: documented?.vips.length ?? 0,
    pool: documented?.pool ?? null,
    verdicts: sumVerdicts(rules),
    rule_count: documented?.rules.length ?? 0,
    top_rules: rules
      .filter((rule) => decided(rule) > 0)
      .sort((a, b) => decided(b) - decided(a))
      .slice(0, TOP_RULES)
      .map(({ rule, allow, deny, wouldDeny }) => ({ rule, allow, deny, would_deny: wouldDeny })),
    flows_opened: counters.flowsOpened,
    flows_active: counters.flowsActive,
    flows_revoked: counters.flowsRevoked,
    connections_active: counters.connectionsActive,
    bytes_in: counters.bytesIn,
    bytes_out: counters.bytesOut,
    rates: wireRates(history.rates(counters.application, RATE_SECONDS)),
    error_share: minute === null || minute.requests === 0 ? null : Math.min(1, minute.errors / minute.requests),
    latency:
      quantiles === null
        ? null
        : { of: latency === counters.requestDuration ? 'requests' : 'flows', p50_seconds: quantiles.p50, p99_seconds: quantiles.p99 },
  };
}

function poolStatus(servers: readonly ServerState[], balances: ReadonlyMap<string, string>, now: number): Status['pools'] {
  const pools = new Map<string, ServerStatus[]>([...balances.keys()].map((pool) => [pool, []]));
  for (const server of servers) {
    const list = pools.get(server.pool) ?? [];
    pools.set(server.pool, list);
    list.push({
      server: server.server,
      name: server.name ?? null,
      // What keeps new flows away most firmly is what is told.
      state: !server.up ? 'down' : server.ejectedUntil > now ? 'ejected' : server.draining ? 'draining' : 'up',
      detail: server.checkDetail,
      ejected_for_seconds: Math.max(0, (server.ejectedUntil - now) / 1000),
      weight: server.weight,
      flows_active: server.flowsActive,
      dials: { ...server.dials },
    });
  }
  return [...pools].map(([pool, list]) => ({ pool, balance: balances.get(pool) ?? null, servers: list }));
}

async function readFlows(view: NodeView): Promise<Status['flows']> {
  try {
    const [live, denied] = await within(FLOWS_TIMEOUT_MS, Promise.all([view.liveFlows(LIVE_FLOWS), view.recentFlows(DENIED_FLOWS, true)]));
    return { live: [...live], denied: [...denied], error: null };
  } catch (error) {
    return { live: [], denied: [], error: error instanceof Error ? error.message : String(error) };
  }
}

/** What `promise` brings, or an error once `timeoutMs` have passed. The promise itself goes on; its late result is dropped. */
export async function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`the workers did not answer within ${timeoutMs} ms`)), timeoutMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function rulesByApplication(counters: Counters): Map<string, RuleCounters[]> {
  return Map.groupBy(ruleCountersByName(counters.rules), (rule) => rule.application);
}

function sumVerdicts(rules: readonly RuleCounters[]): { allow: number; deny: number; would_deny: number } {
  return { allow: sum(rules, (r) => r.allow), deny: sum(rules, (r) => r.deny), would_deny: sum(rules, (r) => r.wouldDeny) };
}

function wireRates(rates: Rates | null): ApplicationStatus['rates'] {
  if (rates === null) return null;
  const { opened, denied, requests, errors, bytesIn, bytesOut } = rates;
  return { opened, denied, requests, errors, bytes_in: bytesIn, bytes_out: bytesOut };
}

function sum<T>(list: readonly T[], read: (item: T) => number): number {
  return list.reduce((total, item) => total + read(item), 0);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
