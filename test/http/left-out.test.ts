/** Fields of a head that go no further: how many there may be, and that one head has no say in the next. */
import { expect, it } from 'vitest';
import { RequestHead } from '../../proxy/http/request-head.ts';

const head = new RequestHead();

/** What is wrong with the request, or how many of its lines are left out. */
function leftOut(...lines: readonly string[]) {
  const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`, 'latin1');
  return head.scan(bytes, 0, bytes.length, 8_192, 1_000) ?? head.fields.dropCount;
}

it('what one request has named in Connection is nothing to the next', () => {
  expect(leftOut('Connection: x-mine', 'X-Mine: 1')).toBe(2);
  expect(leftOut('Connection: close ', 'X-Mine: 1')).toBe(1);
  // The same bytes at the same place, in a field that names nothing.
  expect(leftOut('Connection: x-mine', 'X-Mine: 1')).toBe(2);
  expect(leftOut('Some-thing: x-mine', 'X-Mine: 1', 'Connection: x-other')).toBe(1);
});

it.each([
  ['hop-by-hop lines', (count: number) => Array.from({ length: count }, () => 'TE: trailers')],
  ['names in Connection', (count: number) => [`Connection: ${Array.from({ length: count }, (_, i) => `x-${i}`).join(', ')}`]],
])('%s are refused where there are more than can be left out', (_what, lines) => {
  expect(leftOut(...lines(64))).not.toBe('too-many-fields');
  expect(leftOut(...lines(65))).toBe('too-many-fields');
});
