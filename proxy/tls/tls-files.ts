/**
 * The certificates of a node, on the main thread: read for a document, looked at again every few seconds, and swapped when they are whole. Files
 * that go wrong leave what was read before, and say so.
 */
import { statSync } from 'node:fs';
import type { Application, Document, Pool, Problem } from '../../config/document.ts';
import { formatProblem } from '../../config/problem.ts';
import type { ServerTls, TlsTermination } from '../../config/tls.ts';
import type { ClientMaterial, PlannedTls } from './material.ts';
import { type CertificateFact, type FilesOfServer, filesOf, type Read, readClient, readServer } from './reading.ts';
import { EXPIRES_SOON_MS, endsSoon } from './reading-clients.ts';
import { advance, beginChain, type TicketChain } from './tickets.ts';

/** A renewal is a matter of days; a look at a few inodes costs nothing. */
export const TLS_POLL_MS_DEFAULT = 2_000;

/** Names in one message. */
const NAMES_TOLD_MAX = 10;

/** Of warnings, those that come and go with time, and are told by the clock rather than as the files were read. */
const TOLD_BY_TIME: ReadonlySet<string> = new Set([
  ...['certificate-expired', 'certificate-expires', 'certificate-not-yet'],
  ...['crl-expired', 'crl-expires', 'ocsp-not-yet'],
]);

export interface TlsFileEvents {
  /** Something new was read, of these applications and pools. */
  changed(whose: readonly string[]): void;
  trouble(what: string, message: string): void;
}

type Material = FilesOfServer | ClientMaterial;

/** What was read, and is in use. */
interface Kept {
  /** What the files looked like; empty where one could not be read, which may be over while it looks the same. */
  readonly stamp: string;
  readonly read: Read<Material>;
  /** Why files of it are no good, for which those that were read before stand in; null where all are. */
  readonly why: string | null;
}

/** Whose files they are: an application or a pool. */
interface Owner {
  readonly kind: 'application' | 'pool';
  readonly name: string;
  /** With what the file says of it: another section begins anew. */
  readonly key: string;
  readonly tls: TlsTermination | ServerTls;
  readonly read: (nowMs: number, before: Kept['read'] | null) => Kept['read'];
}

/** What the files of a document hold. Nothing of it is in use yet. */
export interface Wanted {
  /** Why the document cannot be applied; empty where it can. */
  readonly problems: readonly string[];
  /** The document is about to come into force. Answers how to take that back, where it does not. */
  take(): () => void;
}

export class TlsFiles {
  readonly #events: TlsFileEvents;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | null = null;
  #owners: readonly Owner[] = [];
  #kept: ReadonlyMap<string, Kept> = new Map();
  /** A renewal that is still being written looks different at each look, and is left alone. */
  readonly #seen = new Map<string, string>();
  /** What was told of each owner at the last look. */
  #told = new Map<string, ReadonlySet<string>>();
  readonly #chains = new Map<string, TicketChain>();
  failures = 0;

  constructor(events: TlsFileEvents, now: () => number = Date.now, pollMs: number | null = TLS_POLL_MS_DEFAULT) {
    this.#events = events;
    this.#now = now;
    if (pollMs !== null) this.#timer = setInterval(() => this.look(), pollMs).unref();
  }

  /** Reads what a document names. A section that is in force as it stands is no reason to refuse: what was read before stays in use. */
  want(document: Document): Wanted {
    const problems: string[] = [];
    const fresh = new Map<string, Kept>();
    for (const owner of ownersOf(document)) {
      const before = this.#kept.get(owner.key) ?? null;
      const stamp = stampOf(owner.tls);
      if (before?.stamp === stamp) continue;
      const kept = this.#read(owner, stamp, before);
      if (kept.read.material === null) problems.push(kept.why!);
      else fresh.set(owner.key, kept);
    }
    const take = () => {
      const before = this.#kept;
      this.#kept = new Map([...before, ...fresh]);
      return () => {
        this.#kept = before;
      };
    };
    return { problems, take };
  }

