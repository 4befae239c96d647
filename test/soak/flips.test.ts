import { expect, it } from 'vitest';
import { flips } from './flips.ts';

it('two hundred live flows while the policy flips: what is denied ends, what is allowed lives and loses nothing', {
  timeout: 60_000,
}, async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const report = await flips({ seconds: 8, seed, flows: 200, workers: 2 });
  expect(report.faults, `seed ${seed}`).toEqual([]);
  expect(report.cut).toBeGreaterThan(100);
  expect(report.kept).toBeGreaterThan(report.cut);
});
