/** What was settled last: the version in force with its document, what holds beside it, and the file that it is compared with. */
import type { Document } from '../../config/document.ts';
import type { Source } from '../../config/load.ts';
import type { Node } from '../node/node.ts';
import type { Logger } from '../observe/log.ts';
import type { Actor } from './actor.ts';
import type { Archive } from './archive.ts';
import type { Done, InForce, ProblemView } from './orders.ts';
import { type Cause, hashOfSources, NO_OVERLAY, type Overlay, sameTexts, type VersionRecord } from './record.ts';
import type { Register } from './register.ts';
import type { Standing, Step } from './step.ts';
import { isSameDocument, summarise } from './summary.ts';

/** What the workers did of it. */
export interface Carried {
  readonly generation: number;
  readonly revoked: number;
  readonly draining: number;
  readonly kept: number;
  readonly milliseconds: number;
}

export class Settled {
  standing: Standing | null = null;
  overlay: Overlay = NO_OVERLAY;
  newest: VersionRecord | null = null;
  /** The texts of the file on the command line when it was last read and good. */
  file: readonly Source[] | null = null;
  /** Under which the newest version came into force in this process. */
  since = 0;
  readonly #node: Node;
  readonly #archive: Archive;
  readonly #register: Register;
  readonly #log: Logger;

  constructor(node: Node, archive: Archive, register: Register, log: Logger) {
    this.#node = node;
    this.#archive = archive;
    this.#register = register;
    this.#log = log;
  }

  inForce(): InForce {
    const { version, cause, author, time, note, summary } = this.newest!;
    const { sources } = this.standing!;
    const origin = this.file === null || sameTexts(sources, this.file) ? null : this.#archive.origin(hashOfSources(sources));
    const over_file = origin === null ? null : { version: origin.version, author: origin.author, time: origin.time };
    const recorded = this.#archive.isRecorded(version);
    return { generation: this.#node.policy().generation, version, cause, author, time, note, summary: summary.text, recorded, over_file };
  }

  /** ISO 8601; null where nothing waits for a confirmation. */
  confirmBy(): string | null {
    const confirm = this.newest?.confirm ?? null;
    return confirm === null ? null : new Date(confirm.until).toISOString();
  }

  /** The same texts under whatever names, and the same document of them. */
  isInForce(sources: readonly Source[], document: Document): boolean {
    const { standing } = this;
    return standing !== null && sameTexts(sources, standing.sources) && isSameDocument(document, standing.document);
  }

  /** What the file, as it is now, takes back of what was applied over it; null where it takes nothing back. */
  undoneBy(document: Document): string | null {
    const over = this.inForce().over_file;
    const { text } = summarise(this.standing!.document, document);
    if (over === null || text === 'no change') return null;
    return `the file replaces version ${over.version}, applied by ${over.author} on ${over.time}, which the file does not hold: ${text}`;
  }

  /** A step is in force: it is noted, kept as a version (unless it is the newest as it stands), and told. */
  async settle(step: Step, carried: Carried, unchanged: boolean): Promise<Done> {
    const { sources, document, overlay, cause, actor, note, confirm } = step;
    const { generation, milliseconds, revoked, draining, kept } = carried;
    const counts = { revoked, draining, kept };
    const summary = summarise(this.standing?.document ?? null, document);
    const detail = note ?? summary.text;
    const number = unchanged && this.newest !== null ? this.newest.version : this.#archive.next;
    const audited = await this.#register.note(actor, cause, 'done', number, generation, detail);
    const fileSha256 = this.file === null ? null : hashOfSources(this.file);
    const draft = {
      ...{ generation, time: new Date().toISOString(), cause, author: actor.name, from: actor.from, note, sha256: hashOfSources(sources) },
      ...{ sources, overlay, fileSha256, confirm, summary, audit: this.#archive.head },
    };
    if (!unchanged || this.newest === null) this.newest = await this.#archive.append(draft);
    this.standing = { sources, document };
    this.since = generation;
    this.overlay = overlay;
    const { version } = this.newest;
    this.#log.info({ generation, version, cause, author: actor.name, note, ...counts, milliseconds }, 'policy in force');
    const kind = cause === 'revert' ? 'reverted' : cause === 'confirm' ? 'confirmed' : 'applied';
    this.#register.tell({ kind, cause, author: actor.name, from: actor.from, version, generation, ...counts, detail });
    const done = { ok: true, changed: true, generation, version, ...counts, milliseconds, sha256: draft.sha256, summary, audited } as const;
    return { ...done, recorded: this.#archive.isRecorded(version), confirm_by: this.confirmBy(), warnings: step.warnings?.() ?? [] };
  }

  /** An order finds everything as it wants it: no version is made of it, and no flow is looked at. */
  async nothing(cause: Cause, actor: Actor, detail: string, warnings: readonly ProblemView[]): Promise<Done> {
    const { version, sha256 } = this.newest!;
    const { document } = this.standing!;
    const { generation } = this.#node.policy();
    const audited = await this.#register.note(actor, cause, 'done', version, generation, `nothing changed: ${detail}`);
    const done = {
      ok: true,
      changed: false,
      generation,
      version,
      revoked: 0,
      draining: 0,
      kept: 0,
      milliseconds: 0,
      sha256,
      audited,
    } as const;
    const recorded = this.#archive.isRecorded(version);
    return { ...done, summary: summarise(document, document), recorded, confirm_by: this.confirmBy(), warnings };
  }
}
