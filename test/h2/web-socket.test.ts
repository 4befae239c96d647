import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { until } from '../node/harness.ts';
import { FLAG, frame, RawClient, request, TYPE } from './frames.ts';
import { front, startBackend } from './front.ts';

/** A WebSocket text frame, masked or not, of a few bytes. */
function textFrame(payload: string, masked: boolean): Buffer {
  const head = Buffer.from([0x81, payload.length | (masked ? 0x80 : 0)]);
  return Buffer.concat([head, ...(masked ? [Buffer.alloc(4)] : []), Buffer.from(payload)]);
}

const WEBSOCKET = [
  [':method', 'CONNECT'],
  [':protocol', 'websocket'],
  [':scheme', 'http'],
  [':path', '/chat'],
  [':authority', 'shop.test'],
  ['sec-websocket-version', '13'],
] as const;

describe('a WebSocket on a stream (RFC 8441)', () => {
  it('goes to a server of HTTP/1.1 as an upgrade', async () => {
    const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await until(() => sockets.address() !== null);
    sockets.on('connection', (socket) => socket.on('message', (data: Buffer) => socket.send(`heard ${data}`)));
    const { node, port, stop } = await front(
      (sockets.address() as AddressInfo).port,
      'http',
      '{ name: sockets, action: allow, protocols: [websocket] }',
    );
    const client = await RawClient.open(port);
    client.send(request(1, WEBSOCKET, false));
    await until(() => client.field(1, ':status') !== undefined);
    expect([client.field(1, ':status'), client.field(1, 'sec-websocket-accept'), client.field(1, 'upgrade')]).toEqual([
      '200',
      undefined,
      undefined,
    ]);
    client.send(frame(TYPE.data, 0, 1, textFrame('hello', true)));
    await until(() => client.bodies.get(1) === textFrame('heard hello', false).toString('latin1'));
    // An ordinary request beside it is not allowed by that rule.
    client.send(request(3));
    expect(await client.answer(3)).toBe('403');
    client.send(frame(TYPE.data, FLAG.endStream, 1, Buffer.from([0x88, 0x80, 0, 0, 0, 0])));
    await until(() => client.hasEnded(1));
    const [record] = (await node.records(2)).filter(({ path }) => path === '/chat');
    expect(record).toMatchObject({ protocol: 'websocket', method: 'GET', status: 101, verdict: 'allow' });
    client.close();
    await stop();
    sockets.close();
  });

  it('is refused as the server refuses it', async () => {
    const backend = await startBackend();
    const { port, stop } = await front(backend.port);
    const client = await RawClient.open(port);
    client.send(request(1, WEBSOCKET, false));
    expect([await client.answer(1), client.bodies.get(1)]).toEqual(['200', 'now']);
    client.close();
    await stop();
    backend.close();
  });

  it('goes to a server of HTTP/2 as a stream, where the server knows of it', async () => {
    const server = createHttp2Server({ settings: { enableConnectProtocol: true } });
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      stream.on('error', () => undefined);
      stream.respond({ ':status': headers[':protocol'] === 'websocket' ? 200 : 400 });
      stream.on('data', (data: Buffer) => stream.write(data));
      stream.on('end', () => stream.end());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port, stop } = await front((server.address() as AddressInfo).port, 'h2');
    const client = await RawClient.open(port);
    client.send(request(3, WEBSOCKET, false), frame(TYPE.data, 0, 3, 'anything'));
    await until(() => client.bodies.get(3) === 'anything');
    client.send(frame(TYPE.data, FLAG.endStream, 3, ' more'));
    await until(() => client.hasEnded(3));
    expect([client.field(3, ':status'), client.bodies.get(3)]).toEqual(['200', 'anything more']);
    client.close();
    await stop();
    server.close();
  });

  it('is told that it cannot be, where the server knows nothing of it', async () => {
    const server = createHttp2Server();
    server.on('stream', (stream: ServerHttp2Stream) => stream.respond({ ':status': 200 }, { endStream: true }));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port, stop } = await front((server.address() as AddressInfo).port, 'h2');
    const client = await RawClient.open(port);
    client.send(request(1, WEBSOCKET, false));
    expect(await client.answer(1)).toBe('501');
    client.close();
    await stop();
    server.close();
  });
});
