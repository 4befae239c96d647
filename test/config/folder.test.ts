/** Files and folders: what is read, what is merged, and what cannot be. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadDocument } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bulkhead-config-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(files: Record<string, string | Uint8Array>): void {
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
}

function complaints(path = folder): string[] {
  const result = loadDocument(path, {});
  return (result.ok ? result.warnings : result.problems).map((problem) => formatProblem(problem).replaceAll(folder, 'F'));
}

const SHOP = '{ pool: p, mode: tcp, vips: [127.0.0.1:80] }';

describe('a folder', () => {
  it('is merged by key, tests joined, in the order of the names', () => {
    write({
      '10-base.yaml':
        'version: 1\nprocess: { node: a }\npools: { p: { servers: [127.0.0.1:1] } }\ntests: [{ from: 1.1.1.1, to: 127.0.0.1:80, expect: deny }]\n',
      '20-more.yaml':
        'version: 1\nprocess: { workers: 2 }\npools: { q: { servers: [127.0.0.1:2] } }\ntests: [{ from: 2.2.2.2, to: 127.0.0.1:80, expect: deny }]\n',
      '30-empty.yaml': '# nothing yet\n',
      '40-shop.yaml': `applications: { shop: ${SHOP} }\n`,
      '.hidden.yaml': 'bad: 1\n',
      'notes.txt': 'bad: 1\n',
    });
    const result = loadDocument(folder, {});
    expect(result).toMatchObject({
      ok: true,
      warnings: [],
      document: { process: { node: 'a', workers: 2 }, pools: [{ name: 'p' }, { name: 'q' }] },
    });
    if (result.ok)
      expect(result.document.tests.map((test) => test.place.file)).toEqual([join(folder, '10-base.yaml'), join(folder, '20-more.yaml')]);
  });

  it('names both places of a key that two files have', () => {
    write({
      'a.yaml': 'version: 1\nguardrails: []\npools:\n  p: { servers: [] }\n',
      'b.yaml': 'version: 2\nguardrails: []\npools:\n  p: { servers: [] }\n',
    });
    expect(complaints()).toEqual([
      'F/b.yaml:1:1: error[duplicate-key]: This version differs from the one at F/a.yaml:1:1. Write the same version in every file. (at /version)',
      'F/b.yaml:2:1: error[duplicate-key]: The key "guardrails" is already at F/a.yaml:2:1. Remove one of the two, or merge them into one file. (at /guardrails)',
      'F/b.yaml:4:3: error[duplicate-key]: The key "p" is already at F/a.yaml:4:3. Remove one of the two, or merge them. (at /pools/p)',
    ]);
  });

  it('reports what is wrong in each file under its name', () => {
    write({ 'a.yaml': 'version: 1\nprocess: { nod: x }\n', 'b.yaml': 'pools:\n  p: { server: [] }\n' });
    expect(complaints().map((line) => line.replace(/\]: .*/, ']'))).toEqual([
      'F/a.yaml:2:12: error[unknown-key]',
      'F/b.yaml:2:8: error[unknown-key]',
    ]);
  });

  it('says which files it does not read', () => {
    write({ 'a.yaml': `version: 1\npools: { p: { servers: [127.0.0.1:1] } }\napplications: { shop: ${SHOP} }\n`, 'b.yml': 'version: 1\n' });
    expect(complaints()).toEqual([expect.stringMatching(/^F\/b\.yml:1:1: warning\[ignored-file\].*Rename it/)]);
  });

  it('without a YAML file is an error', () => {
    expect(complaints()).toEqual([expect.stringMatching(/error\[unreadable-file\].*holds no file named \*\.yaml/)]);
  });
});

describe('what cannot be read', () => {
  it.each([
    ['a missing file', 'gone.yaml', /unreadable-file.*no such file or folder. Check the spelling/],
    ['a path through a file', 'file.txt/x.yaml', /unreadable-file.*a part of the path is a file/],
    ['a circle of links', 'loop.yaml', /unreadable-file.*circle/],
    ['a NUL in the path', 'a\0b', /unreadable-file.*NUL/],
    ['a name that is too long', 'x'.repeat(300), /unreadable-file.*too long/],
    ['bytes that are not UTF-8', 'binary.yaml', /binary\.yaml:2:3: error\[not-text\].*Save it as UTF-8/],
    ['UTF-16', 'wide.yaml', /error\[not-text\].*UTF-16/],
    ['an empty file', 'empty.yaml', /empty\.yaml:1:1: error\[empty-file\]/],
  ])('%s', (_, name, says) => {
    write({
      'file.txt': 'x',
      'binary.yaml': new Uint8Array([97, 10, 97, 97, 0xff]),
      'wide.yaml': new Uint8Array([0xff, 0xfe, 97, 0]),
      'empty.yaml': '',
    });
    symlinkSync(join(folder, 'loop.yaml'), join(folder, 'loop.yaml'));
    expect(complaints(join(folder, name))).toEqual([expect.stringMatching(says)]);
  });

  it('is bounded where it has no end', () => {
    expect(complaints('/dev/zero')).toEqual([expect.stringMatching(/too-large/)]);
  });

  it('names a folder that bears the name of a file', () => {
    mkdirSync(join(folder, 'a.yaml'));
    expect(complaints()).toEqual([expect.stringMatching(/unreadable-file.*it is a folder/)]);
  });
});
