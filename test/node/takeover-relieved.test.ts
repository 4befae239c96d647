import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { follow } from '../../proxy/node/takeover.ts';
import { listenForPassages, type Passage } from '../../proxy/wire/passage.ts';
import { until } from './harness.ts';

it('a process that lets go of its state folder late has not ended by that', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-relieved-'));
  const door = join(folder, 'door.sock');
  let owner: Passage | undefined;
  const listener = listenForPassages(door, (passage) => {
    owner = passage;
    void passage.next().then(() => passage.send({ type: 'all', pid: 1, count: 0, admin: null }));
  });
  onTestFinished(() => {
    if (typeof listener !== 'number') listener.close();
    rmSync(folder, { recursive: true });
  });
  const predecessor = (await follow(door, 20))!;
  let isGone = false;
  void predecessor.gone.then(() => (isGone = true));
  expect(await predecessor.relieve()).toBe(false);
  await owner!.send({ type: 'released' });
  const from = performance.now();
  await until(() => performance.now() - from > 100);
  expect(isGone).toBe(false);
  owner!.close();
  await until(() => isGone);
});
