/** Findings about tests of a file that pass and prove nothing. */
import type { Document, Problem } from '../config/document.ts';
import { nearest } from '../config/spelling.ts';
import { endpointsOf, Listeners } from './space/destinations.ts';

/** Denials that are expected where nobody listens: any flow there is denied, whatever the rules say. */
export function testProblems(document: Document): Problem[] {
  const listeners = new Listeners(document);
  const vips = endpointsOf([document]).map(({ text }) => text);
  return document.tests.flatMap(({ flow: { to }, expect, place }, i): Problem[] => {
    if (expect !== 'deny' || listeners.at(to) >= 0) return [];
    const near = nearest(to.text, vips);
    const message = `The test asks about ${to.text}, where no application has a VIP: it is denied whatever the rules say, and proves nothing of them. Name a VIP in to:, or remove the test.`;
    const problem = { code: 'test-without-vip', severity: 'warning', path: `/tests/${i}/to`, place, message } as const;
    return [near === undefined ? problem : { ...problem, suggestion: near }];
  });
}
