import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TICK_MS, type Timed, Wheel } from '../../proxy/wire/wheel.ts';

class Entry implements Timed {
  deadline = Number.POSITIVE_INFINITY;
  wheelSlot = -1;
  wheelNext: Timed | null = null;
  wheelPrevious: Timed | null = null;
  readonly at: number[] = [];
  private readonly meanwhile: ((entry: Entry, now: number) => void) | undefined;

  constructor(meanwhile?: (entry: Entry, now: number) => void) {
    this.meanwhile = meanwhile;
  }

  expired(now: number): void {
    this.at.push(now);
    this.meanwhile?.(this, now);
  }
}

/** Turns the wheel tick by tick, as the worker does. */
function turnTo(wheel: Wheel, from: number, to: number): void {
  for (let now = from; now <= to; now += TICK_MS) wheel.turn(now);
}

describe('the wheel', () => {
  it.each([
    { name: 'the next tick', deadline: 10 },
    { name: 'a second', deadline: 1_000 },
    { name: 'just within one round', deadline: 51_000 },
    { name: 'several rounds', deadline: 400_000 },
  ])('expires $name once, within one tick, never early', ({ deadline }) => {
    const wheel = new Wheel(0);
    const entry = new Entry();
    wheel.arm(entry, deadline);
    turnTo(wheel, 0, deadline + 60_000);
    expect(entry.at).toHaveLength(1);
    expect(entry.at[0]).toBeGreaterThanOrEqual(deadline);
    expect(entry.at[0]).toBeLessThanOrEqual(deadline + TICK_MS);
  });

  it('follows a deadline that moved later by a store alone', () => {
    const wheel = new Wheel(0);
    const entry = new Entry();
    wheel.arm(entry, 100);
    entry.deadline = 5_000;
    turnTo(wheel, 0, 4_950);
    expect(entry.at).toEqual([]);
    turnTo(wheel, 5_000, 5_100);
    expect(entry.at).toEqual([5_000]);
  });

  it('moves a deadline nearer when it is armed so', () => {
    const wheel = new Wheel(0);
    const entry = new Entry();
    wheel.arm(entry, 50_000);
    wheel.arm(entry, 200);
    turnTo(wheel, 0, 300);
    expect(entry.at).toEqual([200]);
  });

  it('forgets what is disarmed, or armed for never, and takes it again', () => {
    const wheel = new Wheel(0);
    const [disarmed, never] = [new Entry(), new Entry()];
    wheel.arm(disarmed, 100);
    wheel.disarm(disarmed);
    wheel.arm(never, 100);
    wheel.arm(never, Number.POSITIVE_INFINITY);
    turnTo(wheel, 0, 60_000);
    expect([disarmed.at, never.at]).toEqual([[], []]);
    wheel.arm(disarmed, 60_100);
    wheel.arm(never, 60_100);
    turnTo(wheel, 60_050, 60_200);
    expect([disarmed.at, never.at]).toEqual([[60_100], [60_100]]);
  });

  it('stays in order when an entry disarms, or puts off, another that is due with it', () => {
    const wheel = new Wheel(0);
    const cancelled = new Entry();
    const putOff = new Entry();
    const both = new Entry(() => {
      wheel.disarm(cancelled);
      wheel.arm(putOff, 500);
    });
    // The one armed last stands first in its slot.
    for (const entry of [cancelled, putOff, both]) wheel.arm(entry, 100);
    turnTo(wheel, 0, 600);
    expect(both.at).toEqual([100]);
    expect(cancelled.at).toEqual([]);
    expect(putOff.at).toEqual([500]);
  });

  it('lets an entry arm itself again while it expires, even for a time that has passed', () => {
    const wheel = new Wheel(0);
    let times = 0;
    const entry = new Entry((self, now) => {
      if (++times < 4) wheel.arm(self, now - 10);
    });
    wheel.arm(entry, 100);
    turnTo(wheel, 0, 1_000);
    expect(entry.at).toEqual([100, 150, 200, 250]);
  });

  it('expires everything that was due in a stall of hours, once, and keeps the rest', () => {
    const wheel = new Wheel(0);
    const due = Array.from({ length: 500 }, () => new Entry());
    for (const [i, entry] of due.entries()) wheel.arm(entry, i * 977);
    const later = new Entry();
    wheel.arm(later, 20_000_000);
    wheel.turn(10_000_000);
    expect(due.every((entry) => entry.at.length === 1)).toBe(true);
    expect(later.at).toEqual([]);
    turnTo(wheel, 10_000_050, 20_000_100);
    expect(later.at).toHaveLength(1);
  });

  it('agrees with a plain list of deadlines on any run of arming, moving, disarming and turning', () => {
    const step = fc.record({
      what: fc.constantFrom('arm', 'store-later', 'disarm', 'turn' as const),
      who: fc.nat(7),
      by: fc.nat(120_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        let now = 0;
        const wheel = new Wheel(now);
        const entries = Array.from({ length: 8 }, () => new Entry());
        const model = entries.map(() => Number.POSITIVE_INFINITY);
        for (const { what, who, by } of steps) {
          const entry = entries[who]!;
          if (what === 'arm') wheel.arm(entry, (model[who] = now + by));
          else if (what === 'disarm') {
            wheel.disarm(entry);
            model[who] = Number.POSITIVE_INFINITY;
          } else if (what === 'store-later') {
            if (model[who] !== Number.POSITIVE_INFINITY) entry.deadline = model[who] = model[who]! + by;
          } else {
            now += by;
            const before = entries.map((one) => one.at.length);
            wheel.turn(now);
            entries.forEach((one, i) => {
              const expired = one.at.length - before[i]!;
              // A tick that is not over yet may still hold what is due in it.
              if (model[i]! <= now - TICK_MS) expect(expired).toBe(1);
              else if (model[i]! > now) expect(expired).toBe(0);
              else expect(expired).toBeLessThanOrEqual(1);
              if (expired === 1) model[i] = Number.POSITIVE_INFINITY;
            });
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
