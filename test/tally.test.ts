import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { tallyRun } from './tally.ts';

const FOLDER = mkdtempSync(join(tmpdir(), 'bulkhead-tally-'));
afterAll(() => rmSync(FOLDER, { recursive: true }));

interface File {
  readonly status?: string;
  readonly message?: string;
  readonly tests: readonly string[];
}

/** A report as vitest writes one, cut down to what is read. */
function report(files: readonly File[]): string {
  const path = join(FOLDER, 'report.json');
  const count = (status: string) => files.flatMap((file) => file.tests).filter((test) => test === status).length;
  const testResults = files.map(({ status = 'passed', message = '', tests }) => {
    return { name: 'a.test.ts', status, message, assertionResults: tests.map((test) => ({ status: test })) };
  });
  const totals = { numPassedTests: count('passed'), numFailedTests: count('failed'), numPendingTests: count('skipped'), numTodoTests: 0 };
  writeFileSync(path, JSON.stringify({ ...totals, testResults }));
  return path;
}

describe('the tally of a run', () => {
  it.each([
    ['all passed', [{ tests: ['passed', 'passed', 'skipped'] }], 0, { passed: 2, failed: 0, skipped: 1 }],
    ['one failed', [{ status: 'failed', tests: ['passed', 'failed'] }], 1, { passed: 1, failed: 1, skipped: 0 }],
    ['a file that could not be loaded', [{ tests: ['passed'] }, { status: 'failed', tests: [] }], 1, { passed: 1, failed: 1, skipped: 0 }],
    ['a failing set-up', [{ status: 'failed', tests: ['skipped'] }], 1, { passed: 0, failed: 1, skipped: 1 }],
    ['an unhandled error after passing tests', [{ tests: ['passed'] }], 1, { passed: 1, failed: 1, skipped: 0 }],
    ['no test at all', [], 1, { passed: 0, failed: 1, skipped: 0 }],
    ['no test at all, and no complaint', [], 0, { passed: 0, failed: 1, skipped: 0 }],
  ] as const)('counts %s', (_, files, exitStatus, expected) => {
    expect(tallyRun(report(files), exitStatus)).toMatchObject(expected);
  });

  it('counts a run that left no report as one failure', () => {
    expect(tallyRun(join(FOLDER, 'absent.json'), 139)).toMatchObject({ passed: 0, failed: 1 });
  });

  it('names the file that could not be loaded, with the first line of its reason', () => {
    const path = report([{ status: 'failed', message: 'Cannot find module\nstack', tests: [] }]);
    expect(tallyRun(path, 1).remarks).toEqual(['a.test.ts: Cannot find module']);
  });
});
