import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Client, client } from '../relay/client.ts';
import { descriptorCount, untilDescriptors } from './descriptors.ts';
import { freePort, type RunningNode, startNode, startServer, type TestServer, until } from './harness.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function server(serve: (socket: Socket) => void): Promise<TestServer> {
  const started = await startServer(serve);
  stops.push(() => started.close());
  return started;
}

async function node(backend: number, vips: string, words: { workers?: number; limits?: string; rules?: string; pool?: string } = {}) {
  const { workers = 2, limits = '', rules = '{ name: all, action: allow }', pool = 'ejection: off' } = words;
  const running = await startNode(`
version: 1
process: { workers: ${workers} }
pools: { p: { servers: [127.0.0.1:${backend}], ${pool} } }
applications: { app: { vips: [${vips}], mode: tcp, pool: p, limits: { ${limits} }, rules: [${rules}] } }
`);
  stops.push(() => running.stop());
  return running;
}

const echo = (socket: Socket) => void socket.pipe(socket);

async function open(to: number | string, count: number): Promise<Client[]> {
  const flows = Array.from({ length: count }, () => client(to));
  for (const flow of flows) flow.socket.write('a');
  for (const flow of flows) expect(await flow.bytes(1)).toBe('a');
  return flows;
}

const flowsToServer = (running: RunningNode) => running.node.servers()[0]!.flowsActive;

describe('a worker that dies', () => {
  it('takes only its own flows along; it is replaced, accounts balance, and what it held is free again', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(backend.port, `127.0.0.1:${port}`, { limits: 'connections: 40, connections-per-source: 40' });
    const flows = await open(port, 40);
    const [first, second] = running.node.workers().map((worker) => worker.connections);
    expect(first! + second!).toBe(40);
    expect(flowsToServer(running)).toBe(40);
    await running.node.killWorker(0);
    await until(() => running.application('app').flowsActive === second && running.application('app').connectionsActive === second);
    expect(running.application('app')).toMatchObject({ flowsOpened: 40, flowsClosed: first, connectionsActive: second });
    expect(flowsToServer(running)).toBe(second);
    await until(() => flows.filter((flow) => flow.socket.destroyed || flow.socket.readableEnded).length === first);
    const alive = flows.filter((flow) => !flow.socket.destroyed && !flow.socket.readableEnded);
    for (const flow of alive) flow.socket.write('b');
    for (const flow of alive) expect(await flow.bytes(2)).toBe('ab');
    await until(() => running.node.readiness().ready);
    expect(running.node.counters().workerRestarts).toBe(1);
    expect(running.logged.find((line) => line.level === 'error')).toMatchObject({ fields: { worker: 0 } });
    // The caps that the dead worker held are free.
    alive.push(...(await open(port, first!)));
    expect(await client(port).over).toBe('ECONNRESET');
    expect(running.node.workers()[0]!.connections).toBeGreaterThanOrEqual(0);
    for (const flow of alive) flow.socket.destroy();
    await until(() => running.application('app').connectionsActive === 0);
    expect(running.application('app').flowsActive).toBe(0);
    expect(flowsToServer(running)).toBe(0);
  });

  it('and dies again, also after swaps, still leaves accounts that balance', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(backend.port, `127.0.0.1:${port}`, { workers: 1 });
    const again = `
version: 1
pools: { p: { servers: [127.0.0.1:${backend.port}] } }
applications: { app: { vips: [127.0.0.1:${port}], mode: tcp, pool: p, rules: [{ name: other, action: allow }] } }
`;
    let opened = 0;
    for (let round = 0; round < 3; round++) {
      await open(port, 5);
      opened += 5;
      await running.apply(again);
      expect(running.application('app')).toMatchObject({ flowsOpened: opened, flowsActive: 5, connectionsActive: 5 });
      await running.node.killWorker(0);
      await until(() => running.node.readiness().ready);
      expect(running.application('app')).toMatchObject({ flowsOpened: opened, flowsClosed: opened, flowsActive: 0, connectionsActive: 0 });
    }
    expect(running.node.counters().workerRestarts).toBe(3);
  });

  it('gives its unix sockets to the one that replaces it', async () => {
    const backend = await server(echo);
    const vip = join(tmpdir(), `bulkhead-${process.pid}-${Date.now()}`);
    const running = await node(backend.port, `"unix:${vip}"`);
    await open(vip, 1);
    await running.node.killWorker(0);
    await until(() => running.node.readiness().ready);
    await open(vip, 1);
    expect(running.node.counters().workerRestarts).toBe(1);
  });

  it('in the middle of a swap does not keep the policy from coming into force', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(backend.port, `127.0.0.1:${port}`);
    const flows = await open(port, 20);
    const swap = running.apply(`
version: 1
pools: { p: { servers: [127.0.0.1:${backend.port}] } }
applications: { app: { vips: [127.0.0.1:${port}], mode: tcp, pool: p, rules: [{ name: nobody, from: [127.0.0.9], action: allow }] } }
`);
    void running.node.killWorker(1);
    expect(await swap).toMatchObject({ ok: true });
    await until(() => running.application('app').flowsActive === 0 && running.application('app').connectionsActive === 0);
    expect(running.application('app')).toMatchObject({ flowsOpened: 20, flowsClosed: 20 });
    for (const flow of flows) await flow.over;
    expect(await client(port).over).toBe('ECONNRESET');
  });
});

