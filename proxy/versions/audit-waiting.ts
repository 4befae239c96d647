/** Entries of the audit that no disk has taken yet, in their order, and what is known of those that had to be given up. Bounded. */
import { hitNodeLimit } from '../shared/node-limits.ts';
import { type AuditEntry, type AuditFields, entryOf, GAP } from './audit-chain.ts';

/** At about 500 bytes an entry half a megabyte: a thousand orders while a disk is full. */
export const WAITING_ENTRIES_MAX = 1_000;

interface Waiting {
  readonly fields: AuditFields;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

interface Lost {
  readonly count: number;
  readonly from: number;
  readonly to: number;
  readonly why: string;
}

const TOO_MANY = 'the disk did not take them, and more waited than are kept in memory';
const TORN = 'a line at the end was never finished, and was cut off';

export class AuditWaiting {
  #entries: Waiting[] = [];
  #lost: Lost | null = null;

  get length(): number {
    return this.#entries.length;
  }

  /** How many were given up since the last gap was written. */
  get lost(): number {
    return this.#lost?.count ?? 0;
  }

  /** The oldest goes where there is no room: the gap then stands before all that are left. */
  add(fields: AuditFields, at: number): void {
    this.#entries.push({ fields, at });
    if (this.#entries.length <= WAITING_ENTRIES_MAX) return;
    this.#lose(this.#entries.shift()!.at, TOO_MANY);
    hitNodeLimit('audit-waiting');
  }

  /** A line that somebody has left unfinished was cut off. */
  tear(at: number): void {
    this.#lose(at, TORN);
  }

  /** What waits as entries that hang on `last`, a gap in first place where some were lost. */
  chain(last: AuditEntry | null): AuditEntry[] {
    const entries: AuditEntry[] = [];
    const add = (fields: AuditFields, at: number) => entries.push(entryOf(entries.at(-1) ?? last, fields, at));
    if (this.#lost !== null) add(gapOf(this.#lost), this.#lost.to);
    for (const { fields, at } of this.#entries) add(fields, at);
    return entries;
  }

  /** A write that failed may have brought some to disk, or all: they wait no longer. `last` is the newest entry on disk. */
  settle(last: AuditEntry | null): void {
    if (last === null) return;
    const written = this.chain(null).findIndex((entry) => isSame(entry, last));
    if (written < 0) return;
    const gaps = this.#lost === null ? 0 : 1;
    this.#lost = null;
    this.#entries = this.#entries.slice(written + 1 - gaps);
  }

  clear(): void {
    this.#entries = [];
    this.#lost = null;
  }

  #lose(at: number, why: string): void {
    const { count = 0, from = at, why: before = why } = this.#lost ?? {};
    this.#lost = { count: count + 1, from, to: at, why: before === why ? why : `${before}; ${why}` };
  }
}

function gapOf({ count, from, to, why }: Lost): AuditFields {
  const when = `from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}`;
  const detail = `gap of ${count} ${count === 1 ? 'entry' : 'entries'}, ${when}: ${why}`.slice(0, 500);
  return { who: 'node', role: 'admin', from: 'node', action: GAP, outcome: 'failed', version: null, generation: null, detail };
}

/** In all but its place in the chain. */
function isSame(one: AuditEntry, other: AuditEntry): boolean {
  const contentOf = ({ n: _, previous: __, hash: ___, ...content }: AuditEntry) => JSON.stringify(content);
  return contentOf(one) === contentOf(other);
}
