import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Journal, type JournalOptions, type JournalTrouble, openJournal } from '../../proxy/observe/journal-store.ts';
import type { FlowRecord } from '../../proxy/observe/view.ts';
import { flow } from '../admin/fake-node.ts';

const folders: string[] = [];
const journals: Journal[] = [];

afterEach(async () => {
  vi.restoreAllMocks();
  for (const journal of journals.splice(0)) await journal.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'bulkhead-journal-'));
  folders.push(path);
  return path;
}

function journalIn(
  directory: string | null,
  more: Partial<JournalOptions> = {},
): { journal: Journal; troubles: (JournalTrouble | null)[] } {
  const troubles: (JournalTrouble | null)[] = [];
  const journal = openJournal({
    directory,
    sizeBytes: 1 << 30,
    segmentBytes: 1 << 20,
    onTrouble: (trouble) => troubles.push(trouble),
    ...more,
  });
  journals.push(journal);
  return { journal, troubles };
}

function lines(records: readonly FlowRecord[]): Buffer {
  return Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join(''));
}

function append(journal: Journal, ...records: FlowRecord[]): void {
  journal.append(lines(records), records.length);
}

/** Until all that was appended is written or dropped. */
async function settled(journal: Journal, records: number): Promise<void> {
  await expect.poll(() => journal.counts().written + journal.counts().dropped, { interval: 5, timeout: 5000 }).toBe(records);
}

const receipts = async (found: Promise<FlowRecord[]>) => (await found).map((record) => record.receipt);

describe.each([
  ['on disk', () => folder()],
  ['in memory', () => null],
])('a journal %s', (_, place) => {
  it('lists the newest first, across chunks', async () => {
    const { journal } = journalIn(place());
    append(journal, flow('a'), flow('b'));
    append(journal, flow('c'));
    expect(await receipts(journal.recent(10))).toEqual(['c', 'b', 'a']);
    expect(await receipts(journal.recent(2))).toEqual(['c', 'b']);
    expect(await receipts(journal.recent(0))).toEqual([]);
    await settled(journal, 3);
    expect(await receipts(journal.recent(10))).toEqual(['c', 'b', 'a']);
  });

  it('finds a receipt, and only that one', async () => {
    const { journal } = journalIn(place());
    append(journal, flow('abc', { path: '/"receipt":"x"' }), flow('abcd', { source: '127.0.0.9:1' }));
    expect((await journal.find('abcd'))?.source).toBe('127.0.0.9:1');
    for (const unknown of ['ab', 'x', '', 'abcde', '"', '\\']) expect(await journal.find(unknown)).toBeNull();
  });

  it('lists the newest denials, the second time from memory', async () => {
    const { journal } = journalIn(place());
    append(journal, flow('a', { path: '/?"verdict":"deny"' }), flow('b', { verdict: 'deny' }), flow('c', { verdict: 'would_deny' }));
    append(journal, flow('d', { verdict: 'deny' }));
    for (let time = 0; time < 2; time++) expect(await receipts(journal.recent(10, true))).toEqual(['d', 'b']);
  });

  it('keeps its own copy of what it is handed', async () => {
    const { journal } = journalIn(place());
    const shared = new Uint8Array(new SharedArrayBuffer(4096));
    const bytes = lines([flow('kept')]);
    shared.set(bytes);
    journal.append(shared.subarray(0, bytes.length), 1);
    shared.fill(0x20);
    await settled(journal, 1);
    expect(await receipts(journal.recent(1))).toEqual(['kept']);
  });

  it('counts what it kept, and drops what comes after its end', async () => {
    const { journal } = journalIn(place());
    append(journal, flow('a'));
    await journal.close();
    append(journal, flow('b'));
    expect(journal.counts()).toEqual({ written: 1, dropped: 1, bytes: lines([flow('a')]).length });
  });
});

describe('a journal in memory', () => {
  it('holds a bounded number of bytes', async () => {
    const { journal } = journalIn(null);
    const thousand = Array.from({ length: 1000 }, (_, i) => flow(`r${i}`));
    for (let i = 0; i < 40; i++) append(journal, ...thousand);
    const held = await journal.recent(1_000_000);
    expect(lines(held).length).toBeLessThanOrEqual(4 * 1024 * 1024);
    expect(lines(held).length).toBeGreaterThan(3 * 1024 * 1024);
    expect(journal.counts().written).toBe(40_000);
  });
});

