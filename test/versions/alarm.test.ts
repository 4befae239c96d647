import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Alarm } from '../../proxy/versions/alarm.ts';

const DAY_MS = 86_400_000;
const START = Date.UTC(2026, 0, 1);

/** The clock on the wall, which need not go as the timers do. */
let wall: number;
let rung: number;
let alarm: Alarm;

/** Time passes for timers, and as much, or another amount, on the wall. */
function pass(milliseconds: number, onTheWall = milliseconds): void {
  wall += onTheWall;
  vi.advanceTimersByTime(milliseconds);
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  wall = START;
  vi.spyOn(Date, 'now').mockImplementation(() => wall);
  rung = 0;
  alarm = new Alarm(() => rung++);
});
afterEach(() => {
  alarm.off();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe('an alarm', () => {
  it('rings once at its moment', () => {
    alarm.at(START + 150);
    pass(149);
    expect(rung).toBe(0);
    pass(1);
    expect(rung).toBe(1);
    pass(DAY_MS);
    expect(rung).toBe(1);
  });

  it('whose timer ends a millisecond early rings a millisecond later, not never', () => {
    alarm.at(START + 150);
    pass(150, 149);
    expect(rung).toBe(0);
    pass(1);
    expect(rung).toBe(1);
  });

  it('rings at once for a moment that has been', () => {
    alarm.at(START - DAY_MS);
    pass(0);
    expect(rung).toBe(1);
  });

  it('reaches further than a timer does', () => {
    alarm.at(START + 60 * DAY_MS);
    for (let day = 0; day < 59; day++) pass(DAY_MS);
    expect(rung).toBe(0);
    pass(DAY_MS);
    expect(rung).toBe(1);
  });

  it.each([
    ['forward', 2 * 3_600_000],
    ['back', -2 * 3_600_000],
  ])('notices within half a minute that the clock was set %s', (_, step) => {
    alarm.at(START + 3_600_000);
    wall += step;
    pass(30_000);
    expect(rung).toBe(step > 0 ? 1 : 0);
    for (let minute = 0; minute < 3 * 60; minute++) pass(60_000);
    expect(rung).toBe(1);
  });

  it('that is turned off, or set to never, is silent', () => {
    alarm.at(START + 10);
    alarm.off();
    pass(20);
    alarm.at(START + 30);
    alarm.at(Number.POSITIVE_INFINITY);
    pass(DAY_MS);
    expect(rung).toBe(0);
  });
});
