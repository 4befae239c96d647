/**
 * The most memory that a process has which reads a policy and compiles it, and loads nothing beside: `node bench/policy/memory.ts FILE`, as
 * JSON. Reading the file is a part of it; so is, where Node runs the sources as they are, what stripping their types takes.
 */
import { readFileSync } from 'node:fs';
import { parseDocument } from '../../config/load.ts';
import { compile } from '../../policy/compile.ts';

export interface MemoryFigures {
  /** Before anything, once the document was read, once it was compiled. */
  readonly emptyPeakMb: number;
  readonly readPeakMb: number;
  readonly compiledPeakMb: number;
}

function peakMb(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

function documentOf(file: string) {
  const loaded = parseDocument([{ file, text: readFileSync(file, 'utf8') }], {});
  if (!loaded.ok) throw new Error(loaded.problems[0]!.message);
  return loaded.document;
}

if (import.meta.main) {
  const emptyPeakMb = peakMb();
  const document = documentOf(process.argv[2]!);
  const readPeakMb = peakMb();
  compile(document);
  console.log(JSON.stringify({ emptyPeakMb, readPeakMb, compiledPeakMb: peakMb() } satisfies MemoryFigures));
}
