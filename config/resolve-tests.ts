/** The file's tests: flows that can be, and rules that exist. */
import type { FlowTest } from './document.ts';
import type { Names } from './names.ts';
import { shown } from './problem.ts';
import { questionOf, requestFault } from './question.ts';
import type { FileShape } from './schema.ts';
import { nearest } from './spelling.ts';
import type { Report } from './tree.ts';

/** What `by` may say beside the name of a rule: no rule decided, or the flow is the cluster's. */
const DECIDED_WITHOUT_RULE = ['default', 'cluster'] as const;

export function resolveTests(file: FileShape, names: Names, report: Report): FlowTest[] {
  return file.tests.map((shape, index): FlowTest => {
    const path = ['tests', index];
    const fault = requestFault(shape);
    if (fault !== null) report.error('mode-mismatch', [...path, 'protocol'], fault);
    const by = shape.by ?? null;
    if (by !== null && !names.mayHaveRule(by) && !DECIDED_WITHOUT_RULE.some((word) => word === by)) {
      const suggestion = nearest(by, [...names.rules, ...DECIDED_WITHOUT_RULE]);
      report.error(
        'dangling-name',
        [...path, 'by'],
        `No rule is named ${shown(by)}. Write the name of a rule, or "default" where no rule decides.`,
        { suggestion },
      );
    }
    return { flow: questionOf(shape), expect: shape.expect, by, place: report.place(path) };
  });
}
