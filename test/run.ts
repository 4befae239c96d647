/**
 * `npm test`: the peers, lint, types, and every test; the last line is `N passed, N failed`. Lint and types count as one test each.
 * `npm test -- PATTERN` runs only the test files whose path matches; what begins with a dash goes to vitest as it is.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installMissingPeers } from './install.ts';
import { type Tally, tallyRun } from './tally.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TOOLS = join(ROOT, 'node_modules', '.bin');
const RESULTS = join(ROOT, 'test', 'results');
const REPORT = join(RESULTS, 'vitest.json');

/** A run that hangs ends here rather than with whoever waits for it. */
const TESTS_TIMEOUT_MS = 9 * 60_000;
const CHECK_TIMEOUT_MS = 2 * 60_000;
const KILL_AFTER_MS = 5000;

/** The pinned Node comes first, and no colours go into a file or a pipe. */
const ENVIRONMENT: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: `${TOOLS}${delimiter}${process.env.PATH ?? ''}`,
  ...(process.stdout.isTTY ? {} : { NO_COLOR: '1', FORCE_COLOR: undefined }),
};

process.chdir(ROOT);
const selection = process.argv.slice(2);
let passed = 0;
let failed = 0;

checkPeers();
if (selection.length === 0) {
  await check('lint', ['biome', 'check', '--error-on-warnings', '.']);
  await check('types', ['tsc', '--noEmit']);
}
const tests = await runTests();
for (const remark of tests.remarks) console.log(`tests: ${remark}`);
if (tests.skipped > 0) console.log(`tests: ${tests.skipped} skipped, each with its reason in its name or above`);
passed += tests.passed;
failed += tests.failed;
process.exitCode = failed === 0 ? 0 : 1;
console.log(`${passed} passed, ${failed} failed`);

/** A missing peer is a failure in continuous integration, and a stated gap on a person's machine. */
function checkPeers(): void {
  const missing = installMissingPeers();
  const required = process.env.CI === 'true';
  for (const peer of missing) {
    const consequence = required ? 'which CI=true requires' : 'so the tests that need it are skipped';
    console.log(`peers: ${peer.name} (${peer.binary}) is missing, ${consequence}: apt-get install ${peer.debianPackage}`);
    if (required) failed += 1;
  }
}

async function check(name: string, command: readonly string[]): Promise<void> {
  const started = performance.now();
  const status = await runTool(command, CHECK_TIMEOUT_MS);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${name}: ${status === 0 ? 'passed' : 'failed'} (${seconds} s)`);
  if (status === 0) passed += 1;
  else failed += 1;
}

async function runTests(): Promise<Tally> {
  mkdirSync(RESULTS, { recursive: true });
  rmSync(REPORT, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${REPORT}`];
  const status = await runTool(['vitest', 'run', '--config', 'test/vitest.config.ts', ...reporters, ...selection], TESTS_TIMEOUT_MS);
  return tallyRun(REPORT, status);
}

/** Runs one of the project's tools with the output going where ours goes; a tool that cannot start or takes too long has status 1. */
function runTool([tool, ...args]: readonly string[], timeoutMs: number): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const child = spawn(join(TOOLS, tool!), args, { stdio: ['ignore', 'inherit', 'inherit'], env: ENVIRONMENT });
  const timer = setTimeout(() => {
    console.log(`${tool}: not done after ${timeoutMs / 1000} s, ended`);
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS).unref();
  }, timeoutMs);
  child.on('error', (error) => {
    console.log(`${tool}: ${error.message}`);
    clearTimeout(timer);
    resolve(1);
  });
  child.on('exit', (status) => {
    clearTimeout(timer);
    resolve(status ?? 1);
  });
  return promise;
}
