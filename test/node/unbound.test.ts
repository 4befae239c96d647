/** VIPs that a worker cannot bind when it is started again. */
import { createServer, type Server } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import type { Swaps } from '../../proxy/node/swaps.ts';
import { connectFrom } from '../versions/controlled.ts';
import { freePort, type RunningNode, startNode, startServer, until } from './harness.ts';

const BIND_MS = 40;

async function started(workers: number): Promise<{ running: RunningNode; port: number; file: (rule: string) => string }> {
  const echo = await startServer((socket) => socket.pipe(socket));
  const port = await freePort();
  const file = (rule: string) => `
version: 1
process: { workers: ${workers} }
pools: { echo: { servers: [127.0.0.1:${echo.port}] } }
applications: { tcp: { vips: [127.0.0.1:${port}], mode: tcp, pool: echo, rules: [{ name: ${rule}, action: allow }] } }
`;
  const running = await startNode(file('all'), { bindMs: BIND_MS });
  onTestFinished(async () => {
    await running.stop();
    await echo.close();
  });
  return { running, port, file };
}

const vipsMissed = ({ node }: RunningNode) => node.problems.list().filter(({ kind }) => kind === 'vip');

it('a worker that cannot bind a VIP tries again, says so once, and the node is not ready while nobody listens', async () => {
  const { running, port, file } = await started(1);
  const { node, logged } = running;
  await node.killWorker(0);
  const stranger: Server = createServer();
  onTestFinished(() => void stranger.close());
  await new Promise<void>((resolve, reject) => {
    stranger.once('error', reject);
    stranger.listen({ port, host: '127.0.0.1', exclusive: true }, resolve);
  });
  await until(() => vipsMissed(running).length > 0);
  expect(vipsMissed(running)).toMatchObject([
    { subject: `127.0.0.1:${port}`, message: expect.stringMatching(/ is in use, .*\. Nobody listens there; it is tried again/) },
  ]);
  expect(node.readiness()).toEqual({ ready: false, reason: `nobody listens on 127.0.0.1:${port}` });
  // What a worker lacks already stands in the way of no order, and is tried again after it.
  expect(await running.apply(file('other'))).toMatchObject({ ok: true });
  expect(node.readiness().ready).toBe(false);
  const from = performance.now();
  await until(() => performance.now() - from > 3 * BIND_MS);
  expect(logged.filter(({ message }) => message.includes('cannot listen on a VIP')).length).toBe(1);
  await new Promise((resolve) => stranger.close(resolve));
  await until(() => node.readiness().ready);
  expect(vipsMissed(running)).toEqual([]);
  expect(logged).toContainEqual({
    level: 'info',
    message: 'a worker no longer lacks a VIP',
    fields: expect.objectContaining({ worker: 0 }),
  });
  const client = await connectFrom('127.0.0.1', port);
  client.socket.write('hi');
  await until(() => client.text() === 'hi');
  client.socket.destroy();
  expect(await running.apply(file('all'))).toMatchObject({ ok: true });
});

it('a VIP that only some workers have is a problem of a node that is ready', async () => {
  const { running, port } = await started(2);
  // A port that another worker has cannot be taken from one alone, so the answer of a worker that is out of descriptors is put in.
  const { swaps } = running.node as unknown as { swaps: Swaps };
  swaps.unbound.settle(1, [{ endpoint: `127.0.0.1:${port}`, code: 'EMFILE' }]);
  expect(running.node.readiness().ready).toBe(true);
  expect(vipsMissed(running)).toMatchObject([{ message: expect.stringMatching(/\(EMFILE\)\. 1 of 2 workers are without it/) }]);
  swaps.unbound.lost(1);
  expect(vipsMissed(running)).toEqual([]);
});
