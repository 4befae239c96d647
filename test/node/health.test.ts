import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { type Chance, Health } from '../../proxy/node/health.ts';
import { ServerTable } from '../../proxy/shared/servers.ts';
import type { ClientMaterial } from '../../proxy/tls/material.ts';
import { client } from '../relay/client.ts';
import { documentOf, freePort, type RunningNode, startNode, startServer, until } from './harness.ts';

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
    const running = await node([port], 'health: { type: tcp, interval: 20ms, timeout: 20s, rise: 2, fall: 3 }, ', vip);
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
    const health = 'health: { type: http, path: /ready?x=1, host: shop.example, expect: [200-204, 404], interval: 20ms, timeout: 20s }, ';
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
      'health: { type: http, interval: 10ms, timeout: 20s, fall: 3, rise: 1 }, ',
      await freePort(),
    );
    await until(() => backend.count() > 15);
    expect(state(running).up).toBe(true);
    expect(running.logged.some((line) => line.message === 'server is down')).toBe(false);
  });

  it('come at their interval, each a little earlier or later', async () => {
    const backend = await startServer((socket) => socket.end());
    stops.push(() => backend.close());
    const chances = [0, 0.5, 0.999, 0.25];
    const waits: { milliseconds: number; run: () => void }[] = [];
    const chance: Chance = {
      random: () => chances.shift()!,
      later(run, milliseconds) {
        waits.push({ milliseconds, run });
        return setTimeout(() => undefined, 0);
      },
    };
    const servers = new ServerTable(1);
    const health = new Health(servers, { rowOf: () => 0 }, () => null, { changed: () => undefined }, chance);
    stops.push(() => health.stop());
    health.watch(documentOf(file([backend.port], 'health: { type: tcp, interval: 40ms, timeout: 20s }, ', await freePort())));
    // Each begins the next one only when its turn has come.
    for (let check = 0; check < 4; check++) {
      expect(waits).toHaveLength(check + 1);
      waits[check]!.run();
      await until(() => waits.length === check + 2);
      await until(() => backend.sockets.length === check + 1);
    }
    expect(waits.map(({ milliseconds }) => Math.round(milliseconds))).toEqual([0, 36, 40, 44, 38]);
  });

  it('with new settings go on from what is known: a server that is down stays down until a check says otherwise, then comes up', async () => {
    let healthy = false;
    const backend = await web(() => (healthy ? 200 : 500));
    const vip = await freePort();
    const health = 'health: { type: http, interval: 1h, timeout: 20s }, ';
    const running = await node([backend.port], health, vip);
    await until(() => !state(running).up);
    // The new check sees nothing but success.
    healthy = true;
    await running.apply(file([backend.port], health.replace('1h', '20ms'), vip));
    expect(state(running).up).toBe(false);
    await until(() => state(running).up);
  });

  const MATERIAL: ClientMaterial = { id: 'new', ca: null, verifies: false, sni: null, certificate: null, key: null, alpn: [] };
  it.each<[string, ClientMaterial | null, string]>([
    ['files of TLS to the servers', MATERIAL, '/'],
    ['the path that is asked for', null, '/missing'],
  ])('that change take a server away after as many failures in a row as before: %s', async (_, changed, path) => {
    const backend = await web(({ url }) => (url === '/' ? 200 : 500));
    const vip = await freePort();
    const waits: (() => void)[] = [];
    const later: Chance['later'] = (run) => {
      waits.push(run);
      return setTimeout(() => undefined, 0);
    };
    let tls: ClientMaterial | null = null;
    const servers = new ServerTable(1);
    const health = new Health(servers, { rowOf: () => 0 }, () => tls, { changed: () => undefined }, { random: () => 0.5, later });
    stops.push(() => health.stop());
    const watch = (asked: string, interval: string) =>
      health.watch(
        documentOf(file([backend.port], `health: { type: http, path: ${asked}, interval: ${interval}, timeout: 20s, fall: 3 }, `, vip)),
      );
    const check = async () => {
      const before = waits.length;
      waits.at(-1)!();
      await until(() => waits.length > before);
      return servers.up(0);
    };
    watch('/', '40ms');
    expect(await check()).toBe(true);
    tls = changed;
    watch(path, '40ms');
    expect([await check(), await check()]).toEqual([true, true]);
    // What was found before a change counts on after it.
    watch(path, '50ms');
    expect(await check()).toBe(false);
  });

  it('that are taken out of the file leave the server up', async () => {
    const backend = await web(() => 500);
    const vip = await freePort();
    const running = await node([backend.port], 'health: { type: http, interval: 20ms, timeout: 20s }, ', vip);
    await until(() => !state(running).up);
    await running.apply(file([backend.port], '', vip));
    expect(state(running)).toMatchObject({ up: true, checkDetail: 'no check' });
  });
});

describe('ejection', () => {
  async function ejecting(time: string): Promise<{ running: RunningNode; ask: () => Promise<void> }> {
    const good = await startServer((socket) => void socket.pipe(socket));
    stops.push(() => good.close());
    const vip = await freePort();
    const settings = `retries: { attempts: 1, budget: 100% }, ejection: { failures: 2, for: ${time} }`;
    const running = await node([await freePort(), good.port], '', vip, settings);
    const ask = async () => {
      const one = client(vip);
      one.socket.end('x');
      expect(await one.bytes(1)).toBe('x');
    };
    return { running, ask };
  }

  it('a server that fails in a row takes no new flows for a while', async () => {
    const { running, ask } = await ejecting('1h');
    for (let i = 0; i < 12; i++) await ask();
    expect(state(running).dials.refused).toBe(2);
    expect(state(running).ejectedUntil).toBeGreaterThan(Date.now());
    expect(state(running, 1).dials.connected).toBe(12);
  });

  it('and then again', async () => {
    const { running, ask } = await ejecting('100ms');
    // A worker reads the time once a tick, so it may see the end of it a little later.
    await until(async () => {
      await ask();
      return state(running).dials.refused > 2;
    });
  });
});
