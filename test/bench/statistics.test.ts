import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { percentile, ratioByRound, summarise } from '../../bench/statistics.ts';

describe('summarise', () => {
  it.each([
    { samples: [3], median: 3, min: 3, max: 3 },
    { samples: [10, 9, 100], median: 10, min: 9, max: 100 },
    { samples: [4, 1, 3, 2], median: 2.5, min: 1, max: 4 },
    { samples: [-5, 5], median: 0, min: -5, max: 5 },
  ])('$samples has the median $median', ({ samples, ...expected }) => {
    expect(summarise(samples)).toEqual({ count: samples.length, ...expected });
  });

  it('refuses to say anything of nothing', () => {
    expect(() => summarise([])).toThrow(RangeError);
  });

  it('has half of the samples on either side of the median, whatever their order', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1 }), (samples) => {
        const { median, min, max } = summarise(samples);
        const half = samples.length / 2;
        expect(samples.filter((sample) => sample < median).length).toBeLessThanOrEqual(half);
        expect(samples.filter((sample) => sample > median).length).toBeLessThanOrEqual(half);
        expect(min <= median && median <= max).toBe(true);
      }),
    );
  });
});

describe('ratioByRound', () => {
  const series = (...values: (number | null)[]) => values.flatMap((value, round) => (value === null ? [] : [{ round, value }]));

  it.each([
    {
      name: 'divides round by round, not median by median',
      of: series(10, 40),
      to: series(20, 20),
      ratio: { count: 2, median: 1.25, min: 0.5, max: 2 },
    },
    {
      name: 'is not moved by a disturbance that both had',
      of: series(1, 10, 1),
      to: series(2, 20, 2),
      ratio: { count: 3, median: 0.5, min: 0.5, max: 0.5 },
    },
    {
      name: 'leaves out rounds that one of them lacks',
      of: series(1, 8, 3),
      to: series(null, 4, null),
      ratio: { count: 1, median: 2, min: 2, max: 2 },
    },
    {
      name: 'leaves out rounds that cannot be divided by',
      of: series(1, 2),
      to: series(0, 4),
      ratio: { count: 1, median: 0.5, min: 0.5, max: 0.5 },
    },
    { name: 'is null where no round is left', of: series(1), to: series(null, 1), ratio: null },
  ])('$name', ({ of, to, ratio }) => {
    expect(ratioByRound(of, to)).toEqual(ratio);
  });
});

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
  it.each([
    { sorted: hundred, share: 0.5, value: 50 },
    { sorted: hundred, share: 0.99, value: 99 },
    { sorted: hundred, share: 1, value: 100 },
    { sorted: hundred, share: 0, value: 1 },
    { sorted: [7], share: 0.99, value: 7 },
  ])('ranks share $share of $sorted.length samples at $value', ({ sorted, share, value }) => {
    expect(percentile(sorted, share)).toBe(value);
  });
});
