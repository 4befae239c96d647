/**
 * The journal: one line of JSON for each flow that ended, in segment files that rotate and are deleted oldest first. The main thread owns
 * it; workers hand it chunks of complete lines. A disk that fails or lags costs records, which are counted, and never a flow.
 */
import { type FileHandle, mkdir, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { JournalBuffers } from './journal-buffers.ts';
import { DenialTail } from './journal-denials.ts';
import { blocksBackward, type LineSource } from './journal-lines.ts';
import { type FlowFilter, matches, recordsOf } from './journal-records.ts';
import { forgetOldest, listSegments, type Segment, segmentName } from './journal-segments.ts';
import type { FlowRecord } from './view.ts';

/** What waits for the disk at most. At 300 bytes a record this is about 27,000 records, a quarter of a second at full load. */
const QUEUE_BYTES_MAX = 8 * 1024 * 1024;
/** What is kept in memory where the journal has no folder. */
const MEMORY_BYTES_MAX = 4 * 1024 * 1024;
/** After a failed write: long enough not to hammer a broken disk, short enough to lose little when it is well again. */
const RETRY_MS_DEFAULT = 1000;
/** How far back a filtered listing reads, so that a filter that matches nothing cannot read a whole journal at each call. */
const RECENT_SCAN_BYTES_MAX = 32 * 1024 * 1024;

const SLOW_DISK = 'slow-disk';

export interface JournalOptions {
  /** Folder of the segments; created when needed. null keeps the newest records in memory only. */
  readonly directory: string | null;
  readonly sizeBytes: number;
  readonly segmentBytes: number;
  /** Called when the state changes: with the trouble when it begins or becomes another, with null when records are kept again. */
  readonly onTrouble: (trouble: JournalTrouble | null) => void;
  readonly retryMs?: number;
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
  /** At most `limit` records that match, newest first; reads at most the newest 32 MiB. */
  recent(limit: number, filter?: FlowFilter): Promise<FlowRecord[]>;
  /** Sums since the start. `bytes` and `written` count what was kept, on disk or in memory. */
  counts(): { written: number; dropped: number; bytes: number };
  /** Writes what waits and lets go of the file. What is appended afterwards is dropped. */
  close(): Promise<void>;
}

interface Chunk {
  readonly bytes: Buffer;
  readonly records: number;
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
  /** Waiting for the disk, oldest first; without a folder it is the journal itself. */
  #queue: Chunk[] = [];
  #queuedBytes = 0;
  /** What the disk is writing now: part of the answers, not yet part of a segment's size. */
  #inFlight: Chunk[] = [];
  #writing: Promise<void> | null = null;
  #retryTimer: NodeJS.Timeout | null = null;
  #trouble: string | null = null;
  #closed = false;
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
      // A disk that fails explains the full queue by itself.
      if (this.#trouble === null)
        this.#setTrouble({ code: SLOW_DISK, message: 'The disk is slower than the flows; journal records are dropped.' });
      return;
    }
    // A copy: the view may lie over shared memory that its worker writes again.
    const bytes = memoryOnly ? Buffer.from(chunk) : this.#buffers.copy(chunk);
    if (denials) this.#denials.add(bytes);
    this.#queue.push({ bytes, records });
    this.#queuedBytes += bytes.length;
    if (memoryOnly) this.#keepNewest(bytes.length, records);
    else this.#pump();
  }

  async find(receipt: string): Promise<FlowRecord | null> {
    const needle = Buffer.from(`"receipt":${JSON.stringify(receipt)}`);
    for await (const record of this.#backward(needle, Number.POSITIVE_INFINITY)) if (record.receipt === receipt) return record;
    return null;
  }

  async recent(limit: number, filter: FlowFilter = {}): Promise<FlowRecord[]> {
    const onlyDenied =
      filter.denied === true && filter.application === undefined && filter.source === undefined && filter.rule === undefined;
    if (onlyDenied && this.#denials.seeded && limit <= this.#denials.capacity) return this.#denials.newest(limit);
    const wanted = onlyDenied ? Math.max(limit, this.#denials.capacity) : limit;
    const mark = this.#denials.mark();
    const found: FlowRecord[] = [];
    if (wanted <= 0) return found;
    for await (const record of this.#backward(onlyDenied ? DenialTail.NEEDLE : null, RECENT_SCAN_BYTES_MAX)) {
      if (matches(record, filter)) found.push(record);
      if (found.length >= wanted) break;
    }
    if (!onlyDenied) return found.slice(0, limit);
    this.#denials.seed(found, mark);
    return limit <= this.#denials.capacity ? this.#denials.newest(limit) : found.slice(0, limit);
  }

  counts(): { written: number; dropped: number; bytes: number } {
    return { written: this.#written, dropped: this.#dropped, bytes: this.#bytes };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#options.directory === null) return;
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    this.#pump();
    while (this.#writing !== null) await this.#writing;
    await this.#closeFile();
  }

  /** Records newest first: what waits in memory, then the segments as far as they were written when this was called. */
  async *#backward(needle: Buffer | null, scanBytesMax: number): AsyncGenerator<FlowRecord> {
    this.#readers++;
    try {
      yield* this.#scanBackward(needle, scanBytesMax);
    } finally {
      this.#readers--;
    }
  }

  async *#scanBackward(needle: Buffer | null, scanBytesMax: number): AsyncGenerator<FlowRecord> {
    const waiting = [...this.#inFlight, ...this.#queue].reverse();
    const sources: LineSource[] = this.#segments.map(({ path, size }) => ({ path, size })).reverse();
    let scanned = 0;
    for (const chunk of waiting) {
      yield* recordsOf(chunk.bytes, needle);
      scanned += chunk.bytes.length;
      if (scanned >= scanBytesMax) return;
    }
    for (const source of sources) {
      for await (const block of blocksBackward(source)) {
        yield* recordsOf(block.lines, needle);
        scanned += block.bytesRead;
        if (scanned >= scanBytesMax) return;
      }
    }
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
        if (this.#trouble !== SLOW_DISK || this.#queuedBytes < QUEUE_BYTES_MAX / 2) this.#setTrouble(null);
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
    const code = trouble?.code ?? null;
    if (code === this.#trouble) return;
    this.#trouble = code;
    this.#options.onTrouble(trouble);
  }
}
