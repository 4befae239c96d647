/** The window of a connection that several uploads share. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode, startServer, type TestServer, until } from '../node/harness.ts';
import { FLAG, frame, POST, RawClient, request, TYPE } from './frames.ts';
import { changed } from './suite.ts';

const FRAME_BYTES = 16 * 1024;
const STREAM_WINDOW = 256 * 1024;
const CONNECTION_WINDOW = 1024 * 1024;

const counting = createServer((asked, answer) => {
  let bytes = 0;
  asked.on('data', (part: Buffer) => (bytes += part.length));
  asked.on('end', () => answer.end(`${bytes}`));
});
/** Never says that it speaks HTTP/2: what is sent to it waits. */
let silent: TestServer;
let node: RunningNode;
let port: number;

beforeAll(async () => {
  await new Promise<void>((resolve) => counting.listen(0, '127.0.0.1', resolve));
  silent = await startServer(() => undefined);
  port = await freePort();
  node = await startNode(`
version: 1
process: { workers: 1 }
pools:
  counting: { servers: [127.0.0.1:${(counting.address() as AddressInfo).port}] }
  silent: { servers: [127.0.0.1:${silent.port}], protocol: h2, idle: { timeout: 60s } }
applications:
  shop:
    vips: [127.0.0.1:${port}]
    mode: http
    pool: counting
    timeouts: { connect: 60s }
    routes: [{ name: waiting, http: { paths: [/wait] }, pool: silent }]
    rules: [{ name: all, action: allow }]
`);
});

afterAll(async () => {
  await node.stop();
  await silent.close();
  counting.close();
});

/** Sums of the windows that were given to a stream, or (0) to the connection, and how often. */
const given = (client: RawClient, stream: number) => {
  const updates = client.frames.filter((one) => one.type === TYPE.window && one.stream === stream);
  return { bytes: updates.reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0), count: updates.length };
};

/** Sends so many bytes as fast as the windows let it; `before` were sent on the connection already. */
async function upload(client: RawClient, stream: number, bytes: number, before: number): Promise<string | undefined> {
  client.send(request(stream, POST, false));
  const room = () => Math.min(65_535 + given(client, 0).bytes - before, STREAM_WINDOW + given(client, stream).bytes);
  for (let sent = 0; sent < bytes; ) {
    const length = Math.min(FRAME_BYTES, bytes - sent);
    await until(() => room() >= sent + length);
    sent += length;
    client.send(frame(TYPE.data, sent === bytes ? FLAG.endStream : 0, stream, Buffer.alloc(length)));
  }
  await client.answer(stream);
  return client.bodies.get(stream);
}

it.each([0, 1, 2, 3])('an upload whose bytes are all taken goes on, though those of %i others wait', async (others) => {
  const client = await RawClient.open(port);
  await until(() => given(client, 0).bytes > 0);
  for (let i = 0; i < others; i++) {
    client.send(request(3 + 2 * i, changed(POST, ':path', '/wait'), false));
    for (let sent = 0; sent < STREAM_WINDOW; sent += FRAME_BYTES) client.send(frame(TYPE.data, 0, 3 + 2 * i, Buffer.alloc(FRAME_BYTES)));
  }
  expect(await upload(client, 99, CONNECTION_WINDOW * 2, others * STREAM_WINDOW)).toBe(`${CONNECTION_WINDOW * 2}`);
  client.close();
});

it('an upload that is taken as it comes is told of its window once for each half of it', async () => {
  const client = await RawClient.open(port);
  await until(() => given(client, 0).bytes > 0);
  const windows = 8;
  expect(await upload(client, 1, windows * CONNECTION_WINDOW, 0)).toBe(`${windows * CONNECTION_WINDOW}`);
  // The first has opened the window.
  expect(given(client, 0).count).toBeLessThanOrEqual(1 + 2 * windows);
  client.close();
});
