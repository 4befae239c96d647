/** Reading lines from their end: of a chunk in memory, and of a file block by block. */
import { open } from 'node:fs/promises';

const BLOCK_BYTES = 256 * 1024;
/** A longer line is not a flow record (targets and hosts are bounded far below); it is skipped rather than held in memory. */
const LINE_BYTES_MAX = 1024 * 1024;
const NEWLINE = 0x0a;

export interface LineSource {
  readonly path: string;
  /** Bytes from the start that count; what a writer appends meanwhile is not looked at. */
  readonly size: number;
}

/** The lines of a buffer, last first, as views without their newline. Empty lines are left out. */
export function* linesOfChunk(bytes: Buffer): Generator<Buffer> {
  let end = bytes.length;
  while (end > 0) {
    const newline = bytes.lastIndexOf(NEWLINE, end - 1);
    if (newline + 1 < end) yield bytes.subarray(newline + 1, end);
    end = newline < 0 ? 0 : newline;
  }
}

/**
 * A file from its end, as buffers of whole lines. A file that cannot be read (deleted meanwhile, most likely) has none; `bytesRead` counts
 * what each step cost, and `start` is where its lines begin: everything behind it has been handed over by then.
 */
export async function* blocksBackward(source: LineSource): AsyncGenerator<{ lines: Buffer; start: number; bytesRead: number }> {
  const file = await open(source.path, 'r').catch(() => null);
  if (file === null) return;
  try {
    let end = source.size;
    // The start of the line that the block before this one broke off, still without its beginning.
    let rest: Buffer = Buffer.alloc(0);
    while (end > 0) {
      const start = Math.max(0, end - BLOCK_BYTES);
      const block = Buffer.allocUnsafe(end - start);
      const { bytesRead } = await file.read(block, 0, block.length, start);
      if (bytesRead < block.length) return;
      const firstNewline = start === 0 ? -1 : block.indexOf(NEWLINE);
      if (start > 0 && firstNewline < 0) {
        const before = start + block.length + rest.length;
        const tooLong = rest.length + block.length > LINE_BYTES_MAX;
        rest = tooLong ? Buffer.alloc(0) : Buffer.concat([block, rest]);
        yield { lines: Buffer.alloc(0), start: tooLong ? start : before, bytesRead };
      } else {
        yield { lines: Buffer.concat([block.subarray(firstNewline + 1), rest]), start: start + firstNewline + 1, bytesRead };
        rest = block.subarray(0, Math.max(0, firstNewline));
      }
      end = start;
    }
  } catch {
    // What was read before the error stands; a listing of the journal is an answer to a person, not a proof.
  } finally {
    await file.close().catch(() => undefined);
  }
}
