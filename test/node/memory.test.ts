/** What a node keeps of policies that are no longer in force, while flows that they admitted live on. */
import type { Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Worker } from 'node:worker_threads';
import { afterEach, expect, it } from 'vitest';
import { client } from '../relay/client.ts';
import { freePort, type RunningNode, startNode, startServer } from './harness.ts';

const PREFIXES = 20_000;
const CHANGES = 12;
/** 16 bytes of each prefix have to be somewhere in an image. */
const IMAGE_BYTES_LEAST = PREFIXES * 16;

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes in buffers, shared ones among them, once nothing is left in any thread that nobody needs: taking a snapshot of a thread collects there. */
async function bufferBytes({ node }: RunningNode): Promise<number> {
  const { members } = (node as unknown as { crew: { members: { thread: Worker }[] } }).crew;
  for (const { thread } of members) for await (const _ of await thread.getHeapSnapshot());
  for (let round = 0; round < 3; round++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage().arrayBuffers;
}

it('flows that live for long keep what their records need, and not the policy of their day', async () => {
  const server = await startServer((socket) => void socket.pipe(socket));
  const vip = await freePort();
  // Every other address, so that neighbours are not one prefix.
  const addresses = Array.from({ length: PREFIXES }, (_, i) => `10.${i >> 12}.${(i >> 5) & 127}.${(i & 31) * 2}/32`);
  const file = (change: number) => `
version: 1
process: { workers: 1 }
segments: { many: { addresses: [${addresses.join(', ')}, 192.0.2.${change}/32] } }
pools: { p: { servers: [127.0.0.1:${server.port}] } }
applications:
  app:
    vips: [127.0.0.1:${vip}]
    mode: tcp
    pool: p
    rules: [{ name: no, from: [many], action: deny }, { name: day-${change}, action: allow }]
`;
  const running = await startNode(file(0));
  stops.push(
    () => server.close(),
    () => running.stop(),
  );
  const flows: Socket[] = [];
  let before = 0;
  for (let change = 1; change <= CHANGES + 1; change++) {
    const { socket, bytes } = client(vip);
    socket.write('x');
    await bytes(1);
    flows.push(socket);
    if (change === 2) before = await bufferBytes(running);
    expect(await running.apply(file(change))).toMatchObject({ ok: true, revoked: 0, kept: change });
  }
  expect((await bufferBytes(running)) - before).toBeLessThan(IMAGE_BYTES_LEAST * 2);
  const live = await running.node.liveFlows(100);
  expect(live.map(({ rule, generation, application }) => [rule, generation, application]).sort()).toEqual(
    flows.map((_, day) => [`day-${day}`, day + 1, 'app']).sort(),
  );
  for (const socket of flows) socket.end();
  const records = await running.records(flows.length);
  expect(records.map(({ rule }) => rule).sort()).toEqual(flows.map((_, day) => `day-${day}`).sort());
}, 30_000);
