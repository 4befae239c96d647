/** Limits of a rule: what can never apply where it stands is an error, rather than a limit that silently limits nothing. */
import type { Mode, Rule } from './document.ts';
import { type Path, pointerAt, type Report } from './tree.ts';

/** `mode` is null for rules of every application. */
export function checkLimits(rule: Rule, path: Path, mode: Mode | null, report: Report): void {
  const { limits } = rule;
  if (limits === null) return;
  const complain = (key: readonly string[], message: string) =>
    report.error('mode-mismatch', [...path, 'limits', ...key], message, { side: 'key' });
  if (rule.action !== 'allow') {
    if (!report.isLost([...path, 'action']))
      complain([], `A rule that says ${rule.action} carries no flow, so limits: has no meaning in it. Remove it, or write action: allow.`);
    return;
  }
  if (rule.shadow) complain([], 'A shadow rule is counted and carries no flow, so limits: has no meaning in it. Remove one of the two.');
  const { per: _, ...bounds } = limits;
  // A bound that could not be read has a problem of its own.
  const within = `${pointerAt(report.tree, [...path, 'limits'])}/`;
  const isWrong = report.problems.some((problem) => problem.path.startsWith(within));
  if (!isWrong && Object.values(bounds).every((bound) => bound === null))
    complain([], 'These limits bound nothing. Write at least one of flows, new-flows, requests, bytes, bytes-total and duration.');
  if (mode === 'tcp' && limits.requests !== null)
    complain(
      ['requests'],
      'An application with mode: tcp carries bytes and never sees a request, so that this would limit nothing. Write new-flows:, or mode: http.',
    );
  if (limits.per === 'segment' && !rule.from.some(({ kind }) => kind === 'segment' || kind === 'pool'))
    complain(['per'], 'The rule names no segment in from: that it could count for. Name one, or write per: source or per: all.');
}
