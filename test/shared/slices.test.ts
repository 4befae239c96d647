import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Slices } from '../../proxy/shared/slices.ts';
import { CLAIMED, NO_ROOM, OVER_CAP, SourceTable } from '../../proxy/shared/sources.ts';

const url = (name: string) => new URL(`../../proxy/shared/${name}.ts`, import.meta.url).href;
const NO_CAP = Number.POSITIVE_INFINITY;

/** Runs `body` in two real threads at once, each with its worker number, the shared buffers, and a place to note what went wrong. */
async function race(body: string, buffers: Record<string, SharedArrayBuffer>): Promise<number[]> {
  const gate = new SharedArrayBuffer(16);
  const run = (worker: number) =>
    new Promise<number>((resolve, reject) => {
      const thread = new Worker(
        `import { parentPort, workerData } from 'node:worker_threads';
         import { Slices } from ${JSON.stringify(url('slices'))};
         import { SourceTable } from ${JSON.stringify(url('sources'))};
         const { worker, buffers, gate } = workerData;
         const meet = new Int32Array(gate);
         Atomics.add(meet, 0, 1);
         while (Atomics.load(meet, 0) < 2);
         let wrong = 0;
         ${body}
         parentPort.postMessage(wrong);`,
        { eval: true, execArgv: ['--input-type=module'], workerData: { worker, buffers, gate } },
      );
      thread.once('message', resolve);
      thread.once('error', reject);
    });
  return await Promise.all([run(0), run(1)]);
}

describe('shared counts', () => {
  it('are sums of what each worker added, and a worker that is gone takes its own along', () => {
    const slices = new Slices(3, 4);
    const other = new Slices(3, 4, slices.buffer);
    slices.add(0, 2, 5);
    other.add(2, 2, 1);
    other.add(1, 3, 7);
    expect([0, 1, 2, 3].map((column) => slices.total(column))).toEqual([0, 0, 6, 7]);
    slices.clear(0);
    expect([slices.total(2), slices.own(2, 2), slices.total(3)]).toEqual([1, 1, 7]);
  });

  it('keep under a cap: the one that would pass it is refused and leaves no trace', () => {
    const slices = new Slices(2, 1);
    expect([slices.claim(0, 0, 2), slices.claim(1, 0, 2), slices.claim(0, 0, 2)]).toEqual([true, true, false]);
    expect(slices.total(0)).toBe(2);
    slices.add(1, 0, -1);
    expect(slices.claim(0, 0, 2)).toBe(true);
  });

  it('never pass the cap while two threads race for it, and end at nothing', async () => {
    const slices = new Slices(2, 1);
    const held = new SharedArrayBuffer(4);
    const wrong = await race(
      `const slices = new Slices(2, 1, buffers.slices);
       const held = new Int32Array(buffers.held);
       for (let i = 0; i < 300000; i++) {
         if (!slices.claim(worker, 0, 1)) continue;
         if (Atomics.add(held, 0, 1) !== 0) wrong++;
         Atomics.sub(held, 0, 1);
         slices.add(worker, 0, -1);
       }`,
      { slices: slices.buffer, held },
    );
    expect(wrong).toEqual([0, 0]);
    expect(slices.total(0)).toBe(0);
  });
});

