import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Rate, RuleLimits } from '../../config/document.ts';
import { LIMIT_ENTRIES_MAX, LimitTable, NO_ENTRY, OVER_FLOWS, OVER_NEW_FLOWS, OVER_REQUESTS } from '../../proxy/shared/limit-table.ts';

const NONE: RuleLimits = { per: 'source', flows: null, newFlows: null, requests: null, bytes: null, bytesTotal: null, durationMs: null };
const A = [0, 0, 0xffff, 0x7f000001];
const B = [0, 0, 0xffff, 0x7f000002];
const perSecond = (amount: number): Rate => ({ amount, perMs: 1_000 });

describe('flows at once', () => {
  it('are as many as the limit says, for each source and each rule apart, and one that leaves makes room', () => {
    const table = new LimitTable(2);
    const limits = { ...NONE, flows: 2 };
    const first = table.claim(0, 1, A, limits, 0, true);
    expect(first).toBeGreaterThanOrEqual(0);
    expect(table.claim(1, 1, A, limits, 0, true)).toBe(first);
    expect(table.claim(0, 1, A, limits, 0, true)).toBe(OVER_FLOWS);
    expect(table.claim(0, 1, B, limits, 0, true)).toBeGreaterThanOrEqual(0);
    expect(table.claim(0, 2, A, limits, 0, true)).toBeGreaterThanOrEqual(0);
    table.release(1, first);
    expect(table.claim(0, 1, A, limits, 0, true)).toBe(first);
  });

  it('of a dead worker are given back, and so is the lock that it held', () => {
    const table = new LimitTable(2);
    const limits = { ...NONE, flows: 1 };
    const entry = table.claim(1, 1, A, limits, 0, true);
    const locks = new Int32Array(table.buffer, LIMIT_ENTRIES_MAX * 6 * 8, LIMIT_ENTRIES_MAX / 16);
    locks[Math.floor(entry / 16)] = 2;
    expect(table.claim(0, 1, A, limits, 0, true)).toBe(NO_ENTRY);
    table.clear(1);
    expect(table.claim(0, 1, A, limits, 0, true)).toBe(entry);
  });

  it('that are live already count, room or not', () => {
    const table = new LimitTable(1);
    const limits = { ...NONE, flows: 1 };
    const entry = table.claim(0, 1, A, limits, 0, false);
    expect(table.claim(0, 1, A, limits, 0, false)).toBe(entry);
    expect(table.flowsOf(entry)).toBe(2);
    expect(table.claim(0, 1, A, limits, 0, true)).toBe(OVER_FLOWS);
  });
});

