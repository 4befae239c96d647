/**
 * What the workers need of a policy beyond the image: addresses to listen on and to dial, times and bounds. Made once by the main thread,
 * sent with a swap. It is small (no rules, no prefixes), so a structured clone of it costs nothing that traffic would notice.
 */
import type { JSONWebKeySet } from 'jose';
import type { Prefix } from '../../config/address.ts';
import type {
  Answers,
  Balance,
  Ejection,
  Endpoint,
  Limits,
  Mode,
  Retries,
  RuleLimits,
  ServerProtocol,
  Timeouts,
} from '../../config/document.ts';
import type { TokenIssuer } from '../../config/jwt.ts';
import type { ProxyProtocolIn, ProxyProtocolOut } from '../../config/proxy-protocol.ts';
import type { Route } from '../../config/route.ts';
import type { ServerTableBuffers } from '../shared/servers.ts';
import type { PlannedTls } from '../tls/material.ts';
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
  /** How much clients are told of what failed behind the proxy. */
  readonly answers: Answers;
  /** null where no rule has limits. */
  readonly limits: PlannedLimits | null;
  /** Listening sockets that the main thread has for the workers; absent where they bind all by themselves. */
  readonly inheritance?: Inheritance;
}

/** Where a worker asks the main thread for listening sockets, and for which VIPs there are some. */
export interface Inheritance {
  readonly desk: Desk;
  readonly vips: readonly { readonly text: string; readonly isShared: boolean }[];
}

/** An abstract unix socket. Its name can be seen by everybody on the machine; the token is known to our threads alone. */
export interface Desk {
  readonly path: string;
  readonly token: string;
}

export interface PlannedLimits {
  readonly rules: readonly PlannedRuleLimits[];
  /** Answers who is in the sources that limits are counted for, see `policy/membership.ts`; null where none is asked for. */
  readonly membership: SharedArrayBuffer | null;
}

export interface PlannedRuleLimits {
  /** Record of the rule in the image. */
  readonly record: number;
  /** Its number in the table of what is spent, kept by its name through changes. */
  readonly id: number;
  readonly name: string;
  readonly limits: RuleLimits;
  /** Where it counts by segment: each source of `from`, with a number of its own and the number that it is asked for by. */
  readonly sources: readonly { readonly id: number; readonly asked: number }[];
}

export interface PlannedApplication {
  readonly name: string;
  readonly mode: Mode;
  readonly observes: boolean;
  /** Index into `pools`: where flows go that no route speaks of. */
  readonly pool: number;
  readonly routes: readonly Route[];
  /** Issuers of the tokens that its requests may bring. */
  readonly tokens: readonly TokenIssuer[];
  /** Proxies in front, whose word on forwarded requests counts. */
  readonly trusted: readonly Prefix[];
  readonly timeouts: Timeouts;
  readonly limits: Limits;
  /** null: nobody's PROXY header is believed. */
  readonly proxyProtocol: ProxyProtocolIn | null;
  /** null: bytes are taken as they come. */
  readonly tls: PlannedTls | null;
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
  readonly protocol: ServerProtocol;
  /** null: its servers get no PROXY header. */
  readonly proxyProtocol: ProxyProtocolOut | null;
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
  /** What is spent of the limits of rules. */
  readonly ruleLimits: SharedArrayBuffer;
  /** Hits of the node's limits, a row a worker. */
  readonly limits: SharedArrayBuffer;
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
  /** After which it tries again to bind VIPs that it could not bind. */
  readonly bindMs: number;
}

/** Main to worker. */
export type ToWorker =
  /** Bind what is new, and answer: nothing else changes. A later `prepare` takes the place of this one. */
  | { readonly type: 'prepare'; readonly plan: Plan }
  /** The plan that was prepared is in force. */
  | { readonly type: 'commit'; readonly generation: number }
  /** It does not come into force. */
  | { readonly type: 'abandon'; readonly generation: number }
  /** Both in one, for a worker that comes late. */
  | { readonly type: 'swap'; readonly plan: Plan }
  /** `handedOver`: a new process accepts from the same sockets. `patient`: idle clients may stay; a second message without it ends them. */
  | { readonly type: 'drain'; readonly handedOver: boolean; readonly patient: boolean }
  /** Bring the listening sockets to the desk, for another process. */
  | { readonly type: 'lend'; readonly desk: Desk }
  /** Keys of a token issuer; null: none could be had. */
  | { readonly type: 'keys'; readonly location: string; readonly keys: JSONWebKeySet | null }
  | { readonly type: 'stop' }
  | { readonly type: 'flows'; readonly id: number; readonly limit: number; readonly receipt: string | null };

/** A VIP that a worker could not bind, and the name of the error. */
export interface ListenFailure {
  readonly endpoint: string;
  readonly code: string;
}

/** Worker to main. */
export type FromWorker =
  | { readonly type: 'prepared'; readonly generation: number; readonly failures: readonly ListenFailure[] }
  | {
      readonly type: 'swapped';
      readonly generation: number;
      readonly cut: number;
      readonly kept: number;
      readonly draining: number;
      readonly failures: readonly ListenFailure[];
    }
  /** It has tried again to bind what it could not; what it still could not. */
  | { readonly type: 'bound'; readonly failures: readonly ListenFailure[] }
  | { readonly type: 'flows'; readonly id: number; readonly flows: readonly import('../observe/view.ts').FlowRecord[] }
  | { readonly type: 'idle' }
  /** A token names a key that is not in the set. */
  | { readonly type: 'keys-wanted'; readonly location: string }
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
