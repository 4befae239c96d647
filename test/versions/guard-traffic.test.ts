/** Guards on real traffic: a change whose servers go bad is taken back by itself, and what rose is named. */
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { freePort, until } from '../node/harness.ts';
import { type Controlled, startControlled } from './controlled.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** A web server that answers with what `status` says at the time. */
async function web(status: () => number): Promise<number> {
  const server = createServer((_request, response) => response.writeHead(status()).end()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stops.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Requests one after another from four clients, until the test is over. */
function traffic(vip: number): { answers: number[]; stop: () => Promise<void> } {
  const answers: number[] = [];
  let going = true;
  const agent = new Agent({ keepAlive: true });
  const ask = () =>
    new Promise<void>((resolve) => {
      const asked = request({ port: vip, host: '127.0.0.1', agent, path: '/x' }, (response) => {
        answers.push(response.statusCode!);
        response.resume().once('end', () => resolve());
      });
      // A client that is cut off comes again.
      asked.once('error', () => resolve());
      asked.end();
    });
  const clients = Array.from({ length: 4 }, async () => {
    while (going) {
      await ask();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  const stop = async () => {
    going = false;
    await Promise.all(clients);
    agent.destroy();
  };
  stops.push(stop);
  return { answers, stop };
}

const file = (vip: number, servers: number[], rules = '{ name: all, action: allow }') => `
version: 1
process: { workers: 1 }
pools: { web: { servers: [${servers.map((port) => `127.0.0.1:${port}`).join(', ')}], retries: { attempts: 0 }, ejection: off } }
applications: { shop: { vips: [127.0.0.1:${vip}], mode: http, pool: web, rules: [${rules}] } }
`;

const GUARD = { rise: 0.1, forMs: 20_000 };

async function start(yaml: string): Promise<Controlled> {
  const node = await startControlled(yaml);
  stops.push(() => node.stop());
  return node;
}

const reverted = (node: Controlled) => node.events.find(({ kind }) => kind === 'reverted');
const guarded = (node: Controlled) => node.events.find(({ kind }) => kind === 'guarded')!.detail;

it('takes back a change to a server that answers 5xx, and says whose answers they are', async () => {
  const [good, bad, vip] = [await web(() => 200), await web(() => 500), await freePort()];
  const node = await start(file(vip, [good]));
  const { answers } = traffic(vip);
  await until(() => answers.length > 40);
  const outcome = await node.apply(file(vip, [bad]), { guard: GUARD });
  expect(outcome).toMatchObject({ ok: true, version: 2 });
  await until(() => reverted(node) !== undefined, 10_000);
  expect(guarded(node)).toMatch(/^5xx answers rose from 0\.0% to \d+\.\d% of requests .*, most of them of application shop$/);
  expect(reverted(node)!.detail).toContain('back to version 1');
  const since = answers.length;
  await until(() => answers.length > since + 20);
  expect(new Set(answers.slice(since + 8))).toEqual(new Set([200]));
  expect(node.node.policy().document.pools[0]!.servers[0]!.endpoint.text).toBe(`127.0.0.1:${good}`);
});

it('takes back a change to a server that nobody listens behind, and says which', async () => {
  const [good, vip, dead] = [await web(() => 200), await freePort(), await freePort()];
  const node = await start(file(vip, [good]));
  const { answers } = traffic(vip);
  await until(() => answers.length > 40);
  expect(await node.apply(file(vip, [good, dead]), { guard: GUARD })).toMatchObject({ ok: true });
  await until(() => reverted(node) !== undefined, 10_000);
  expect(guarded(node)).toMatch(new RegExp(`^dial failures rose from .* of dials .*, most of them of server web/127\\.0\\.0\\.1:${dead}$`));
});

it('takes back a change that denies what was allowed, and says by which rule', async () => {
  const [good, vip] = [await web(() => 200), await freePort()];
  const node = await start(file(vip, [good]));
  const { answers } = traffic(vip);
  await until(() => answers.length > 40);
  const rules = '{ name: none, http: { paths: [/x] }, action: deny }, { name: all, action: allow }';
  expect(await node.apply(file(vip, [good], rules), { guard: GUARD })).toMatchObject({ ok: true });
  await until(() => reverted(node) !== undefined, 10_000);
  expect(guarded(node)).toMatch(/^denials rose from 0\.0% to .* of flows .*, most of them of rule shop\/none$/);
});

it('notices a server that goes bad only some time after the change', async () => {
  let status = 200;
  const [good, later, vip] = [await web(() => 200), await web(() => status), await freePort()];
  const node = await start(file(vip, [good]));
  const { answers } = traffic(vip);
  await until(() => answers.length > 40);
  expect(await node.apply(file(vip, [later]), { guard: GUARD })).toMatchObject({ ok: true });
  const applied = answers.length;
  await until(() => answers.length > applied + 40);
  expect(reverted(node)).toBeUndefined();
  status = 503;
  await until(() => reverted(node) !== undefined, 10_000);
  expect(guarded(node)).toMatch(/^5xx answers rose/);
});

it('leaves a change alone whose servers are as good as those before', async () => {
  const [good, other, vip] = [await web(() => 200), await web(() => 204), await freePort()];
  const node = await start(file(vip, [good]));
  const { answers } = traffic(vip);
  await until(() => answers.length > 40);
  expect(await node.apply(file(vip, [other]), { guard: { rise: 0.1, forMs: 1_500 } })).toMatchObject({ ok: true });
  const applied = performance.now();
  await until(() => performance.now() - applied > 2_600);
  expect(reverted(node)).toBeUndefined();
  expect(answers.slice(-4)).toEqual([204, 204, 204, 204]);
});
