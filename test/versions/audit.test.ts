import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Audit, type AuditFields, verifyAudit } from '../../proxy/versions/audit.ts';

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
    expect(await verifyAudit(directory)).toMatchObject({ ok: true, entries: 4, first: 1, head: again.head, tornBytes: 0 });
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
      expect(await verifyAudit(directory)).toMatchObject({ ok: true, entries: 2, tornBytes: length - start });
      const audit = await Audit.open(directory);
      await audit.record(fields('after the crash'));
      expect(await verifyAudit(directory)).toMatchObject({ ok: true, entries: 3, tornBytes: 0 });
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