describe('rates', () => {
  it('are refused with the time until there is room, and what is refused spends nothing', () => {
    const table = new LimitTable(1);
    const limits = { ...NONE, newFlows: perSecond(2), requests: perSecond(1) };
    expect(table.claim(0, 1, A, limits, 1_000, true)).toBeGreaterThanOrEqual(0);
    expect([table.claim(0, 1, A, limits, 1_000, true), table.retryMs]).toEqual([OVER_REQUESTS, 1_000]);
    expect(table.claim(0, 1, A, { ...limits, requests: null }, 1_000, true)).toBeGreaterThanOrEqual(0);
    expect([table.claim(0, 1, A, { ...limits, requests: null }, 1_000, true), table.retryMs]).toEqual([OVER_NEW_FLOWS, 500]);
  });

  it('that change keep the share that is spent', () => {
    const table = new LimitTable(1);
    const before = { ...NONE, newFlows: perSecond(4) };
    for (let i = 0; i < 2; i++) table.claim(0, 1, A, before, 0, true);
    const after = { ...NONE, newFlows: { amount: 100, perMs: 60_000 } };
    let more = 0;
    while (table.claim(0, 1, A, after, 0, true) >= 0) more++;
    expect(more).toBe(50);
  });

  it('take a claim back whole', () => {
    const table = new LimitTable(1);
    const limits = { ...NONE, flows: 1, newFlows: perSecond(1) };
    for (let i = 0; i < 3; i++) table.undo(0, table.claim(0, 1, A, limits, 0, true), limits, 0);
    expect(table.claim(0, 1, A, limits, 0, true)).toBeGreaterThanOrEqual(0);
  });

  it('answer as plain buckets and a plain count do, source by source', () => {
    const step = fc.record({
      pause: fc.integer({ min: 0, max: 300 }),
      source: fc.constantFrom(A, B),
      leaves: fc.boolean(),
      worker: fc.integer({ min: 0, max: 1 }),
    });
    const rule = fc.record({ flows: fc.integer({ min: 1, max: 4 }), rate: fc.integer({ min: 1, max: 6 }) });
    fc.assert(
      fc.property(rule, fc.array(step, { maxLength: 80 }), ({ flows, rate }, steps) => {
        const table = new LimitTable(2);
        const limits = { ...NONE, flows, newFlows: perSecond(rate) };
        // Thousandths of a token: whole numbers.
        const model = new Map([A, B].map((source) => [source, { level: rate * 1_000, at: 0, live: [] as [number, number][] }]));
        let now = 0;
        for (const { pause, source, leaves, worker } of steps) {
          now += pause;
          const one = model.get(source)!;
          one.level = Math.min(rate * 1_000, one.level + (now - one.at) * rate);
          one.at = now;
          if (leaves) {
            const left = one.live.shift();
            if (left !== undefined) table.release(...left);
            continue;
          }
          const expected = one.live.length >= flows ? OVER_FLOWS : one.level < 1_000 ? OVER_NEW_FLOWS : 0;
          const claimed = table.claim(worker, 1, source, limits, now, true);
          expect(Math.min(claimed, 0)).toBe(expected);
          if (claimed < 0) continue;
          one.level -= 1_000;
          one.live.push([worker, claimed]);
        }
      }),
    );
  });

  it('of bytes say how long to wait, and what was read beyond is owed', () => {
    const table = new LimitTable(1);
    const rate = perSecond(1_000);
    const entry = table.claim(0, 1, A, NONE, 0, true);
    expect(table.chargeBytes(0, entry, 1_000, rate, 0)).toBe(0);
    expect(table.chargeBytes(0, entry, 500, rate, 0)).toBeCloseTo(500);
    expect(table.chargeBytes(0, entry, 500, rate, 250)).toBeCloseTo(750);
    expect(table.chargeBytes(0, entry, 0, rate, 1_000)).toBe(0);
  });
});

describe('the table', () => {
  it('gives entries that say nothing any more to others, and has no room where all of them do', () => {
    const table = new LimitTable(1);
    const limits = { ...NONE, newFlows: perSecond(1) };
    const refusedAt = (now: number) => {
      let refused = 0;
      for (let i = 0; i < LIMIT_ENTRIES_MAX; i++) {
        const entry = table.claim(0, 1, [0, 0, now, i], limits, now, true);
        if (entry === NO_ENTRY) refused++;
        else table.release(0, entry);
      }
      return refused;
    };
    expect(refusedAt(0)).toBeGreaterThan(0);
    const early = refusedAt(500);
    expect(early).toBeGreaterThan(LIMIT_ENTRIES_MAX * 0.8);
    expect(refusedAt(2_000)).toBeLessThan(early);
  });

  it('lets threads that stampede have exactly what there is, never more and never less', async () => {
    const table = new LimitTable(2);
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      import(workerData.module).then(({ LimitTable }) => {
        const table = new LimitTable(2, workerData.buffer);
        const limits = { flows: 100, newFlows: null, requests: null };
        const gate = new Int32Array(workerData.gate);
        Atomics.add(gate, 0, 1);
        while (Atomics.load(gate, 0) < 2);
        let got = 0, most = 0;
        const held = [];
        for (let i = 0; i < 20000; i++) {
          const entry = table.claim(workerData.worker, 1, [0, 0, 0, 9], limits, 0, true);
          if (entry >= 0) { held.push(entry); most = Math.max(most, table.flowsOf(entry)); }
          if (i % 3 === 2 && held.length > 0) table.release(workerData.worker, held.pop());
        }
        while (table.claim(workerData.worker, 1, [0, 0, 0, 9], limits, 0, true) >= 0) held.push(0);
        parentPort.postMessage({ held: held.length, most });
      });`;
    const gate = new SharedArrayBuffer(4);
    const module = new URL('../../proxy/shared/limit-table.ts', import.meta.url).href;
    const results = await Promise.all(
      [0, 1].map(
        (worker) =>
          new Promise<{ held: number; most: number }>((resolve, reject) => {
            const thread = new Worker(code, { eval: true, execArgv: [], workerData: { worker, module, buffer: table.buffer, gate } });
            thread.once('message', resolve);
            thread.once('error', reject);
          }),
      ),
    );
    expect(results[0]!.held + results[1]!.held).toBe(100);
    expect(Math.max(...results.map(({ most }) => most))).toBeLessThanOrEqual(100);
  });
});
