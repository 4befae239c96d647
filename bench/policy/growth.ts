/**
 * How everything that is done with a policy grows with its size: reading the file, compiling, checking, comparing, deciding, memory, and
 * what a swap holds a worker up. Each size has a process of its own. `--json` prints the figures as JSON, `--quick` leaves the largest out.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseDocument } from '../../config/load.ts';
import { compile } from '../../policy/compile.ts';
import { PLAIN_CONNECTION } from '../../policy/connection.ts';
import { decide } from '../../policy/decide.ts';
import { diffDocuments } from '../../policy/diff.ts';
import { lint } from '../../policy/lint.ts';
import { atomOf } from '../../policy/lookup.ts';
import { rehearse } from '../../policy/rehearse.ts';
import type { MemoryFigures } from './memory.ts';
import { scatteredPrefixes } from './scenes.ts';
import { measureSwap, type SwapFigures } from './swap.ts';
import { writtenScene } from './written.ts';

const PREFIXES = [1_000, 10_000, 100_000];
/** Of a policy there are ten times fewer rules than prefixes, and a hundred times fewer applications. */
const DECISIONS = 1_000_000;
const ROUNDS = 5;

interface Figures extends SwapFigures, MemoryFigures {
  readonly prefixes: number;
  readonly fileMb: number;
  readonly readMs: number;
  readonly compileMs: number;
  /** The compiled policy alone. */
  readonly imageMb: number;
  /** The whole of `bulkhead check` and of `bulkhead diff`, reading included. */
  readonly checkMs: number;
  readonly diffMs: number;
  readonly decideNs: number;
  readonly peakMb: number;
}

function milliseconds<T>(run: () => T): [T, number] {
  const start = performance.now();
  const result = run();
  return [result, Math.round(performance.now() - start)];
}

function peakMb(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

function documentOf(text: string) {
  const loaded = parseDocument([{ file: 'bench.yaml', text }], {});
  if (!loaded.ok) throw new Error(loaded.problems[0]!.message);
  return loaded.document;
}

async function measure(prefixes: number): Promise<Figures> {
  const text = writtenScene({ prefixes, rules: prefixes / 10, applications: prefixes / 100, guardrails: 10 });
  const changed = text.replace('name: rule-7\n        from: [segment-7]', 'name: rule-7\n        from: [segment-8]');
  const [document, readMs] = milliseconds(() => documentOf(text));
  const [image, compileMs] = milliseconds(() => compile(document));
  const decideNs = decisionNanoseconds(image, prefixes);
  const [, examineMs] = milliseconds(() => [lint(document, { now: Date.now() }), rehearse(image, document.tests)]);
  const [other, readAgainMs] = milliseconds(() => documentOf(changed));
  const [difference, compareMs] = milliseconds(() => diffDocuments(document, other, { now: Date.now() }));
  if (!difference.differs) throw new Error('the change was not found');
  const peak = peakMb();
  return {
    prefixes,
    fileMb: Math.round(text.length / 1e5) / 10,
    readMs,
    compileMs,
    ...memoryOf(text),
    imageMb: Math.round(image.buffer.byteLength / 1e5) / 10,
    checkMs: readMs + compileMs + examineMs,
    diffMs: readMs + readAgainMs + compareMs,
    decideNs,
    peakMb: peak,
    ...(await measureSwap(text, changed)),
  };
}

/** In a process of its own: this one has loaded far more. */
function memoryOf(text: string): MemoryFigures {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-bench-'));
  const file = join(folder, 'bench.yaml');
  writeFileSync(file, text);
  const words = [fileURLToPath(new URL('memory.ts', import.meta.url)), file];
  const figures = execFileSync(process.execPath, words, { env: { ...process.env, NODE_OPTIONS: '' }, encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  return JSON.parse(figures) as MemoryFigures;
}

/** The best of some rounds: an address looked up and decided. */
function decisionNanoseconds(image: ReturnType<typeof compile>, count: number): number {
  const prefixes = scatteredPrefixes(count);
  const step = 7_919;
  let best = Number.POSITIVE_INFINITY;
  let kept = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < DECISIONS; i++) {
      const { words } = prefixes[(i * step) % prefixes.length]!;
      kept += decide(image, i % image.vipCount, atomOf(image, words[0], words[1], words[2], words[3]), 2, null, PLAIN_CONNECTION);
    }
    best = Math.min(best, Number(process.hrtime.bigint() - start) / DECISIONS);
  }
  // The sum is used, so that nothing is optimised away.
  if (Number.isNaN(kept)) throw new Error('no decisions');
  return Math.round(best);
}

const one = process.argv.indexOf('--one');
if (one >= 0) console.log(JSON.stringify(await measure(Number(process.argv[one + 1]))));
else {
  const sizes = process.argv.includes('--quick') ? PREFIXES.slice(0, 2) : PREFIXES;
  const figures = sizes.map((size): Figures => {
    const words = [fileURLToPath(import.meta.url), '--one', String(size)];
    // By the environment, since the node gives its workers no options.
    const env = { ...process.env, NODE_OPTIONS: `--import ${new URL('swap-probe.ts', import.meta.url).href}` };
    return JSON.parse(execFileSync(process.execPath, words, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })) as Figures;
  });
  if (process.argv.includes('--json')) console.log(JSON.stringify({ figures }, null, 2));
  else console.table(figures);
}
