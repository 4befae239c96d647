/** Servers by name are asked for their name: by health checks, and in TLS. */
import { readFileSync } from 'node:fs';
import { createServer as createWeb } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { client } from '../relay/client.ts';
import { startNameServer } from '../sources/dns-server.ts';
import { Authority } from '../tls/authority.ts';
import { freePort, type RunningNode, startNode, until } from './harness.ts';

const NAME = 'web.internal';
const stops: (() => unknown)[] = [];
let authority: Authority;
beforeAll(() => {
  authority = new Authority();
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});
afterAll(() => authority.remove());

interface Seen {
  readonly host: string | undefined;
  readonly name: unknown;
}

/** A node before a web server at 127.0.0.1 under a name, with TLS where a certificate for these names is given. */
async function start(
  pool: string,
  certified: readonly string[] | null,
): Promise<{ running: RunningNode; vip: number; port: number; seen: Seen[] }> {
  const seen: Seen[] = [];
  const answer: Parameters<typeof createWeb>[1] = (request, response) => {
    seen.push({ host: request.headers.host, name: (request.socket as TLSSocket).servername });
    response.end('served');
  };
  const issued = certified === null ? null : authority.issue({ names: certified });
  const web =
    issued === null ? createWeb(answer) : createServer({ cert: readFileSync(issued.certificate), key: readFileSync(issued.key) }, answer);
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    web.closeAllConnections();
    web.close();
  });
  const { port } = web.address() as AddressInfo;
  const names = await startNameServer();
  stops.push(() => names.close());
  names.zone.set(NAME, { addresses: ['127.0.0.1'], ttl: 300 });
  const vip = await freePort();
  const running = await startNode(`
version: 1
process: { workers: 1, resolvers: ["${names.text}"] }
pools: { web: { servers: [${NAME}:${port}], ${pool} } }
applications: { app: { vips: [127.0.0.1:${vip}], mode: http, pool: web, rules: [{ name: all, action: allow }] } }
`);
  stops.push(() => running.stop());
  return { running, vip, port, seen };
}

async function status(vip: number): Promise<string> {
  const one = client(vip);
  one.socket.write('GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n');
  await one.over;
  return one.text().slice(9, 12);
}

const CHECK = 'health: { type: http, interval: 20ms, timeout: 1s }';

it('checks say the name and its port as Host; requests keep what their client said', async () => {
  const { running, vip, port, seen } = await start(CHECK, null);
  await until(() => running.node.servers()[0]!.checkDetail === 'HTTP 200');
  expect(new Set(seen.map(({ host }) => host))).toEqual(new Set([`${NAME}:${port}`]));
  expect(await status(vip)).toBe('200');
  expect(seen.map(({ host }) => host)).toContain('shop.example');
});

it.each([
  { what: 'its name', pool: () => `verify: ${authority.ca}`, certified: [`DNS:${NAME}`], name: NAME, up: true },
  { what: 'its address alone', pool: () => `verify: ${authority.ca}`, certified: ['IP:127.0.0.1'], name: NAME, up: false },
  { what: 'another name', pool: () => `verify: ${authority.ca}`, certified: ['DNS:other.internal'], name: NAME, up: false },
  {
    what: 'the name that the pool says',
    pool: () => `verify: ${authority.ca}, sni: other.internal`,
    certified: ['DNS:other.internal'],
    name: 'other.internal',
    up: true,
  },
  { what: 'anything, where nobody asks', pool: () => 'verify: off', certified: ['DNS:x'], name: NAME, up: true },
])('a certificate for $what: up is $up', async ({ pool, certified, name, up }) => {
  const { running, vip, seen } = await start(`tls: { ${pool()} }, ${CHECK}`, certified);
  await until(() => running.node.servers()[0]!.checkDetail !== 'not checked yet' && running.node.servers()[0]!.up === up);
  expect(await status(vip)).toBe(up ? '200' : '503');
  expect(seen.every((one) => one.name === name)).toBe(true);
  expect(seen.length > 0).toBe(up);
});

it('a certificate without the name is not believed by flows either', async () => {
  const { vip, seen } = await start(`tls: { verify: ${authority.ca} }`, ['IP:127.0.0.1']);
  expect(await status(vip)).toBe('502');
  expect(seen).toHaveLength(0);
});
