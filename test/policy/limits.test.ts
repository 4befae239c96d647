import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Rate } from '../../config/document.ts';
import { charge, FULL, limitsSentence, REFUSED, take, tokens, waitMs, withRate } from '../../policy/limits.ts';

const PER_SECOND: Rate = { amount: 10, perMs: 1_000 };

describe('a bucket', () => {
  it('gives the amount of one period at once, then one token after the other', () => {
    let bucket = FULL;
    for (let i = 0; i < 10; i++) {
      bucket = take(bucket, 5_000, 1, PER_SECOND);
      expect(bucket).not.toBe(REFUSED);
    }
    expect(take(bucket, 5_000, 1, PER_SECOND)).toBe(REFUSED);
    expect(take(bucket, 5_099, 1, PER_SECOND)).toBe(REFUSED);
    expect(waitMs(bucket, 5_000, 1, PER_SECOND)).toBeCloseTo(100);
    expect(waitMs(bucket, 5_000, 10, PER_SECOND)).toBeCloseTo(1_000);
    expect(take(bucket, 5_100, 1, PER_SECOND)).not.toBe(REFUSED);
    expect(take(bucket, 5_199, 2, PER_SECOND)).toBe(REFUSED);
  });

  it.each([
    ['never used', FULL, 0, 10],
    ['after one', take(FULL, 0, 1, PER_SECOND), 0, 9],
    ['half a token later', take(FULL, 0, 1, PER_SECOND), 50, 9.5],
    ['full again, and no fuller', take(FULL, 0, 10, PER_SECOND), 60_000, 10],
    ['in debt', charge(FULL, 0, 25, PER_SECOND), 0, -15],
    ['in debt, a second later', charge(FULL, 0, 25, PER_SECOND), 1_000, -5],
  ])('%s', (_, bucket, now, left) => {
    expect(tokens(bucket, now, PER_SECOND)).toBeCloseTo(left);
  });

  it('refuses what it can never hold', () => {
    expect(take(FULL, 0, 11, PER_SECOND)).toBe(REFUSED);
    expect(take(FULL, 0, 10, PER_SECOND)).not.toBe(REFUSED);
  });

  it('keeps the share that is taken when its rate changes', () => {
    const half = take(FULL, 0, 5, PER_SECOND);
    expect(tokens(withRate(half, 0, PER_SECOND, { amount: 1_000, perMs: 60_000 }), 0, { amount: 1_000, perMs: 60_000 })).toBeCloseTo(500);
  });

  it('answers as a plain token bucket does', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 1, max: 6 })), { maxLength: 60 });
    const rates = fc.record({ amount: fc.integer({ min: 1, max: 50 }), perMs: fc.constantFrom(1_000, 60_000, 86_400_000) });
    fc.assert(
      fc.property(rates, steps, (rate, list) => {
        let bucket = FULL;
        // In thousandths of a token a millisecond, whole numbers: no rounding.
        const unit = rate.perMs;
        let level = rate.amount * unit;
        let now = 1_000_000;
        for (const [pause, cost] of list) {
          now += pause;
          level = Math.min(rate.amount * unit, level + pause * rate.amount);
          const allowed = level >= cost * unit;
          if (allowed) level -= cost * unit;
          const after = take(bucket, now, cost, rate);
          expect(after !== REFUSED).toBe(allowed);
          if (allowed) bucket = after;
          expect(tokens(bucket, now, rate)).toBeCloseTo(level / unit, 3);
        }
      }),
    );
  });
});

describe('limits in words', () => {
  const none = { per: 'source' as const, flows: null, newFlows: null, requests: null, bytes: null, bytesTotal: null, durationMs: null };
  it.each([
    [{ ...none, flows: 3 }, 'It holds each source to 3 flows at once.'],
    [{ ...none, per: 'all' as const, newFlows: PER_SECOND }, 'It holds all its flows together to new flows of 10 a second.'],
    [{ ...none, bytesTotal: 1_024, durationMs: 90_000 }, 'It holds each flow to 1KiB in all and 90s.'],
    [
      { ...none, per: 'segment' as const, requests: { amount: 5, perMs: 3_600_000 }, durationMs: 500 },
      'It holds each segment of its sources to requests of 5 an hour, and each flow to 500ms.',
    ],
  ])('%j', (limits, sentence) => expect(limitsSentence(limits)).toBe(sentence));
});
