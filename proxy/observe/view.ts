/**
 * What the running node shows of itself: the one face that the admin endpoint, the metrics and the status page read.
 * The control plane implements it; nothing behind it knows who looks.
 */
import type { Document } from '../../config/document.ts';

export interface NodeView {
  readonly version: string;
  readonly node: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly pid: number;
  policy(): { generation: number; appliedAt: number; document: Document };
  /** Ready: every VIP bound and every worker on the policy in force. The reason when not. */
  readiness(): { ready: boolean; reason: string };
  counters(): Counters;
  servers(): ServerState[];
  workers(): WorkerState[];
  /** Live flows, newest first, at most `limit`; asks the workers. */
  liveFlows(limit: number): Promise<FlowRecord[]>;
  /** One flow, live or from the journal; null where neither knows it. */
  flow(receipt: string): Promise<FlowRecord | null>;
  /** The newest ended flows that the journal still holds, newest first; `denied` keeps only denials. */
  recentFlows(limit: number, denied: boolean, filter?: { application?: string; source?: string; rule?: string }): Promise<FlowRecord[]>;
  applies(): { applied: number; refused: number };
  /** The last problem that kept a reload from being applied; null when the last one was. */
  lastRefusal(): { at: number; problems: string[] } | null;
}

/** Sums over all workers since the node started. Every number only grows, `active` aside. */
export interface Counters {
  readonly applications: ApplicationCounters[];
  readonly rules: RuleCounters[];
  /** Limits that were hit, by their name in the file or code (`head-bytes`, `connections-per-source`, …). */
  readonly limits: { application: string; limit: string; hits: number }[];
  readonly journal: { written: number; dropped: number; bytes: number };
  readonly workerRestarts: number;
}

export interface ApplicationCounters {
  readonly application: string;
  /** opened = closed + active, always. */
  readonly flowsOpened: number;
  readonly flowsClosed: number;
  readonly flowsActive: number;
  readonly flowsRevoked: number;
  readonly connectionsActive: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** 1xx to 5xx. */
  readonly responses: readonly [number, number, number, number, number];
  readonly flowDuration: Histogram;
  readonly requestDuration: Histogram;
}

export interface RuleCounters {
  readonly application: string;
  readonly rule: string;
  readonly allow: number;
  readonly deny: number;
  readonly wouldDeny: number;
  /** By a shadow rule. */
  readonly wouldAllow: number;
}

/** `counts[i]` holds what was at most `DURATION_BOUNDS_SECONDS[i]` and above the bound before; the last entry holds the rest. */
export interface Histogram {
  readonly counts: readonly number[];
  readonly sumSeconds: number;
}

/** Upper bounds of the duration histograms. The last bucket (+Inf) is implied. */
export const DURATION_BOUNDS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600] as const;

export const DIAL_RESULTS = ['connected', 'refused', 'timeout', 'reset', 'unreachable', 'exhausted', 'error'] as const;
export type DialResult = (typeof DIAL_RESULTS)[number];

export interface ServerState {
  readonly pool: string;
  readonly server: string;
  readonly weight: number;
  readonly draining: boolean;
  /** What the active checks say; a server without a check is up. */
  readonly up: boolean;
  /** Why it is down, or how the last check went. */
  readonly checkDetail: string;
  /** Taken out after consecutive failures, until this moment (ms since the epoch); 0: not ejected. */
  readonly ejectedUntil: number;
  readonly flowsActive: number;
  readonly dials: Readonly<Record<DialResult, number>>;
}

export interface WorkerState {
  readonly id: number;
  readonly generation: number;
  readonly connections: number;
}

/** One flow as journal, API and `explain` show it. Times are ISO 8601 in UTC; absent facts are null. */
export interface FlowRecord {
  readonly receipt: string;
  readonly time: string;
  readonly application: string;
  readonly source: string;
  readonly vip: string;
  readonly protocol: string | null;
  readonly method: string | null;
  readonly host: string | null;
  readonly path: string | null;
  /** null: no verdict was reached, because the bytes were not a request. */
  readonly verdict: 'allow' | 'deny' | 'would_deny' | null;
  readonly rule: string | null;
  readonly tier: string | null;
  readonly generation: number;
  /** `pool/address`. */
  readonly server: string | null;
  readonly status: number | null;
  readonly bytes_in: number;
  readonly bytes_out: number;
  readonly duration_ms: number;
  /** null while the flow is live. */
  readonly ended_by: 'client' | 'server' | 'proxy' | 'policy' | null;
  readonly reason: string | null;
}
