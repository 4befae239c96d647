/** Findings of `check` that people know about: said in the file, each with a reason. */
import * as z from 'zod';
import { noted, required } from './schema-leaves.ts';

const REASON_CHARACTERS_MAX = 500;

const code = noted(z.string().regex(/^[a-z]+(?:-[a-z]+)*$/), {
  expects: 'the code of a finding, such as allow-any',
  type: 'code',
  example: 'allow-any',
});
const reason = noted(z.string().regex(/\S/).max(REASON_CHARACTERS_MAX), {
  expects: 'a reason in words',
  type: 'text',
  bounds: `at most ${REASON_CHARACTERS_MAX} characters`,
  example: 'a public service',
});

const silence = z.strictObject({
  code: required(code, 'none', 'The code of the finding, as check prints it.'),
  reason: required(reason, '-', 'Why the finding is all right here.'),
});

/** On a rule: of that rule; at the top: of the whole file. */
export const silences = noted(z.array(silence).optional().describe('Findings of check that are known and all right, each with a reason.'), {
  expects: 'a list such as [{ code: allow-any, reason: "a public service" }]',
});
