/**
 * What the running node shows of itself: the one face that the admin endpoint, the metrics and the status page read.
 * The control plane implements it; nothing behind it knows who looks.
 */
import type { Address, Prefix } from '../../config/address.ts';
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
  /** Every address that flows may go to; a name without one has a state as well. */
  servers(): ServerState[];
  /** Servers by name, each as one. */
  serverNames(): ServerNameState[];
  /** Certificates of applications, and how often new ones were no good. */
  certificates(): {
    readonly inUse: readonly CertificateState[];
    readonly revocations: readonly RevocationState[];
    readonly failures: number;
  };
  /** Key sets of token issuers. */
  tokenKeys(): TokenKeysState[];
  workers(): WorkerState[];
  /** Live flows, newest first, at most `limit`; asks the workers. */
  liveFlows(limit: number): Promise<FlowRecord[]>;
  /** One flow, live or from the journal; null where neither knows it. */
  flow(receipt: string): Promise<FlowRecord | null>;
  /** The newest ended flows that the journal still holds, newest first; `denied` keeps only denials. */
  recentFlows(limit: number, denied: boolean): Promise<FlowRecord[]>;
  /** Ended flows of the journal that match, a page at a time, newest first. */
  searchFlows(search: FlowSearch): Promise<FlowPage>;
  applies(): { applied: number; refused: number };
  /** The last problem that kept a reload from being applied; null when the last one was. */
  lastRefusal(): { at: number; problems: string[] } | null;
  /** What is wrong now, whoever has found it. */
  readonly problems: {
    list(): readonly Problem[];
    counts(): ReadonlyMap<ProblemKind, number>;
  };
}

/** What can be wrong with a node that runs. Names of metrics' labels and of the API: they stay. */
export const PROBLEM_KINDS = [
  'state',
  'audit',
  'version',
  'journal',
  'reload',
  'vip',
  'certificate',
  'token-keys',
  'pool',
  'server-name',
  'proxy-header',
] as const;
export type ProblemKind = (typeof PROBLEM_KINDS)[number];

export interface Problem {
  /**
   * `state`: the state folder; `audit` and `version`: cannot be written; `journal`: drops records; `reload`: the file was
   * refused; `certificate`: expired, about to, or its files cannot be read; `token-keys`: cannot be had; `pool`: no server takes
   * flows; `server-name`: has no address; `proxy-header`: listed proxies send none that is good.
   */
  readonly kind: ProblemKind;
  /** What it is about, by its name in the file: a pool, `web/orders.internal:80`, a location of keys, an application; empty where it is the node itself. */
  readonly subject: string;
  /** One sentence that says what is wrong, and what to do. */
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** Sums over all workers since the node started. Every number only grows, `active` aside. */
export interface Counters {
  readonly applications: ApplicationCounters[];
  readonly rules: RuleCounters[];
  /** Limits that were hit, by their name in the file or code (`head-bytes`, `connections-per-source`, …). */
  readonly limits: { application: string; limit: string; hits: number }[];
  /** Every limit of the node that belongs to no application, also those that were never hit. */
  readonly nodeLimits: { limit: string; hits: number }[];
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
  /** Connections of listed proxies, by what their PROXY header was: `accepted`, `none`, … */
  readonly proxyHeaders: readonly { readonly result: string; readonly count: number }[];
  /** TLS of clients, by how it went: `full-1.3`, `timeout`, … */
  readonly handshakes: readonly { readonly result: string; readonly count: number }[];
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

export const DIAL_RESULTS = ['connected', 'refused', 'timeout', 'reset', 'unreachable', 'exhausted', 'tls', 'error'] as const;
export type DialResult = (typeof DIAL_RESULTS)[number];

export interface ServerState {
  readonly pool: string;
  readonly server: string;
  /** The server as written, where the file has a name and `server` is an address of it. */
  readonly name?: string;
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

export interface ServerNameState {
  readonly pool: string;
  /** As written. */
  readonly server: string;
  /** Whether it has ever had an answer. */
  readonly isKnown: boolean;
  /** Numbers of its addresses. */
  readonly inUse: number;
  readonly leaving: number;
  readonly refused: number;
  /** Dials to addresses that it had once. */
  readonly goneDials: Readonly<Record<DialResult, number>>;
}

/** The key set of a token issuer. */
export interface TokenKeysState {
  /** As written. */
  readonly location: string;
  /** When a good set last came, in milliseconds since the epoch; null: never. */
  readonly fetchedAt: number | null;
  /** How often it was had, and was not, since the policy names it. */
  readonly fetched: number;
  readonly failed: number;
  /** Why it could not be had the last time; null where it was. */
  readonly fault: string | null;
}

/** A list of revoked client certificates. */
export interface RevocationState {
  readonly application: string;
  readonly issuer: string;
  /** Milliseconds since the epoch; Infinity where it says no end. */
  readonly nextUpdate: number;
}

export interface CertificateState {
  readonly application: string;
  /** Its first name. */
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
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
  /** The name that a TLS client asked for. */
  readonly sni: string | null;
  /** The protocol agreed on where TLS ends here; those offered, with commas, where it passes through. */
  readonly alpn: string | null;
  readonly ja4: string | null;
  /** The version of TLS where it ends here: 1.2 or 1.3. */
  readonly tls: string | null;
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
  /** A live flow that the policy no longer allows, and that comes to its end by the rule's `on-revoke`. */
  readonly draining?: boolean;
  /** null while the flow is live. */
  readonly ended_by: 'client' | 'server' | 'proxy' | 'policy' | null;
  readonly reason: string | null;
}

/** `none`: the bytes were no request, so that no verdict was reached. */
export const VERDICTS = ['allow', 'deny', 'would_deny', 'none'] as const;
export type FlowVerdict = (typeof VERDICTS)[number];

/** Absent parts match everything. */
export interface FlowFilter {
  readonly verdict?: FlowVerdict;
  readonly application?: string;
  readonly rule?: string;
  readonly source?: FlowSource;
  /** Milliseconds since the epoch, of the moment at which a flow began: from `since` on, up to and without `until`. */
  readonly since?: number;
  readonly until?: number;
}

/** An address, one with its port, or a prefix. */
export type FlowSource =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'address'; readonly address: Address }
  | { readonly kind: 'prefix'; readonly prefix: Prefix };

export interface FlowSearch {
  readonly limit: number;
  readonly filter: FlowFilter;
  /** From `next` of an earlier page; null: from the newest record. */
  readonly cursor: string | null;
}

/** At most `limit` flows, newest first by their end. `next` is null where nothing older is left. */
export interface FlowPage {
  readonly flows: FlowRecord[];
  readonly next: string | null;
}
