/** The segment files of a journal: their names, which ones exist, and which ones go. */
import { readdirSync, statSync } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { hitNodeLimit } from '../shared/node-limits.ts';

const SEGMENT_NAME = /^journal-\d{8}T\d{9}Z-\d+-\d{6}\.ndjson$/;
/** A node that is restarted over and over leaves small segments behind; their number is bounded as well as their bytes. */
const SEGMENTS_MAX = 4096;

export interface Segment {
  readonly path: string;
  /** Bytes of complete batches; a torn tail of an earlier run is included and skipped when it is read. */
  size: number;
}

/** `journal-<time>-<process>-<sequence>.ndjson`: sorts by time, and no two processes ever choose one name. */
export function segmentName(atMs: number, pid: number, sequence: number): string {
  const time = new Date(atMs).toISOString().replace(/[-:.]/g, '');
  return `journal-${time}-${pid}-${String(sequence).padStart(6, '0')}.ndjson`;
}

/** The segments in a folder, oldest first; none where the folder does not exist. Throws what else the file system says. */
export function listSegments(directory: string): Segment[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
  return names
    .filter((name) => SEGMENT_NAME.test(name))
    .sort()
    .map((name) => {
      const path = join(directory, name);
      return { path, size: statSync(path, { throwIfNoEntry: false })?.size ?? 0 };
    });
}

/** Deletes the segments that were written last before a moment (milliseconds since the epoch), the last one aside where it is still being written. */
export async function forgetBefore(segments: readonly Segment[], moment: number, isLastOpen: boolean): Promise<Segment[]> {
  const kept: Segment[] = [];
  for (const [index, segment] of segments.entries()) {
    const written = isLastOpen && index === segments.length - 1 ? undefined : statSync(segment.path, { throwIfNoEntry: false })?.mtimeMs;
    if (written !== undefined && written < moment) await unlink(segment.path).catch(() => kept.push(segment));
    else kept.push(segment);
  }
  return kept;
}

/**
 * Deletes the oldest segments until the rest fits; the newest always stays. One that cannot be deleted is tried again next time, and counts for
 * nothing meanwhile: it would keep its own size from all others, or keep them from being deleted.
 */
export async function forgetOldest(segments: readonly Segment[], sizeBytes: number): Promise<Segment[]> {
  let total = segments.reduce((sum, segment) => sum + segment.size, 0);
  let first = 0;
  const stuck: Segment[] = [];
  while (first < segments.length - 1 && (total > sizeBytes || segments.length - first > SEGMENTS_MAX)) {
    const segment = segments[first]!;
    const gone = await unlink(segment.path).then(
      () => true,
      (error: unknown) => error instanceof Error && 'code' in error && error.code === 'ENOENT',
    );
    if (!gone) stuck.push(segment);
    else if (total <= sizeBytes) hitNodeLimit('journal-segments');
    total -= segment.size;
    first++;
  }
  return [...stuck, ...segments.slice(first)];
}