  /** The document is in force: its files are watched, and what only others named is forgotten. */
  settle(document: Document): void {
    this.#owners = ownersOf(document);
    const keys = new Set(this.#owners.map((owner) => owner.key));
    this.#kept = new Map([...this.#kept].filter(([key]) => keys.has(key)));
    for (const map of [this.#seen, this.#told]) for (const key of map.keys()) if (!keys.has(key)) map.delete(key);
    const names = new Set(this.#owners.map((owner) => owner.name));
    for (const name of this.#chains.keys()) if (!names.has(name)) this.#chains.delete(name);
    this.#tell();
  }

  /** What workers end TLS of an application with; null where it has none. Its files have been read by `want`. */
  application(application: Application): PlannedTls | null {
    const { tls, name } = application;
    if (tls === undefined || tls.kind === 'passthrough') return tls ?? null;
    const material = this.#materialOf('application', name, tls) as FilesOfServer;
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
    return this.#ofApplications(({ certificates }) => certificates);
  }

  /** The lists of revoked client certificates in use. */
  revocations(): { readonly application: string; readonly issuer: string; readonly nextUpdate: number }[] {
    return this.#ofApplications(({ revocations }) => revocations.map(({ issuer, nextUpdate }) => ({ issuer: issuer.text, nextUpdate })));
  }

  #ofApplications<T extends object>(of: (read: Kept['read']) => readonly T[]): (T & { readonly application: string })[] {
    return this.#owners.flatMap(({ kind, key, name }) => {
      const kept = kind === 'application' ? this.#kept.get(key) : undefined;
      return kept === undefined ? [] : of(kept.read).map((one) => ({ application: name, ...one }));
    });
  }

  /** What is wrong now, by whose files they are: files that are no good, what peers will not like, and what has ended or soon will. */
  *troubles(): Iterable<readonly [subject: string, message: string]> {
    // A name may have a certificate of either kind, and both may be in trouble.
    const counts = new Map<string, number>();
    for (const owner of this.#owners)
      for (const [subject, message] of this.#troublesOf(owner)) {
        const count = (counts.get(subject) ?? 0) + 1;
        counts.set(subject, count);
        yield [count === 1 ? subject : `${subject} (${count})`, message];
      }
  }

  *#troublesOf({ kind, name, key }: Owner): Iterable<readonly [subject: string, message: string]> {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    const of = `${kind} ${name}`;
    const { material, problems, certificates, revocations } = kept.read;
    if (kept.why !== null)
      yield [`${of}, files`, `TLS files of ${of} are no good: ${kept.why} What was read before stays in use in their place.`];
    for (const problem of problems)
      if (problem.severity === 'warning' && !TOLD_BY_TIME.has(problem.code))
        yield [`${of}, ${problem.code} at ${problem.path}`, formatProblem(problem)];
    const now = this.#now();
    for (const { name: host, notBefore, notAfter, stapledFrom } of certificates) {
      const day = new Date(notAfter).toISOString();
      for (const [what, from] of [['certificate', notBefore] as const, ['OCSP response', stapledFrom] as const]) {
        if (from <= now) continue;
        const since = new Date(from).toISOString();
        yield [
          `${of}, ${what} for ${host}`,
          `The ${what} for ${host} of ${of} is good from ${since} on only. Look at the clock of this machine.`,
        ];
      }
      if (notAfter <= now)
        yield [`${of}, ${host}`, `The certificate of ${host} for ${of} ended at ${day}, and its peers refuse it. Renew it.`];
      else if (notAfter - now < EXPIRES_SOON_MS)
        yield [`${of}, ${host}`, `The certificate of ${host} for ${of} ends at ${day}. Renew it; a new one is read without a restart.`];
    }
    for (const list of revocations) {
      if (!endsSoon(list, now)) continue;
      const verb = list.nextUpdate <= now ? 'ended' : 'ends';
      const what = `The revocation list of ${list.issuer.text} for ${of} ${verb} at ${new Date(list.nextUpdate).toISOString()}`;
      yield [`${of}, revocation list of ${list.issuer.text}`, `${what}; from then on every client of it is refused. Renew it.`];
    }
    for (const [i, { ocspUntil }] of (material !== null && 'certificates' in material ? material.certificates : []).entries()) {
      if (ocspUntil > now) continue;
      const what = `The OCSP response for ${certificates[i]!.name} of ${of} held until ${new Date(ocspUntil).toISOString()}`;
      yield [`${of}, OCSP response for ${certificates[i]!.name}`, `${what}, and is stapled no more. Fetch a new one.`];
    }
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** One look at all files. */
  look(): void {
    const changed = this.#owners.filter((owner) => this.#renew(owner)).map(({ kind, name }) => `${kind} ${name}`);
    this.#tell();
    if (changed.length > 0) this.#events.changed(changed);
  }

  /** Whether something else is in use now. */
  #renew(owner: Owner): boolean {
    const { key } = owner;
    const before = this.#kept.get(key)!;
    const stamp = stampOf(owner.tls);
    if (stamp === before.stamp) return false;
    if (stamp !== this.#seen.get(key)) {
      this.#seen.set(key, stamp);
      return false;
    }
    const kept = this.#read(owner, stamp, before);
    this.#kept = new Map([...this.#kept, [key, kept]]);
    if (kept.why !== null && kept.why !== before.why) this.failures++;
    const lost = namesOf(before).difference(namesOf(kept));
    if (lost.size > 0) {
      const names = [...lost].slice(0, NAMES_TOLD_MAX).join(', ');
      const what = `After their renewal the certificates of ${owner.kind} ${owner.name} no longer have ${names}`;
      this.#events.trouble(owner.name, `${what}. Who asks for that is shown the first one, and refuses it.`);
    }
    return kept.read.material!.id !== before.read.material!.id;
  }

  #read(owner: Owner, stamp: string, before: Kept | null): Kept {
    const read = owner.read(this.#now(), before?.read ?? null);
    const errors = read.problems.filter(({ severity }) => severity === 'error');
    const isUnread = errors.some(({ code }) => code === 'file-unreadable');
    const why = errors.length === 0 ? null : errors.map(formatProblem).join(' ');
    const stays = read.material === null && before !== null ? { ...before.read, problems: read.problems } : read;
    return { stamp: isUnread && !MISSING.test(stamp) ? '' : stamp, read: stays, why };
  }

  /** What is wrong since the last time is told. */
  #tell(): void {
    for (const owner of this.#owners) {
      const before = this.#told.get(owner.key);
      const now = new Set([...this.#troublesOf(owner)].map(([, message]) => message));
      for (const message of now) if (before?.has(message) !== true) this.#events.trouble(owner.name, message);
      this.#told.set(owner.key, now);
    }
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
  return ownersOf(document).flatMap((owner) => owner.read(nowMs, null).problems);
}

function ownersOf(document: Document): Owner[] {
  const owners: Owner[] = [];
  for (const application of document.applications) {
    const { tls, name } = application;
    if (tls?.kind !== 'terminate') continue;
    const read: Owner['read'] = (nowMs, before) => readServer(application, tls, nowMs, before as Read<FilesOfServer> | null);
    owners.push({ kind: 'application', name, key: keyOf('application', name, tls), tls, read });
  }
  for (const pool of document.pools) {
    const { tls, name } = pool;
    if (tls === undefined) continue;
    const read: Owner['read'] = (nowMs, before) => readClient(pool, tls, nowMs, before as Read<ClientMaterial> | null);
    owners.push({ kind: 'pool', name, key: keyOf('pool', name, tls), tls, read });
  }
  return owners;
}

function namesOf({ read: { material } }: Kept): Set<string> {
  return new Set(material !== null && 'certificates' in material ? material.certificates.flatMap(({ names }) => names) : []);
}

/** What the file says, without where: a line that moved changes nothing. */
function keyOf(kind: Owner['kind'], name: string, tls: Owner['tls']): string {
  return `${kind} ${name} ${JSON.stringify(tls, (key, value: unknown) => (key === 'place' || key === 'places' ? undefined : value))}`;
}

function stampOf(tls: TlsTermination | ServerTls): string {
  return filesOf(tls).map(stampOfFile).join(' ');
}

/** Of a file that is not there, or not to be found; it looks different once it is. */
const MISSING = /(?:^| )E[A-Z]/;

function stampOfFile(file: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(file);
    return `${ino}/${size}/${mtimeMs}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}
