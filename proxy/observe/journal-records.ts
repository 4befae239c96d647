/** From lines to flow records: parsing what can be parsed. */
import { linesOfChunk } from './journal-lines.ts';
import type { FlowRecord } from './view.ts';

export interface PlacedRecord {
  readonly record: FlowRecord;
  /** Where its line begins in `lines`. */
  readonly at: number;
}

/** The records in whole lines, last first. Lines without every needle are not parsed; a block without one is not even split. */
export function* recordsOf(lines: Buffer, needles: readonly Buffer[]): Generator<PlacedRecord> {
  if (needles.some((needle) => !lines.includes(needle))) return;
  for (const line of linesOfChunk(lines)) {
    if (needles.some((needle) => !line.includes(needle))) continue;
    const record = parseRecord(line);
    if (record !== null) yield { record, at: line.byteOffset - lines.byteOffset };
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
