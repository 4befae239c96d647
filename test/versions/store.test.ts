import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeVersion, encodeVersion, hashOfSources, NO_OVERLAY, type VersionRecord } from '../../proxy/versions/record.ts';
import { VERSIONS_MAX, VersionStore } from '../../proxy/versions/store.ts';
import { until } from '../node/harness.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'bulkhead-versions-'));
  folders.push(made);
  return made;
}

function draft(text: string): Omit<VersionRecord, 'version'> {
  const sources = [{ file: 'bulkhead.yaml', text }];
  const none = { added: [], removed: [], changed: [] };
  return {
    generation: 1,
    time: '2026-11-22T06:00:00.000Z',
    cause: 'apply',
    author: 'ana',
    from: '127.0.0.1:40000',
    note: 'näh, "quoted"\n',
    sha256: hashOfSources(sources),
    sources,
    overlay: NO_OVERLAY,
    fileSha256: null,
    confirm: null,
    summary: { applications: none, rules: none, reordered: [], segments: none, pools: none, text: 'no change' },
    audit: '0'.repeat(64),
  };
}

describe('versions on disk', () => {
  it('come back whole after a restart, newest first, under the same numbers', async () => {
    const directory = folder();
    const store = await VersionStore.open(directory);
    await store.append(draft('version: 1 # one'));
    await store.append(draft('version: 1 # two'));
    const again = await VersionStore.open(directory);
    expect(again.list().map(({ version, note }) => [version, note])).toEqual([
      [2, 'näh, "quoted"\n'],
      [1, 'näh, "quoted"\n'],
    ]);
    expect((await again.read(1))?.sources).toEqual([{ file: 'bulkhead.yaml', text: 'version: 1 # one' }]);
    expect(again.newest).toEqual(await again.read(2));
    expect(await again.read(3)).toBeNull();
  });

  it('open on the last whole version, whatever byte the newest one ends at', async () => {
    const directory = folder();
    const store = await VersionStore.open(directory);
    const first = await store.append(draft('version: 1 # ä'));
    await store.append(draft('version: 1 # two'));
    const path = join(directory, 'version-00000002.json');
    const whole = readFileSync(path);
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      const torn = await VersionStore.open(directory);
      expect(torn.newest, `cut at byte ${length}`).toEqual(first);
      expect(torn.damaged).toEqual([path]);
    }
    writeFileSync(path, whole);
    expect((await VersionStore.open(directory)).newest?.version).toBe(2);
  }, 30_000);

  it('give a damaged version’s number to no other', async () => {
    const directory = folder();
    const store = await VersionStore.open(directory);
    await store.append(draft('a'));
    await store.append(draft('b'));
    truncateSync(join(directory, 'version-00000002.json'), 10);
    const again = await VersionStore.open(directory);
    expect((await again.append(draft('c'))).version).toBe(3);
  });

  it('leave nothing of a write that was never finished', async () => {
    const directory = folder();
    writeFileSync(join(directory, 'version-00000001.json.4194304.new'), '{"version":1');
    const store = await VersionStore.open(directory);
    expect([store.newest, readdirSync(directory)]).toEqual([null, []]);
  });

  it('do not take a number that another process has taken meanwhile', async () => {
    const directory = folder();
    const one = await VersionStore.open(directory);
    const other = await VersionStore.open(directory);
    expect([(await one.append(draft('a'))).version, (await other.append(draft('b'))).version]).toEqual([1, 2]);
  });

  it(`are at most ${VERSIONS_MAX}, and the oldest go first`, async () => {
    const directory = folder();
    const text = encodeVersion({ version: 1, ...draft('x') });
    for (let version = 1; version <= VERSIONS_MAX; version++) {
      const record = { ...decodeVersion(text)!, version };
      writeFileSync(join(directory, `version-${String(version).padStart(8, '0')}.json`), encodeVersion(record));
    }
    const store = await VersionStore.open(directory);
    await store.append(draft('y'));
    const numbers = store.list().map(({ version }) => version);
    expect([numbers.length, numbers[0], numbers.at(-1)]).toEqual([VERSIONS_MAX, VERSIONS_MAX + 1, 2]);
    expect(readdirSync(directory).length).toBe(VERSIONS_MAX);
  });

  it('keep the one that the newest goes back to unless confirmed, however many come after it, also for a restart', async () => {
    const directory = folder();
    const store = await VersionStore.open(directory);
    await store.append(draft('before'));
    const confirm = { until: Date.now() + 60_000, revertTo: 1 };
    // Sixteen of the largest documents are all that is kept.
    const large = 'x'.repeat(4 * 1024 * 1024);
    for (let i = 0; i < 18; i++) await store.append({ ...draft(large), confirm });
    expect(store.list().map(({ version }) => version)).not.toContain(2);
    expect((await (await VersionStore.open(directory)).read(1))?.sources[0]?.text).toBe('before');
    await store.append(draft(large));
    expect((await VersionStore.open(directory)).list().map(({ version }) => version)).not.toContain(1);
  }, 30_000);

  it('live in memory where there is no folder', async () => {
    const store = await VersionStore.open(null);
    for (let i = 1; i <= 60; i++) await store.append(draft(`${i}`));
    expect(store.list().length).toBe(50);
    expect((await store.read(60))?.sources[0]?.text).toBe('60');
  });

  it('are told from changed ones', () => {
    const text = encodeVersion({ version: 1, ...draft('allow') });
    expect(decodeVersion(text)).not.toBeNull();
    expect(decodeVersion(text.replace('allow', 'alloW'))).toBeNull();
    expect(decodeVersion('[]\n')).toBeNull();
  });
});

