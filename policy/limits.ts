/**
 * Rates as token buckets, each in one number: the moment at which its bucket is full again (the theoretical arrival time of the generic
 * cell rate algorithm, ITU-T I.371). One number can be kept in shared memory and exchanged atomically, and an idle bucket needs no timer.
 * Pure: times are milliseconds of any clock, passed in; fractions count.
 *
 * A bucket holds the amount of one period: `100/s` is a hundred at once after a second of quiet, and from then on one every ten milliseconds.
 */
import type { LimitScope, Rate, RuleLimits } from '../config/document.ts';
import { formatDuration, formatSize } from '../config/quantity.ts';

/** A bucket that was never used: full. */
export const FULL = 0;

/** There are not enough tokens. */
export const REFUSED = -1;

/** Takes `cost` tokens. Answers the bucket afterwards; REFUSED where it doesn't hold as many, and then it stays as it was. */
export function take(bucket: number, now: number, cost: number, rate: Rate): number {
  const full = charge(bucket, now, cost, rate);
  // Sums of fractions: what is short by less than a millionth of a token is there.
  return full - now <= rate.perMs * (1 + 1e-6 / rate.amount) ? full : REFUSED;
}

/** Takes tokens that are spent already, such as bytes that were read: the bucket may come to owe some. Answers the bucket afterwards. */
export function charge(bucket: number, now: number, cost: number, { amount, perMs }: Rate): number {
  return since(bucket, now) + (cost * perMs) / amount;
}

/** How long until `cost` tokens are there; 0 where they are. `cost` is at most the rate's amount, or they never are. */
export function waitMs(bucket: number, now: number, cost: number, { amount, perMs }: Rate): number {
  return Math.max(0, since(bucket, now) + (cost * perMs) / amount - perMs - now);
}

/** Tokens that are there; negative where some are owed. */
export function tokens(bucket: number, now: number, { amount, perMs }: Rate): number {
  return ((now + perMs - since(bucket, now)) * amount) / perMs;
}

/**
 * The bucket for a rate that was changed: it keeps the share of its time that is taken, so that a new policy neither forgives nor punishes.
 */
export function withRate(bucket: number, now: number, before: Rate, after: Rate): number {
  return now + ((since(bucket, now) - now) * after.perMs) / before.perMs;
}

/** A full bucket gets no fuller. */
function since(bucket: number, now: number): number {
  return bucket > now ? bucket : now;
}

const WHOM: Readonly<Record<LimitScope, string>> = {
  source: 'each source',
  segment: 'each segment of its sources',
  all: 'all its flows together',
};

/** What a rule holds its flows to, as a sentence. How much of it is spent is not known here. */
export function limitsSentence({ per, flows, newFlows, requests, bytes, bytesTotal, durationMs }: RuleLimits): string {
  const bounds = [
    ...(flows === null ? [] : [`${flows} flows at once`]),
    ...(newFlows === null ? [] : [`new flows of ${rateText(newFlows)}`]),
    ...(requests === null ? [] : [`requests of ${rateText(requests)}`]),
    ...(bytes === null ? [] : [`${formatSize(bytes.amount)} ${PERIODS.get(bytes.perMs) ?? `in ${bytes.perMs} ms`}`]),
  ];
  const single = [
    ...(bytesTotal === null ? [] : [`${formatSize(bytesTotal)} in all`]),
    ...(durationMs === null ? [] : [formatDuration(durationMs)]),
  ];
  const shared = bounds.length === 0 ? '' : `${WHOM[per]} to ${bounds.join(', ')}`;
  const alone = single.length === 0 ? '' : `each flow to ${single.join(' and ')}`;
  return `It holds ${[shared, alone].filter((part) => part !== '').join(', and ')}.`;
}

const PERIODS: ReadonlyMap<number, string> = new Map([
  [1_000, 'a second'],
  [60_000, 'a minute'],
  [3_600_000, 'an hour'],
  [86_400_000, 'a day'],
]);

function rateText({ amount, perMs }: Rate): string {
  return `${amount} ${PERIODS.get(perMs) ?? `in ${perMs} ms`}`;
}
