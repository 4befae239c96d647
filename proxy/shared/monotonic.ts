/**
 * From the milliseconds of this thread's `performance.now()` to those that all threads of the process share. They count time that passed, whatever
 * the clock on the wall is set to.
 */
export const SHARED_AT_ZERO_MS = offset();

function offset(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1e6 - performance.now();
}

/** Now, in the milliseconds that all threads share. */
export function sharedNow(): number {
  return performance.now() + SHARED_AT_ZERO_MS;
}
