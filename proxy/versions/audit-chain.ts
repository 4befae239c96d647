/** The chain of the audit log: how an entry hangs on the one before it, and where a chain is broken. */
import { readFile } from 'node:fs/promises';
import { isCode } from './durable.ts';
import { sha256 } from './record.ts';

/** What the first entry of all hangs on. */
export const GENESIS = '0'.repeat(64);
const NEWLINE = 0x0a;

export interface AuditEntry {
  /** Counts from 1 without a gap. */
  readonly n: number;
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly who: string;
  readonly role: string;
  readonly from: string;
  /** `apply`, `rollback`, `quarantine`, … */
  readonly action: string;
  readonly outcome: 'done' | 'refused' | 'failed';
  readonly version: number | null;
  readonly generation: number | null;
  /** One line. */
  readonly detail: string;
  readonly previous: string;
  readonly hash: string;
  /** It waits in memory for a disk that takes it; what it hangs on may become another entry until then. */
  readonly unwritten?: true;
}

export type AuditFields = Omit<AuditEntry, 'n' | 'time' | 'previous' | 'hash' | 'unwritten'>;

export type Verification =
  | { readonly ok: true; readonly entries: number; readonly first: number | null; readonly head: string }
  | { readonly ok: false; readonly entries: number; readonly line: number; readonly n: number | null; readonly reason: string };

/** Stands for entries that are nowhere: the disk did not take them in time, or a crash has torn them. */
export const GAP = 'gap';

export function entryOf(last: AuditEntry | null, fields: AuditFields, now: number): AuditEntry {
  const { who, role, from, action, outcome, version, generation, detail } = fields;
  const n = (last?.n ?? 0) + 1;
  const previous = last?.hash ?? GENESIS;
  const entry = { n, time: new Date(now).toISOString(), who, role, from, action, outcome, version, generation, detail, previous };
  return { ...entry, hash: hashOf(entry) };
}

/** An entry that has to be in the log, because something else was written after it. */
export interface Anchor {
  readonly hash: string;
  /** What was written after it: `version 7`. */
  readonly of: string;
}

/**
 * Follows the chain through all lines. The oldest entries may have been rotated away: what the first one hangs on is taken as it says. A log
 * whose last entries were cut off is still a chain; it is told by an anchor that is no longer in it. A chain with a gap in it, or with an end that
 * is torn, holds and is not whole all the same.
 */
export function verifyLines(bytes: Buffer, anchor: Anchor | null = null): Verification {
  const wholeBytes = bytes.lastIndexOf(NEWLINE) + 1;
  const lines = wholeBytes === 0 ? [] : bytes.toString('utf8', 0, wholeBytes - 1).split('\n');
  let last: AuditEntry | null = null;
  let first: number | null = null;
  let anchored = anchor === null || anchor.hash === GENESIS;
  const gaps: { readonly line: number; readonly entry: AuditEntry }[] = [];
  for (const [index, line] of lines.entries()) {
    const broken = (reason: string, n: number | null): Verification => ({ ok: false, entries: index, line: index + 1, n, reason });
    const entry = parseEntry(line);
    if (entry === null) return broken('it is no audit entry', last === null ? null : last.n + 1);
    const { hash, ...rest } = entry;
    if (hash !== hashOf(rest)) return broken('its content does not have the hash that it says: it was changed', entry.n);
    if (last === null && entry.n === 1 && entry.previous !== GENESIS)
      return broken('it is the first entry, and yet hangs on another', entry.n);
    if (last !== null && entry.n !== last.n + 1) return broken(`entry ${last.n + 1} is not where it belongs, before this one`, entry.n);
    if (last !== null && entry.previous !== last.hash) return broken('it does not hang on the entry before it', entry.n);
    if (anchor !== null && anchor.hash === hash) anchored = true;
    if (entry.action === GAP) gaps.push({ line: index + 1, entry });
    first ??= entry.n;
    last = entry;
  }
  if (!anchored) {
    const n = (last?.n ?? 0) + 1;
    return {
      ok: false,
      entries: lines.length,
      line: lines.length + 1,
      n,
      reason: `it is missing: ${anchor!.of} was written after an entry that the log no longer holds`,
    };
  }
  const gap = gaps[0];
  if (gap !== undefined) {
    const more = gaps.length === 1 ? '' : `, and ${gaps.length - 1} more such gap${gaps.length === 2 ? '' : 's'} after it`;
    const reason = `it stands for entries that are lost: ${gap.entry.detail}${more}`;
    return { ok: false, entries: lines.length, line: gap.line, n: gap.entry.n, reason };
  }
  const tornBytes = bytes.length - wholeBytes;
  if (tornBytes > 0) {
    const reason = `it is torn: ${tornBytes} bytes at the end are of an entry that was never finished`;
    return { ok: false, entries: lines.length, line: lines.length + 1, n: (last?.n ?? 0) + 1, reason };
  }
  return { ok: true, entries: lines.length, first, head: last?.hash ?? GENESIS };
}

/** Files as one, with the newest entries that can be read, newest first. Files that are not there hold nothing. */
export async function readAudit(
  files: readonly string[],
  limit: number,
): Promise<{ bytes: Buffer; entries: AuditEntry[]; wholeBytes: number }> {
  const parts: Buffer[] = [];
  for (const file of files) {
    const part = await readFile(file).catch((error: unknown) => {
      if (isCode(error, 'ENOENT')) return null;
      throw error;
    });
    if (part !== null) parts.push(part);
  }
  const bytes = Buffer.concat(parts);
  const wholeBytes = bytes.lastIndexOf(NEWLINE) + 1;
  const entries: AuditEntry[] = [];
  let end = wholeBytes - 1;
  while (end > 0 && entries.length < limit) {
    const start = bytes.lastIndexOf(NEWLINE, end - 1) + 1;
    const entry = parseEntry(bytes.toString('utf8', start, end));
    if (entry !== null) entries.push(entry);
    end = start - 1;
  }
  return { bytes, entries, wholeBytes };
}

function parseEntry(line: string): AuditEntry | null {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null) return null;
    const { n, hash, previous } = value as AuditEntry;
    return typeof n === 'number' && typeof hash === 'string' && typeof previous === 'string' ? (value as AuditEntry) : null;
  } catch {
    return null;
  }
}

function hashOf(entry: Omit<AuditEntry, 'hash'>): string {
  return sha256(JSON.stringify(entry));
}
