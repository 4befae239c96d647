/**
 * The journal: one line of JSON for each flow that ended, in segment files that rotate and are deleted oldest first. The main thread owns
 * it; workers hand it chunks of complete lines. A disk that fails or lags costs records, which are counted, and never a flow.
 */
import { type FileHandle, mkdir, open, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { hitNodeLimit } from '../shared/node-limits.ts';
import { JournalBuffers } from './journal-buffers.ts';
import { DenialTail } from './journal-denials.ts';
import { type JournalPart, recordsBackward, SEARCH_BYTES_MAX, searchParts } from './journal-search.ts';
import { forgetBefore, forgetOldest, listSegments, type Segment, segmentName } from './journal-segments.ts';
import type { FlowPage, FlowRecord, FlowSearch } from './view.ts';

/** What waits for the disk at most. At 300 bytes a record this is about 27,000 records, a quarter of a second at full load. */
const QUEUE_BYTES_MAX = 8 * 1024 * 1024;
/** What is kept in memory where the journal has no folder. */
const MEMORY_BYTES_MAX = 4 * 1024 * 1024;
/** After a failed write: long enough not to hammer a broken disk, short enough to lose little when it is well again. */
const RETRY_MS_DEFAULT = 1000;

/** Segments end, and are looked at, this often within the age that a record may have. */
const AGE_PARTS = 8;

const SLOW_DISK = 'slow-disk';

export interface JournalOptions {
  /** Folder of the segments; created when needed. null keeps the newest records in memory only. */
  readonly directory: string | null;
  readonly sizeBytes: number;
  readonly segmentBytes: number;
  /** null or absent: records stay as long as the size allows. Of what is older, all goes within an eighth of the age. */
  readonly ageMs?: number | null;
  /** Called when the state changes: with the trouble when it begins or becomes another, with null when records are kept again. */
  readonly onTrouble: (trouble: JournalTrouble | null) => void;
  readonly retryMs?: number;
  /** How far back one search reads. */
  readonly searchBytes?: number;
}

export interface JournalTrouble {
  /** `ENOSPC`, `EACCES`, …, or `slow-disk` where the queue is full. */
  readonly code: string;
  readonly message: string;
}

export interface Journal {
  /** Takes complete lines. The bytes are copied before it returns; it never throws and never waits. `denials` false spares it the search for them. */
  append(chunk: Uint8Array, records: number, denials?: boolean): void;
  /** The record of a receipt, or null. Reads the whole journal where it must. */
  find(receipt: string): Promise<FlowRecord | null>;
  /** The newest `limit` records, or denials, that stand in the newest 64 MiB; newest first. */
  recent(limit: number, denied?: boolean): Promise<FlowRecord[]>;
  /** Records that match, a page at a time. What the workers have handed over so far is looked through; what comes meanwhile is not. */
  search(search: FlowSearch): Promise<FlowPage>;
  /** Sums since the start. `bytes` and `written` count what was kept, on disk or in memory. */
  counts(): { written: number; dropped: number; bytes: number };
  /** Why records are dropped now; null where they are kept. */
  trouble(): (JournalTrouble & { readonly since: number }) | null;
  /** Another process has written into the folder and has ended: its records are part of the journal from here on. */
  readFolder(): void;
  /** Writes what waits and lets go of the file. What is appended afterwards is dropped. */
  close(): Promise<void>;
}

interface Chunk {
  readonly bytes: Buffer;
  readonly records: number;
  /** Its place among all chunks of this run. */
  readonly number: number;
}

export function openJournal(options: JournalOptions): Journal {
  return new JournalStore(options);
}

class JournalStore implements Journal {
  readonly #options: JournalOptions;
  readonly #denials = new DenialTail();
  readonly #buffers = new JournalBuffers();
  /** Queries under way; they may be reading what waits. */
  #readers = 0;
  /** Oldest first; the last one is being written when `#file` is open. */
  #segments: Segment[] = [];
  #file: FileHandle | null = null;
  #sequence = 0;
  #chunks = 0;
  /** Waiting for the disk, oldest first; without a folder it is the journal itself. */
  #queue: Chunk[] = [];
  #queuedBytes = 0;
  /** What the disk is writing now: part of the answers, not yet part of a segment's size. */
  #inFlight: Chunk[] = [];
  #writing: Promise<void> | null = null;
  #retryTimer: NodeJS.Timeout | null = null;
  #trouble: (JournalTrouble & { readonly since: number }) | null = null;
  #closed = false;
  #ageTimer: NodeJS.Timeout | null = null;
  /** When the segment that is being written was begun. */
  #openedAt = 0;
  /** The folder may hold segments that are not in the list. */
  #isStale = false;
  #written = 0;
  #dropped = 0;
  #bytes = 0;

  constructor(options: JournalOptions) {
    this.#options = options;
    if (options.directory === null) return;
    try {
      this.#segments = listSegments(options.directory);
    } catch (error) {
      this.#report(error);
    }
    const { ageMs = null } = options;
    if (ageMs !== null) this.#ageTimer = setInterval(() => this.#forgetAged(ageMs), Math.min(ageMs / AGE_PARTS, 60_000)).unref();
  }

  append(chunk: Uint8Array, records: number, denials = true): void {
    if (chunk.byteLength === 0) return;
    const memoryOnly = this.#options.directory === null;
    if (this.#closed || chunk.byteLength > (memoryOnly ? MEMORY_BYTES_MAX : QUEUE_BYTES_MAX)) {
      this.#dropped += records;
      return;
    }
    if (!memoryOnly && this.#queuedBytes + chunk.byteLength > QUEUE_BYTES_MAX) {
      this.#dropped += records;
      hitNodeLimit('journal-queue');
      // A disk that fails explains the full queue by itself.
      if (this.#trouble === null)
        this.#setTrouble({ code: SLOW_DISK, message: 'The disk is slower than the flows; journal records are dropped.' });
      return;
    }
    // A copy: the view may lie over shared memory that its worker writes again.
    const bytes = memoryOnly ? Buffer.from(chunk) : this.#buffers.copy(chunk);
    if (denials) this.#denials.add(bytes);
    this.#queue.push({ bytes, records, number: this.#chunks++ });
    this.#queuedBytes += bytes.length;
    if (memoryOnly) this.#keepNewest(bytes.length, records);
    else this.#pump();
  }

  async find(receipt: string): Promise<FlowRecord | null> {
    const needle = Buffer.from(`"receipt":${JSON.stringify(receipt)}`);
    return this.#reading(async () => {
      for await (const record of recordsBackward(this.#parts(), [needle])) if (record.receipt === receipt) return record;
      return null;
    });
  }

  async recent(limit: number, denied = false): Promise<FlowRecord[]> {
    if (limit <= 0) return [];
    const newest = (most: number) => this.#page({ limit: most, filter: denied ? { verdict: 'deny' } : {}, cursor: null });
    if (!denied) return (await newest(limit)).flows;
    const { capacity } = this.#denials;
    if (this.#denials.seeded && limit <= capacity) return this.#denials.newest(limit);
    const mark = this.#denials.mark();
    const { flows } = await newest(Math.max(limit, capacity));
    this.#denials.seed(flows, mark);
    return limit <= capacity ? this.#denials.newest(limit) : flows.slice(0, limit);
  }

  async search(search: FlowSearch): Promise<FlowPage> {
    await this.#settled();
    // What still waits has no place yet that a cursor could name later.
    return this.#page(search, this.#options.directory === null ? this.#parts() : this.#segmentParts());
  }

  #page(search: FlowSearch, parts = this.#parts()): Promise<FlowPage> {
    return this.#reading(() => searchParts(parts, search, this.#options.searchBytes ?? SEARCH_BYTES_MAX));
  }

  counts(): { written: number; dropped: number; bytes: number } {
    return { written: this.#written, dropped: this.#dropped, bytes: this.#bytes };
  }

  trouble(): (JournalTrouble & { readonly since: number }) | null {
    return this.#trouble;
  }

  readFolder(): void {
    this.#isStale = true;
    // A write under way is about to replace the list of segments: the next one looks.
    if (this.#writing === null) this.#list();
  }

  #list(): void {
    this.#isStale = false;
    const current = this.#file === null ? [] : this.#segments.slice(-1);
    try {
      const found = this.#options.directory === null ? [] : listSegments(this.#options.directory);
      this.#segments = [...found.filter(({ path }) => path !== current[0]?.path), ...current];
    } catch (error) {
      this.#report(error);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#options.directory === null) return;
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    if (this.#ageTimer !== null) clearInterval(this.#ageTimer);
    this.#pump();
    while (this.#writing !== null) await this.#writing;
    await this.#closeFile();
  }

  /** Buffers that are looked at are not used again meanwhile. */
  async #reading<T>(read: () => Promise<T>): Promise<T> {
    this.#readers++;
    try {
      return await read();
    } finally {
      this.#readers--;
    }
  }

  /** Newest first: what waits in memory, then the segments as far as they are written now. */
  #parts(): JournalPart[] {
    const waiting = [...this.#inFlight, ...this.#queue].map(({ number, bytes }) => ({ name: `chunk-${number}`, bytes }));
    return [...waiting.reverse(), ...this.#segmentParts()];
  }

  #segmentParts(): JournalPart[] {
    return this.#segments.map(({ path, size }) => ({ name: basename(path), path, size })).reverse();
  }

  /** Waits until what was handed over so far has its place on disk, so that a cursor holds; not for a disk that fails or lags. */
  async #settled(): Promise<void> {
    const last = this.#chunks;
    const first = () => (this.#inFlight[0] ?? this.#queue[0])?.number ?? last;
    while (this.#writing !== null && this.#trouble === null && first() < last) await this.#writing;
  }

  #keepNewest(addedBytes: number, addedRecords: number): void {
    this.#written += addedRecords;
    this.#bytes += addedBytes;
    while (this.#queuedBytes > MEMORY_BYTES_MAX) this.#queuedBytes -= this.#queue.shift()!.bytes.length;
  }

  #pump(): void {
    if (this.#writing !== null || this.#retryTimer !== null || this.#queue.length === 0) return;
    const batch = this.#queue;
    this.#queue = [];
    this.#inFlight = batch;
    this.#writing = this.#write(batch).then((kept) => {
      for (const { bytes, records } of batch) {
        this.#queuedBytes -= bytes.length;
        if (kept) this.#bytes += bytes.length;
        if (kept) this.#written += records;
        else this.#dropped += records;
        if (this.#readers === 0) this.#buffers.recycle(bytes);
      }
      this.#inFlight = [];
      this.#writing = null;
      if (kept) {
        // A queue that is still half full is about to be full again: no news of health yet.
        if (this.#trouble?.code !== SLOW_DISK || this.#queuedBytes < QUEUE_BYTES_MAX / 2) this.#setTrouble(null);
      } else if (!this.#closed) {
        this.#retryTimer = setTimeout(() => {
          this.#retryTimer = null;
          this.#pump();
        }, this.#options.retryMs ?? RETRY_MS_DEFAULT);
        this.#retryTimer.unref();
      }
      this.#pump();
    });
  }

  /** Writes a batch whole. On an error the segment is given up, so that a torn line can only be the last of its file. */
  async #write(batch: readonly Chunk[]): Promise<boolean> {
    const bytes = batch.length === 1 ? batch[0]!.bytes : Buffer.concat(batch.map((chunk) => chunk.bytes));
    try {
      if (this.#isStale) this.#list();
      const current = this.#segments.at(-1);
      if (this.#file !== null && current !== undefined && current.size + bytes.length > this.#options.segmentBytes) await this.#closeFile();
      const file = this.#file ?? (await this.#openSegment());
      let offset = 0;
      while (offset < bytes.length) offset += (await file.write(bytes, offset)).bytesWritten;
      // In one step, so that a reader finds these lines either waiting or on disk, never twice.
      this.#segments.at(-1)!.size += bytes.length;
      this.#inFlight = [];
      this.#segments = await forgetOldest(this.#segments, this.#options.sizeBytes);
      return true;
    } catch (error) {
      this.#report(error);
      await this.#abandonSegment();
      return false;
    }
  }

  /** Between two writes, as if it were one: nothing else touches the segments meanwhile. */
  #forgetAged(ageMs: number): void {
    if (this.#writing !== null || this.#closed) return;
    const forget = async () => {
      if (this.#file !== null && Date.now() - this.#openedAt > ageMs / AGE_PARTS) await this.#closeFile();
      this.#segments = await forgetBefore(this.#segments, Date.now() - ageMs, this.#file !== null);
    };
    this.#writing = forget()
      .catch((error: unknown) => this.#report(error))
      .then(() => {
        this.#writing = null;
        this.#pump();
      });
  }

  async #openSegment(): Promise<FileHandle> {
    const directory = this.#options.directory!;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // `wx`: never on top of what another process, or an earlier run in the same millisecond, has written.
    for (;;) {
      const path = join(directory, segmentName(Date.now(), process.pid, this.#sequence++));
      try {
        this.#file = await open(path, 'wx', 0o600);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
        throw error;
      }
      this.#openedAt = Date.now();
      this.#segments.push({ path, size: 0 });
      return this.#file;
    }
  }

  /** Gives back what a failed write left: an empty file on each attempt would fill a folder while the disk is full. */
  async #abandonSegment(): Promise<void> {
    const segment = this.#file === null ? undefined : this.#segments.at(-1);
    if (segment !== undefined && segment.size > 0) await this.#file?.truncate(segment.size).catch(() => undefined);
    await this.#closeFile();
    if (segment === undefined || segment.size > 0) return;
    await unlink(segment.path).catch(() => undefined);
    this.#segments = this.#segments.slice(0, -1);
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    try {
      await file?.close();
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    const detail = error instanceof Error ? error.message : String(error);
    this.#setTrouble({
      code,
      message: `The journal in ${this.#options.directory} cannot be kept (${detail}); records are dropped until it can.`,
    });
  }

  #setTrouble(trouble: JournalTrouble | null): void {
    if (trouble?.code === this.#trouble?.code) return;
    this.#trouble = trouble === null ? null : { ...trouble, since: this.#trouble?.since ?? Date.now() };
    this.#options.onTrouble(trouble);
  }
}
