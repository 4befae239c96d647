import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { client } from '../relay/client.ts';
import { freePort, type RunningNode, startNode, startServer, until } from './harness.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function node(ports: number[], health: string, vip: number, more = 'retries: { attempts: 0 }, ejection: off'): Promise<RunningNode> {
  const running = await startNode(file(ports, health, vip, more));
  stops.push(() => running.stop());
  return running;
}

const file = (ports: number[], health: string, vip: number, more = 'retries: { attempts: 0 }, ejection: off') => `
version: 1
process: { workers: 1 }
pools: { p: { servers: [${ports.map((port) => `127.0.0.1:${port}`).join(', ')}], ${health}${more} } }
applications: { app: { vips: [127.0.0.1:${vip}], mode: tcp, pool: p, rules: [{ name: all, action: allow }] } }
`;

/** An HTTP server that answers checks with what `answer` says; 0: not at all. */
async function web(
  answer: (request: IncomingMessage, count: number) => number,
): Promise<{ port: number; server: Server; count: () => number }> {
  const port = await freePort();
  let count = 0;
  const server = createServer((request, response) => {
    const status = answer(request, count++);
    if (status > 0) response.writeHead(status).end();
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  stops.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port, server, count: () => count };
}

const state = (running: RunningNode, index = 0) => running.node.servers()[index]!;

describe('active checks', () => {
  it('tcp: down after failures in a row, up after successes in a row, and flows follow', async () => {
    let backend = await startServer((socket) => void socket.pipe(socket));
    const port = backend.port;
    const vip = await freePort();
    const running = await node([port], 'health: { type: tcp, interval: 20ms, timeout: 100ms, rise: 2, fall: 3 }, ', vip);
    await until(() => state(running).checkDetail === 'connected');
    expect(state(running).up).toBe(true);
    await backend.close();
    await until(() => !state(running).up);
    expect(state(running).checkDetail).toBe('ECONNREFUSED');
    expect(await client(vip).over).toBe('ECONNRESET');
    expect((await running.records(1))[0]).toMatchObject({ reason: 'no server available' });
    backend = await startServer((socket) => void socket.pipe(socket), port);
    stops.push(() => backend.close());
    await until(() => state(running).up);
    const one = client(vip);
    one.socket.end('x');
    expect(await one.bytes(1)).toBe('x');
    expect(running.logged.map((line) => line.message)).toEqual(expect.arrayContaining(['server is down', 'server is up']));
  });

  it('http: asks as told, and counts what is expected only', async () => {
    const asked: string[] = [];
    const backend = await web((request) => {
      asked.push(`${request.method} ${request.url} ${request.headers.host}`);
      return 404;
    });
    const health = 'health: { type: http, path: /ready?x=1, host: shop.example, expect: [200-204, 404], interval: 20ms, timeout: 500ms }, ';
    const running = await node([backend.port], health, await freePort());
    await until(() => asked.length > 2);
    expect(asked[0]).toBe('GET /ready?x=1 shop.example');
    expect(state(running)).toMatchObject({ up: true, checkDetail: 'HTTP 404' });
  });

  it.each([
    ['a wrong status', 503, 'HTTP 503'],
    ['no answer in time', 0, 'timed out'],
  ])('http: %s takes the server out', async (_name, status, detail) => {
    const backend = await web(() => status);
    const running = await node([backend.port], 'health: { type: http, interval: 20ms, timeout: 60ms }, ', await freePort());
    await until(() => !state(running).up);
    expect(state(running).checkDetail).toBe(detail);
  });

  it('fall and rise count results in a row; a single other one starts them anew', async () => {
    // After the first: two bad ones and a good one, for ever. fall: 3 is never reached.
    const backend = await web((_, count) => (count % 3 === 0 ? 200 : 500));
    const running = await node(
      [backend.port],
      'health: { type: http, interval: 10ms, timeout: 500ms, fall: 3, rise: 1 }, ',
      await freePort(),
    );
    await until(() => backend.count() > 15);
    expect(state(running).up).toBe(true);
    expect(running.logged.some((line) => line.message === 'server is down')).toBe(false);
  });

  it('come at their interval, not all at one time', async () => {
    const times: number[][] = [[], [], []];
    const backends = await Promise.all(times.map((list) => web(() => list.push(performance.now()) && 200)));
    await node(
      backends.map((backend) => backend.port),
      'health: { type: http, interval: 50ms, timeout: 500ms }, ',
      await freePort(),
    );
    await until(() => times.every((list) => list.length > 12));
    for (const list of times) {
      const mean = (list[12]! - list[0]!) / 12;
      expect(mean).toBeGreaterThan(40);
      expect(mean).toBeLessThan(110);
    }
  });

  it('with new settings go on from what is known: a server that is down stays down until a check says otherwise, then comes up', async () => {
    let healthy = false;
    const backend = await web(() => (healthy ? 200 : 500));
    const vip = await freePort();
    const health = 'health: { type: http, interval: 1h, timeout: 500ms }, ';
    const running = await node([backend.port], health, vip);
    await until(() => !state(running).up);
    // The new check sees nothing but success.
    healthy = true;
    await running.apply(file([backend.port], health.replace('1h', '20ms'), vip));
    expect(state(running).up).toBe(false);
    await until(() => state(running).up);
  });

  it('that are taken out of the file leave the server up', async () => {
    const backend = await web(() => 500);
    const vip = await freePort();
    const running = await node([backend.port], 'health: { type: http, interval: 20ms, timeout: 500ms }, ', vip);
    await until(() => !state(running).up);
    await running.apply(file([backend.port], '', vip));
    expect(state(running)).toMatchObject({ up: true, checkDetail: 'no check' });
  });
});

it('ejection: a server that fails in a row takes no new flows for a while, then again', async () => {
  const good = await startServer((socket) => void socket.pipe(socket));
  stops.push(() => good.close());
  const bad = await freePort();
  const vip = await freePort();
  const running = await node([bad, good.port], '', vip, 'retries: { attempts: 1, budget: 100% }, ejection: { failures: 2, for: 1s }');
  const ask = async () => {
    const one = client(vip);
    one.socket.end('x');
    expect(await one.bytes(1)).toBe('x');
  };
  for (let i = 0; i < 12; i++) await ask();
  expect(state(running).dials.refused).toBe(2);
  expect(state(running).ejectedUntil).toBeGreaterThan(Date.now());
  expect(state(running, 1).dials.connected).toBe(12);
  await until(() => state(running).ejectedUntil === 0);
  // A worker reads the time once a tick, so it may see the end of it a little later.
  await until(async () => {
    await ask();
    return state(running).dials.refused > 2;
  });
});
