/** Tables and texts in terminals of any width. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Column, Layout, table } from '../../proxy/commands/table.ts';
import { hanging, reflowed, shortened, wrapped } from '../../proxy/commands/width.ts';

const COLUMNS: readonly Column[] = [
  { title: '>n' },
  { title: 'name', least: 8, good: 16 },
  { title: 'left', leaves: 2 },
  { title: 'first', leaves: 1 },
  { title: 'time', brief: (text) => text.slice(11) },
];
const ROWS = [
  ['1', 'a-rather-long-name-of-a-rule', 'second', 'at once', '2026-12-31 18:00'],
  ['20', 'short', '-', '-', '2026-12-31 18:05'],
];

describe('a table', () => {
  it.each([
    [
      null,
      [
        ' n  name                          left    first    time',
        ' 1  a-rather-long-name-of-a-rule  second  at once  2026-12-31 18:00',
        '20  short                         -       -        2026-12-31 18:05',
      ],
    ],
    [
      80,
      [
        ' n  name                          left    first    time',
        ' 1  a-rather-long-name-of-a-rule  second  at once  2026-12-31 18:00',
        '20  short                         -       -        2026-12-31 18:05',
      ],
    ],
    [
      60,
      [
        ' n  name                          left    first    time',
        ' 1  a-rather-long-name-of-a-rule  second  at once  18:00',
        '20  short                         -       -        18:05',
      ],
    ],
    [
      40,
      [' n  name                   left    time', ' 1  a-rather-l…-of-a-rule  second  18:00', '20  short                   -       18:05'],
    ],
    [24, [' n  name             time', ' 1  a-rath…a-rule  18:00', '20  short            18:05']],
    [19, [' n  name       time', ' 1  a-ra…ule  18:00', '20  short       18:05']],
  ])('in %s columns', (width, lines) => {
    expect(table(COLUMNS, ROWS, width).map((line) => line.replace(/ +/g, ' '))).toEqual(lines.map((line) => line.replace(/ +/g, ' ')));
  });

  it('is never wider than the terminal while its columns can give way, and loses no column before it has to (seed 20261122)', () => {
    const cell = fc.string({ minLength: 0, maxLength: 60 });
    const columns = fc.array(
      fc.record({
        title: fc.constantFrom('a', '>b', 'title'),
        least: fc.integer({ min: 1, max: 9 }),
        leaves: fc.integer({ min: 1, max: 9 }),
      }),
      { minLength: 1, maxLength: 8 },
    );
    fc.assert(
      fc.property(
        columns,
        fc.array(fc.array(cell, { minLength: 8, maxLength: 8 }), { maxLength: 5 }),
        fc.integer({ min: 20, max: 200 }),
        (all, rows, width) => {
          const bounded = table(all, rows, width);
          expect(Math.max(...bounded.map((line) => line.length))).toBeLessThanOrEqual(width);
          expect(bounded).toHaveLength(rows.length + 1);
          const free = table(all, rows);
          if (free.every((line) => line.length <= width) && rows.every((row) => row.every((one) => one === one.trimEnd())))
            expect(bounded).toEqual(free);
        },
      ),
      { seed: 20_261_122, numRuns: 300 },
    );
  });

  it('puts prose beside its row where there is room, and under it where there is not', () => {
    const columns = [{ title: 'who' }, { title: 'reason', prose: true }] as const;
    const rows = [
      ['ana', 'it scans the shop again and again, and nobody knows why it does'],
      ['local', ''],
    ];
    expect(table(columns, rows, 50)).toEqual([
      'who    reason',
      'ana    it scans the shop again and again, and',
      '       nobody knows why it does',
      'local',
    ]);
    expect(table(columns, rows, 44)).toEqual([
      'who',
      'ana',
      '    it scans the shop again and again, and',
      '    nobody knows why it does',
      'local',
    ]);
  });

  it('sets what comes later out as what came first', () => {
    const layout = new Layout([{ title: 'a', least: 4 }, { title: '>b' }], [['abcdef', '12']], 80);
    expect(
      layout.lines([
        ['xy', '3'],
        ['a-longer-one', '4'],
        ['xy', '123456'],
      ]),
    ).toEqual(['xy       3', 'a-l…ne   4', 'xy      123456']);
  });

  it('takes as many rows as there are', () => {
    const rows = Array.from({ length: 200_000 }, (_, n) => [String(n)]);
    expect(table(['>n'], rows)).toHaveLength(200_001);
  });
});

describe('a text', () => {
  it.each([
    ['127.0.0.1:39454', 15, '127.0.0.1:39454'],
    ['127.0.0.1:39454', 8, '127.…454'],
    ['abc', 1, '…'],
  ])('%j in %i characters is %j', (text, width, short) => expect(shortened(text, width)).toBe(short));

  it.each([
    ['one two three', 7, ['one two', 'three']],
    ['abcdefghij kl', 4, ['abcd', 'efgh', 'ij', 'kl']],
    ['', 4, ['']],
  ])('%j wrapped at %i', (text, width, lines) => expect(wrapped(text, width)).toEqual(lines));

  it('hangs on the word that it begins with', () => {
    expect(hanging('flows      one two three four five six', 32, 11)).toEqual(['flows      one two three four', '           five six']);
    expect(hanging('flows      one two three four five six', null, 11)).toHaveLength(1);
  });

  it('of a help is reflowed to 80 columns, but for what is set in', () => {
    const example = `  bulkhead ${'x'.repeat(90)}`;
    const prose = `${'word '.repeat(30).trim()}\nthat goes on. And ends here.\nExit status: 0 yes.`;
    const lines = reflowed(`Examples:\n${example}\n\n${prose}`).split('\n');
    expect(lines.slice(0, 3)).toEqual(['Examples:', example, '']);
    expect(Math.max(...lines.slice(3).map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines.slice(3)).toEqual([
      `${'word '.repeat(16).trim()}`,
      `${'word '.repeat(14)}that goes`,
      'on. And ends here.',
      'Exit status: 0 yes.',
    ]);
  });
});
