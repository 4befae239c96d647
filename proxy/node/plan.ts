/**
 * What the workers need of a policy beyond the image: addresses to listen on and to dial, times and bounds. Made once by the main thread,
 * sent with a swap. It is small (no rules, no prefixes), so a structured clone of it costs nothing that traffic would notice.
 */
import type { Balance, Ejection, Endpoint, Limits, Mode, Retries, Timeouts } from '../../config/document.ts';
import type { ServerTableBuffers } from '../shared/servers.ts';
import type { Target } from '../wire/dial.ts';

export interface Plan {
  readonly generation: number;
  readonly image: SharedArrayBuffer;
  /** One a worker: each is sent its own. */
  readonly ledger: SharedArrayBuffer;
  /** In the order of the image. */
  readonly vips: readonly { readonly endpoint: Endpoint; readonly application: number }[];
  readonly applications: readonly PlannedApplication[];
  readonly pools: readonly PlannedPool[];
  readonly connectionsMax: number;
}

export interface PlannedApplication {
  readonly name: string;
  readonly mode: Mode;
  readonly observes: boolean;
  /** Index into `pools`. */
  readonly pool: number;
  readonly timeouts: Timeouts;
  readonly limits: Limits;
  /** A column of the shared connection counts, kept by the application's name through changes. */
  readonly column: number;
}

export interface PlannedPool {
  readonly name: string;
  readonly balance: Balance;
  readonly servers: readonly PlannedServer[];
  readonly ejection: Ejection | null;
  readonly retries: Retries;
  readonly idleConnections: number;
  readonly idleTimeoutMs: number;
  /** Maglev: index into `servers` for each entry; null for other ways of balancing. */
  readonly maglev: SharedArrayBuffer | null;
}

export interface PlannedServer {
  /** Row in the server table. */
  readonly row: number;
  readonly text: string;
  readonly target: Target;
  /** 0: takes no new flows. */
  readonly weight: number;
}

/** Memory that all threads share for as long as the node lives. */
export interface SharedMemory {
  readonly workers: number;
  readonly servers: ServerTableBuffers;
  /** Column 0: the whole process. Column 1 and up: applications. */
  readonly connections: SharedArrayBuffer;
  readonly sources: SharedArrayBuffer;
}

export const APPLICATIONS_MAX = 4_096;
/** Column of the process-wide count. */
export const PROCESS_COLUMN = 0;

export interface WorkerStart {
  readonly worker: number;
  readonly shared: SharedMemory;
  readonly ring: SharedArrayBuffer;
  /** Begins every receipt of this worker's: differs from every other worker and start. */
  readonly receiptPrefix: string;
}

/** Main to worker. */
export type ToWorker =
  | { readonly type: 'swap'; readonly plan: Plan }
  | { readonly type: 'drain' }
  | { readonly type: 'stop' }
  | { readonly type: 'flows'; readonly id: number; readonly limit: number; readonly receipt: string | null };

/** Worker to main. */
export type FromWorker =
  | {
      readonly type: 'swapped';
      readonly generation: number;
      readonly cut: number;
      readonly kept: number;
      readonly failures: readonly { readonly endpoint: string; readonly code: string }[];
    }
  | { readonly type: 'flows'; readonly id: number; readonly flows: readonly import('../observe/view.ts').FlowRecord[] }
  | { readonly type: 'idle' }
  | { readonly type: 'pressing' }
  /** A flow whose rule says `log`. `unlogged`: how many before it were too many to tell. */
  | {
      readonly type: 'decided';
      readonly receipt: string;
      readonly application: string;
      readonly rule: string;
      readonly verdict: 'allow' | 'deny' | 'would_deny';
      readonly source: string;
      readonly vip: string;
      readonly unlogged: number;
    }
  | { readonly type: 'trouble'; readonly message: string; readonly detail: Record<string, string | number> };
