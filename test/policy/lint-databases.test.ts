import { expect, it } from 'vitest';
import { parseDocument } from '../../config/load.ts';
import { lint } from '../../policy/lint.ts';

const DENY = '{ name: no-secrets, redis: { keys: [secret] }, action: deny }';

function found(rules: string, mode = 'tcp'): string[] {
  const text = `
version: 1
pools: { p: { servers: [127.0.0.1:6379] } }
applications: { cache: { vips: [127.0.0.1:6380], mode: ${mode}, pool: p, rules: [${rules}] } }
`;
  const loaded = parseDocument([{ file: 'a.yaml', text }], {});
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return lint(loaded.document).flatMap(({ code, message }) => (code === 'database-deny-evaded' ? [message] : []));
}

it.each<[string, string, boolean]>([
  ['what names no protocol lets through what is not seen to be Redis', `${DENY}, { name: rest, action: allow }`, true],
  ['so does what names unknown', `${DENY}, { name: rest, protocols: [redis, unknown], action: allow }`, true],
  ['and memcached, whose commands look alike', `${DENY}, { name: rest, protocols: [memcached], action: allow }`, true],
  ['what names Redis alone does not', `${DENY}, { name: rest, protocols: [redis], action: allow }`, false],
  ['nor what asks of Redis itself', `${DENY}, { name: rest, redis: { users: ["*"] }, action: allow }`, false],
  [
    'nor a rule before it',
    `{ name: first, from: [127.0.0.2], action: allow }, ${DENY}, { name: rest, protocols: [redis], action: allow }`,
    false,
  ],
  ['a rule that only counts enforces nothing', `{ name: no, redis: {}, shadow: true, action: deny }, { name: rest, action: allow }`, false],
])('%s', (_, rules, expected) => {
  const messages = found(rules);
  expect(messages.length).toBe(expected ? 1 : 0);
  if (expected) expect(messages[0]).toMatch(/"no-secrets".*"rest".*protocols:/);
});