describe('versions that the disk does not take', () => {
  /** A store whose folder takes nothing until it is mended: there is a file in its place. */
  async function onBadDisk() {
    const directory = folder();
    const aside = `${directory}.aside`;
    folders.push(aside);
    const told: (string | null)[] = [];
    const store = await VersionStore.open(directory, { retryMs: 20, onTrouble: (trouble) => told.push(trouble?.code ?? null) });
    const break_ = () => {
      renameSync(directory, aside);
      writeFileSync(directory, '');
    };
    const mend = () => {
      rmSync(directory);
      renameSync(aside, directory);
    };
    return { store, directory, told, break_, mend };
  }
  const shown = (store: VersionStore) => store.list().map(({ version, recorded }) => [version, recorded]);

  it('are listed as not on disk, under numbers that no other gets, and are written when it takes them', async () => {
    const { store, directory, told, break_, mend } = await onBadDisk();
    await store.append(draft('one'));
    break_();
    expect([(await store.append(draft('two'))).version, (await store.append(draft('three'))).version]).toEqual([2, 3]);
    expect([shown(store), told, store.trouble?.code]).toEqual([
      [
        [3, false],
        [2, false],
        [1, true],
      ],
      ['ENOTDIR'],
      'ENOTDIR',
    ]);
    expect((await store.read(2))?.sources[0]?.text).toBe('two');
    mend();
    await until(() => store.trouble === null);
    expect((await store.append(draft('four'))).version).toBe(4);
    await store.close();
    const again = await VersionStore.open(directory);
    expect(shown(again)).toEqual([4, 3, 2, 1].map((version) => [version, true]));
    expect([again.newest?.sources[0]?.text, (await again.read(2))?.sources[0]?.text, told.at(-1)]).toEqual(['four', 'two', null]);
  });

  it('are bounded; the newest stay', async () => {
    const { store, break_, mend } = await onBadDisk();
    break_();
    for (let i = 1; i <= 60; i++) await store.append(draft(`${i}`));
    expect([store.list().length, store.newest?.version, store.next]).toEqual([50, 60, 61]);
    mend();
    await store.close();
  });

  it('are bounded without the one that the newest goes back to unless confirmed', async () => {
    const { store, break_, mend } = await onBadDisk();
    break_();
    await store.append(draft('before'));
    for (let i = 2; i <= 60; i++) await store.append({ ...draft(`${i}`), confirm: { until: Date.now() + 60_000, revertTo: 1 } });
    expect([store.list().length, (await store.read(1))?.sources[0]?.text, await store.read(2)]).toEqual([50, 'before', null]);
    mend();
    await store.close();
  });

  it('leave a file alone that another process has written under the same number', async () => {
    const { store, directory, break_, mend } = await onBadDisk();
    break_();
    await store.append(draft('mine'));
    mend();
    await (await VersionStore.open(directory)).append(draft('theirs'));
    await store.close();
    expect((await VersionStore.open(directory)).newest?.sources[0]?.text).toBe('theirs');
  });
});
