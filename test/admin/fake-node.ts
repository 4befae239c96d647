/** A `NodeView` that tests fill as they like: nothing runs behind it. */
import { parseAddress } from '../../config/address.ts';
import { type Application, type Document, type Endpoint, PLAIN_RULE, type Pool, type Rule } from '../../config/document.ts';
import { flowMatcher } from '../../proxy/observe/flow-filter.ts';
import { Problems } from '../../proxy/observe/problems.ts';
import {
  type ApplicationCounters,
  type Counters,
  DIAL_RESULTS,
  DURATION_BOUNDS_SECONDS,
  type FlowRecord,
  type Histogram,
  type NodeView,
  type RuleCounters,
  type ServerState,
} from '../../proxy/observe/view.ts';

const PLACE = { file: 'bulkhead.yaml', line: 1, column: 1 };

export function tcp(host: string, port: number): Endpoint {
  return { kind: 'tcp', address: parseAddress(host)!, port, text: `${host}:${port}` };
}

export function rule(name: string, action: Rule['action']): Rule {
  return { name, action, from: [], except: [], ...PLAIN_RULE, place: PLACE };
}

export function application(name: string, more: Partial<Application> = {}): Application {
  const timeouts = {
    connect: 1,
    idle: 1,
    total: null,
    halfClosed: 1,
    handshake: 5_000,
    detect: 1,
    requestHead: 1,
    requestBody: 1,
    response: 1,
    keepAlive: 1,
  };
  const limits = { connections: null, connectionsPerSource: null, headBytes: 1, headFields: 1, targetBytes: 1, streams: 1 };
  const vips = [{ endpoint: tcp('127.0.0.1', 8080), place: PLACE }];
  return {
    name,
    vips,
    mode: 'http',
    pool: 'web',
    routes: [],
    trusted: [],
    tokens: [],
    enforcement: 'enforce',
    rules: [],
    timeouts,
    limits,
    place: PLACE,
    ...more,
  };
}

export function pool(name: string): Pool {
  const retries = { attempts: 1, budget: 0.2 };
  return {
    name,
    balance: 'round-robin',
    servers: [],
    health: null,
    ejection: null,
    retries,
    idleConnections: 1,
    idleTimeoutMs: 1,
    protocol: 'http',
    place: PLACE,
  };
}

export function documentOf(more: Partial<Document> = {}): Document {
  const process = {
    node: 'edge-1',
    workers: 2,
    admin: null,
    state: null,
    journal: { sizeBytes: 1, segmentBytes: 1, ageMs: null },
    log: { level: 'info' as const },
    answers: 'brief' as const,
    connections: 1,
    geo: { country: null, asn: null },
    resolvers: [],
    adminTokens: [],
    adminTls: null,
  };
  const networks = { inbound: [], outbound: [], cluster: [] };
  return {
    version: 1,
    process,
    networks,
    segments: [],
    pools: [],
    applications: [],
    guardrails: [],
    baseline: [],
    tests: [],
    source: { version: 1 },
    ...more,
  };
}

export function histogramOf(counts: readonly number[] = [], sumSeconds = 0): Histogram {
  return { counts: Array.from({ length: DURATION_BOUNDS_SECONDS.length + 1 }, (_, i) => counts[i] ?? 0), sumSeconds };
}

export function applicationCounters(name: string, more: Partial<ApplicationCounters> = {}): ApplicationCounters {
  return {
    application: name,
    flowsOpened: 0,
    flowsClosed: 0,
    flowsActive: 0,
    flowsRevoked: 0,
    connectionsActive: 0,
    bytesIn: 0,
    bytesOut: 0,
    responses: [0, 0, 0, 0, 0],
    flowDuration: histogramOf(),
    requestDuration: histogramOf(),
    proxyHeaders: [],
    handshakes: [],
    ...more,
  };
}

export function ruleCounters(application: string, name: string, more: Partial<RuleCounters> = {}): RuleCounters {
  return { application, rule: name, allow: 0, deny: 0, wouldDeny: 0, wouldAllow: 0, ...more };
}

export function countersOf(more: Partial<Counters> = {}): Counters {
  return {
    applications: [],
    rules: [],
    limits: [],
    nodeLimits: [],
    journal: { written: 0, dropped: 0, bytes: 0 },
    workerRestarts: 0,
    ...more,
  };
}

export function server(pool: string, name: string, more: Partial<ServerState> = {}): ServerState {
  const dials = Object.fromEntries(DIAL_RESULTS.map((result) => [result, 0])) as ServerState['dials'];
  return { pool, server: name, weight: 1, draining: false, up: true, checkDetail: '', ejectedUntil: 0, flowsActive: 0, dials, ...more };
}

export function flow(receipt: string, more: Partial<FlowRecord> = {}): FlowRecord {
  return {
    receipt,
    time: '2026-11-22T06:00:00.000Z',
    application: 'shop',
    source: '127.0.0.2:40000',
    vip: '127.0.0.1:8080',
    protocol: 'http',
    method: 'GET',
    host: 'shop.example',
    path: '/',
    sni: null,
    alpn: null,
    ja4: null,
    tls: null,
    verdict: 'allow',
    rule: 'customers',
    tier: 'application',
    generation: 7,
    server: 'web/127.0.0.1:9001',
    status: 200,
    bytes_in: 120,
    bytes_out: 4096,
    duration_ms: 12,
    ended_by: 'client',
    reason: null,
    ...more,
  };
}

/** What a test may set at any time; the view reads it at each call. */
export interface FakeState {
  document: Document;
  counters: Counters;
  servers: ServerState[];
  live: FlowRecord[];
  ended: FlowRecord[];
  ready: { ready: boolean; reason: string };
  refusal: { at: number; problems: string[] } | null;
  generation: number;
  startedAt: number;
  problems: Problems;
}

export function fakeNode(more: Partial<FakeState> = {}): { state: FakeState; view: NodeView } {
  const state: FakeState = {
    document: documentOf(),
    counters: countersOf(),
    servers: [],
    live: [],
    ended: [],
    ready: { ready: true, reason: '' },
    refusal: null,
    generation: 7,
    startedAt: Date.now() - 3_723_000,
    problems: new Problems(),
    ...more,
  };
  const view: NodeView = {
    version: '0.1.0',
    node: 'edge-1',
    startedAt: state.startedAt,
    pid: 4242,
    policy: () => ({ generation: state.generation, appliedAt: state.startedAt + 60_000, document: state.document }),
    readiness: () => state.ready,
    counters: () => state.counters,
    servers: () => state.servers,
    serverNames: () => [],
    certificates: () => ({ inUse: [], revocations: [], failures: 0 }),
    workers: () => [1, 2].map((id) => ({ id, generation: state.generation, connections: Math.ceil(state.live.length / 2) })),
    liveFlows: async (limit) => state.live.slice(0, limit),
    flow: async (receipt) => [...state.live, ...state.ended].find((f) => f.receipt === receipt) ?? null,
    searchFlows: async ({ limit, filter }) => ({ flows: state.ended.filter(flowMatcher(filter)).slice(0, limit), next: null }),
    recentFlows: async (limit, denied) => state.ended.filter((f) => !denied || f.verdict === 'deny').slice(0, limit),
    applies: () => ({ applied: state.generation, refused: state.refusal === null ? 0 : 1 }),
    lastRefusal: () => state.refusal,
    problems: state.problems,
    tokenKeys: () => [],
  };
  return { state, view };
}
