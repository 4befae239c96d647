import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Child processes rather than threads: the proxy starts worker threads of its own, and a crash stays in its own file. */
export default defineConfig({
  root: ROOT,
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Much of the time is waiting: for timeouts that are tested, and for other programs.
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
  },
});