describe('sources', () => {
  const shared = new SourceTable(2, { seed: 1 });

  it('are counted apart by every word of the address and by application, over workers', () => {
    const table = new SourceTable(2, { seed: 7 });
    const other = new SourceTable(2, table.buffer);
    const keys: [number, number, number, number, number][] = [
      [0, 0, 0xffff, 0x7f000001, 1],
      [0, 0, 0xffff, 0x7f000001, 2],
      [0, 0, 0xffff, 0xff000001, 1],
      [0, 0, 0xffff, -1, 1],
      [0x20010db8, 0, 0, 1, 1],
      [0x20010db8, 0, 1, 1, 1],
      [0x20010db8, 1, 0, 1, 1],
    ];
    keys.forEach((key, i) => {
      for (let times = 0; times <= i; times++) expect(table.claim(0, ...key, NO_CAP)).toBe(CLAIMED);
      expect(other.claim(1, ...key, NO_CAP)).toBe(CLAIMED);
    });
    expect(keys.map((key) => other.total(...key))).toEqual(keys.map((_, i) => i + 2));
    expect(table.claim(0, ...keys[0]!, 2)).toBe(OVER_CAP);
    expect(table.claim(0, ...keys[0]!, 3)).toBe(CLAIMED);
    table.clear(0);
    for (const key of keys) expect(table.total(...key)).toBe(1);
  });

  it('do not collide: 100,000 of them are each held to a cap of one', () => {
    const table = new SourceTable(2, { seed: -123 });
    let refused = 0;
    for (let i = 0; i < 100_000; i++) {
      const first = table.claim(i & 1, 0, 0, 0xffff, 0x0a000000 + i, 1, 1);
      const second = table.claim(1 - (i & 1), 0, 0, 0xffff, 0x0a000000 + i, 1, 1);
      if (first === NO_ROOM || second === NO_ROOM) refused++;
      else if (first !== CLAIMED || second !== OVER_CAP) throw new Error(`source ${i}: ${first}, ${second}`);
    }
    expect(refused).toBeLessThan(10);
    for (let i = 0; i < 1_000; i++) expect(table.total(0, 0, 0xffff, 0x0a000000 + i, 1)).toBe(1);
  });

  it('agree with a plain map on any run of claims and releases', () => {
    const step = fc.record({ worker: fc.nat(1), key: fc.nat(5), cap: fc.integer({ min: 1, max: 4 }), release: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const table = shared;
        const own = new Map<string, number>();
        const count = (worker: number, key: number) => own.get(`${worker}/${key}`) ?? 0;
        for (const { worker, key, cap, release } of steps) {
          const words = [1, 2, 3, key, 9] as const;
          if (release) {
            if (count(worker, key) === 0) continue;
            table.release(worker, ...words);
            own.set(`${worker}/${key}`, count(worker, key) - 1);
          } else {
            const fits = count(0, key) + count(1, key) < cap;
            expect(table.claim(worker, ...words, cap)).toBe(fits ? CLAIMED : OVER_CAP);
            if (fits) own.set(`${worker}/${key}`, count(worker, key) + 1);
          }
          expect(table.total(...words)).toBe(count(0, key) + count(1, key));
        }
        table.clear(0);
        table.clear(1);
      }),
      { numRuns: 100 },
    );
  });

  it('say so when there is no room, and have room again when others leave', () => {
    const table = new SourceTable(1, { seed: 5 });
    let last = 0;
    while (table.claim(0, 0, 0, 0, last, 1, 1) === CLAIMED) last++;
    expect(table.claim(0, 0, 0, 0, last, 1, 1)).toBe(NO_ROOM);
    // Not counted, so nothing to give back.
    table.release(0, 0, 0, 0, last, 1);
    expect(table.total(0, 0, 0, last, 1)).toBe(0);
    for (let i = 0; i < last; i++) table.release(0, 0, 0, 0, i, 1);
    expect(table.claim(0, 0, 0, 0, last, 1, 1)).toBe(CLAIMED);
  });

  it('never pass a cap while two threads race, with places that change hands all the time', async () => {
    const table = new SourceTable(2, { seed: 99 });
    const held = new SharedArrayBuffer(4 * 8);
    const wrong = await race(
      `const table = new SourceTable(2, buffers.table);
       const held = new Int32Array(buffers.held);
       for (let i = 0; i < 300000; i++) {
         const key = (i * 7 + worker) & 7;
         if (table.claim(worker, 0, 0, 0, key, 1, 1) !== 0) continue;
         if (Atomics.add(held, key, 1) !== 0) wrong++;
         Atomics.sub(held, key, 1);
         table.release(worker, 0, 0, 0, key, 1);
       }`,
      { table: table.buffer, held },
    );
    expect(wrong).toEqual([0, 0]);
    for (let key = 0; key < 8; key++) expect(table.total(0, 0, 0, key, 1)).toBe(0);
  });
});
