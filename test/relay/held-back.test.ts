/** Flows that are held back by `limits.bytes` for longer than their peers may be silent: it is our silence, and no timeout of theirs. */
import type { Socket } from 'node:net';
import { afterAll, beforeAll, it } from 'vitest';
import { FLAG, frame, RawClient, request, TYPE } from '../h2/frames.ts';
import { freePort, type RunningNode, startNode, startServer, type TestServer, until } from '../node/harness.ts';
import { client } from './client.ts';

/** At 32 KiB a second this takes three seconds more than there are at first, where all peers may be silent for one. */
const LARGE = Buffer.alloc(128 * 1024, 'x');
const LAST = 'last';
const SIZE = LARGE.length + LAST.length;
const UPGRADE = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const HEAD_END = '\r\n\r\n';
const KINDS = ['tcp', 'tunnel', 'tunnel2', 'upload', 'download'] as const;
type Kind = (typeof KINDS)[number];

const servers: TestServer[] = [];
const vips = {} as Record<Kind, number>;
const got = {} as Record<Kind, string>;
let node: RunningNode;

/** Notes what comes behind the head, where there is one, and answers it. */
function serve(kind: Kind, socket: Socket): void {
  let text = '';
  let begun = kind === 'tcp';
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
    if (!begun && text.includes(HEAD_END)) {
      begun = true;
      text = text.slice(text.indexOf(HEAD_END) + HEAD_END.length);
      if (kind === 'tunnel' || kind === 'tunnel2') socket.write(SWITCHED);
      if (kind === 'download') {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`);
        socket.write(Buffer.concat([LARGE, Buffer.from(LAST)]));
      }
    }
    if (begun) got[kind] = text;
  });
}

beforeAll(async () => {
  for (const kind of KINDS) {
    got[kind] = '';
    vips[kind] = await freePort();
    servers.push(await startServer((socket) => serve(kind, socket)));
  }
  const application = (kind: Kind) => `
  ${kind}:
    vips: [127.0.0.1:${vips[kind]}]
    mode: ${kind === 'tcp' ? 'tcp' : 'http'}
    pool: ${kind}
    timeouts: { idle: 1s, request-body: 1s, response: 1s }
    rules: [{ name: all, action: allow, limits: { bytes: 32KiB/s, per: all } }]`;
  node = await startNode(`
version: 1
process: { workers: 1 }
pools:
${KINDS.map((kind, i) => `  ${kind}: { servers: [127.0.0.1:${servers[i]!.port}] }`).join('\n')}
applications: ${KINDS.map(application).join('')}
`);
});

afterAll(async () => {
  await node.stop();
  for (const server of servers) await server.close();
});

it.concurrent('a TCP flow goes on', async () => {
  const { socket } = client(vips.tcp);
  socket.write(LARGE);
  await until(() => got.tcp.length === LARGE.length);
  socket.write(LAST);
  await until(() => got.tcp.length === SIZE);
  socket.destroy();
});

it.concurrent('an upgraded connection goes on', async () => {
  const { socket, text } = client(vips.tunnel);
  socket.write(UPGRADE);
  await until(() => text().startsWith('HTTP/1.1 101'));
  socket.write(LARGE);
  await until(() => got.tunnel.length === LARGE.length);
  socket.write(LAST);
  await until(() => got.tunnel.length === SIZE);
  socket.destroy();
});

it.concurrent('a WebSocket on a stream of HTTP/2 goes on', async () => {
  const one = await RawClient.open(vips.tunnel2);
  const fields = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': '/', ':authority': 'a' };
  one.send(request(1, [...Object.entries(fields), ['sec-websocket-version', '13']], false));
  await until(() => one.field(1, ':status') === '200');
  for (let at = 0; at < LARGE.length; at += 16_384) one.send(frame(TYPE.data, 0, 1, LARGE.subarray(at, at + 16_384)));
  // All that has come by then is passed on at once, and owed.
  await until(() => got.tunnel2.length === LARGE.length);
  one.send(frame(TYPE.data, FLAG.endStream, 1, LAST));
  await until(() => got.tunnel2.length === SIZE);
  one.close();
});

it.concurrent('an upload goes on', async () => {
  const { socket } = client(vips.upload);
  socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${SIZE}\r\n\r\n`);
  socket.write(LARGE);
  socket.write(LAST);
  await until(() => got.upload.length === SIZE);
  socket.destroy();
});

it.concurrent('a download goes on', async () => {
  const { socket, text } = client(vips.download);
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => text().endsWith(LAST));
  socket.destroy();
});
