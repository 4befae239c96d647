/**
 * Counts that must be exact across threads: connections in flight to a server, connections of an application.
 * Each worker writes a row of its own, so a worker that dies takes nothing with it that its row does not say; the count is the sum
 * of the column. To keep under a cap, a worker adds first and sums after: two that race may both step back, never both go over.
 */

export class Slices {
  readonly buffer: SharedArrayBuffer;
  private readonly counts: Int32Array;
  private readonly workers: number;
  private readonly columns: number;

  /** `buffer` from another thread's `Slices` of the same size; absent to make one. */
  constructor(workers: number, columns: number, buffer?: SharedArrayBuffer) {
    this.workers = workers;
    this.columns = columns;
    this.buffer = buffer ?? new SharedArrayBuffer(workers * columns * Int32Array.BYTES_PER_ELEMENT);
    this.counts = new Int32Array(this.buffer);
  }

  /**
   * hot: the worker's own part of a column changes by `amount`. A plain store: nobody else writes there, and others see it a moment later. (Atomic
   * ones were a hundredth of the CPU of HTTP.)
   */
  add(worker: number, column: number, amount: number): void {
    const at = worker * this.columns + column;
    this.counts[at] = this.counts[at]! + amount;
  }

  /** hot: the column over all workers. */
  total(column: number): number {
    let sum = 0;
    for (let at = column; at < this.workers * this.columns; at += this.columns) sum += Atomics.load(this.counts, at);
    return sum;
  }

  own(worker: number, column: number): number {
    return this.counts[worker * this.columns + column]!;
  }

  /** hot: adds one unless the column would pass `cap`; answers whether it did. */
  claim(worker: number, column: number, cap: number): boolean {
    // Atomic, so that of two workers that come to the last place at once, each adds before it sums.
    Atomics.add(this.counts, worker * this.columns + column, 1);
    if (this.total(column) <= cap) return true;
    this.add(worker, column, -1);
    return false;
  }

  /** The worker is gone, and all that it held. */
  clear(worker: number): void {
    this.counts.fill(0, worker * this.columns, (worker + 1) * this.columns);
  }
}
