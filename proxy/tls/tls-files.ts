/**
 * The certificates of a node, on the main thread: read for a document, looked at again every few seconds, and swapped when they are whole. Files
 * that go wrong leave what was read before, and say so.
 */
import { statSync } from 'node:fs';
import type { Application, Document, Pool, Problem } from '../../config/document.ts';
import { formatProblem } from '../../config/problem.ts';
import type { ServerTls, TlsTermination } from '../../config/tls.ts';
import type { ClientMaterial, PlannedTls, ServerMaterial } from './material.ts';
import { type CertificateFact, EXPIRES_SOON_MS, filesOf, type Read, readClient, readServer } from './reading.ts';
import { advance, beginChain, type TicketChain } from './tickets.ts';

/** A renewal is a matter of days; a look at a few inodes costs nothing. */
export const TLS_POLL_MS_DEFAULT = 2_000;

export interface TlsFileEvents {
  /** Something new was read. */
  changed(): void;
  trouble(what: string, message: string): void;
}

/** Whose files they are: an application or a pool. */
interface Kept {
  readonly stamp: string;
  readonly read: Read<Omit<ServerMaterial, 'tickets'> | ClientMaterial>;
}

interface Owner {
  readonly kind: 'application' | 'pool';
  readonly name: string;
  /** With what the file says of it: a document that is only looked at leaves what is in use alone. */
  readonly key: string;
  readonly tls: TlsTermination | ServerTls;
  readonly read: (nowMs: number) => Kept['read'];
}

export class TlsFiles {
  readonly #events: TlsFileEvents;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | null = null;
  #owners: readonly Owner[] = [];
  readonly #kept = new Map<string, Kept>();
  /** What files looked like when they were no good: not tried again until they look different. */
  readonly #failed = new Map<string, { readonly stamp: string; readonly why: string }>();
  /** A renewal that is still being written looks different at each look, and is left alone. */
  readonly #seen = new Map<string, string>();
  readonly #chains = new Map<string, TicketChain>();
  failures = 0;

  constructor(events: TlsFileEvents, now: () => number = Date.now, pollMs: number | null = TLS_POLL_MS_DEFAULT) {
    this.#events = events;
    this.#now = now;
    if (pollMs !== null) this.#timer = setInterval(() => this.look(), pollMs).unref();
  }

