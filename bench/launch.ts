/**
 * Child processes of a bench run: started on a chosen set of cores, waited for, ended by id. Whatever is still alive when the bench
 * ends, for whatever reason, is killed then.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { processTree } from './measure.ts';

/** Time between asking a process to end and killing it. A drain with no open flow ends at once, so this is ample. */
const STOP_GRACE_MS = 5_000;
const ERROR_TAIL_BYTES = 4_096;

/** Which cores a process may use: the proxy's, the load's (load generator and backends), or all of them. */
export type Cores = 'proxy' | 'load' | 'all';

/** With one core nothing can be kept apart; the report says so. */
export const CORES_APART = availableParallelism() > 1;

function coreList(cores: Cores): string | null {
  if (!CORES_APART) return null;
  return cores === 'proxy' ? '0' : cores === 'load' ? '1' : null;
}

export interface Launched {
  readonly pid: number;
  /** The last of what it wrote to standard output and error. */
  tail(): string;
  /** null while it is alive. */
  ended(): string | null;
  /** Asks it to end, then kills it; settles once it is gone. */
  stop(): Promise<void>;
}

const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) killTree(child);
});

/** Ends every child that is alive, as `stop` does. */
export async function stopAll(): Promise<void> {
  await Promise.all([...alive].map(stop));
}

/** Starts a long-running process. Fails when the program cannot be started at all. */
export async function launch(cores: Cores, program: string, args: readonly string[], options: { cwd?: string } = {}): Promise<Launched> {
  const child = pinned(cores, program, args, options.cwd);
  let tail = '';
  const keep = (chunk: Buffer) => {
    tail = (tail + chunk.toString()).slice(-ERROR_TAIL_BYTES);
  };
  child.stdout!.on('data', keep);
  child.stderr!.on('data', keep);
  await once(child, 'spawn');
  return {
    pid: child.pid!,
    tail: () => tail.trim(),
    ended: () => (child.exitCode === null && child.signalCode === null ? null : `exit ${child.signalCode ?? child.exitCode}`),
    stop: () => stop(child),
  };
}

/** Runs a program to its end and answers its standard output. Fails on a bad exit status or after `timeoutMs`. */
export async function runToEnd(cores: Cores, program: string, args: readonly string[], timeoutMs: number): Promise<string> {
  const child = pinned(cores, program, args);
  let output = '';
  let errors = '';
  child.stdout!.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr!.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-ERROR_TAIL_BYTES)));
  const timer = setTimeout(() => killTree(child), timeoutMs);
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    if (code === 0) return output;
    const why = signal === null ? `exit ${code}` : `${signal} after at most ${timeoutMs} ms`;
    throw new Error(`${program} ${args.join(' ')}: ${why}: ${errors.trim() || output.trim()}`);
  } finally {
    clearTimeout(timer);
  }
}

function pinned(cores: Cores, program: string, args: readonly string[], cwd?: string): ChildProcess {
  const list = coreList(cores);
  const command = list === null ? program : 'taskset';
  const commandArgs = list === null ? args : ['-c', list, program, ...args];
  const child = spawn(command, commandArgs, { stdio: ['ignore', 'pipe', 'pipe'], ...(cwd === undefined ? {} : { cwd }) });
  alive.add(child);
  child.on('exit', () => alive.delete(child));
  child.on('error', () => alive.delete(child));
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => killTree(child), STOP_GRACE_MS);
  await gone;
  clearTimeout(timer);
}

/** A master that is killed leaves its workers behind, so these are killed with it. */
function killTree(child: ChildProcess): void {
  if (child.pid === undefined) return;
  for (const pid of processTree(child.pid)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended by itself meanwhile.
    }
  }
}
