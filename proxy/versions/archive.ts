/** What a node remembers of its orders: the versions and the audit, which hold each other. */
import type { Audit } from './audit.ts';
import type { AuditEntry, Verification } from './audit-chain.ts';
import type { VersionRecord, VersionSummary } from './record.ts';
import type { VersionStore } from './store.ts';

export class Archive {
  readonly #store: VersionStore;
  readonly #audit: Audit;

  constructor(store: VersionStore, audit: Audit) {
    this.#store = store;
    this.#audit = audit;
  }

  /** Newest first. */
  versions(): VersionSummary[] {
    return this.#store.list();
  }

  /** null where there is no such version (any more). */
  version(number: number): Promise<VersionRecord | null> {
    return this.#store.read(number);
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
}
