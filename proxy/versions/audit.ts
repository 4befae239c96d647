/**
 * Who did what, when, and from where: lines of JSON, each with the hash of the one before it, so that a line that was changed, taken out or
 * put in shows. A disk that takes no entry keeps nobody from acting: entries wait in memory, and are written in their order when it does. What was
 * lost all the same, by a crash or since too many waited, stands in the log as a gap.
 */
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Anchor,
  type AuditEntry,
  type AuditFields,
  entryOf,
  GENESIS,
  readAudit,
  type Verification,
  verifyLines,
} from './audit-chain.ts';
import { AuditWaiting } from './audit-waiting.ts';
import { DiskQueue, type KeepSettings } from './disk-queue.ts';
import { type DiskTrouble, isCode, makeFolder, syncFolder } from './durable.ts';

/** At about 400 bytes an entry: 20,000 orders a file. */
const FILE_BYTES_MAX = 8 * 1024 * 1024;
/** Files kept besides the current one. */
const FILES_MAX = 8;
const MEMORY_ENTRIES_MAX = 1_000;
const CURRENT = 'audit.ndjson';
const ROTATED = /^audit-[0-9]{10}\.ndjson$/;

export class Audit {
  readonly #directory: string | null;
  readonly #memory: AuditEntry[] = [];
  readonly #waiting = new AuditWaiting();
  /** The newest entry, and how large the file was when that was so. */
  #last: AuditEntry | null = null;
  #bytes = 0;
  /** A line that is torn now is one of ours, which waits still. */
  #isTearing = false;
  readonly #disk: DiskQueue;

  private constructor(directory: string | null, settings: KeepSettings) {
    this.#directory = directory;
    this.#disk = new DiskQueue(settings, () => this.#flush());
  }

  /** Opens the log in a folder, made when needed; null keeps the newest entries in memory. A torn last line is taken off, and noted as a gap. */
  static async open(directory: string | null, settings: KeepSettings = {}): Promise<Audit> {
    const audit = new Audit(directory, settings);
    if (directory !== null) {
      await makeFolder(directory);
      await audit.#recover();
    }
    return audit;
  }

  /** The hash of the newest entry that is kept. */
  get head(): string {
    return this.#last?.hash ?? GENESIS;
  }

  /** How many entries wait for the disk, those that were given up included. */
  get unwritten(): number {
    return this.#waiting.length + this.#waiting.lost;
  }

  /** Why entries wait; null where none does. */
  get trouble(): DiskTrouble | null {
    return this.#disk.trouble;
  }

  /**
   * Writes an entry and forces it to disk. One at a time, in the order of the calls. Answers null where the disk does not take it: it then waits in
   * memory, and is written when the disk does. Never rejects.
   */
  record(fields: AuditFields): Promise<AuditEntry | null> {
    const at = Date.now();
    return this.#disk.inTurn(async () => {
      if (this.#directory === null) return this.#remember(entryOf(this.#last, fields, at));
      this.#waiting.add(fields, at);
      await this.#flush();
      return this.#waiting.length === 0 ? this.#last : null;
    });
  }

  /** Tries once more to write what waits, and tries no longer: the folder is another process's from here on. */
  close(): Promise<void> {
    return this.#disk.close();
  }

  #remember(entry: AuditEntry): AuditEntry {
    this.#memory.push(entry);
    if (this.#memory.length > MEMORY_ENTRIES_MAX) this.#memory.shift();
    this.#last = entry;
    return entry;
  }

  /** The newest entries, newest first; those that wait for the disk among them. */
  async newest(limit: number): Promise<AuditEntry[]> {
    if (this.#directory === null) return this.#memory.slice(-limit).reverse();
    const waiting = this.#waiting.chain(this.#last).map((entry): AuditEntry => ({ ...entry, unwritten: true }));
    const { entries } = await readAudit(await auditFiles(this.#directory), limit);
    return [...waiting.reverse(), ...entries].slice(0, limit);
  }

  /** Follows the chain; `anchor` has to be in it. What waits for the disk is not whole. */
  async verify(anchor: Anchor | null = null): Promise<Verification> {
    if (this.#directory === null)
      return verifyLines(Buffer.from(this.#memory.map((entry) => `${JSON.stringify(entry)}\n`).join('')), anchor);
    const found = await verifyAudit(this.#directory, anchor);
    if (this.unwritten === 0 || this.trouble === null) return found;
    const reason = `it is not on disk, as ${this.unwritten} in all that wait in memory (${this.trouble.why})`;
    return {
      ok: false,
      entries: found.entries,
      line: found.entries + 1,
      n: (this.#last?.n ?? 0) + 1,
      reason: found.ok ? reason : `${found.reason}; ${reason}`,
    };
  }

  /** Brings all that waits to disk, or leaves it waiting. */
  async #flush(): Promise<void> {
    if (this.#waiting.length === 0 && this.trouble === null) return;
    try {
      await this.#write(join(this.#directory!, CURRENT));
      this.#disk.tell(null);
    } catch (error) {
      this.#isTearing = true;
      this.#disk.tell(error);
    }
  }

  async #write(path: string): Promise<void> {
    const size = await sizeOf(path);
    // Another process wrote here, or a write of ours failed halfway: what counts is what stands in the file.
    if (size !== this.#bytes) await this.#recover();
    if (this.#bytes > FILE_BYTES_MAX) await this.#rotate(path);
    const entries = this.#waiting.chain(this.#last);
    if (entries.length === 0) return;
    const lines = Buffer.from(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
    const isNew = this.#bytes === 0;
    const file = await open(path, 'a', 0o600);
    try {
      await file.appendFile(lines);
      await file.sync();
    } finally {
      await file.close();
    }
    if (isNew) await syncFolder(this.#directory!);
    this.#bytes += lines.length;
    this.#last = entries.at(-1)!;
    this.#isTearing = false;
    this.#waiting.clear();
  }

  async #recover(): Promise<void> {
    const path = join(this.#directory!, CURRENT);
    const { entries, wholeBytes, bytes } = await readAudit([path], 1);
    if (bytes.length > wholeBytes) {
      const file = await open(path, 'r+');
      try {
        await file.truncate(wholeBytes);
        await file.sync();
      } finally {
        await file.close();
      }
      if (!this.#isTearing) this.#waiting.tear(Date.now());
    }
    this.#bytes = wholeBytes;
    this.#last = entries[0] ?? (await readAudit(await auditFiles(this.#directory!), 1)).entries[0] ?? null;
    this.#waiting.settle(this.#last);
  }

  async #rotate(path: string): Promise<void> {
    await rename(path, join(this.#directory!, `audit-${String(this.#last?.n ?? 0).padStart(10, '0')}.ndjson`));
    this.#bytes = 0;
    const rotated = (await auditFiles(this.#directory!)).filter((file) => !file.endsWith(CURRENT));
    for (const file of rotated.slice(0, Math.max(0, rotated.length - FILES_MAX))) await rm(file, { force: true });
  }
}

/** Every file of the log in a folder, oldest first. Rejects where the folder cannot be read. */
export async function auditFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory);
  const rotated = names.filter((name) => ROTATED.test(name)).sort();
  return [...rotated, ...names.filter((name) => name === CURRENT)].map((name) => join(directory, name));
}

/** Reads the whole log of a folder and follows its chain. Rejects where it cannot be read. */
export async function verifyAudit(directory: string, anchor: Anchor | null = null): Promise<Verification> {
  const { bytes } = await readAudit(await auditFiles(directory), 0);
  return verifyLines(bytes, anchor);
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isCode(error, 'ENOENT')) return 0;
    throw error;
  }
}
