/** Time as a worker reads it. */
export interface Clock {
  /** hot: exact monotonic milliseconds; 45 ns. */
  now(): number;
  /** hot: as of the last turn of the wheel; free. */
  coarse: number;
  /** Epoch milliseconds at monotonic 0. */
  readonly epoch: number;
}
