/** A version: one state of policy that was brought into force, with all that it takes to bring it into force again. */
import { createHash } from 'node:crypto';
import type { Source } from '../../config/load.ts';
import type { ChangeSummary } from './summary.ts';

/** What made a version. */
export const CAUSES = ['start', 'signal', 'apply', 'confirm', 'rollback', 'revert', 'quarantine', 'release', 'expiry', 'server'] as const;
export type Cause = (typeof CAUSES)[number];

/** A source that is cut off from everything but the cluster lane, until a moment. */
export interface Quarantine {
  /** `quarantine-3`: also the name of the rule that denies. */
  readonly name: string;
  /** An address or prefix, or the name of a segment. */
  readonly target: { readonly kind: 'address' | 'segment'; readonly text: string };
  readonly reason: string;
  readonly author: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly until: number;
}

export const SERVER_STATES = ['up', 'drain', 'maintenance'] as const;
export type ServerState = (typeof SERVER_STATES)[number];

/** What an operator said of a server, beside the document. `drain` takes no new flows; `maintenance` ends those that it has, too. */
export interface ServerOverride {
  readonly pool: string;
  readonly server: string;
  readonly state: Exclude<ServerState, 'up'>;
  readonly author: string;
  readonly since: number;
}

/** What holds beside the document. It stays through changes of the document until it is taken back or ends. */
export interface Overlay {
  readonly quarantines: readonly Quarantine[];
  readonly servers: readonly ServerOverride[];
}

export const NO_OVERLAY: Overlay = { quarantines: [], servers: [] };

export interface VersionRecord {
  /** Counts from 1 for as long as the state folder lives. */
  readonly version: number;
  /** The generation under which the workers got it; starts at 1 with each process. */
  readonly generation: number;
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly cause: Cause;
  readonly author: string;
  readonly from: string;
  readonly note: string | null;
  /** Of the sources: names and texts. */
  readonly sha256: string;
  /** The texts as they were given, variables not yet replaced. */
  readonly sources: readonly Source[];
  readonly overlay: Overlay;
  /** Of the file on the command line when it was last read: whether it was changed since tells which of the two a restart begins with. */
  readonly fileSha256: string | null;
  /** Waits for a confirmation until then (milliseconds since 1970), and goes back to that version without. */
  readonly confirm: { readonly until: number; readonly revertTo: number } | null;
  readonly summary: ChangeSummary;
  /** The hash of the newest audit entry when this was written: audit entries that were cut off since are missed by it. */
  readonly audit: string;
}

/** What listings show of a version. */
export type VersionSummary = Omit<VersionRecord, 'sources' | 'overlay' | 'audit' | 'fileSha256'> & { readonly bytes: number };

export function summaryOf(record: VersionRecord): VersionSummary {
  const { sources, overlay: _, audit: __, fileSha256: ___, ...rest } = record;
  return { ...rest, bytes: sources.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0) };
}

/** Whether both say the same in the same order, whatever their files are called. */
export function sameTexts(one: readonly Source[], other: readonly Source[]): boolean {
  return one.length === other.length && one.every(({ text }, index) => text === other[index]!.text);
}

export function hashOfSources(sources: readonly Source[]): string {
  return sha256(JSON.stringify(sources.map(({ file, text }) => [file, text])));
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** The bytes of a version file: JSON whose last key is the hash of the rest, so that a file that lost bytes is told from a whole one. */
export function encodeVersion(record: VersionRecord): string {
  return `${JSON.stringify({ ...record, check: sha256(JSON.stringify(record)) })}\n`;
}

/** null for what is not a whole version: torn, changed, or something else altogether. */
export function decodeVersion(text: string): VersionRecord | null {
  try {
    const { check, ...record } = JSON.parse(text) as VersionRecord & { check: unknown };
    if (!text.endsWith('}\n') || check !== sha256(JSON.stringify(record))) return null;
    return record;
  } catch {
    return null;
  }
}
