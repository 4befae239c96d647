import { describe, expect, it } from 'vitest';
import { Framing } from '../../proxy/http/framing.ts';

describe('a body', () => {
  const cases: readonly (readonly [string, (framing: Framing) => void, string, number, boolean])[] = [
    ['of no bytes ends where it starts', (framing) => framing.sized(0), 'next', 0, true],
    ['of a length ends after it', (framing) => framing.sized(3), 'abcnext', 3, true],
    ['of a length goes on until all of it has come', (framing) => framing.sized(9), 'abc', 3, false],
    ['in chunks ends after the last', (framing) => framing.chunked(), '2\r\nab\r\n0\r\n\r\nnext', 12, true],
    ['in chunks goes on until the last', (framing) => framing.chunked(), '2\r\nab\r\n', 7, false],
    ['in chunks that are broken has no end', (framing) => framing.chunked(), 'x\r\n', -1, false],
    ['until the close takes all there is', (framing) => framing.untilClose(), 'abc', 3, false],
  ];
  it.each(cases)('%s', (_what, begin, text, end, done) => {
    const framing = new Framing();
    begin(framing);
    expect([framing.measure(Buffer.from(text), 0, text.length, null), framing.done]).toEqual([end, done]);
  });

  it('begins anew after one in chunks that was cut short', () => {
    const framing = new Framing();
    framing.chunked();
    framing.measure(Buffer.from('5\r\nab'), 0, 5, null);
    framing.chunked();
    expect([framing.measure(Buffer.from('0\r\n\r\n'), 0, 5, null), framing.done, framing.isChunked]).toEqual([5, true, false]);
  });
});
