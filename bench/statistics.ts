/** Median and spread of a handful of samples, and ratios between two series that were taken in the same rounds. */

export interface Summary {
  readonly count: number;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Throws where there is no sample: a summary of nothing is a fault of the caller. */
export function summarise(samples: readonly number[]): Summary {
  if (samples.length === 0) throw new RangeError('no samples to summarise');
  const sorted = [...samples].sort((a, b) => a - b);
  return { count: sorted.length, median: medianOfSorted(sorted), min: sorted[0]!, max: sorted[sorted.length - 1]! };
}

function medianOfSorted(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** One sample of one round. Rounds count from 0. */
export interface RoundSample {
  readonly round: number;
  readonly value: number;
}

/**
 * Ratios `of` / `to`, round by round, over the rounds that both have. What disturbs the machine for a while disturbs neighbours in a
 * round alike, so these ratios are steadier than the ratio of two medians. Null where there is no such round.
 */
export function ratioByRound(of: readonly RoundSample[], to: readonly RoundSample[]): Summary | null {
  const base = new Map(to.map((sample) => [sample.round, sample.value]));
  const ratios: number[] = [];
  for (const { round, value } of of) {
    const other = base.get(round);
    if (other !== undefined && other > 0) ratios.push(value / other);
  }
  return ratios.length === 0 ? null : summarise(ratios);
}

/** The value below which `share` (0 to 1) of the sorted samples lie, by the nearest rank. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  if (sorted.length === 0) throw new RangeError('no samples to rank');
  const rank = Math.min(sorted.length, Math.max(1, Math.ceil(share * sorted.length)));
  return sorted[rank - 1]!;
}
