/** What a crowd of hostile clients leaves behind: nothing. Garbage on ports of TLS, TLS on ports of everything else, and clients that go in the middle. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer, type Socket } from 'node:net';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { descriptorCount, untilDescriptors } from '../node/descriptors.ts';
import { freePort, type RunningNode, startNode, until } from '../node/harness.ts';
import { Authority, type Issued } from './authority.ts';
import { ask, dial, pairs } from './edge.ts';

const APPLICATIONS = ['shop', 'clear', 'bytes'] as const;
const AT_ONCE = 200;
const WARM_UP = 2_000;
const CROWD = 8_000;
const GROWTH_BYTES_MAX = 60 * 1024 * 1024;

let authority: Authority;
let shop: Issued;
let web: Server;
let at: RunningNode;
let hello: Buffer;
const ports: Record<(typeof APPLICATIONS)[number], number> = { shop: 0, clear: 0, bytes: 0 };

beforeAll(async () => {
  authority = new Authority();
  shop = authority.issue({ names: ['DNS:shop.example.com'] });
  web = createServer((_request, response) => response.end('served'));
  web.on('clientError', (_error, socket) => socket.destroy());
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  for (const name of APPLICATIONS) ports[name] = await freePort();
  at = await startNode(`
version: 1
process: { workers: 2 }
pools: { web: { servers: ["127.0.0.1:${(web.address() as AddressInfo).port}"] } }
applications:
  shop: { vips: ["127.0.0.1:${ports.shop}"], mode: http, pool: web, tls: { certificates: [${pairs(shop)}], alpn: [] }, rules: [{ name: all, action: allow }], timeouts: { handshake: 300ms } }
  clear: { vips: ["127.0.0.1:${ports.clear}"], mode: http, pool: web, rules: [{ name: all, action: allow }], timeouts: { request-head: 300ms } }
  bytes: { vips: ["127.0.0.1:${ports.bytes}"], mode: tcp, pool: web, rules: [{ name: http, protocols: [http], action: allow }], timeouts: { idle: 1s } }
`);
  hello = await helloOfNode();
});

afterAll(async () => {
  await at.stop();
  web.close();
  web.closeAllConnections();
  authority.remove();
});

/** What a client really says first. */
async function helloOfNode(): Promise<Buffer> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const come = once(server, 'connection');
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', servername: 'shop.example.com' });
  client.on('error', () => undefined);
  const [socket] = (await come) as [Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  server.close();
  return bytes;
}

/** Says it, and goes: in order, with a reset, or once the node has answered or had enough. */
function visit(port: number, bytes: Buffer, end: 'close' | 'reset' | 'wait'): Promise<void> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.once('close', () => resolve());
    socket.once('data', () => setImmediate(() => socket.destroy()));
    socket.write(bytes, () => {
      if (end === 'close') setImmediate(() => socket.destroy());
      else if (end === 'reset') setImmediate(() => socket.resetAndDestroy());
    });
  });
}

it('leaves no connection, no session, no descriptor and no memory behind', async () => {
  const changed = Buffer.from(hello).fill(0xff, hello.length - 40, hello.length - 20);
  const kinds: readonly { to: keyof typeof ports; bytes: Buffer; waits: boolean }[] = [
    { to: 'shop', bytes: Buffer.from('noise\r\n'), waits: true },
    { to: 'shop', bytes: Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'), waits: true },
    { to: 'shop', bytes: hello, waits: true },
    { to: 'shop', bytes: hello.subarray(0, 20), waits: false },
    { to: 'shop', bytes: hello.subarray(0, hello.length - 1), waits: false },
    { to: 'shop', bytes: Buffer.concat([hello, Buffer.alloc(3_000, 23)]), waits: true },
    { to: 'shop', bytes: changed, waits: true },
    { to: 'shop', bytes: Buffer.from('160301000501000001ff', 'hex'), waits: true },
    { to: 'shop', bytes: Buffer.alloc(3_000, 22), waits: true },
    { to: 'clear', bytes: hello, waits: true },
    { to: 'clear', bytes: hello.subarray(0, 20), waits: true },
    { to: 'bytes', bytes: hello, waits: true },
    { to: 'bytes', bytes: hello.subarray(0, 5), waits: false },
  ];
  const ends = ['close', 'reset', 'wait'] as const;
  const wave = async (count: number) => {
    for (let sent = 0; sent < count; sent += AT_ONCE) {
      await Promise.all(
        Array.from({ length: AT_ONCE }, (_, i) => {
          const { to, bytes, waits } = kinds[i % kinds.length]!;
          const end = ends[i % ends.length]!;
          return visit(ports[to], bytes, end === 'wait' && !waits ? 'close' : end);
        }),
      );
    }
    await until(() => APPLICATIONS.every((name) => at.application(name).connectionsActive === 0));
  };
  await wave(WARM_UP);
  await until(() => APPLICATIONS.every((name) => at.application(name).flowsActive === 0));
  const descriptors = descriptorCount();
  // What is left behind is so after each crowd; what the collector has not come by for is not.
  let grown = Number.POSITIVE_INFINITY;
  for (let crowds = 0; crowds < 3 && grown >= GROWTH_BYTES_MAX; crowds++) {
    const memory = process.memoryUsage().rss;
    await wave(CROWD);
    grown = process.memoryUsage().rss - memory;
  }
  expect(grown, `${grown} bytes for ${CROWD} connections`).toBeLessThan(GROWTH_BYTES_MAX);
  // Connections to the server that are kept come and go by themselves.
  await untilDescriptors(descriptors + 8);
  for (const name of APPLICATIONS) {
    const { flowsOpened, flowsClosed, flowsActive } = at.application(name);
    expect({ name, flowsActive, flowsOpened }).toEqual({ name, flowsActive: 0, flowsOpened: flowsClosed });
  }
  const counts = Object.fromEntries(at.application('shop').handshakes.map(({ result, count }) => [result, count]));
  expect(counts['full-1.3']! + counts['full-1.2']! + counts['resumed-1.3']! + counts['resumed-1.2']!).toBe(0);
  for (const result of ['not-tls', 'malformed', 'closed', 'failed']) expect(counts[result], result).toBeGreaterThan(0);
  expect(await ask(await dial(ports.shop, authority))).toContain('served');
}, 60_000);
