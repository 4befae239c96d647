/** `bulkhead check`: everything that can be said about a file without running it. */
import type { Document, Problem } from '../../config/document.ts';
import { formatProblem } from '../../config/problem.ts';
import { compile } from '../../policy/compile.ts';
import { coverage } from '../../policy/coverage.ts';
import { witnessFields } from '../../policy/diff-text.ts';
import { lint } from '../../policy/lint.ts';
import { placeText } from '../../policy/place.ts';
import { type Rehearsal, rehearse } from '../../policy/rehearse.ts';
import { inspectTls } from '../tls/tls-files.ts';
import { learn } from './circumstances.ts';
import { EXIT, print, printJson } from './exit.ts';
import { loadFile } from './loaded.ts';

interface Findings {
  /** null where errors kept the file from being a document. */
  readonly document: Document | null;
  readonly problems: readonly Problem[];
  readonly tests: readonly Rehearsal[];
}

/** What is wrong goes to standard error, the summary to standard output; with `json` all of it to standard output. */
export async function check(file: string, words: { readonly json?: true; readonly coverage?: true }): Promise<number> {
  const findings = await examine(file);
  const ok = findings.tests.every((test) => test.passed) && !findings.problems.some((problem) => problem.severity === 'error');
  if (words.json) printJson({ ok, file, ...asJson(findings), ...(words.coverage ? { coverage: coverageAsJson(findings) } : {}) });
  else {
    const failures = findings.tests.filter((test) => !test.passed).map((test) => `test failed: ${test.message}`);
    const lines = [...findings.problems.map(formatProblem), ...failures];
    if (lines.length > 0) process.stderr.write(`${lines.join('\n')}\n`);
    if (words.coverage) print(...coverageLines(findings));
    print(`${file}: ${ok ? 'good' : 'not good'}: ${summary(findings)}`);
  }
  return ok ? EXIT.yes : EXIT.no;
}

async function examine(file: string): Promise<Findings> {
  const loaded = loadFile(file);
  if (!loaded.ok) return { document: null, problems: loaded.problems, tests: [] };
  const { document, warnings } = loaded;
  const { circumstances, warnings: unknown } = await learn(document);
  const image = compile(document, circumstances);
  const problems = [...warnings, ...unknown.map(unknownProblem), ...inspectTls(document), ...lint(document, { now: Date.now() })];
  return { document, problems, tests: rehearse(image, document.tests) };
}

/** A source that databases or name servers do not tell now: it is judged as unknown, which somebody may not expect. */
function unknownProblem(message: string): Problem {
  return { code: 'source-unknown', severity: 'warning', path: '/segments', place: null, message };
}

function summary({ document, problems, tests }: Findings): string {
  const errors = problems.filter((problem) => problem.severity === 'error').length;
  const failed = tests.filter((test) => !test.passed).length;
  const parts = [count(errors, 'error'), count(problems.length - errors, 'warning')];
  if (document === null) return parts.join(', ');
  const rules = [document.guardrails, document.baseline, ...document.applications.map((application) => application.rules)];
  const passed = count(tests.length - failed, 'test');
  return [
    count(document.applications.length, 'application'),
    count(
      rules.reduce((sum, list) => sum + list.length, 0),
      'rule',
    ),
    ...parts,
    tests.length === 0 ? 'no tests' : `${passed} passed${failed === 0 ? '' : `, ${failed} failed`}`,
  ].join(', ');
}

function asJson({ problems, tests }: Findings): object {
  return {
    problems: problems.map(({ code, severity, path, place, message, suggestion, witness }) => {
      const shown = witness === undefined ? undefined : witnessFields(witness);
      return { code, severity, path, at: placeText(place), message, suggestion, witness: shown };
    }),
    tests: tests.map(({ test, passed, explanation, message }) => {
      const { verdict, application, rule, tier, at } = explanation;
      return {
        at: placeText(test.place),
        expect: test.expect,
        by: test.by,
        passed,
        message,
        answer: { verdict, application, rule, tier, at },
      };
    }),
  };
}

/** A line a rule: how many tests it decides, and where it stands. */
function coverageLines({ document, tests }: Findings): string[] {
  if (document === null) return [];
  const rules = coverage(document, tests);
  const reached = rules.filter((one) => one.tests.length > 0).length;
  return [
    ...rules.map(
      ({ rule, tests: by }) =>
        `${by.length === 0 ? 'no test' : count(by.length, 'test')}\t${rule.action}\t${rule.name}\t${placeText(rule.place)}`,
    ),
    `coverage: ${reached} of ${count(rules.length, 'rule')} reached by tests`,
  ];
}

function coverageAsJson({ document, tests }: Findings): object[] {
  if (document === null) return [];
  return coverage(document, tests).map(({ rule, path, tests: by }) => ({ rule: rule.name, path, at: placeText(rule.place), tests: by }));
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
