import { expect, it } from 'vitest';
import { type Clock, followWall } from '../../proxy/worker/clock.ts';

const STARTED = Date.UTC(1970, 0, 2);

/** What time a worker takes it to be, `coarse` milliseconds after its start, when the clock on the wall says `wall`. */
function reading(coarse: number, wall: number): number {
  const clock: Clock = { now: () => coarse, coarse, epoch: STARTED };
  followWall(clock, wall);
  return clock.epoch + clock.coarse;
}

it('a worker follows a clock that is set, in either direction, and not the jitter of reading it', () => {
  const today = Date.UTC(2026, 0, 1);
  expect(reading(5_000, today)).toBe(today);
  expect(reading(5_000, STARTED)).toBe(STARTED);
  expect(reading(5_000.7, STARTED + 5_000)).toBe(STARTED + 5_000.7);
  expect(reading(5_000, STARTED + 5_060)).toBe(STARTED + 5_000);
});
