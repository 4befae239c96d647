/** What can be ordered of a node, and what comes of it: the face that the admin endpoint sees. */
import type { Problem } from '../../config/document.ts';
import type { Source } from '../../config/load.ts';
import { formatPlace } from '../../config/problem.ts';
import type { Actor } from './actor.ts';
import type { Archive } from './archive.ts';
import type { Effect } from './effect.ts';
import type { GuardBounds } from './guard.ts';
import type { Cause, Overlay, Quarantine, ServerOverride, ServerState } from './record.ts';
import type { ChangeSummary } from './summary.ts';

export interface ProblemView {
  readonly code: string;
  readonly severity: 'error' | 'warning';
  /** JSON pointer into the document; empty where the problem has none. */
  readonly path: string;
  /** `file:line:column`. */
  readonly at: string | null;
  readonly message: string;
  readonly suggestion?: string | undefined;
}

export interface InForce {
  readonly generation: number;
  readonly version: number;
  readonly cause: Cause;
  readonly author: string;
  readonly time: string;
  readonly note: string | null;
  readonly summary: string;
  /** false: the version waits in memory for a disk that takes it, and a restart would not know it. */
  readonly recorded: boolean;
  /** The version that brought the document in force, where the file on the command line, as it was last read, says something else; null where not. */
  readonly over_file: { readonly version: number; readonly author: string; readonly time: string } | null;
}

export interface Done {
  readonly ok: true;
  /** false: everything was as the order wants it, and no version was made of it. */
  readonly changed: boolean;
  readonly generation: number;
  readonly version: number;
  /** Flows that were cut, flows that come to their end by their rule's `on-revoke`, and those that were left alone. */
  readonly revoked: number;
  readonly draining: number;
  readonly kept: number;
  readonly milliseconds: number;
  readonly sha256: string;
  readonly summary: ChangeSummary;
  /** Whether the version is on disk (in memory where `state: off`). A version that could not be written is in force all the same. */
  readonly recorded: boolean;
  /** Whether the audit has the order on disk (in memory where `state: off`); else its entry waits in memory. */
  readonly audited: boolean;
  /** ISO 8601: taken back at this moment unless confirmed. */
  readonly confirm_by: string | null;
  readonly warnings: readonly ProblemView[];
}

export interface Refused {
  readonly ok: false;
  readonly code:
    | 'stale-generation'
    | 'bad-document'
    | 'refused'
    | 'unconfirmed'
    | 'nothing-to-confirm'
    | 'no-such-version'
    | 'no-such-source'
    | 'no-such-quarantine'
    | 'no-such-server'
    | 'too-many'
    | 'too-wide';
  readonly message: string;
  readonly problems?: readonly ProblemView[];
  readonly in_force?: InForce;
}

export type Outcome = Done | Refused;

export interface ApplyOrder {
  readonly sources: readonly Source[];
  readonly actor: Actor;
  readonly note: string | null;
  /** The generation on which the change was made; null: whatever is in force. */
  readonly expected: number | null;
  /** Taken back after this long unless confirmed; null: stays. */
  readonly confirmMs: number | null;
  readonly guard: GuardBounds | null;
}

export interface RollbackOrder {
  /** null: the one before with another document, or the one that a confirmation is awaited over. */
  readonly version: number | null;
  readonly note: string | null;
  readonly expected: number | null;
  readonly actor: Actor;
}

export interface QuarantineOrder {
  /** An address, a prefix, or the name of a segment. */
  readonly target: string;
  readonly forMs: number;
  readonly reason: string;
  readonly actor: Actor;
  /** It may cut off more than a /8 of IPv4, or a /32 of IPv6. */
  readonly wide?: boolean;
}

export interface ServerOrder {
  readonly pool: string;
  readonly server: string;
  readonly state: ServerState;
  readonly actor: Actor;
}

export interface DryRun {
  readonly ok: true;
  /** The generation in force, against which it was judged. */
  readonly generation: number;
  readonly version: number;
  readonly summary: ChangeSummary;
  readonly effect: Effect;
  readonly warnings: readonly ProblemView[];
}

/** Something was ordered, or happened by itself. */
export interface ControlEvent {
  readonly time: string;
  readonly kind: 'applied' | 'refused' | 'confirmed' | 'reverted' | 'guarded';
  readonly cause: Cause;
  readonly author: string;
  readonly from: string;
  readonly version: number | null;
  readonly generation: number | null;
  readonly revoked: number;
  readonly draining: number;
  readonly kept: number;
  readonly detail: string;
}

export interface Orders {
  inForce(): InForce;
  overlay(): Overlay;
  /** ISO 8601: the version in force is taken back then unless confirmed; null where it stays. */
  confirmBy(): string | null;
  apply(order: ApplyOrder): Promise<Outcome>;
  dryRun(sources: readonly Source[]): Promise<DryRun | Refused>;
  confirm(actor: Actor): Promise<Outcome>;
  rollback(order: RollbackOrder): Promise<Outcome>;
  quarantine(order: QuarantineOrder): Promise<(Done & { quarantine: Quarantine }) | Refused>;
  dryQuarantine(order: QuarantineOrder): Promise<DryRun | Refused>;
  release(order: { name: string; actor: Actor }): Promise<Outcome>;
  setServer(order: ServerOrder): Promise<(Done & { override: ServerOverride | null }) | Refused>;
  readonly archive: Archive;
  /** For what is refused before it comes to an order: a wrong token, a role that is not enough. */
  recordRefusal(actor: Actor, action: string, detail: string): void;
  onEvent(listener: (event: ControlEvent) => void): () => void;
  onRecords(listener: (lines: Uint8Array) => void): () => void;
}

export function problemView({ code, severity, path, place, message, suggestion }: Problem): ProblemView {
  return {
    code,
    severity,
    path,
    at: place === null ? null : formatPlace(place),
    message,
    ...(suggestion === undefined ? {} : { suggestion }),
  };
}

/** `file:line:column: error[code]: message; did you mean "…"?` in one line. */
export function formatView({ code, severity, at, message, suggestion }: ProblemView): string {
  const near = suggestion === undefined ? '' : `; did you mean ${JSON.stringify(suggestion)}?`;
  return `${at === null ? '' : `${at}: `}${severity}[${code}]: ${message}${near}`;
}
