import { expect, it } from 'vitest';
import { reloads } from './reloads.ts';

it('no request and no connection is lost through reloads by signal and by order', { timeout: 60_000 }, async () => {
  const report = await reloads({ seconds: 3, takeoverEvery: 0 });
  expect(report.faults).toEqual([]);
  expect(report.reloads).toBeGreaterThan(1);
  expect(report.applies).toBeGreaterThan(1);
  expect(report.wrkRequests ?? 1).toBeGreaterThan(0);
});
