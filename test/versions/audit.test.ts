import { appendFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Audit, verifyAudit } from '../../proxy/versions/audit.ts';
import type { AuditFields } from '../../proxy/versions/audit-chain.ts';
import { WAITING_ENTRIES_MAX } from '../../proxy/versions/audit-waiting.ts';
import type { DiskTrouble } from '../../proxy/versions/durable.ts';
import { until } from '../node/harness.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'bulkhead-audit-'));
  folders.push(made);
  return made;
}

function fields(detail: string): AuditFields {
  return { who: 'ana', role: 'admin', from: '127.0.0.1:4', action: 'apply', outcome: 'done', version: 1, generation: 1, detail };
}

async function filled(count: number): Promise<{ directory: string; file: string; lines: string[] }> {
  const directory = folder();
  const audit = await Audit.open(directory);
  for (let i = 1; i <= count; i++) await audit.record(fields(`entry ${i} – ä`));
  const file = join(directory, 'audit.ndjson');
  return { directory, file, lines: readFileSync(file, 'utf8').trimEnd().split('\n') };
}

describe('the audit log', () => {
  it('is one chain, over restarts', async () => {
    const { directory } = await filled(3);
    const again = await Audit.open(directory);
    await again.record(fields('later'));
    expect(await verifyAudit(directory)).toMatchObject({ ok: true, entries: 4, first: 1, head: again.head });
    expect((await again.newest(2)).map(({ n, detail }) => [n, detail])).toEqual([
      [4, 'later'],
      [3, 'entry 3 – ä'],
    ]);
  });

  it.each<[string, (lines: string[]) => string[], number]>([
    ['changed', (lines) => lines.map((line, i) => (i === 1 ? line.replace('ana', 'eva') : line)), 2],
    ['taken out', (lines) => lines.filter((_, i) => i !== 1), 3],
    ['said twice', (lines) => [lines[0]!, lines[0]!, ...lines.slice(1)], 1],
    ['swapped', (lines) => [lines[1]!, lines[0]!, ...lines.slice(2)], 1],
    ['no entry', (lines) => [lines[0]!, '{}', ...lines.slice(2)], 2],
  ])('tells the first entry that was %s', async (_, change, n) => {
    const { directory, file, lines } = await filled(4);
    writeFileSync(file, `${change(lines).join('\n')}\n`);
    expect(await verifyAudit(directory)).toMatchObject({ ok: false, n });
  });

  it('tells that its end was cut off, by what was written after it', async () => {
    const { directory, file, lines } = await filled(3);
    const { hash } = JSON.parse(lines[2]!) as { hash: string };
    expect(await verifyAudit(directory, { hash, of: 'version 7' })).toMatchObject({ ok: true });
    writeFileSync(file, `${lines.slice(0, 2).join('\n')}\n`);
    expect(await verifyAudit(directory)).toMatchObject({ ok: true });
    expect(await verifyAudit(directory, { hash, of: 'version 7' })).toMatchObject({ ok: false, n: 3 });
  });

  it('goes on after a tail that is torn at any byte', async () => {
    const { directory, file, lines } = await filled(3);
    const whole = readFileSync(file);
    const start = Buffer.byteLength(`${lines[0]}\n${lines[1]}\n`);
    for (let length = start; length < whole.length; length++) {
      writeFileSync(file, whole.subarray(0, length));
      const torn = { ok: false, n: 3, reason: expect.stringContaining(`it is torn: ${length - start} bytes`) };
      expect(await verifyAudit(directory)).toMatchObject(length === start ? { ok: true, entries: 2 } : torn);
      const audit = await Audit.open(directory);
      await audit.record(fields('after the crash'));
      const gap = { ok: false, entries: 4, n: 3, reason: expect.stringMatching(/^it stands for entries that are lost: gap of 1 entry/) };
      expect(await verifyAudit(directory)).toMatchObject(length === start ? { ok: true, entries: 3 } : gap);
    }
  }, 30_000);

  it('stays one chain when two processes write', async () => {
    const directory = folder();
    const [one, other] = [await Audit.open(directory), await Audit.open(directory)];
    for (let i = 0; i < 4; i++) await (i % 2 === 0 ? one : other).record(fields(`${i}`));
    expect(await verifyAudit(directory)).toMatchObject({ ok: true, entries: 4 });
  });

  it('takes entries in the order of the calls', async () => {
    const audit = await Audit.open(folder());
    await Promise.all(['a', 'b', 'c'].map((detail) => audit.record(fields(detail))));
    expect((await audit.newest(9)).map(({ detail }) => detail)).toEqual(['c', 'b', 'a']);
  });

  it('goes on in a new file when one is full, and the chain with it', async () => {
    const { directory, file } = await filled(1);
    const audit = await Audit.open(directory);
    const long = 'x'.repeat(1024 * 1024);
    for (let i = 0; i < 10; i++) await audit.record(fields(long));
    expect(readFileSync(file).length).toBeLessThan(9 * 1024 * 1024);
    expect(await verifyAudit(directory)).toMatchObject({ ok: true, entries: 11, first: 1 });
    appendFileSync(file, 'torn');
    expect((await Audit.open(directory)).head).toBe(audit.head);
  });

  it('lives in memory where there is no folder', async () => {
    const audit = await Audit.open(null);
    await audit.record(fields('one'));
    expect(await audit.verify()).toMatchObject({ ok: true, entries: 1 });
  });
});

