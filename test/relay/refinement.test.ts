/** Rules of an application of bytes that tell a WebSocket from HTTP, and gRPC from HTTP/2. */
import { afterEach, expect, it } from 'vitest';
import { freePort, startNode, startServer } from '../node/harness.ts';
import { client } from './client.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const UPGRADE = 'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n';
const PLAIN = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const HALF = 'GET / HTTP/1.1\r\nHost: a\r\n';
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const SETTINGS = '\0\0\0\x04\0\0\0\0\0';
const BLOCK = '\x83\x0f\x10\x10application/grpc';
const GRPC = `${PREFACE}${SETTINGS}\0\0${String.fromCharCode(BLOCK.length)}\x01\x04\0\0\0\x01${BLOCK}`;

it.each([
  ['[websocket]', UPGRADE, true, 'websocket'],
  ['[websocket]', PLAIN, false, 'http'],
  ['[websocket]', HALF, false, 'http'],
  ['[http]', HALF, true, 'http'],
  ['[grpc]', GRPC, true, 'grpc'],
  ['[grpc]', `${PREFACE}${SETTINGS}`, false, 'h2'],
  // A client that waits for the server's settings is not kept waiting where nothing depends on what it will ask for.
  ['[h2]', PREFACE, true, 'h2'],
])('rules for %s, first bytes %j: allowed %s, as %s', async (protocols, first, allowed, protocol) => {
  const server = await startServer((socket) => void socket.pipe(socket));
  stops.push(() => server.close());
  const port = await freePort();
  const running = await startNode(`
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${server.port}] } }
applications:
  app: { vips: [127.0.0.1:${port}], mode: tcp, pool: p, timeouts: { detect: 300ms }, rules: [{ name: r, protocols: ${protocols}, action: allow }] }
`);
  stops.push(() => running.stop());
  const one = client(port);
  one.socket.write(first, 'latin1');
  const text = await one.bytes(first.length);
  if (allowed) expect(text).toBe(first);
  one.socket.destroy();
  expect(await running.records(1)).toMatchObject([{ protocol, verdict: allowed ? 'allow' : 'deny' }]);
});
