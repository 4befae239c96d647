/** The databases of `process.geo`, read again when their files change. A file that goes wrong leaves what was known. */
import { statSync } from 'node:fs';
import type { Prefix } from '../../config/address.ts';
import { type GeoAnswer, type GeoKind, readGeo } from './geo.ts';

/** A new database comes once a day or week; a look at its inode costs nothing. */
export const GEO_POLL_MS_DEFAULT = 10_000;

interface Kept {
  /** Of the file: a database is replaced by another, or written again. */
  readonly stamp: string;
  readonly wanted: string;
  readonly answer: GeoAnswer;
}

/** Why a file could not be used. */
interface Failure {
  readonly message: string;
  /** Its bytes could not even be had. That may be over though it looks the same: after a chmod, or once there are descriptors again. */
  readonly isUnread: boolean;
}

export interface GeoEvents {
  changed(): void;
  trouble(file: string, message: string): void;
}

export class GeoFiles {
  readonly #files: Readonly<Record<GeoKind, string | null>>;
  readonly #events: GeoEvents;
  readonly #timer: NodeJS.Timeout | null;
  readonly #kept = new Map<GeoKind, Kept>();
  readonly #wanted = new Map<GeoKind, ReadonlySet<string | number>>();
  /** What a file looked like when it was no good, and why: not tried again until it looks different. `stamp` null: tried again at every look. */
  readonly #failed = new Map<GeoKind, { readonly stamp: string | null; readonly message: string }>();
  /** A file that changed is left alone until it looks the same twice: it may still be written. */
  readonly #seen = new Map<GeoKind, string>();
  /** What is being read. */
  readonly #reading = new Map<GeoKind, Promise<unknown>>();
  #stopped = false;

  constructor(files: Readonly<Record<GeoKind, string | null>>, events: GeoEvents, pollMs: number | null = GEO_POLL_MS_DEFAULT) {
    this.#files = files;
    this.#events = events;
    this.#timer = pollMs === null ? null : setInterval(() => this.#poll(), pollMs);
    this.#timer?.unref();
  }

  /** Reads what is wanted and not known yet. Answers what stands in the way, one line each; empty where all is known. */
  async want(kind: GeoKind, wanted: ReadonlySet<string | number>): Promise<string[]> {
    if (wanted.size === 0 || this.#files[kind] === null) return [];
    const known = this.#wanted.get(kind) ?? new Set();
    const all = new Set([...known, ...wanted]);
    this.#wanted.set(kind, all);
    if (this.#kept.get(kind)?.wanted === keyOf(all)) return [];
    const failure = await this.#read(kind);
    return failure === null ? [] : [`process.geo.${kind}: ${this.#files[kind]} cannot be used: ${failure.message}`];
  }

  /** Forgets what is no longer wanted. */
  settle(kind: GeoKind, wanted: ReadonlySet<string | number>): void {
    this.#wanted.set(kind, wanted);
  }

  prefixes(kind: GeoKind): ReadonlyMap<string | number, readonly Prefix[]> {
    return this.#kept.get(kind)?.answer ?? new Map();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  #poll(): void {
    for (const kind of ['country', 'asn'] as const) {
      const file = this.#files[kind];
      if (file === null || (this.#wanted.get(kind)?.size ?? 0) === 0 || this.#reading.has(kind)) continue;
      const stamp = stampOf(file);
      // Also where somebody has put back what was there before.
      if (stamp === this.#kept.get(kind)?.stamp) this.#failed.delete(kind);
      else if (stamp === this.#failed.get(kind)?.stamp) continue;
      else if (this.#seen.get(kind) === stamp) void this.#renew(kind, file, stamp);
      else this.#seen.set(kind, stamp);
    }
  }

  async #renew(kind: GeoKind, file: string, stamp: string): Promise<void> {
    const failure = await this.#read(kind);
    if (this.#stopped || failure === null) return;
    const { message, isUnread } = failure;
    const before = this.#failed.get(kind);
    this.#failed.set(kind, { stamp: isUnread ? null : stamp, message });
    if (message !== before?.message) this.#events.trouble(file, message);
  }

  /** One reading of a kind at a time: the next begins when the one before has ended, with all that is wanted by then. */
  #read(kind: GeoKind): Promise<Failure | null> {
    const before = this.#reading.get(kind) ?? Promise.resolve();
    const reading = before.then(() => this.#readNow(kind));
    this.#reading.set(kind, reading);
    void reading.then(() => {
      if (this.#reading.get(kind) === reading) this.#reading.delete(kind);
    });
    return reading;
  }

  /** Answers why it could not; what was known then stays. */
  async #readNow(kind: GeoKind): Promise<Failure | null> {
    const file = this.#files[kind]!;
    const wanted = this.#wanted.get(kind)!;
    const stamp = stampOf(file);
    const kept = this.#kept.get(kind);
    // Whoever waited for the reading before may have got what he wants by it.
    if (kept?.stamp === stamp && kept.wanted === keyOf(wanted)) return null;
    try {
      this.#kept.set(kind, { stamp, wanted: keyOf(wanted), answer: await readGeo(file, kind, wanted) });
      this.#failed.delete(kind);
    } catch (error) {
      if (!(error instanceof Error)) return { message: String(error), isUnread: false };
      return { message: error.message, isUnread: 'errno' in error };
    }
    // Whoever it was read for, the policy in force was made of what the file held before.
    if (kept !== undefined && kept.stamp !== stamp && !this.#stopped) this.#events.changed();
    return null;
  }
}

function keyOf(wanted: ReadonlySet<string | number>): string {
  return [...wanted].sort().join();
}

function stampOf(file: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(file);
    return `${ino} ${size} ${mtimeMs}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}
