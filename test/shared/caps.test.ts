import { expect, it } from 'vitest';
import type { SourceWords } from '../../proxy/balance/pool.ts';
import type { PlannedApplication } from '../../proxy/node/plan.ts';
import { SharedState } from '../../proxy/node/shared-state.ts';
import { NO_ROOM, SourceTable } from '../../proxy/shared/sources.ts';
import { ConnectionCaps } from '../../proxy/worker/caps.ts';

const SOURCES_MAX = 400_000;
const source = (number: number): SourceWords => [0, 0, 0xffff, number];

it('a connection that the table of sources had no room for gives no place of another one back', () => {
  const shared = new SharedState(1);
  const caps = new ConnectionCaps(0, shared.memory);
  const table = new SourceTable(1, shared.memory.sources);
  const application = { column: 1, limits: {} } as PlannedApplication;
  const open = (number: number) => caps.claim(application, source(number), Number.POSITIVE_INFINITY);
  const counted = (number: number) => table.total(...source(number), 1);

  let last = 0;
  for (; last < SOURCES_MAX; last++) {
    expect(open(last)).toBeNull();
    if (counted(last) === 0) break;
  }
  // One more in a bucket that is full: taken, as no cap is set, and not counted.
  expect(counted(last)).toBe(0);
  expect(table.claim(0, ...source(last), 1, 1)).toBe(NO_ROOM);
  for (let number = 0; number < last; number++) caps.release(1, source(number));
  expect(open(last)).toBeNull();
  expect(counted(last)).toBe(1);
  caps.release(1, source(last));
  expect(counted(last)).toBe(1);
  caps.release(1, source(last));
  expect(counted(last)).toBe(0);
});
