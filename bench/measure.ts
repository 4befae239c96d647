/**
 * What a process costs: CPU time and memory of a process and all its descendants, read from /proc.
 *
 * CPU comes from /proc/PID/task/TID/schedstat, whose first field is the time on a core in nanoseconds; utime and stime of
 * /proc/PID/stat count in ticks of 10 ms and are used only where a thread ended between two readings (its schedstat goes with it).
 * Both include what the kernel does on the process's behalf, and on loopback also the receiving side's protocol work.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** Ticks a second of /proc/PID/stat. USER_HZ is 100 on every Linux that Node runs on. */
const TICK_NS = 10_000_000;

export interface CpuReading {
  /** Nanoseconds on a core, keyed by `pid/tid`. */
  readonly tasks: ReadonlyMap<string, number>;
  /** utime + stime of the tree, in nanoseconds, including threads that have ended. */
  readonly coarseNs: number;
}

/** CPU time of `pid` and its descendants so far. A process that has gone counts as nothing. */
export function readCpu(pid: number): CpuReading {
  const tasks = new Map<string, number>();
  let coarseNs = 0;
  for (const member of processTree(pid)) {
    const stat = readOptional(`/proc/${member}/stat`);
    if (stat !== null) coarseNs += parseStatTicks(stat) * TICK_NS;
    for (const tid of listOptional(`/proc/${member}/task`)) {
      const schedstat = readOptional(`/proc/${member}/task/${tid}/schedstat`);
      if (schedstat !== null) tasks.set(`${member}/${tid}`, parseSchedstat(schedstat));
    }
  }
  return { tasks, coarseNs };
}

/** Nanoseconds of CPU between two readings of the same tree. */
export function cpuBetween(before: CpuReading, after: CpuReading): number {
  let fine = 0;
  for (const [task, ns] of after.tasks) fine += ns - (before.tasks.get(task) ?? 0);
  for (const task of before.tasks.keys()) {
    if (!after.tasks.has(task)) return Math.max(fine, after.coarseNs - before.coarseNs);
  }
  return fine;
}

/**
 * Memory of `pid` and its descendants now, in bytes: resident pages that no file stands behind, those that several processes have divided
 * among them. Program text is left out: it is no flow's, and its share changes with every other process that runs the same program. What the
 * kernel holds for sockets is not in it.
 */
export function readMemory(pid: number): number {
  let bytes = 0;
  for (const member of processTree(pid)) {
    const rollup = readOptional(`/proc/${member}/smaps_rollup`);
    if (rollup !== null) bytes += parseRollup(rollup, 'Pss_Anon') + parseRollup(rollup, 'Pss_Shmem');
  }
  return bytes;
}

/** utime + stime in ticks. The command name stands in parentheses and may hold anything, so fields are counted from the last `)`. */
export function parseStatTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // proc(5): state is field 3 and the first here, so utime (14) and stime (15) are at 11 and 12.
  return Number(fields[11]) + Number(fields[12]);
}

/** Nanoseconds on a core: the first field of schedstat. */
export function parseSchedstat(schedstat: string): number {
  return Number(schedstat.split(' ', 1)[0]);
}

/** One line of smaps_rollup, in bytes; 0 where it is missing. */
export function parseRollup(rollup: string, key: string): number {
  const match = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(rollup);
  return match === null ? 0 : Number(match[1]) * 1024;
}

/** `pid` and every descendant that is alive, by the parent field of /proc/PID/stat. */
export function processTree(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of listOptional('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = readOptional(`/proc/${entry}/stat`);
    if (stat === null) continue;
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [Number(entry)]);
    else siblings.push(Number(entry));
  }
  const tree = [pid];
  for (let i = 0; i < tree.length; i++) tree.push(...(children.get(tree[i]!) ?? []));
  return tree;
}

/** Threads and processes come and go while we look: what has gone reads as null. */
function readOptional(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return null;
  }
}

function listOptional(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
