/** From lines to flow records: parsing what can be parsed, and choosing by what a reader asks for. */
import { linesOfChunk } from './journal-lines.ts';
import type { FlowRecord } from './view.ts';

/** Absent parts match everything. */
export interface FlowFilter {
  readonly denied?: boolean;
  readonly application?: string;
  readonly source?: string;
  readonly rule?: string;
}

/** The records in whole lines, last first. Lines without `needle` are not parsed; a block without it is not even split. */
export function* recordsOf(lines: Buffer, needle: Buffer | null): Generator<FlowRecord> {
  if (needle !== null && !lines.includes(needle)) return;
  for (const line of linesOfChunk(lines)) {
    if (needle !== null && !line.includes(needle)) continue;
    const record = parseRecord(line);
    if (record !== null) yield record;
  }
}

/** null for a torn or foreign line: a crash may leave one behind, and one line must not hide the others. */
function parseRecord(line: Buffer): FlowRecord | null {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'));
    return typeof value === 'object' && value !== null && 'receipt' in value ? (value as FlowRecord) : null;
  } catch {
    return null;
  }
}

/** A source is named with its port or without. */
function isFrom(source: string, wanted: string): boolean {
  return source === wanted || source.replace(/^\[(.*)\]:[0-9]+$|:[0-9]+$/, '$1') === wanted;
}

export function matches(record: FlowRecord, filter: FlowFilter): boolean {
  return (
    (filter.denied !== true || record.verdict === 'deny') &&
    (filter.application === undefined || record.application === filter.application) &&
    (filter.source === undefined || isFrom(record.source, filter.source)) &&
    (filter.rule === undefined || record.rule === filter.rule)
  );
}
