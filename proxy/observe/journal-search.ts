/** Searching the journal from its newest record back, a bounded way at a time; a cursor says where the next part of the answer begins. */
import { statSync } from 'node:fs';
import { hitNodeLimit } from '../shared/node-limits.ts';
import { flowMatcher, needlesOf } from './flow-filter.ts';
import { blocksBackward } from './journal-lines.ts';
import { recordsOf } from './journal-records.ts';
import type { FlowPage, FlowRecord, FlowSearch } from './view.ts';

/** How far back one search reads. At about a gigabyte a second for what a filter can skip, and a sixth of that for what it has to parse. */
export const SEARCH_BYTES_MAX = 64 * 1024 * 1024;

/** A piece of the journal: a segment on disk as far as it is whole, or a chunk in memory. */
export type JournalPart =
  | { readonly name: string; readonly path: string; readonly size: number }
  | { readonly name: string; readonly bytes: Buffer };

interface Block {
  readonly lines: Buffer;
  /** Where `lines` begins in the part; everything behind it has been read by now. */
  readonly start: number;
  readonly bytesRead: number;
}

const CURSOR = /^([A-Za-z0-9.-]{1,80})@(0|[1-9][0-9]{0,15})$/;

export function isCursor(text: string): boolean {
  return CURSOR.test(text);
}

/** `parts` newest first; their names sort as they came. */
export async function searchParts(parts: readonly JournalPart[], search: FlowSearch, bytesMax = SEARCH_BYTES_MAX): Promise<FlowPage> {
  const { limit, filter } = search;
  const matches = flowMatcher(filter);
  const needles = needlesOf(filter);
  const flows: FlowRecord[] = [];
  let read = 0;
  for (const part of partsFrom(parts, search.cursor)) {
    // All that it holds ended, and so began, before.
    if (filter.since !== undefined && lastWrittenMs(part) < filter.since) continue;
    for await (const { lines, start, bytesRead } of blocksOf(part)) {
      for (const { record, at } of recordsOf(lines, needles)) {
        if (!matches(record)) continue;
        flows.push(record);
        if (flows.length >= limit) return { flows, next: `${part.name}@${start + at}` };
      }
      read += bytesRead;
      if (read >= bytesMax) {
        hitNodeLimit('journal-scan');
        return { flows, next: `${part.name}@${start}` };
      }
    }
  }
  return { flows, next: null };
}

/** Every record whose line holds the needles, newest first. */
export async function* recordsBackward(parts: readonly JournalPart[], needles: readonly Buffer[]): AsyncGenerator<FlowRecord> {
  for (const part of parts) for await (const { lines } of blocksOf(part)) for (const { record } of recordsOf(lines, needles)) yield record;
}

/** Without what a cursor lies behind. Where its part is gone, everything older has gone before it. */
function partsFrom(parts: readonly JournalPart[], cursor: string | null): JournalPart[] {
  const [, name, offset] = CURSOR.exec(cursor ?? '') ?? [];
  if (name === undefined) return [...parts];
  const at = parts.findIndex((part) => part.name === name);
  if (at < 0) return [];
  const end = Number(offset);
  const first = parts[at]!;
  const cut = 'bytes' in first ? { ...first, bytes: first.bytes.subarray(0, end) } : { ...first, size: Math.min(first.size, end) };
  return [cut, ...parts.slice(at + 1)];
}

async function* blocksOf(part: JournalPart): AsyncGenerator<Block> {
  if (!('bytes' in part)) yield* blocksBackward(part);
  else if (part.bytes.length > 0) yield { lines: part.bytes, start: 0, bytesRead: part.bytes.length };
}

function lastWrittenMs(part: JournalPart): number {
  if ('bytes' in part) return Number.POSITIVE_INFINITY;
  return statSync(part.path, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY;
}
