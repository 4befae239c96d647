/** Counts what a vitest run did, from its JSON report. A report that is missing or broken counts as one failure. */
import { readFileSync } from 'node:fs';

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What failed besides single tests, one line each. */
  readonly remarks: readonly string[];
}

/** The parts of vitest's JSON report that are read here. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly { name: string; status: string; message: string; assertionResults: readonly { status: string }[] }[];
}

/**
 * `exitStatus` is vitest's own. A file that fails without a failing test (it could not be loaded, or its set-up failed) counts as one
 * failure, and so does a run that ends badly although every test passed (an unhandled error, a crash, no test at all).
 */
export function tallyRun(reportPath: string, exitStatus: number): Tally {
  const report = readReport(reportPath);
  if (report === null) return { passed: 0, failed: 1, skipped: 0, remarks: ['vitest ended without a report'] };
  const remarks: string[] = [];
  for (const file of report.testResults) {
    if (file.status !== 'failed' || file.assertionResults.some((test) => test.status === 'failed')) continue;
    remarks.push(`${file.name}: ${file.message.split('\n', 1)[0] || 'failed outside of its tests'}`);
  }
  let failed = report.numFailedTests + remarks.length;
  const skipped = report.numPendingTests + report.numTodoTests;
  if (report.numPassedTests + failed + skipped === 0) {
    failed = 1;
    remarks.push('no test was found');
  } else if (exitStatus !== 0 && failed === 0) {
    failed = 1;
    remarks.push(`vitest ended with exit status ${exitStatus} although no test failed: see the errors above`);
  }
  return { passed: report.numPassedTests, failed, skipped, remarks };
}

function readReport(path: string): Report | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Report;
  } catch {
    return null;
  }
}