  /** Reads what a document names. Answers why it cannot be applied; empty where it can. */
  want(document: Document): string[] {
    const problems: Problem[] = [];
    for (const owner of ownersOf(document)) {
      const stamp = stampOf(owner.tls);
      if (this.#kept.get(owner.key)?.stamp === stamp) continue;
      const read = owner.read(this.#now());
      problems.push(...read.problems.filter((problem) => problem.severity === 'error'));
      if (read.material !== null) this.#kept.set(owner.key, { stamp, read });
    }
    return problems.map(formatProblem);
  }

  /** The document is in force: its files are watched, and what only others named is forgotten. */
  settle(document: Document): void {
    const before = new Set(this.#owners.map((owner) => owner.key));
    this.#owners = ownersOf(document);
    const keys = new Set(this.#owners.map((owner) => owner.key));
    for (const owner of this.#owners) if (!before.has(owner.key)) this.#warn(owner, this.#kept.get(owner.key)?.read.problems ?? []);
    for (const key of this.#kept.keys()) if (!keys.has(key)) this.#kept.delete(key);
    for (const map of [this.#failed, this.#seen]) for (const key of map.keys()) if (!keys.has(key)) map.delete(key);
    const names = new Set(this.#owners.map((owner) => owner.name));
    for (const name of this.#chains.keys()) if (!names.has(name)) this.#chains.delete(name);
  }

  /** What workers end TLS of an application with; null where it has none. Its files have been read by `want`. */
  application(application: Application): PlannedTls | null {
    const { tls, name } = application;
    if (tls === undefined || tls.kind === 'passthrough') return tls ?? null;
    const material = this.#materialOf('application', name, tls) as Omit<ServerMaterial, 'tickets'>;
    return { ...material, tickets: tls.tickets === null ? null : this.#chain(name, tls.tickets.rotateMs) };
  }

  /** What workers speak TLS to the servers of a pool with; null where they don't. */
  pool({ name, tls }: Pool): ClientMaterial | null {
    return tls === undefined ? null : (this.#materialOf('pool', name, tls) as ClientMaterial);
  }

  #materialOf(kind: Owner['kind'], name: string, tls: Owner['tls']): NonNullable<Kept['read']['material']> {
    return this.#kept.get(keyOf(kind, name, tls))!.read.material!;
  }

  /** The certificates of applications in use. */
  certificates(): (CertificateFact & { readonly application: string })[] {
    return this.#owners.flatMap(({ kind, key, name }) =>
      kind === 'application' ? (this.#kept.get(key)?.read.certificates ?? []).map((fact) => ({ application: name, ...fact })) : [],
    );
  }

  /** What is wrong now, by whose files they are: certificates that have ended or soon will, and files that cannot be read again. */
  *troubles(): Iterable<readonly [subject: string, message: string]> {
    const now = this.#now();
    for (const { kind, key, name } of this.#owners) {
      const of = `${kind} ${name}`;
      const failure = this.#failed.get(key);
      if (failure !== undefined)
        yield [`${of}, files`, `The TLS files of ${of} are no good: ${failure.why} What was read before stays in use.`];
      for (const { name: host, notAfter } of this.#kept.get(key)?.read.certificates ?? []) {
        const day = new Date(notAfter).toISOString();
        if (notAfter <= now)
          yield [`${of}, ${host}`, `The certificate of ${host} for ${of} ended at ${day}, and its peers refuse it. Renew it.`];
        else if (notAfter - now < EXPIRES_SOON_MS)
          yield [`${of}, ${host}`, `The certificate of ${host} for ${of} ends at ${day}. Renew it; a new one is read without a restart.`];
      }
    }
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** One look at all files. */
  look(): void {
    let changed = false;
    for (const owner of this.#owners) if (this.#renew(owner)) changed = true;
    if (changed) this.#events.changed();
  }

  #renew(owner: Owner): boolean {
    const { key } = owner;
    const stamp = stampOf(owner.tls);
    if (stamp === this.#kept.get(key)?.stamp) {
      // Also where somebody has put back what was there before.
      this.#failed.delete(key);
      return false;
    }
    if (stamp === this.#failed.get(key)?.stamp) return false;
    if (stamp !== this.#seen.get(key)) {
      this.#seen.set(key, stamp);
      return false;
    }
    const read = owner.read(this.#now());
    this.#warn(owner, read.problems);
    if (read.material === null) {
      this.failures++;
      const why = read.problems
        .filter((problem) => problem.severity === 'error')
        .map(formatProblem)
        .join(' ');
      this.#failed.set(key, { stamp, why });
      this.#events.trouble(owner.name, `${why} What was read before stays in use.`);
      return false;
    }
    this.#failed.delete(key);
    this.#kept.set(key, { stamp, read });
    return true;
  }

  #warn(owner: Owner, problems: readonly Problem[]): void {
    for (const problem of problems) if (problem.severity === 'warning') this.#events.trouble(owner.name, formatProblem(problem));
  }

  #chain(name: string, rotateMs: number): TicketChain {
    const before = this.#chains.get(name);
    const chain = before?.rotateMs === rotateMs ? advance(before, this.#now()) : beginChain(rotateMs, this.#now());
    this.#chains.set(name, chain);
    return chain;
  }
}

/** Everything that is wrong or doubtful in the files that a document names, for those who only look. */
export function inspectTls(document: Document, nowMs = Date.now()): Problem[] {
  return ownersOf(document).flatMap((owner) => owner.read(nowMs).problems);
}

function ownersOf(document: Document): Owner[] {
  const owners: Owner[] = [];
  for (const application of document.applications) {
    const { tls, name } = application;
    if (tls?.kind !== 'terminate') continue;
    const read = (nowMs: number) => readServer(application, tls, nowMs);
    owners.push({ kind: 'application', name, key: keyOf('application', name, tls), tls, read });
  }
  for (const pool of document.pools) {
    const { tls, name } = pool;
    if (tls === undefined) continue;
    owners.push({ kind: 'pool', name, key: keyOf('pool', name, tls), tls, read: (nowMs) => readClient(pool, tls, nowMs) });
  }
  return owners;
}

/** What the file says, without where: a line that moved changes nothing. */
function keyOf(kind: Owner['kind'], name: string, tls: Owner['tls']): string {
  return `${kind} ${name} ${JSON.stringify(tls, (key, value: unknown) => (key === 'place' || key === 'places' ? undefined : value))}`;
}

function stampOf(tls: TlsTermination | ServerTls): string {
  return filesOf(tls).map(stampOfFile).join(' ');
}

function stampOfFile(file: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(file);
    return `${ino}/${size}/${mtimeMs}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}
