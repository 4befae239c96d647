import { expect, it } from 'vitest';
import { parseDocument } from '../../config/load.ts';
import { compile } from '../../policy/compile.ts';
import { coverage } from '../../policy/coverage.ts';
import { rehearse } from '../../policy/rehearse.ts';

const TEXT = `version: 1
pools: { p: { servers: [127.0.0.1:1] } }
guardrails:
  - { name: one, from: [127.6.0.0/16], action: deny }
applications:
  a:
    vips: [127.0.0.1:80]
    mode: tcp
    pool: p
    rules:
      - { name: one, from: [127.0.0.2], action: allow }
      - { name: two, from: [127.0.0.3], action: allow }
  b:
    vips: [127.0.0.1:81]
    mode: tcp
    pool: p
    rules: [{ name: one, from: [127.0.0.2], action: allow }]
baseline:
  - { name: one, from: [127.0.0.4], action: allow }
tests:
  - { from: 127.0.0.2, to: 127.0.0.1:80, expect: allow }
  - { from: 127.0.0.2, to: 127.0.0.1:80, expect: deny }
  - { from: 127.0.0.4, to: 127.0.0.1:81, expect: allow }
  - { from: 127.0.0.9, to: 127.0.0.1:81, expect: deny }
`;

it('counts for each rule the tests that it decides, failed ones too, and keeps rules of one name apart', () => {
  const loaded = parseDocument([{ file: 'a.yaml', text: TEXT }], {});
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const found = coverage(loaded.document, rehearse(compile(loaded.document), loaded.document.tests));
  expect(found.map(({ path, tests }) => [path, tests])).toEqual([
    ['/guardrails/0', []],
    ['/applications/a/rules/0', [0, 1]],
    ['/applications/a/rules/1', []],
    ['/applications/b/rules/0', []],
    ['/baseline/0', [2]],
  ]);
});
