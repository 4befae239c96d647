/**
 * Who did what, when, and from where: lines of JSON, each with the hash of the one before it, so that a line that was changed, taken out or
 * put in shows. A torn last line is what a crash leaves, and is no sign of anything else.
 */
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Anchor, type AuditEntry, entryOf, GENESIS, readAudit, type Verification, verifyLines } from './audit-chain.ts';
import { isCode, makeFolder, syncFolder } from './durable.ts';

/** At about 400 bytes an entry: 20,000 orders a file. */
const FILE_BYTES_MAX = 8 * 1024 * 1024;
/** Files kept besides the current one. */
const FILES_MAX = 8;
const MEMORY_ENTRIES_MAX = 1_000;
const CURRENT = 'audit.ndjson';
const ROTATED = /^audit-[0-9]{10}\.ndjson$/;

export type AuditFields = Omit<AuditEntry, 'n' | 'time' | 'previous' | 'hash'>;

export class Audit {
  readonly #directory: string | null;
  readonly #memory: AuditEntry[] = [];
  /** The newest entry, and how large the file was when that was so. */
  #last: AuditEntry | null = null;
  #bytes = 0;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(directory: string | null) {
    this.#directory = directory;
  }

  /** Opens the log in a folder, made when needed; null keeps the newest entries in memory. A torn last line is taken off. */
  static async open(directory: string | null): Promise<Audit> {
    const audit = new Audit(directory);
    if (directory !== null) {
      await makeFolder(directory);
      await audit.#recover();
    }
    return audit;
  }

  /** The hash that the next entry will carry. */
  get head(): string {
    return this.#last?.hash ?? GENESIS;
  }

  /** Writes an entry and forces it to disk. One at a time, in the order of the calls. */
  record(fields: AuditFields): Promise<AuditEntry> {
    const entry = this.#queue.then(() => this.#record(fields));
    this.#queue = entry.catch(() => undefined);
    return entry;
  }

  /** The newest entries, newest first. */
  async newest(limit: number): Promise<AuditEntry[]> {
    if (this.#directory === null) return this.#memory.slice(-limit).reverse();
    const { entries } = await readAudit(await auditFiles(this.#directory), limit);
    return entries;
  }

  /** Follows the chain; `anchor` has to be in it. */
  async verify(anchor: Anchor | null = null): Promise<Verification> {
    if (this.#directory !== null) return verifyAudit(this.#directory, anchor);
    return verifyLines(Buffer.from(this.#memory.map((entry) => `${JSON.stringify(entry)}\n`).join('')), anchor);
  }

  async #record(fields: AuditFields): Promise<AuditEntry> {
    if (this.#directory === null) {
      const entry = entryOf(this.#last, fields, Date.now());
      this.#memory.push(entry);
      if (this.#memory.length > MEMORY_ENTRIES_MAX) this.#memory.shift();
      this.#last = entry;
      return entry;
    }
    const path = join(this.#directory, CURRENT);
    const size = await sizeOf(path);
    // Another process wrote here, or a write of ours failed halfway: what counts is what stands in the file.
    if (size !== this.#bytes) await this.#recover();
    if (this.#bytes > FILE_BYTES_MAX) await this.#rotate(path);
    const entry = entryOf(this.#last, fields, Date.now());
    const line = Buffer.from(`${JSON.stringify(entry)}\n`);
    const isNew = this.#bytes === 0;
    const file = await open(path, 'a', 0o600);
    try {
      await file.appendFile(line);
      await file.sync();
    } finally {
      await file.close();
    }
    if (isNew) await syncFolder(this.#directory);
    this.#bytes += line.length;
    this.#last = entry;
    return entry;
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
    }
    this.#bytes = wholeBytes;
    this.#last = entries[0] ?? (await readAudit(await auditFiles(this.#directory!), 1)).entries[0] ?? null;
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