/** A folder whose disk takes nothing until it is mended: there is a file in its place. */
async function onBadDisk(count = 1) {
  const { directory, file } = await filled(count);
  const told: (DiskTrouble | null)[] = [];
  const audit = await Audit.open(directory, { onTrouble: (trouble) => told.push(trouble), retryMs: 20 });
  const aside = `${directory}.aside`;
  folders.push(aside);
  renameSync(directory, aside);
  writeFileSync(directory, '');
  const mend = () => {
    rmSync(directory);
    renameSync(aside, directory);
  };
  return { audit, directory, file, aside, told, mend };
}

describe('entries that the disk does not take', () => {
  it('wait in memory, and are written in their order when it does, hanging on the chain', async () => {
    const { audit, directory, told, mend } = await onBadDisk();
    expect(await Promise.all(['a', 'b', 'c'].map((detail) => audit.record(fields(detail))))).toEqual([null, null, null]);
    expect([audit.unwritten, audit.trouble?.code, told.map((trouble) => trouble?.code)]).toEqual([3, 'ENOTDIR', ['ENOTDIR']]);
    mend();
    expect(await audit.verify()).toMatchObject({ ok: false, n: 2, reason: expect.stringMatching(/^it is not on disk, as 3 in all/) });
    expect((await audit.newest(9)).map(({ n, detail, unwritten = false }) => [n, detail, unwritten])).toEqual([
      [4, 'c', true],
      [3, 'b', true],
      [2, 'a', true],
      [1, 'entry 1 – ä', false],
    ]);
    await until(() => audit.unwritten === 0);
    expect((await audit.newest(9)).map(({ detail }) => detail)).toEqual(['c', 'b', 'a', 'entry 1 – ä']);
    expect(await verifyAudit(directory)).toMatchObject({ ok: true, entries: 4, head: audit.head });
    expect([audit.trouble, told.at(-1)]).toEqual([null, null]);
    await audit.close();
  });

  it.each(['at its first byte', 'within the first', 'after the first', 'within the second', 'at the end'])(
    'are written once, where a write of two has ended %s',
    async (where) => {
      const { audit, directory, file, mend } = await onBadDisk();
      await audit.record(fields('a'));
      await audit.record(fields('b'));
      mend();
      const [first, second] = (await audit.newest(2)).reverse().map(({ unwritten: _, ...entry }) => `${JSON.stringify(entry)}\n`);
      const { length } = first!;
      const ends = { 'at its first byte': 1, 'within the first': length - 1, 'after the first': length, 'within the second': length + 9 };
      // As a disk leaves it that is full in the middle, or that is lost after the write and before its word.
      appendFileSync(file, `${first}${second}`.slice(0, ends[where as keyof typeof ends]));
      await until(() => audit.unwritten === 0);
      await audit.close();
      expect(await verifyAudit(directory)).toMatchObject({ ok: true, entries: 3 });
    },
  );

  it('leave a gap with their number where too many wait, and the audit is not whole from then on', async () => {
    const { audit, directory, mend } = await onBadDisk();
    const over = 3;
    await Promise.all(Array.from({ length: WAITING_ENTRIES_MAX + over }, (_, i) => audit.record(fields(`${i}`))));
    expect(audit.unwritten).toBe(WAITING_ENTRIES_MAX + over);
    mend();
    await until(() => audit.unwritten === 0);
    const found = await verifyAudit(directory);
    expect(found).toMatchObject({ ok: false, entries: WAITING_ENTRIES_MAX + 2, n: 2, reason: expect.stringContaining('gap of 3 entries') });
    expect((await audit.newest(1))[0]).toMatchObject({ detail: `${WAITING_ENTRIES_MAX + over - 1}` });
    await audit.close();
  });
});
