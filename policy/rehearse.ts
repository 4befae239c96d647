/** The tests of a file, put to its policy before anyone relies on it. A test that says when is put to the policy of that moment. */
import type { FlowTest } from '../config/document.ts';
import { type Explanation, explain } from './explain.ts';
import type { Image } from './image.ts';
import { placeText } from './place.ts';

export interface Rehearsal {
  readonly test: FlowTest;
  readonly passed: boolean;
  readonly explanation: Explanation;
  /** One line: what came out, and where it isn't what was expected, both. */
  readonly message: string;
}

export function rehearse(image: Image, tests: readonly FlowTest[]): Rehearsal[] {
  return tests.map((test) => {
    const explanation = explain(image, test.flow);
    const { verdict, rule, at } = explanation;
    const passed = verdict === test.expect && (test.by === null || test.by === rule);
    const outcome = `${verdict} by ${rule}${at === null ? '' : ` (${at})`}`;
    const expected = test.by === null ? test.expect : `${test.expect} by ${test.by}`;
    const message = passed
      ? outcome
      : `${placeText(test.place)}: expected ${expected}, but the policy answers ${outcome}. ${explanation.reason} ${remedy(test, explanation)}`;
    return { test, passed, explanation, message };
  });
}

/** Either may be wrong, and only its author knows which. */
function remedy({ place, flow }: FlowTest, { at, application }: Explanation): string {
  const test = `the test at ${placeText(place)}`;
  if (at !== null) return `Change the rule at ${at} or ${test}.`;
  return application === null
    ? `Change ${test}, or give an application the VIP ${flow.to.text}.`
    : `Change the rules of ${application} or ${test}.`;
}
