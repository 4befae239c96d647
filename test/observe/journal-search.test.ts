/** Searching the journal: by every word of a filter, page by page, against a plain list as oracle. */
import { appendFileSync, mkdtempSync, readdirSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { flowMatcher, needlesOf, readFilter } from '../../proxy/observe/flow-filter.ts';
import { type Journal, openJournal } from '../../proxy/observe/journal-store.ts';
import type { FlowFilter, FlowRecord } from '../../proxy/observe/view.ts';
import { flow } from '../admin/fake-node.ts';
import { until } from '../node/harness.ts';

const NOW = Date.parse('2020-01-22T12:00:00.000Z');
const open: Journal[] = [];
afterEach(async () => {
  for (const journal of open.splice(0)) await journal.close();
});

function journalIn(
  directory: string | null,
  more: { segmentBytes?: number; searchBytes?: number; sizeBytes?: number; ageMs?: number } = {},
): Journal {
  const journal = openJournal({ directory, sizeBytes: 1 << 26, segmentBytes: 1 << 20, onTrouble: () => undefined, ...more });
  open.push(journal);
  return journal;
}

const folder = () => mkdtempSync(join(tmpdir(), 'bulkhead-search-'));

function append(journal: Journal, ...records: readonly FlowRecord[]): void {
  journal.append(Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join('')), records.length);
}

function filterOf(words: Record<string, string>): FlowFilter {
  const filter = readFilter(words, NOW);
  if (typeof filter === 'string') throw new Error(filter);
  return filter;
}

/** Every page, one after the other. */
async function all(journal: Journal, words: Record<string, string>, limit: number): Promise<{ receipts: string[]; pages: number }> {
  const filter = filterOf(words);
  const receipts: string[] = [];
  let pages = 0;
  for (let cursor: string | null = null; ; ) {
    const page = await journal.search({ limit, filter, cursor });
    receipts.push(...page.flows.map(({ receipt }) => receipt));
    pages++;
    if (page.next === null) return { receipts, pages };
    cursor = page.next;
  }
}

const at = (time: string) => ({ time: `2020-01-22T${time}Z` });
const FLOWS = [
  flow('a', { ...at('11:00:00.000'), source: '198.51.100.7:1000' }),
  flow('b', { ...at('11:30:00.000'), source: '198.51.100.7:2000', verdict: 'deny', rule: 'default' }),
  flow('c', { ...at('11:45:00.000'), source: '198.51.100.77:1000', application: 'mail' }),
  flow('d', { ...at('11:50:00.000'), source: '[2001:db8::7]:1000', verdict: 'would_deny', rule: 'office' }),
  flow('e', { ...at('11:55:00.000'), source: '203.0.113.9:10', verdict: null, rule: null, path: '/"source":"198.51.100.7:1"' }),
  flow('f', { ...at('11:59:59.999'), source: 'unix' }),
];

const QUESTIONS: readonly (readonly [Record<string, string>, string])[] = [
  [{}, 'fedcba'],
  [{ source: '198.51.100.7' }, 'ba'],
  [{ source: '198.51.100.7:1000' }, 'a'],
  [{ source: '::ffff:198.51.100.7' }, 'ba'],
  [{ source: '198.51.100.0/24' }, 'cba'],
  [{ source: '198.51.100.64/26' }, 'c'],
  [{ source: '0.0.0.0/0' }, 'ecba'],
  [{ source: '::/0' }, 'd'],
  [{ source: '2001:DB8:0::7' }, 'd'],
  [{ source: '[2001:db8::7]:1000' }, 'd'],
  [{ source: '[2001:db8::7]:1001' }, ''],
  [{ source: 'unix' }, 'f'],
  [{ application: 'mail' }, 'c'],
  [{ application: 'mai' }, ''],
  [{ rule: 'office' }, 'd'],
  [{ verdict: 'deny' }, 'b'],
  [{ verdict: 'would_deny' }, 'd'],
  [{ verdict: 'none' }, 'e'],
  [{ verdict: 'allow' }, 'fca'],
  [{ since: '10m' }, 'fed'],
  [{ since: '2020-01-22T11:50:00Z' }, 'fed'],
  [{ since: '2020-01-22T12:50:00.001+01:00' }, 'fe'],
  [{ until: '30m' }, 'a'],
  [{ since: '30m', until: '10m' }, 'cb'],
  [{ since: '30m', until: '10m', source: '198.51.100.7', verdict: 'deny', rule: 'default', application: 'shop' }, 'b'],
];

describe.each([
  ['on disk', folder],
  ['in memory', () => null],
])('a search of a journal %s', (_, place) => {
  it.each(QUESTIONS)('for %o finds %s, however it is cut into pages', async (words, expected) => {
    const journal = journalIn(place());
    append(journal, ...FLOWS.slice(0, 2));
    append(journal, ...FLOWS.slice(2, 3));
    append(journal, ...FLOWS.slice(3));
    for (const limit of [1, 2, 10]) expect((await all(journal, words, limit)).receipts.join('')).toBe(expected);
  });

  it('goes on where it was, while newer flows end', async () => {
    const journal = journalIn(place());
    append(journal, ...FLOWS);
    const first = await journal.search({ limit: 2, filter: {}, cursor: null });
    append(journal, flow('g'), flow('h'));
    const second = await journal.search({ limit: 10, filter: {}, cursor: first.next });
    expect([...first.flows, ...second.flows].map(({ receipt }) => receipt).join('')).toBe('fedcba');
    expect(second.next).toBeNull();
  });
});

