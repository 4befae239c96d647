/** What is done to a folder, one thing after the other, and tried again while the disk does not take it. */
import { type DiskTrouble, whyNotKept } from './durable.ts';

/** Soon enough after a disk is well again, and no load for one that is not. */
const RETRY_MS_DEFAULT = 1_000;

/** Who is told when something cannot be kept. */
export interface KeepSettings {
  /** Called with the trouble when it begins, and with null when all is on disk again. */
  readonly onTrouble?: (trouble: DiskTrouble | null) => void;
  readonly retryMs?: number;
}

export class DiskQueue {
  readonly #settings: KeepSettings;
  readonly #flush: () => Promise<void>;
  #last: Promise<unknown> = Promise.resolve();
  #trouble: DiskTrouble | null = null;
  #retry: NodeJS.Timeout | null = null;
  #isClosed = false;

  /** `flush` brings to disk what waits, and tells how that went. */
  constructor(settings: KeepSettings, flush: () => Promise<void>) {
    this.#settings = settings;
    this.#flush = flush;
  }

  /** Why something waits; null where nothing does. */
  get trouble(): DiskTrouble | null {
    return this.#trouble;
  }

  /** Does this when all before it is done. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** How the last try went: with this error, or null where all that waited is on disk. */
  tell(error: unknown): void {
    const before = this.#trouble;
    this.#trouble = error === null ? null : { ...whyNotKept(error), since: before?.since ?? Date.now() };
    if (before?.code !== this.#trouble?.code) this.#settings.onTrouble?.(this.#trouble);
    if (error === null || this.#isClosed || this.#retry !== null) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      void this.inTurn(this.#flush);
    }, this.#settings.retryMs ?? RETRY_MS_DEFAULT).unref();
  }

  /** Tries once more, and tries no longer: the folder is another process's from here on. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    await this.inTurn(this.#flush);
  }
}
