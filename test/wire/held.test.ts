import { describe, expect, it } from 'vitest';
import { LARGE_BYTES, SMALL_BYTES } from '../../proxy/wire/chunks.ts';
import { Held } from '../../proxy/wire/held.ts';

const text = (held: Held) => held.bytes.toString('latin1', 0, held.length);

describe('bytes that wait', () => {
  it.each([1, SMALL_BYTES, SMALL_BYTES + 1, LARGE_BYTES, LARGE_BYTES + 1])(
    'are whole and in order with %i bytes behind the first',
    (count) => {
      const held = new Held();
      held.append(Buffer.from('-first-'), 1, 6);
      held.append(Buffer.alloc(count, 'x'), 0, count);
      expect(text(held)).toBe(`first${'x'.repeat(count)}`);
      held.drop();
    },
  );

  it.each([
    [0, 'abcdef', false],
    [4, 'ef', false],
    [6, '', true],
  ])('keep what is from %i on', (start, rest, empty) => {
    const held = new Held();
    held.append(Buffer.from('abcdef'), 0, 6);
    held.keep(held.bytes, start, held.length);
    expect([text(held), held.empty]).toEqual([rest, empty]);
    held.drop();
  });

  it('are those of another buffer where nothing waits yet', () => {
    const held = new Held();
    held.keep(Buffer.from('abcdef'), 2, 4);
    expect(text(held)).toBe('cd');
    held.drop();
    expect([held.empty, held.length, held.take()]).toEqual([true, 0, null]);
  });

  it('are the taker’s once taken', () => {
    const held = new Held();
    held.append(Buffer.from('abc'), 0, 3);
    expect(held.take()?.length).toBe(3);
    expect([held.empty, held.take()]).toEqual([true, null]);
  });
});
