import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { cpuModel, othersShare, parseBusyTicks } from '../../bench/machine.ts';
import {
  type CpuReading,
  cpuBetween,
  parseRollup,
  parseSchedstat,
  parseStatTicks,
  processTree,
  readCpu,
  readMemory,
} from '../../bench/measure.ts';
import { flowsPossible } from '../../bench/work/memory.ts';

describe('/proc, as text', () => {
  it.each([
    { name: 'a plain name', stat: '42 (nginx) S 1 42 42 0 -1 4194560 100 0 0 0 17 25 0 0 20 0 1 0 9 1 1', ticks: 42 },
    {
      name: 'a name with spaces and parentheses',
      stat: '42 (a ) R 9 (b) S 1 42 42 0 -1 4194560 100 0 0 0 3 4 0 0 20 0 1 0 9 1 1',
      ticks: 7,
    },
  ])('takes utime and stime from a stat line with $name', ({ stat, ticks }) => {
    expect(parseStatTicks(stat)).toBe(ticks);
  });

  it('takes the time on a core from schedstat', () => {
    expect(parseSchedstat('1043764 52879 2\n')).toBe(1_043_764);
  });

  it.each([
    { key: 'Pss', bytes: 3_000 * 1024 },
    { key: 'Rss', bytes: 4_096 * 1024 },
    { key: 'Swap', bytes: 0 },
  ])('takes $key from smaps_rollup', ({ key, bytes }) => {
    const rollup =
      '5581-7ffe ---p 00000000 00:00 0 [rollup]\nRss:                4096 kB\nPss:                3000 kB\nPss_Dirty:          1 kB\n';
    expect(parseRollup(rollup, key)).toBe(bytes);
  });

  it.each([
    { limits: 'Limit  Soft  Hard  Units\nMax open files            20000                20000                files\n', flows: 9_950 },
    { limits: 'Max open files            unlimited            unlimited            files\n', flows: Number.MAX_SAFE_INTEGER },
  ])('finds that $flows flows fit', ({ limits, flows }) => {
    expect(flowsPossible(limits)).toBe(flows);
  });
});

describe('cpuBetween', () => {
  const reading = (coarseNs: number, tasks: { [task: string]: number }): CpuReading => ({
    coarseNs,
    tasks: new Map(Object.entries(tasks)),
  });
  it.each([
    { name: 'sums over threads', before: reading(0, { '1/1': 5, '1/2': 7 }), after: reading(0, { '1/1': 15, '1/2': 8 }), ns: 11 },
    { name: 'counts a new thread whole', before: reading(0, { '1/1': 5 }), after: reading(0, { '1/1': 6, '2/2': 100 }), ns: 101 },
    {
      name: 'falls back on ticks where a thread has ended',
      before: reading(100, { '1/1': 5, '1/2': 90 }),
      after: reading(400, { '1/1': 6 }),
      ns: 300,
    },
  ])('$name', ({ before, after, ns }) => {
    expect(cpuBetween(before, after)).toBe(ns);
  });
});

describe.runIf(process.platform === 'linux')('a real process', () => {
  it('is measured with its children', async () => {
    // A shell that waits for a child which works: the work is the child's.
    const work = 'let x = 0; for (let i = 0; i < 5e7; i++) x += i; console.log("worked"); setInterval(() => {}, 1000)';
    const shell = spawn('sh', ['-c', '"$0" -e "$1"; true', process.execPath, work], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const before = readCpu(shell.pid!);
      await once(shell.stdout, 'data');
      const tree = processTree(shell.pid!);
      expect(tree.length).toBe(2);
      expect(cpuBetween(before, readCpu(shell.pid!))).toBeGreaterThan(10_000_000);
      expect(readMemory(shell.pid!)).toBeGreaterThan(5_000_000);
      process.kill(tree[1]!);
    } finally {
      shell.kill('SIGKILL');
    }
  });

  it('counts as nothing once it has gone', () => {
    expect(readMemory(2 ** 30)).toBe(0);
    expect(readCpu(2 ** 30).tasks.size).toBe(0);
  });
});

describe('the machine', () => {
  it('counts neither idle nor waiting as busy', () => {
    expect(parseBusyTicks('cpu  100 1 20 5000 300 4 5 6 0 0\ncpu0 50 0 10 2500 150 2 2 3 0 0\n')).toBe(136);
  });

  it.each([
    { name: 'nothing but ours', all: 150, own: 150, share: 0 },
    { name: 'half of two cores', all: 250, own: 150, share: 0.5 },
    { name: 'ours counted later than all', all: 100, own: 150, share: 0 },
  ])('finds the share of others: $name', ({ all, own, share }) => {
    const before = { all: 1_000, own: 10, atMs: 0 };
    expect(othersShare(before, { all: 1_000 + all, own: 10 + own, atMs: 1_000 }, 2)).toBe(share);
  });

  it('tells processors apart that call themselves the same', () => {
    expect(cpuModel('processor\t: 0\ncpu family\t: 6\nmodel\t\t: 167\nmodel name\t: Some Processor\ncpu MHz\t\t: 2600.000\n')).toBe(
      'Some Processor (family 6, model 167, MHz 2600.000)',
    );
  });
});
