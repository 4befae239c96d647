/**
 * The versions of a node, newest last: one file each in a folder, or in memory where there is none. A file is written whole or not at all;
 * one that was damaged since is passed over, and its number is not given out again.
 */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isCode, makeFolder, writeDurably } from './durable.ts';
import { decodeVersion, encodeVersion, summaryOf, type VersionRecord, type VersionSummary } from './record.ts';

/** Months of changes by people; the oldest go first. */
export const VERSIONS_MAX = 500;
/** A large document (4 MiB) still leaves sixteen versions to go back to. */
const BYTES_MAX = 64 * 1024 * 1024;
const MEMORY_VERSIONS_MAX = 50;
const NAME = /^version-([0-9]{8})\.json$/;

interface Kept {
  readonly summary: VersionSummary;
  /** null where it lies in a file. */
  readonly record: VersionRecord | null;
  readonly fileBytes: number;
}

export class VersionStore {
  /** Files that are no whole version, found when the store was opened. */
  readonly damaged: readonly string[];
  readonly #directory: string | null;
  #kept: Kept[];
  #highest: number;
  #newest: VersionRecord | null;

  private constructor(directory: string | null, kept: Kept[], newest: VersionRecord | null, highest: number, damaged: string[]) {
    this.#directory = directory;
    this.#kept = kept;
    this.#newest = newest;
    this.#highest = highest;
    this.damaged = damaged;
  }

  /** Opens the folder, made when needed; null keeps versions in memory. Rejects where the folder cannot be read. */
  static async open(directory: string | null): Promise<VersionStore> {
    if (directory === null) return new VersionStore(null, [], null, 0, []);
    await makeFolder(directory);
    const kept: Kept[] = [];
    const damaged: string[] = [];
    let highest = 0;
    let newest: VersionRecord | null = null;
    for (const name of (await readdir(directory)).sort()) {
      if (isAbandoned(name)) await rm(join(directory, name), { force: true });
      const match = NAME.exec(name);
      if (match === null) continue;
      const number = Number(match[1]);
      highest = Math.max(highest, number);
      const path = join(directory, name);
      const text = await readFile(path, 'utf8').catch(() => '');
      const record = decodeVersion(text);
      if (record === null || record.version !== number) {
        damaged.push(path);
        continue;
      }
      kept.push({ summary: summaryOf(record), record: null, fileBytes: Buffer.byteLength(text) });
      newest = record;
    }
    return new VersionStore(directory, kept, newest, highest, damaged);
  }

  get newest(): VersionRecord | null {
    return this.#newest;
  }

  /** Newest first. */
  list(): VersionSummary[] {
    return this.#kept.map(({ summary }) => summary).reverse();
  }

  /** null where there is no such version (any more). */
  async read(version: number): Promise<VersionRecord | null> {
    const kept = this.#kept.find(({ summary }) => summary.version === version);
    if (kept === undefined) return null;
    if (kept.record !== null || this.#directory === null) return kept.record;
    return decodeVersion(await readFile(this.#path(version), 'utf8').catch(() => ''));
  }

  /** Keeps a new version under the next number. Rejects where it cannot be written; then the number stays free, and nothing has changed. */
  async append(draft: Omit<VersionRecord, 'version'>): Promise<VersionRecord> {
    const record: VersionRecord = { version: await this.#nextNumber(), ...draft };
    const text = encodeVersion(record);
    if (this.#directory !== null) await writeDurably(this.#path(record.version), text);
    const inMemory = this.#directory === null ? record : null;
    this.#kept = [...this.#kept, { summary: summaryOf(record), record: inMemory, fileBytes: Buffer.byteLength(text) }];
    this.#highest = record.version;
    this.#newest = record;
    await this.#forgetOldest();
    return record;
  }

  /** Another process may write here as well, while it leaves: its numbers are not taken. */
  async #nextNumber(): Promise<number> {
    let number = this.#highest + 1;
    if (this.#directory === null) return number;
    while (await exists(this.#path(number))) number++;
    return number;
  }

  async #forgetOldest(): Promise<void> {
    const most = this.#directory === null ? MEMORY_VERSIONS_MAX : VERSIONS_MAX;
    let bytes = this.#kept.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
    // The one before the newest stays too: there has to be something to go back to.
    while (this.#kept.length > 2 && (this.#kept.length > most || bytes > BYTES_MAX)) {
      const oldest = this.#kept[0]!;
      if (this.#directory !== null) await rm(this.#path(oldest.summary.version), { force: true });
      bytes -= oldest.fileBytes;
      this.#kept = this.#kept.slice(1);
    }
  }

  #path(version: number): string {
    return join(this.#directory!, `version-${String(version).padStart(8, '0')}.json`);
  }
}

/** What a process that is gone has left half written. */
function isAbandoned(name: string): boolean {
  const pid = /^version-[0-9]{8}\.json\.([0-9]+)\.new$/.exec(name)?.[1];
  if (pid === undefined) return false;
  try {
    process.kill(Number(pid), 0);
    return Number(pid) === process.pid;
  } catch (error) {
    return isCode(error, 'ESRCH');
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isCode(error, 'ENOENT')) return false;
    throw error;
  }
}
