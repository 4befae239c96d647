import { connect as connectHttp2, createServer as createHttp2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { freePort, startNode, until } from '../node/harness.ts';
import { ERROR, GET, RawClient, request } from './frames.ts';
import { ALL, at, front, startBackend, text } from './front.ts';

describe('a pool that changes what it speaks', () => {
  it('is spoken to in the new words, not on what was kept of the old', async () => {
    const backend = await startBackend();
    const server = createHttp2Server();
    server.on('stream', (stream: ServerHttp2Stream) => {
      stream.respond({ ':status': 200 });
      stream.end('by h2');
    });
    const { node, port, stop } = await front(backend.port);
    const client = await RawClient.open(port);
    client.send(request(1));
    expect([await client.answer(1), client.bodies.get(1)]).toEqual(['200', 'now']);
    // The same address, in other hands.
    backend.close();
    await new Promise<void>((resolve) => server.listen(backend.port, '127.0.0.1', resolve));
    await node.apply(text(port, backend.port, 'h2', ALL));
    client.send(request(3));
    expect([await client.answer(3), client.bodies.get(3)]).toEqual(['200', 'by h2']);
    client.close();
    await stop();
    server.close();
  });
});

describe('a server of HTTP/2', () => {
  it('that refuses a stream untouched gets it once more, whatever its method', async () => {
    let refused = 0;
    const server = createHttp2Server();
    server.on('stream', (stream: ServerHttp2Stream) => {
      stream.on('error', () => undefined);
      if (refused++ === 0) stream.close(ERROR.refused);
      else stream.respond({ ':status': 200 }, { endStream: true });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port, stop } = await front((server.address() as AddressInfo).port, 'h2');
    const client = await RawClient.open(port);
    client.send(request(1, [[':method', 'POST'], ...GET.slice(1)]));
    expect([await client.answer(1), refused]).toEqual(['200', 2]);
    client.close();
    await stop();
    server.close();
  });

  it('is not given more streams at once than it takes', async () => {
    const open = new Map<unknown, number>();
    let most = 0;
    const server = createHttp2Server({ settings: { maxConcurrentStreams: 4 } });
    server.on('stream', (stream: ServerHttp2Stream) => {
      const { session } = stream;
      open.set(session, (open.get(session) ?? 0) + 1);
      most = Math.max(most, open.get(session)!);
      setTimeout(() => {
        open.set(session, open.get(session)! - 1);
        stream.respond({ ':status': 200 });
        stream.end('x');
      }, 5);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port, stop } = await front((server.address() as AddressInfo).port, 'h2');
    const client = connectHttp2(`http://127.0.0.1:${port}`);
    const ask = () =>
      new Promise<number>((resolve, reject) => {
        const stream = client.request({ ':path': '/' });
        stream.on('response', (head) => resolve(Number(head[':status'])));
        stream.on('error', reject);
        stream.resume();
      });
    const answers = await Promise.all(Array.from({ length: 40 }, ask));
    expect(answers).toEqual(answers.map(() => 200));
    expect([most, open.size > 1]).toEqual([4, true]);
    client.close();
    await stop();
    server.close();
  });

  it('has answered when it has ended its stream, also where the length was said', async () => {
    const streams: ServerHttp2Stream[] = [];
    const server = createHttp2Server();
    server.on('stream', (stream: ServerHttp2Stream) => {
      streams.push(stream);
      stream.on('error', () => undefined);
      stream.respond({ ':status': 200, 'content-length': 5 });
      stream.write('hello');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port, stop } = await front((server.address() as AddressInfo).port, 'h2');
    const client = await RawClient.open(port);
    client.send(request(1));
    await until(() => client.bodies.get(1) === 'hell');
    streams[0]!.end();
    await until(() => client.hasEnded(1));
    client.send(request(3));
    await until(() => streams.length === 2);
    streams[1]!.end();
    expect([await client.answer(3), client.bodies.get(1), client.bodies.get(3)]).toEqual(['200', 'hello', 'hello']);
    client.close();
    await stop();
    server.close();
  });

  it('that speaks HTTP/1.1 after all is none: the dial has failed', async () => {
    const backend = await startBackend();
    const { port, stop } = await front(backend.port, 'h2');
    const client = await RawClient.open(port);
    client.send(request(1));
    expect([await client.answer(1), client.field(1, 'bulkhead-error')]).toEqual(['502', expect.stringMatching(/^dial-failed/)]);
    client.close();
    await stop();
    backend.close();
  });

  it('that is gone makes a 502, and the next request reaches it again', async () => {
    const port2 = await freePort();
    const listen = async () => {
      const server = createHttp2Server();
      const sessions: ServerHttp2Session[] = [];
      server.on('session', (session) => void sessions.push(session));
      server.on('stream', (stream: ServerHttp2Stream, headers) => {
        stream.on('error', () => undefined);
        if (headers[':path'] === '/die') for (const session of sessions) session.destroy();
        else stream.respond({ ':status': 200 }, { endStream: true });
      });
      await new Promise<void>((resolve) => server.listen(port2, '127.0.0.1', resolve));
      return server;
    };
    const server = await listen();
    const { port, stop } = await front(port2, 'h2');
    const client = await RawClient.open(port);
    client.send(request(1, at('/die')));
    expect(await client.answer(1)).toBe('502');
    client.send(request(3));
    expect(await client.answer(3)).toBe('200');
    client.close();
    await stop();
    server.close();
  });
});

describe('a health check of servers of HTTP/2', () => {
  it('asks them in their own words', async () => {
    let good = true;
    const server = createHttp2Server();
    const asked: unknown[] = [];
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      asked.push([headers[':path'], headers[':authority']]);
      stream.respond({ ':status': good ? 204 : 500 }, { endStream: true });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const port = (server.address() as AddressInfo).port;
    const vip = await freePort();
    const node = await startNode(
      text(vip, port, 'h2', ALL).replace(
        'retries: { attempts: 0 }',
        'health: { type: http, path: /up, host: shop.test, interval: 20ms, timeout: 500ms, fall: 2, rise: 2 }',
      ),
    );
    const isUp = () => node.node.servers()[0]!.up;
    await until(() => asked.length > 2);
    expect([isUp(), asked[0]]).toEqual([true, ['/up', 'shop.test']]);
    good = false;
    await until(() => !isUp());
    good = true;
    await until(isUp);
    await node.stop();
    server.close();
  });

  it.each([
    ['NO_ERROR', ERROR.none],
    ['CANCEL', ERROR.cancel],
  ])('that is reset with %s has failed, and the next one comes', async (_name, code) => {
    let asked = 0;
    const server = createHttp2Server();
    server.on('sessionError', () => undefined);
    server.on('stream', (stream: ServerHttp2Stream) => {
      stream.on('error', () => undefined);
      if (asked++ === 1) stream.close(code);
      else stream.respond({ ':status': 200 }, { endStream: true });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const health = 'health: { type: http, interval: 20ms, timeout: 20s, fall: 1, rise: 1 }';
    const file = text(await freePort(), (server.address() as AddressInfo).port, 'h2', ALL);
    const node = await startNode(file.replace('retries: { attempts: 0 }', health));
    await until(() => asked > 3 && node.node.servers()[0]!.up);
    const changes = node.logged.filter(({ message }) => /^server is (up|down)$/.test(message));
    expect(changes.map(({ message, fields }) => [message, (fields as { detail?: string }).detail])).toEqual([
      ['server is down', 'reset before it answered'],
      ['server is up', 'HTTP 200'],
    ]);
    await node.stop();
    server.close();
  });
});