describe('leaving', () => {
  it('lets flows finish, takes no new ones, and ends at once when all have', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(backend.port, `127.0.0.1:${port}`);
    const [flow] = await open(port, 1);
    const startedAt = performance.now();
    const left = running.stop(10_000);
    await until(async () => (await client(port).over) === 'ECONNREFUSED');
    flow!.socket.end('b');
    expect(await flow!.bytes(2)).toBe('ab');
    expect(await left).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    stops.pop();
  });

  it('is bounded: what is still open then is reset, counted and recorded', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(backend.port, `127.0.0.1:${port}`);
    const flows = await open(port, 6);
    const startedAt = performance.now();
    expect(await running.stop(200)).toBe(6);
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    for (const flow of flows) expect(await flow.over).toBe('ECONNRESET');
    expect(running.application('app')).toMatchObject({ flowsOpened: 6, flowsClosed: 6, connectionsActive: 0 });
    stops.pop();
  });
});

describe('accounts', () => {
  it('add up under churn with resets: opened = closed + live, never negative, and exact over two workers at rest', async () => {
    const backend = await server((socket) => {
      socket.pipe(socket);
      if (Math.random() < 0.3) setTimeout(() => socket.resetAndDestroy(), Math.random() * 10);
    });
    const port = await freePort();
    const running = await node(backend.port, `127.0.0.1:${port}`);
    let negative = 0;
    let watching = true;
    const watch = (async () => {
      while (watching) {
        const { flowsActive, connectionsActive } = running.application('app');
        if (flowsActive < 0 || connectionsActive < 0) negative++;
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    for (let round = 0; round < 15; round++) {
      await Promise.all(
        Array.from({ length: 60 }, async () => {
          const one = client(port);
          one.socket.write('x');
          const pick = Math.random();
          if (pick < 0.3) setTimeout(() => one.socket.resetAndDestroy(), Math.random() * 5);
          else if (pick < 0.6) setTimeout(() => one.socket.end(), Math.random() * 5);
          else setTimeout(() => one.socket.destroy(), Math.random() * 5);
          await new Promise((resolve) => one.socket.on('close', resolve));
        }),
      );
    }
    await until(() => running.application('app').connectionsActive === 0);
    watching = false;
    await watch;
    expect(negative).toBe(0);
    const { flowsOpened, flowsClosed, flowsActive, flowDuration } = running.application('app');
    expect([flowsOpened - flowsClosed, flowsActive]).toEqual([0, 0]);
    expect(flowDuration.counts.reduce((sum, count) => sum + count, 0)).toBe(flowsClosed);
    expect(running.node.counters().rules.reduce((sum, rule) => sum + rule.allow + rule.deny, 0)).toBe(flowsOpened);
    expect(flowsToServer(running)).toBe(0);
    const [dials] = running.node.servers().map((one) => one.dials);
    expect(Object.values(dials!).reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(flowsOpened - 100);
    const counts = running.node.counters().journal;
    await running.node.recentFlows(1, false);
    expect(running.node.counters().journal.written + counts.dropped).toBeGreaterThanOrEqual(flowsOpened);
  });

  it('in-flight counts of a server are exact over two workers', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(backend.port, `127.0.0.1:${port}`);
    const flows = await open(port, 50);
    expect(flowsToServer(running)).toBe(50);
    for (const flow of flows.slice(0, 20)) flow.socket.destroy();
    await until(() => running.application('app').flowsActive === 30);
    expect(flowsToServer(running)).toBe(30);
    expect((await running.node.liveFlows(100)).length).toBe(30);
  });
});

it('10,000 connections opened and aborted leave no descriptor and no memory behind', async () => {
  const backend = await server((socket) => {
    socket.on('data', (data) => socket.write(data));
    socket.on('end', () => socket.end());
  });
  const port = await freePort();
  const running = await node(backend.port, `127.0.0.1:${port}`);
  const abort = async (count: number) => {
    for (let done = 0; done < count; done += 100) {
      await Promise.all(
        Array.from({ length: 100 }, (_, i) => {
          const one = client(port);
          one.socket.on('connect', () => {
            if (i % 3 === 0) one.socket.resetAndDestroy();
            else if (i % 3 === 1) one.socket.write('x', () => one.socket.resetAndDestroy());
            else one.socket.write('x', () => one.socket.destroy());
          });
          return new Promise((resolve) => one.socket.on('close', resolve));
        }),
      );
      backend.sockets.length = 0;
    }
    await until(() => running.application('app').connectionsActive === 0);
  };
  await abort(1_000);
  await untilDescriptors(199);
  const before = { descriptors: descriptorCount(), bytes: process.memoryUsage.rss() };
  await abort(9_000);
  await untilDescriptors(before.descriptors + 2);
  // The clients and servers of the test live in this process too, and leave garbage of their own.
  expect(process.memoryUsage.rss() - before.bytes).toBeLessThan(96 << 20);
  expect(running.application('app').flowsActive).toBe(0);
  expect(flowsToServer(running)).toBe(0);
}, 60_000);
