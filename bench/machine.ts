/** Where and with what a run was made: without this a figure means nothing to anybody else. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
}

export interface Commit {
  /** null outside a repository, and before its first commit. */
  readonly id: string | null;
  /** Whether files differ from it. */
  readonly dirty: boolean;
}

export function describeMachine(): Machine {
  return {
    cpu: cpuModel(readFileSync('/proc/cpuinfo', 'latin1')),
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.versions.node,
  };
}

/** Model name with family, model and clock, as `model name` alone says little in a virtual machine. */
export function cpuModel(cpuinfo: string): string {
  const field = (key: string) => new RegExp(`^${key}\\s*: (.+)$`, 'm').exec(cpuinfo)?.[1];
  const name = field('model name') ?? 'unknown';
  const details = [
    ['family', field('cpu family')],
    ['model', field('model')],
    ['MHz', field('cpu MHz')],
  ].filter(([, value]) => value !== undefined);
  return details.length === 0 ? name : `${name} (${details.map(([key, value]) => `${key} ${value}`).join(', ')})`;
}

/** CPU time so far, in ticks: of all processes on all cores, and of this one with the children that it has waited for. */
export interface Busyness {
  readonly all: number;
  readonly own: number;
  readonly atMs: number;
}

export function readBusyness(): Busyness {
  const stat = readFileSync('/proc/self/stat', 'latin1');
  const own = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .reduce((sum, ticks) => sum + Number(ticks), 0);
  return { all: parseBusyTicks(readFileSync('/proc/stat', 'latin1')), own, atMs: performance.now() };
}

/** Share of all cores (0 to 1) that processes other than ours used between two readings; ours have to have ended by the second. */
export function othersShare(before: Busyness, after: Busyness, cores: number): number {
  const possible = ((after.atMs - before.atMs) / 10) * cores;
  const others = after.all - before.all - (after.own - before.own);
  return possible <= 0 ? 0 : Math.min(1, Math.max(0, others / possible));
}

/** Ticks of the first line of /proc/stat that were not idle or waiting; steal counts as busy, as the core was then somebody else's. */
export function parseBusyTicks(stat: string): number {
  const [user, nice, system, _idle, _ioWait, irq, softIrq, steal] = stat.split('\n', 1)[0]!.trim().split(/\s+/).slice(1).map(Number);
  return user! + nice! + system! + irq! + softIrq! + (steal ?? 0);
}

export function describeCommit(): Commit {
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const git = (args: string[]) => {
    try {
      return execFileSync('git', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    } catch {
      return null;
    }
  };
  return { id: git(['rev-parse', '--short=12', 'HEAD']), dirty: (git(['status', '--porcelain']) ?? '') !== '' };
}