describe('a journal on disk', () => {
  it('rotates, deletes the oldest segments, and still lists the newest', async () => {
    const directory = folder();
    const { journal } = journalIn(directory, { segmentBytes: 2000, sizeBytes: 10_000 });
    for (let i = 0; i < 100; i++) {
      append(journal, flow(`r${i}`));
      await settled(journal, i + 1);
    }
    const sizes = readdirSync(directory).map((name) => statSync(join(directory, name)).size);
    expect(sizes.length).toBeGreaterThan(2);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(2000);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(10_000);
    expect((await receipts(journal.recent(10))).slice(0, 10)).toEqual(Array.from({ length: 10 }, (_, i) => `r${99 - i}`));
    expect(await journal.find('r0')).toBeNull();
    expect(await journal.find('r99')).not.toBeNull();
  });

  it('deletes the oldest segments also where the very oldest cannot be deleted', async () => {
    const directory = folder();
    // A folder of that name is what unlink(2) refuses to anybody, root too.
    const stuck = 'journal-20200101T000000000Z-1-000000.ndjson';
    mkdirSync(join(directory, stuck));
    const { journal } = journalIn(directory, { segmentBytes: 2000, sizeBytes: 10_000 });
    for (let i = 0; i < 100; i++) {
      append(journal, flow(`r${i}`));
      await settled(journal, i + 1);
    }
    const names = readdirSync(directory).filter((name) => name !== stuck);
    expect(names.reduce((sum, name) => sum + statSync(join(directory, name)).size, 0)).toBeLessThanOrEqual(10_000);
    expect((await receipts(journal.recent(10))).slice(0, 10)).toEqual(Array.from({ length: 10 }, (_, i) => `r${99 - i}`));
    // It goes once it can.
    rmdirSync(join(directory, stuck));
    writeFileSync(join(directory, stuck), 'x\n'.repeat(1_000));
    append(journal, flow('r100'));
    await settled(journal, 101);
    expect(readdirSync(directory)).not.toContain(stuck);
  });

  it('reads what an earlier run left, and skips its torn tail', async () => {
    const directory = folder();
    const first = journalIn(directory);
    append(first.journal, flow('a'), flow('b', { verdict: 'deny' }));
    await first.journal.close();
    const [segment] = readdirSync(directory);
    appendFileSync(join(directory, segment!), JSON.stringify(flow('torn')).slice(0, 80));
    writeFileSync(join(directory, 'notes.txt'), '{"receipt":"foreign"}\n');
    const { journal, troubles } = journalIn(directory);
    append(journal, flow('c'));
    await settled(journal, 1);
    expect(await receipts(journal.recent(10))).toEqual(['c', 'b', 'a']);
    expect(await receipts(journal.recent(10, true))).toEqual(['b']);
    expect(await journal.find('torn')).toBeNull();
    expect(readdirSync(directory).length).toBe(3);
    expect(troubles).toEqual([]);
  });

  it('reads lines that lie across the blocks in which a file is read', async () => {
    const directory = folder();
    const first = journalIn(directory, { segmentBytes: 1 << 26 });
    // 6 MB in lines of uneven length, some of them longer than a block.
    const records = Array.from({ length: 6000 }, (_, i) =>
      flow(`r${i}`, { path: `/${'p'.repeat(i % 1000 === 7 ? 300_000 : (i * 7) % 900)}` }),
    );
    for (let i = 0; i < records.length; i += 500) append(first.journal, ...records.slice(i, i + 500));
    await first.journal.close();
    const { journal } = journalIn(directory);
    expect(await receipts(journal.recent(10_000))).toEqual(records.map((record) => record.receipt).reverse());
    for (const receipt of ['r0', 'r7', 'r1007', 'r3210']) expect((await journal.find(receipt))?.receipt).toBe(receipt);
  });

  it('remembers old denials together with new ones', async () => {
    const directory = folder();
    const first = journalIn(directory);
    append(first.journal, flow('old', { verdict: 'deny' }));
    await first.journal.close();
    const { journal } = journalIn(directory);
    append(journal, flow('newer', { verdict: 'deny' }));
    expect(await receipts(journal.recent(5, true))).toEqual(['newer', 'old']);
    append(journal, flow('newest', { verdict: 'deny' }), flow('allowed'));
    expect(await receipts(journal.recent(5, true))).toEqual(['newest', 'newer', 'old']);
  });

  it('drops and counts while the folder cannot be written, says so once, and goes on when it can', async () => {
    const parent = folder();
    const directory = join(parent, 'journal');
    writeFileSync(directory, 'a file where the folder should be');
    const { journal, troubles } = journalIn(directory, { retryMs: 1 });
    for (let i = 1; i <= 5; i++) {
      append(journal, flow(`lost${i}`));
      await settled(journal, i);
    }
    expect(journal.counts()).toEqual({ written: 0, dropped: 5, bytes: 0 });
    // The folder is first looked at, then made: two kinds of error at most.
    expect(troubles.length).toBeLessThanOrEqual(2);
    expect(troubles.at(-1)?.message).toContain(directory);
    rmSync(directory);
    append(journal, flow('kept'));
    await settled(journal, 6);
    expect(troubles.at(-1)).toBeNull();
    expect(await receipts(journal.recent(5))).toEqual(['kept']);
  });

  it('takes another name where the segment of an earlier run has its own', async () => {
    const directory = folder();
    vi.spyOn(Date, 'now').mockReturnValue(1_700_000_000_000);
    try {
      for (const name of ['a', 'b', 'c']) {
        const { journal, troubles } = journalIn(directory);
        append(journal, flow(name));
        await journal.close();
        expect([journal.counts().written, troubles]).toEqual([1, []]);
      }
    } finally {
      vi.restoreAllMocks();
    }
    expect(readdirSync(directory).length).toBe(3);
  });

  it('still shows denials that the journal itself has forgotten under a flood of others', async () => {
    const { journal } = journalIn(null);
    append(journal, flow('denied', { verdict: 'deny' }));
    const flood = Array.from({ length: 2_000 }, (_, i) => flow(`allowed-${i}`));
    for (let round = 0; round < 10; round++) append(journal, ...flood);
    expect(await journal.find('denied')).toBeNull();
    expect(await receipts(journal.recent(5, true))).toEqual(['denied']);
    append(journal, flow('again', { verdict: 'deny' }));
    expect(await receipts(journal.recent(5, true))).toEqual(['again', 'denied']);
  });

  it('survives a folder that cannot be made', async () => {
    const file = join(folder(), 'file');
    writeFileSync(file, '');
    const { journal, troubles } = journalIn(join(file, 'journal'));
    append(journal, flow('lost'));
    await settled(journal, 1);
    expect(troubles.map((trouble) => trouble?.code)).toEqual(['ENOTDIR']);
  });

  it('survives a disk that fills up in the middle of a record, and leaves neither torn lines nor empty files', async () => {
    const directory = folder();
    const { journal, troubles } = journalIn(directory, { retryMs: 1 });
    append(journal, flow('before'));
    await settled(journal, 1);
    const probe = await open(join(directory, 'probe'), 'w');
    const prototype: FileHandle = Object.getPrototypeOf(probe);
    await probe.close();
    rmSync(join(directory, 'probe'));
    const [segment] = readdirSync(directory);
    const full = vi.spyOn(prototype, 'write').mockImplementation(async () => {
      appendFileSync(join(directory, segment!), '{"receipt":"lo');
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    });
    append(journal, flow('lost1'));
    await settled(journal, 2);
    expect(readFileSync(join(directory, segment!), 'utf8')).toBe(lines([flow('before')]).toString());
    for (const [i, receipt] of ['lost2', 'lost3'].entries()) {
      append(journal, flow(receipt));
      await settled(journal, 3 + i);
    }
    full.mockRestore();
    expect(readdirSync(directory)).toEqual([segment]);
    append(journal, flow('after'));
    await settled(journal, 5);
    expect(troubles.map((trouble) => trouble?.code ?? null)).toEqual(['ENOSPC', null]);
    expect(journal.counts()).toMatchObject({ written: 2, dropped: 3 });
    expect(await receipts(journal.recent(10))).toEqual(['after', 'before']);
  });

  it('survives that its folder is taken away', async () => {
    const directory = folder();
    const { journal, troubles } = journalIn(directory, { retryMs: 1 });
    append(journal, flow('before'));
    await settled(journal, 1);
    rmSync(directory, { recursive: true });
    writeFileSync(directory, '');
    // More than what is left of the open segment, so that the next one is needed, and cannot be opened.
    append(journal, ...Array.from({ length: 4000 }, (_, i) => flow(`big${i}`)));
    await settled(journal, 4001);
    expect(journal.counts().dropped).toBe(4000);
    expect(troubles.map((trouble) => trouble?.code)).toEqual(['EEXIST']);
    rmSync(directory);
    append(journal, flow('after'));
    await settled(journal, 4002);
    expect(readdirSync(directory).length).toBe(1);
  });

  it('drops and counts what a slow disk cannot take, in bounded memory', async () => {
    const { journal, troubles } = journalIn(folder());
    const thousand = lines(Array.from({ length: 1000 }, (_, i) => flow(`r${i}`)));
    const chunks = Math.ceil((24 * 1024 * 1024) / thousand.length);
    // No turn of the event loop between these, so nothing is written meanwhile.
    for (let i = 0; i < chunks; i++) journal.append(thousand, 1000);
    const { dropped } = journal.counts();
    expect(dropped).toBeGreaterThan((chunks * 1000) / 2);
    await settled(journal, chunks * 1000);
    expect(journal.counts().dropped).toBe(dropped);
    expect(troubles.map((trouble) => trouble?.code ?? null)).toEqual(['slow-disk', null]);
  });

  it('lists every record once, newest first, whatever the sizes of chunks and segments', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 500, max: 20_000 }),
        async (chunks, segmentBytes) => {
          const directory = folder();
          const { journal } = journalIn(directory, { segmentBytes });
          let n = 0;
          const expected: string[] = [];
          for (const [i, paddings] of chunks.entries()) {
            const records = paddings.map((padding) => flow(`r${n++}`, { path: `/${'é\n"'.repeat(padding / 3)}` }));
            expected.unshift(...records.map((record) => record.receipt).reverse());
            append(journal, ...records);
            if (i % 3 === 0) await settled(journal, n);
            expect(await receipts(journal.recent(1000))).toEqual(expected);
          }
          await journal.close();
          const written = readdirSync(directory).sort();
          expect(
            written.map((name) => readFileSync(join(directory, name), 'utf8').split('\n').length - 1).reduce((sum, k) => sum + k, 0),
          ).toBe(n);
        },
      ),
      { numRuns: 25 },
    );
  });
});
