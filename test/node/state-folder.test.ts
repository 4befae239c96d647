import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parseDocument } from '../../config/load.ts';
import { isStateNamed, stateFault } from '../../proxy/node/state-folder.ts';
import { bulkhead } from '../commands/bulkhead.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'bulkhead-state-'));
  folders.push(made);
  return made;
}

describe('a state folder', () => {
  it('that can be used has nothing but its folders in it afterwards', async () => {
    const state = join(folder(), 'state');
    expect(await stateFault(state)).toBeNull();
    expect([readdirSync(state).sort(), readdirSync(join(state, 'versions'))]).toEqual([['journal', 'versions'], []]);
  });

  it('in whose place, or in the place of a part of it, something else is, says which and what to do', async () => {
    const state = folder();
    writeFileSync(join(state, 'journal'), '');
    expect(await stateFault(state)).toBe(
      `${join(state, 'journal')} cannot be written (EEXIST: a part of its path is no folder: move that away)`,
    );
    expect(await stateFault(join(state, 'journal', 'x'))).toMatch(/ENOTDIR: a part of its path is no folder/);
  });

  it.each([
    ['process: { state: ./x }', true],
    ['process: { workers: 1 }', false],
    ['', false],
  ])('is named by %j: %s', (text, named) => {
    const loaded = parseDocument([{ file: 'a.yaml', text: `version: 1\n${text}\n` }], {});
    expect(loaded.ok && isStateNamed(loaded.document)).toBe(named);
  });

  it('that is named and cannot be used keeps the node from starting, with one line and no stack', async () => {
    const place = folder();
    mkdirSync(join(place, 'state'));
    writeFileSync(join(place, 'state', 'versions'), '');
    writeFileSync(join(place, 'a.yaml'), `version: 1\nprocess: { state: ${place}/state, admin: { listen: "unix:${place}/a.sock" } }\n`);
    expect(await bulkhead(['run', join(place, 'a.yaml')])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(
        /(?:^|\n)bulkhead: process\.state: \S+\/versions cannot be written \(EEXIST: [^\n]+, or write state: off to keep nothing\n$/,
      ),
    });
  });
});
