/** Where the works are done: the backends, the peers that run, the settings of the run, and the round in which each has its turn. */
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchCertificate } from './certificate.ts';
import type { Findings, Measure, Sample } from './findings.ts';
import { type Cores, runToEnd } from './launch.ts';
import { cpuBetween, readCpu } from './measure.ts';
import type { Backends, Peer, RunningPeer, Setup } from './peers/peer.ts';

export interface Arena {
  readonly findings: Findings;
  readonly backends: Backends;
  readonly certificate: BenchCertificate;
  readonly peers: readonly Peer[];
  readonly rounds: number;
  readonly seconds: number;
  readonly quick: boolean;
  /** Folder of the run; removed at its end. */
  readonly folder: string;
  /** Says what is being done, on one line that the next call writes over. */
  progress(text: string): void;
}

/** What a load tool prints when it is done. */
export interface LoadResult {
  readonly units: number;
  readonly seconds: number;
}

/** How long a load tool may take beyond its own time before it counts as stuck. */
const LOAD_GRACE_MS = 15_000;

/** Starts a peer in a folder of its own; null, and a failure noted, where that doesn't work. */
export async function startPeer(
  arena: Arena,
  peer: Peer,
  options: { cores?: Cores; workers?: number; flows?: number } = {},
): Promise<RunningPeer | null> {
  const folder = await mkdtemp(join(arena.folder, `${peer.name.replace(/\W+/g, '-')}-`));
  const setup: Setup = {
    folder,
    backends: arena.backends,
    certificate: arena.certificate,
    cores: options.cores ?? 'proxy',
    workers: options.workers ?? 1,
    flows: options.flows ?? 4_000,
  };
  arena.progress(`starting ${peer.name}`);
  try {
    return await peer.start(setup);
  } catch (error) {
    arena.findings.fail('start', peer.name, messageOf(error));
    return null;
  }
}

/** Runs one of bench/load on the load's core and answers what it printed. */
export async function runLoad<R extends LoadResult>(
  program: string,
  args: readonly (string | number)[],
  seconds: number,
  cores: Cores = 'load',
): Promise<R> {
  const path = fileURLToPath(new URL(`./load/${program}`, import.meta.url));
  const output = await runToEnd(cores, process.execPath, [path, ...args.map(String)], seconds * 1000 + LOAD_GRACE_MS);
  return JSON.parse(output) as R;
}

/** CPU of the peer for each unit of work, in nanoseconds, while `load` runs. Fails where no work was done. */
export async function costOf(
  peer: RunningPeer,
  load: () => Promise<LoadResult>,
): Promise<{ nsPerUnit: number; rate: number; load: number }> {
  const before = readCpu(peer.pid);
  const started = performance.now();
  const { units, seconds } = await load();
  const cpuNs = cpuBetween(before, readCpu(peer.pid));
  const ended = peer.ended();
  if (ended !== null) throw new Error(`the proxy ended: ${ended}`);
  if (units === 0) throw new Error('no work was done');
  return { nsPerUnit: cpuNs / units, rate: units / seconds, load: cpuNs / 1e6 / (performance.now() - started) };
}

/** One turn of one contender. Rounds below 0 are the warm-up. Null: there is no figure this time, and why has been noted. */
export type Turn = (contender: RunningPeer, seconds: number, round: number) => Promise<Omit<Sample, 'round'> | null>;

/**
 * A warm-up for each contender, in which code is compiled; then the rounds: A B C, A B C, … so that whatever disturbs the machine for a while
 * disturbs all.
 * A contender that fails is noted and left out of what remains of this measure.
 */
export async function interleave(arena: Arena, measure: Measure, contenders: readonly RunningPeer[], turn: Turn): Promise<void> {
  const { findings, rounds, seconds } = arena;
  findings.declare(measure);
  const out = new Set<RunningPeer>();
  for (let round = -(measure.warmUpTurns ?? 1); round < rounds; round++) {
    for (const contender of contenders) {
      if (out.has(contender)) continue;
      arena.progress(`${measure.title}: ${round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`}: ${contender.name}`);
      try {
        const sample = await turn(contender, seconds, round);
        if (sample !== null && round >= 0) findings.add(measure.key, contender.name, { round, ...sample });
      } catch (error) {
        findings.fail(measure.key, contender.name, messageOf(error));
        out.add(contender);
      }
    }
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
