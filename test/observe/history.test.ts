import { describe, expect, it } from 'vitest';
import { HISTORY_APPLICATIONS_MAX, HISTORY_SECONDS, History, quantile } from '../../proxy/observe/history.ts';
import { applicationCounters, countersOf, histogramOf, ruleCounters } from '../admin/fake-node.ts';

/** Counters of a node that does the same each second. */
function countersAt(seconds: number) {
  return countersOf({
    applications: [
      applicationCounters('shop', {
        flowsOpened: 10 * seconds,
        bytesIn: 100 * seconds,
        bytesOut: 1000 * seconds,
        responses: [0, 6 * seconds, 0, 0, 2 * seconds],
      }),
      applicationCounters('mail', { flowsOpened: 5 * seconds }),
    ],
    rules: [ruleCounters('shop', 'default', { deny: 2 * seconds }), ruleCounters('mail', 'default', { deny: seconds })],
  });
}

function filled(seconds: number): History {
  const history = new History();
  for (let s = 0; s < seconds; s++) history.record(countersAt(s), 1_000_000 + s * 1000);
  return history;
}

describe('history', () => {
  it('knows no rate before two samples', () => {
    expect(filled(0).rates('shop', 10)).toBeNull();
    expect(filled(1).rates('shop', 10)).toBeNull();
    expect(filled(2).rates('elsewhere', 10)).toBeNull();
  });

  it.each([
    ['shop', { opened: 10, denied: 2, requests: 8, errors: 2, bytesIn: 100, bytesOut: 1000 }],
    ['mail', { opened: 5, denied: 1, requests: 0, errors: 0, bytesIn: 0, bytesOut: 0 }],
    [null, { opened: 15, denied: 3, requests: 8, errors: 2, bytesIn: 100, bytesOut: 1000 }],
  ])('tells the rates of %s', (application, expected) => {
    for (const seconds of [2, 11, 599, 600, 601, 1500]) expect(filled(seconds).rates(application, 10)).toEqual(expected);
  });

  it('divides by the time that has passed, not by the number of samples', () => {
    const history = new History();
    history.record(countersAt(0), 0);
    history.record(countersAt(10), 5000);
    expect(history.rates('shop', 10)?.opened).toBe(20);
  });

  it('holds ten minutes and no more', () => {
    const series = filled(2000).series(2);
    expect(series.times.length).toBe(HISTORY_SECONDS / 2 - 1);
    expect(series.times.at(-1)).toBe(1_000 + 1998);
    expect(series.times).toEqual([...series.times].sort((a, b) => a - b));
    expect(new Set(series.allowed)).toEqual(new Set([12]));
    expect(new Set(series.denied)).toEqual(new Set([3]));
  });

  it('forgets an application that is gone, so that its name can come back', () => {
    const history = filled(20);
    history.record(countersOf(), 1_100_000);
    history.record(countersAt(0), 1_101_000);
    history.record(countersAt(1), 1_102_000);
    expect(history.rates('shop', 60)?.opened).toBe(10);
  });

  it('keeps rings for a bounded number of applications and counts the rest in the total', () => {
    const names = Array.from({ length: HISTORY_APPLICATIONS_MAX + 5 }, (_, i) => `a${i}`);
    const history = new History();
    for (const s of [0, 1])
      history.record(countersOf({ applications: names.map((name) => applicationCounters(name, { flowsOpened: s })) }), s * 1000);
    expect(history.rates('a0', 10)?.opened).toBe(1);
    expect(history.rates(names.at(-1)!, 10)).toBeNull();
    expect(history.rates(null, 10)?.opened).toBe(names.length);
  });

  it.each([
    ['', 0],
    [', also after the clock was set back by an hour', -3_600],
  ])('answers quantiles of the last minute only%s', (_, step) => {
    const history = new History();
    const fast = histogramOf([50]);
    const slow = histogramOf([50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100]);
    const both = histogramOf([150, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100]);
    for (let s = 0; s <= 300; s++)
      history.record(
        countersOf({ applications: [applicationCounters('shop', { requestDuration: s < 150 ? fast : slow })] }),
        (s < 150 ? s : s + step) * 1000,
      );
    expect(history.quantiles('shop', slow)).toBeNull();
    expect(history.quantiles('shop', both)?.p99).toBeLessThan(0.0005);
  });

  it.each([
    ['nothing', [], 0.5, null],
    ['the middle of the first bucket', [10], 0.5, 0.00025],
    ['the end of the last bucket but one', [0, 10], 1, 0.001],
    ['beyond the last bound', [...new Array(16).fill(0), 5], 0.99, 600],
    ['half of two buckets', [5, 5], 0.5, 0.0005],
  ])('finds a quantile: %s', (_, counts, q, expected) => {
    expect(quantile(counts, q)).toBe(expected);
  });
});
