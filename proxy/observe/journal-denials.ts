/**
 * The newest denials, kept in memory. The status page asks for them every two seconds; without this a node that rarely denies would read
 * its whole journal each time to find none.
 */
import { linesOfChunk } from './journal-lines.ts';
import type { FlowRecord } from './view.ts';

const CAPACITY = 256;
/** A line is held as it came; a longer one than this is found on disk only. 256 of them are 4 MiB at most. */
const LINE_BYTES_MAX = 16 * 1024;

export class DenialTail {
  /** As `JSON.stringify` writes it, without spaces. Inside a string value the quotes would be escaped, so traffic cannot forge it. */
  static readonly NEEDLE: Buffer = Buffer.from('"verdict":"deny"');
  readonly capacity = CAPACITY;
  /** Oldest first. Until `seeded` it holds only what was added in this run. */
  #lines: Buffer[] = [];
  #added = 0;
  #seeded = false;

  /** Whether older denials, of the journal on disk, are known as well. */
  get seeded(): boolean {
    return this.#seeded;
  }

  /** Takes the denials out of a chunk of lines. */
  add(bytes: Buffer): void {
    if (!bytes.includes(DenialTail.NEEDLE)) return;
    const newest: Buffer[] = [];
    for (const line of linesOfChunk(bytes)) {
      if (line.length > LINE_BYTES_MAX || !line.includes(DenialTail.NEEDLE)) continue;
      // A copy, so that one short line does not keep a whole chunk alive.
      newest.push(Buffer.from(line));
      if (newest.length === CAPACITY) break;
    }
    this.#added += newest.length;
    this.#lines = [...this.#lines, ...newest.reverse()].slice(-CAPACITY);
  }

  /** Where the tail stands, to be handed to `seed` after reading the journal as it was at that moment. */
  mark(): number {
    return this.#added;
  }

  /** Completes the tail with what the journal held at `mark`, newest first. */
  seed(found: readonly FlowRecord[], mark: number): void {
    const since = this.#added - mark;
    const later = since === 0 ? [] : this.#lines.slice(-since);
    const held = this.#lines.slice(0, this.#lines.length - later.length);
    // The journal may have forgotten denials that the tail still knows: it forgets oldest first, whatever the verdict.
    const earlier =
      found.length > held.length
        ? found
            .slice(0, CAPACITY)
            .map((record) => Buffer.from(JSON.stringify(record)))
            .reverse()
        : held;
    this.#lines = [...earlier, ...later].slice(-CAPACITY);
    this.#seeded = true;
  }

  newest(limit: number): FlowRecord[] {
    const chosen = limit <= 0 ? [] : this.#lines.slice(-limit);
    return chosen.reverse().flatMap((line) => {
      try {
        return [JSON.parse(line.toString('utf8')) as FlowRecord];
      } catch {
        return [];
      }
    });
  }
}
