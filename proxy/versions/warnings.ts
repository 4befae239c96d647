/** What a document is warned of when it is applied: the same as `bulkhead check` says of it on this machine. */
import type { Document } from '../../config/document.ts';
import { lint } from '../../policy/lint.ts';
import { inspectTls } from '../tls/tls-files.ts';
import { type ProblemView, problemView } from './orders.ts';

/** Looking for rules that say the same takes the main thread 0.3 s at so many, and 1.4 s at twice as many: health checks would wait. */
const RULES_LOOKED_AT_MAX = 5_000;

/** `unknown`: what databases and name servers do not tell, a line each. */
export function warningsOf(document: Document, unknown: readonly string[], now: number): ProblemView[] {
  const tls = inspectTls(document, now).map(problemView);
  const rules = [document.guardrails, document.baseline, ...document.applications.map((application) => application.rules)];
  const count = rules.reduce((sum, list) => sum + list.length, 0);
  const linted =
    count > RULES_LOOKED_AT_MAX
      ? [said('not-looked-at', '', `With ${count} rules the node does not look for rules that nothing reaches: bulkhead check does.`)]
      : lint(document, { now }).map(problemView);
  return [...unknown.map((message) => said('source-unknown', '/segments', message)), ...tls, ...linted];
}

function said(code: string, path: string, message: string): ProblemView {
  return { code, severity: 'warning', path, at: null, message };
}
