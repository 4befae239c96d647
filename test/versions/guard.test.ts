import { describe, expect, it } from 'vitest';
import { judge, type Sample, Samples } from '../../proxy/versions/guard.ts';

const NONE: Sample = { at: 0, flows: 0, denials: 0, requests: 0, errors: 0, dials: 0, failedDials: 0 };
const BOUNDS = { rise: 0.05, forMs: 60_000 };

/** Sums as they grow: before the change, then after it. */
const CASES: readonly (readonly [string, Partial<Sample>, Partial<Sample>, RegExp | null])[] = [
  ['nothing happens', {}, {}, null],
  ['denials as before', { flows: 1000, denials: 100 }, { flows: 2000, denials: 200 }, null],
  ['denials within the bound', { flows: 1000, denials: 100 }, { flows: 2000, denials: 240 }, null],
  [
    'denials beyond it',
    { flows: 1000, denials: 100 },
    { flows: 2000, denials: 260 },
    /^denials rose from 10\.0% to 16\.0% of flows within 10 s/,
  ],
  ['more traffic, no larger share', { flows: 100, denials: 1 }, { flows: 10_000, denials: 100 }, null],
  ['too few events to tell', { flows: 100 }, { flows: 119, denials: 19 }, null],
  ['as many as tell', { flows: 100 }, { flows: 120, denials: 20 }, /^denials rose from 0\.0% to 100\.0%/],
  ['dials that fail', { dials: 500, failedDials: 5 }, { dials: 600, failedDials: 60 }, /^dial failures rose from 1\.0% to 55\.0% of dials/],
  ['servers in trouble', { requests: 500 }, { requests: 1000, errors: 50 }, /^5xx answers rose from 0\.0% to 10\.0% of requests/],
  ['sums that stepped back', { flows: 1000, denials: 900 }, { flows: 1100, denials: 0 }, null],
];

describe('a guard', () => {
  it.each(CASES)('%s', (_, before, after, message) => {
    const change = { ...NONE, at: 300_000, ...before };
    const now = { ...change, ...after, at: 310_000 };
    const harm = judge(NONE, change, now, BOUNDS);
    if (message === null) expect(harm).toBeNull();
    else expect(harm?.what).toMatch(message);
  });

  it('takes nothing for granted where nothing is known of the time before', () => {
    expect(judge(null, NONE, { ...NONE, at: 1, flows: 50, denials: 10 }, BOUNDS)?.what).toMatch(/from 0\.0% to 20\.0%/);
  });

  it('compares with the five minutes before, not with all that ever was', () => {
    const samples = new Samples();
    for (let at = 0; at <= 600_000; at += 10_000) samples.add({ ...NONE, at });
    expect(samples.before(600_000)?.at).toBe(300_000);
    expect(new Samples().before(1)).toBeNull();
  });
});
