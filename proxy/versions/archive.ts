/** What a node remembers of its orders: the versions and the audit, which hold each other. */
import type { Problems } from '../observe/problems.ts';
import type { Audit } from './audit.ts';
import type { AuditEntry, Verification } from './audit-chain.ts';
import type { VersionRecord } from './record.ts';
import type { ListedVersion, VersionStore } from './store.ts';

/** Entries of the audit that are looked through for numbers that were given out; as many versions may be lost with a process. */
const ENTRIES_LOOKED_AT = 1_000;

export class Archive {
  readonly #store: VersionStore;
  readonly #audit: Audit;

  constructor(store: VersionStore, audit: Audit) {
    this.#store = store;
    this.#audit = audit;
  }

  /** Newest first. */
  versions(): ListedVersion[] {
    return this.#store.list();
  }

  /** Under which the next version is kept. */
  get next(): number {
    return this.#store.next;
  }

  /** Keeps a version; see VersionStore.append. */
  append(draft: Omit<VersionRecord, 'version'>): Promise<VersionRecord> {
    return this.#store.append(draft);
  }

  /** The hash of the newest audit entry that is kept. */
  get head(): string {
    return this.#audit.head;
  }

  /** null where there is no such version (any more). */
  version(number: number): Promise<VersionRecord | null> {
    return this.#store.read(number);
  }

  /** Whether a version is on disk, or in memory where there is no folder. */
  isRecorded(version: number): boolean {
    return this.#store.isRecorded(version);
  }

  /** Newest first. */
  audit(limit: number): Promise<AuditEntry[]> {
    return this.#audit.newest(limit);
  }

  /** The newest version knows an entry of the audit that has to be there still. */
  verifyAudit(): Promise<Verification> {
    const { newest } = this.#store;
    return this.#audit.verify(newest === null ? null : { hash: newest.audit, of: `version ${newest.version}` });
  }

  /** How many entries and versions wait for the disk now. */
  unwritten(): { readonly audit: number; readonly versions: number } {
    return { audit: this.#audit.unwritten, versions: this.#store.list().filter(({ recorded }) => !recorded).length };
  }

  /** The version that brought a document which stands since: what came after it has only changed what holds beside it. */
  origin(sha256: string): ListedVersion | null {
    const list = this.#store.list();
    const end = list.findIndex((version) => version.sha256 !== sha256);
    return list[(end < 0 ? list.length : end) - 1] ?? null;
  }

  /** Numbers of versions that the audit knows and the disk has never had are not given out again. */
  async reserve(): Promise<void> {
    const entries = await this.#audit.newest(ENTRIES_LOOKED_AT);
    for (const { outcome, version } of entries) if (outcome === 'done' && version !== null) this.#store.skipTo(version);
  }

  /** Says what cannot be written, for as long as it cannot. */
  report(problems: Problems): void {
    problems.ask('audit', () => {
      const { trouble, unwritten } = this.#audit;
      if (trouble === null) return [];
      const wait = unwritten === 1 ? '1 entry waits' : `${unwritten} entries wait`;
      return [['', `The audit is not written now (${trouble.why}): ${wait} in memory, and a crash would lose them.`, trouble.since]];
    });
    problems.ask('version', () => {
      const { trouble } = this.#store;
      const waiting = this.#store.list().filter(({ recorded }) => !recorded);
      if (trouble === null || waiting.length === 0) return [];
      const numbers = waiting.map(({ version }) => version).reverse();
      const which =
        numbers.length === 1
          ? `Version ${numbers[0]} is`
          : `Versions ${numbers.slice(0, 5).join(', ')}${numbers.length > 5 ? ', …' : ''} are`;
      return [['', `${which} in memory only (${trouble.why}): a restart would not know what is in force.`, trouble.since]];
    });
  }

  /** Writes what waits, as far as the disk takes it. The folder may be another process's afterwards. */
  async close(): Promise<void> {
    await this.#audit.close();
    await this.#store.close();
  }
}
