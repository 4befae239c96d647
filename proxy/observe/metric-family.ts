/** A family of metrics as it is printed: one name, many series. */

/** One series. The key order of `labels` is the order in the text. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Where the series is not called like its family: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string;
}

export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly values: readonly Sample[];
}