describe('a search of a journal', () => {
  it('reads a bounded way at a time, and says where it stopped', async () => {
    const journal = journalIn(folder(), { segmentBytes: 1 << 16, searchBytes: 1 << 16 });
    const records = Array.from({ length: 2_000 }, (_, i) => flow(`r${i}`, { rule: i === 3 ? 'rare' : 'customers' }));
    for (let i = 0; i < records.length; i += 50) append(journal, ...records.slice(i, i + 50));
    const { receipts, pages } = await all(journal, { verdict: 'allow' }, 5_000);
    expect(receipts).toEqual(records.map(({ receipt }) => receipt).reverse());
    expect(pages).toBeGreaterThan(2);
    expect((await all(journal, { rule: 'rare' }, 10)).receipts).toEqual(['r3']);
  });

  it('does not open segments that were written before', async () => {
    const directory = folder();
    const early = journalIn(directory);
    append(early, flow('old', at('11:59:00.000')));
    await early.close();
    const [segment] = readdirSync(directory);
    utimesSync(join(directory, segment!), NOW / 1000 - 3600, NOW / 1000 - 3600);
    const journal = journalIn(directory);
    append(journal, flow('new', at('11:59:00.000')));
    expect((await all(journal, { since: '30m' }, 10)).receipts).toEqual(['new']);
    expect((await all(journal, { since: '61m' }, 10)).receipts).toEqual(['new', 'old']);
  });

  it('ends where the segment of its cursor is gone', async () => {
    const directory = folder();
    const journal = journalIn(directory, { segmentBytes: 1 << 12, sizeBytes: 1 << 14 });
    for (let i = 0; i < 20; i++) append(journal, flow(`early${i}`, { path: `/${'x'.repeat(400)}` }));
    const page = await journal.search({ limit: 3, filter: {}, cursor: null });
    for (let i = 0; i < 200; i++) append(journal, flow(`late${i}`, { path: `/${'x'.repeat(400)}` }));
    await until(() => journal.counts().written === 220);
    expect(await journal.search({ limit: 10, filter: {}, cursor: page.next })).toEqual({ flows: [], next: null });
  });

  it('passes over torn and foreign lines', async () => {
    const directory = folder();
    const early = journalIn(directory);
    append(early, ...FLOWS.slice(0, 3));
    await early.close();
    appendFileSync(join(directory, readdirSync(directory)[0]!), '{"receipt":"torn","source":"198.51.100.7:1","ti');
    const journal = journalIn(directory);
    append(journal, ...FLOWS.slice(3));
    expect((await all(journal, {}, 2)).receipts.join('')).toBe('fedcba');
  });

  it.each(['journal-x@-1', 'x', '../../etc/passwd@0', '@', 'journal@1@2'])(
    'answers a made-up cursor %j without a fault',
    async (cursor) => {
      const journal = journalIn(folder());
      append(journal, ...FLOWS);
      const page = await journal.search({ limit: 10, filter: {}, cursor });
      expect([0, 6]).toContain(page.flows.length);
    },
  );
});

describe('a journal with an age', () => {
  it('forgets what is older, also while nothing is written, and keeps what is younger', async () => {
    const directory = folder();
    const early = journalIn(directory);
    append(early, flow('old'));
    await early.close();
    const [segment] = readdirSync(directory);
    utimesSync(join(directory, segment!), Date.now() / 1000 - 3600, Date.now() / 1000 - 3600);
    const journal = journalIn(directory, { ageMs: 60_000_000 });
    expect((await all(journal, {}, 10)).receipts).toEqual(['old']);
    await journal.close();
    const forgetting = journalIn(directory, { ageMs: 240 });
    append(forgetting, flow('young'));
    await until(() => !readdirSync(directory).includes(segment!));
    // In the end its own segment is of age as well.
    await until(() => readdirSync(directory).length === 0);
    append(forgetting, flow('late'));
    await until(() => forgetting.counts().written === 2);
    expect((await all(forgetting, {}, 10)).receipts).toEqual(['late']);
  });
});

describe('a filter', () => {
  it.each([
    [{ source: 'office' }, /^source "office" is not an address/],
    [{ source: '198.51.100.0/33' }, /^source/],
    [{ verdict: 'denied' }, /^verdict "denied" is not one of allow, deny, would_deny, none/],
    [{ since: 'yesterday' }, /^since "yesterday" is not a moment/],
    [{ until: '2026-12-31' }, /^until/],
    [{ since: '10m', until: '20m' }, /^since has to be before until/],
  ])('%o is refused', (words, message) => {
    expect(readFilter(words, NOW)).toMatch(message);
  });

  it('has needles that stand in the line of every record that it matches', () => {
    const text = fc.oneof(fc.constantFrom('shop', 'a"b', 'ü\\'), fc.string({ maxLength: 6 }));
    const address = fc.constantFrom('198.51.100.7', '::1', '2001:db8::7', '::ffff:203.0.113.9');
    const property = fc.property(
      text,
      text,
      fc.constantFrom('allow', 'deny', 'would_deny', null),
      address,
      (application, rule, verdict, from) => {
        const filter = filterOf({ application, rule, verdict: verdict ?? 'none', source: from });
        const shown = from.includes('203') ? '203.0.113.9:7' : from.includes(':') ? `[${from}]:7` : `${from}:7`;
        const record = flow('x', { application, rule, verdict, source: shown });
        const line = Buffer.from(JSON.stringify(record));
        return flowMatcher(filter)(record) && needlesOf(filter).every((needle) => line.includes(needle));
      },
    );
    fc.assert(property);
  });
});
