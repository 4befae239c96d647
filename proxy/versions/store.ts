/**
 * The versions of a node, newest last: one file each in a folder, or in memory where there is none. A file is written whole or not at all;
 * one that was damaged since is passed over, and its number is not given out again. What the disk does not take stays in memory under its number, and
 * is written when it does, the newest first: that is the one that a restart has to know.
 */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hitNodeLimit } from '../shared/node-limits.ts';
import { DiskQueue, type KeepSettings } from './disk-queue.ts';
import { type DiskTrouble, isCode, makeFolder, writeDurably } from './durable.ts';
import { decodeVersion, encodeVersion, summaryOf, type VersionRecord, type VersionSummary } from './record.ts';

/** Months of changes by people; the oldest go first. */
export const VERSIONS_MAX = 500;
/** A large document (4 MiB) still leaves sixteen versions to go back to. */
const BYTES_MAX = 64 * 1024 * 1024;
const MEMORY_VERSIONS_MAX = 50;
/** Of those that wait for the disk, besides the newest. */
const UNWRITTEN_BYTES_MAX = 16 * 1024 * 1024;
const NAME = /^version-([0-9]{8})\.json$/;

interface Kept {
  readonly summary: VersionSummary;
  /** null where it lies in a file. */
  readonly record: VersionRecord | null;
  readonly fileBytes: number;
}

/** A version as it is listed. */
export interface ListedVersion extends VersionSummary {
  /** false: it waits in memory for a disk that takes it, and a restart would not know it. */
  readonly recorded: boolean;
}

interface Found {
  readonly kept: Kept[];
  readonly newest: VersionRecord | null;
  readonly highest: number;
  readonly damaged: readonly string[];
}

export class VersionStore {
  /** Files that are no whole version, found when the store was opened. */
  readonly damaged: readonly string[];
  readonly #directory: string | null;
  readonly #disk: DiskQueue;
  #kept: Kept[];
  #highest: number;
  #newest: VersionRecord | null;

  private constructor(directory: string | null, settings: KeepSettings, found: Found) {
    this.#directory = directory;
    this.#disk = new DiskQueue(settings, () => this.#write());
    this.#kept = found.kept;
    this.#newest = found.newest;
    this.#highest = found.highest;
    this.damaged = found.damaged;
  }

  /** Opens the folder, made when needed; null keeps versions in memory. Rejects where the folder cannot be read. */
  static async open(directory: string | null, settings: KeepSettings = {}): Promise<VersionStore> {
    if (directory === null) return new VersionStore(null, settings, { kept: [], newest: null, highest: 0, damaged: [] });
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
    return new VersionStore(directory, settings, { kept, newest, highest, damaged });
  }

  get newest(): VersionRecord | null {
    return this.#newest;
  }

  /** Under which the next version is kept. */
  get next(): number {
    return this.#highest + 1;
  }

  /** Numbers up to this one were given out by somebody, and are not given out again. */
  skipTo(number: number): void {
    this.#highest = Math.max(this.#highest, number);
  }

  /** Newest first. */
  list(): ListedVersion[] {
    return this.#kept.map((kept) => ({ ...kept.summary, recorded: this.#isRecorded(kept) })).reverse();
  }

  /** Whether a version is where it is meant to be: on disk, if there is a folder. */
  isRecorded(version: number): boolean {
    const kept = this.#kept.find(({ summary }) => summary.version === version);
    return kept !== undefined && this.#isRecorded(kept);
  }

  /** Why the newest version is not on disk; null where it is, or where there is no folder. */
  get trouble(): DiskTrouble | null {
    return this.#disk.trouble;
  }

  #isRecorded({ record }: Kept): boolean {
    return this.#directory === null || record === null;
  }

  /** null where there is no such version (any more). */
  async read(version: number): Promise<VersionRecord | null> {
    const kept = this.#kept.find(({ summary }) => summary.version === version);
    if (kept === undefined) return null;
    if (kept.record !== null || this.#directory === null) return kept.record;
    return decodeVersion(await readFile(this.#path(version), 'utf8').catch(() => ''));
  }

  /** Keeps a new version under a number that no other has had. What the disk does not take is kept in memory, and written when it does. Never rejects. */
  append(draft: Omit<VersionRecord, 'version'>): Promise<VersionRecord> {
    return this.#disk.inTurn(async () => {
      const record: VersionRecord = { version: await this.#nextNumber(), ...draft };
      const kept = { summary: summaryOf(record), record, fileBytes: Buffer.byteLength(encodeVersion(record)) };
      this.#kept = [...this.#kept, kept];
      this.#highest = record.version;
      this.#newest = record;
      await this.#write();
      await this.#forgetOldest();
      return record;
    });
  }

  /** Tries once more to write what waits, and tries no longer: the folder is another process's from here on. */
  close(): Promise<void> {
    return this.#disk.close();
  }

  /** Writes what waits, newest first, until the disk takes no more. */
  async #write(): Promise<void> {
    let trouble: unknown = null;
    for (const { record } of this.#kept.filter((kept) => !this.#isRecorded(kept)).reverse()) {
      const path = this.#path(record!.version);
      try {
        // A number that another process has taken meanwhile is that one's: ours stays in memory.
        if (await exists(path)) continue;
        await writeDurably(path, encodeVersion(record!));
      } catch (error) {
        trouble = error;
        break;
      }
      this.#kept = this.#kept.map((kept) => (kept.record === record ? { ...kept, record: null } : kept));
    }
    this.#disk.tell(trouble);
  }

  /** Another process may write here as well, while it leaves: its numbers are not taken. */
  async #nextNumber(): Promise<number> {
    let number = this.next;
    if (this.#directory === null) return number;
    // A folder that cannot be looked into now takes no file either.
    while (await exists(this.#path(number)).catch(() => false)) number++;
    return number;
  }

  async #forgetOldest(): Promise<void> {
    const most = this.#directory === null ? MEMORY_VERSIONS_MAX : VERSIONS_MAX;
    let bytes = this.#kept.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
    while (this.#kept.length > most || bytes > BYTES_MAX) {
      const oldest = this.#oldestDispensable(this.#kept);
      if (oldest === undefined) break;
      if (this.#directory !== null) await rm(this.#path(oldest.summary.version), { force: true }).catch(() => undefined);
      bytes -= oldest.fileBytes;
      this.#kept = this.#kept.filter((kept) => kept !== oldest);
    }
    if (this.#directory !== null) this.#forgetUnwritten();
  }

  /** What may go first. The one before the newest stays too, and what the newest goes back to unless confirmed: there has to be something to go back to. */
  #oldestDispensable(kept: readonly Kept[]): Kept | undefined {
    const revertTo = this.#newest?.confirm?.revertTo;
    return kept.slice(0, -2).find(({ summary }) => summary.version !== revertTo);
  }

  /** What waits for the disk is bounded. */
  #forgetUnwritten(): void {
    const isUnwritten = (kept: Kept) => !this.#isRecorded(kept);
    for (;;) {
      const waiting = this.#kept.filter(isUnwritten);
      const bytes = waiting.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
      const oldest = this.#oldestDispensable(waiting);
      if (oldest === undefined || (waiting.length <= MEMORY_VERSIONS_MAX && bytes <= UNWRITTEN_BYTES_MAX)) return;
      this.#kept = this.#kept.filter((kept) => kept !== oldest);
      hitNodeLimit('versions-waiting');
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
