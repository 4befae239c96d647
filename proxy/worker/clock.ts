/** Time as a worker reads it. */
export interface Clock {
  /** hot: exact monotonic milliseconds; 45 ns. */
  now(): number;
  /** hot: as of the last turn of the wheel; free. */
  coarse: number;
  /** Epoch milliseconds at monotonic 0. */
  epoch: number;
}

/** Less than this is no step of the clock on the wall: between two readings a thread may have to wait for its turn. */
const STEP_MS_MIN = 100;

/**
 * To be called when `coarse` was just read: follows a clock on the wall (milliseconds since 1970) that was set. A node that starts with its machine
 * starts before the machine has asked for the time, and judges tokens by it.
 */
export function followWall(clock: Clock, wall: number): void {
  const step = wall - clock.coarse - clock.epoch;
  if (Math.abs(step) >= STEP_MS_MIN) clock.epoch += step;
}
