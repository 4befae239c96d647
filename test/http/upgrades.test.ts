import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { until } from '../node/harness.ts';
import { hits, settled, startNoting, startProxy } from './wire-client.ts';

const UPGRADE = 'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

describe('WebSocket', () => {
  it('echoes frames small and large, and passes close codes both ways', async () => {
    const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: true });
    const closed: number[] = [];
    sockets.on('connection', (socket) => {
      // Early: with the 101.
      socket.send('welcome');
      socket.on('message', (data: Buffer, isBinary) => {
        if (!isBinary && data.toString() === 'end') socket.close(4001, 'as asked');
        else socket.send(data, { binary: isBinary });
      });
      socket.on('close', (code) => closed.push(code));
    });
    await until(() => sockets.address() !== null);
    const proxy = await startProxy([(sockets.address() as AddressInfo).port]);
    const open = async () => {
      const socket = new WebSocket(`ws://127.0.0.1:${proxy.port}/ws`);
      const received: Buffer[] = [];
      let code = 0;
      socket.on('message', (data: Buffer) => received.push(data));
      socket.on('close', (value) => {
        code = value;
      });
      await until(() => received.length === 1);
      expect(received.shift()!.toString()).toBe('welcome');
      return { socket, received, code: () => code };
    };
    const one = await open();
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 5_000_000]) {
      const data = Buffer.alloc(size, 'frame');
      one.socket.send(data);
      await until(() => one.received.length === 1);
      expect(one.received.shift()!.equals(data)).toBe(true);
    }
    one.socket.send('end');
    await until(() => one.code() === 4001);
    const other = await open();
    other.socket.close(4002, 'enough');
    await until(() => other.code() === 4002 && closed.includes(4002));
    await settled(proxy.running);
    const records = await proxy.running.records(2);
    for (const record of records)
      expect(record).toMatchObject({ protocol: 'websocket', status: 101, verdict: 'allow', path: '/ws', reason: 'closed' });
    expect(records[0]!.bytes_in).toBeGreaterThan(5_000);
    await proxy.stop();
    sockets.close();
  });
});

describe('an upgrade', () => {
  it('takes bytes along that either side sent early', async () => {
    const server = await startNoting((socket, soFar) => {
      const text = soFar.toString('latin1');
      if (text.endsWith('first')) socket.write(`${SWITCHED}early`);
      else if (text.endsWith('second')) socket.write('late');
      else if (text.endsWith('\r\n\r\n')) setTimeout(() => socket.write(`${SWITCHED}early`), 30);
    });
    const proxy = await startProxy([server.port]);
    const client = await proxy.open();
    client.send(`${UPGRADE}first`);
    await until(() => client.text.endsWith('early'));
    await until(() => server.text().endsWith('\r\n\r\nfirst'));
    client.send('second');
    await until(() => client.text.endsWith('late'));
    client.close();
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it('that the server declines is a request like any other', async () => {
    const server = await startNoting((socket, soFar) => {
      if (soFar.toString('latin1').endsWith('\r\n\r\n')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
    const proxy = await startProxy([server.port]);
    const client = await proxy.open();
    expect((await client.send(UPGRADE).answer()).status).toBe(200);
    expect((await client.send('GET /next HTTP/1.1\r\nHost: a\r\n\r\n').answer()).status).toBe(200);
    client.close();
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it.each([
    ['without Upgrade', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n'],
    ['without Connection', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'],
  ])('answered by a 101 %s is a 502', async (_what, response) => {
    const server = await startNoting((socket) => socket.write(response));
    const proxy = await startProxy([server.port]);
    const client = await proxy.open();
    expect((await client.send(UPGRADE).answer()).status).toBe(502);
    client.close();
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it('by node itself works, and half-closes go both ways', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    let heard = '';
    server.on('upgrade', (_request, socket) => {
      socket.write(SWITCHED);
      socket.on('data', (data) => (heard += data));
      socket.on('end', () => socket.end(`heard ${heard}`));
    });
    await until(() => server.listening);
    const proxy = await startProxy([(server.address() as AddressInfo).port]);
    const client = await proxy.open();
    expect((await client.send(UPGRADE).answer()).status).toBe(101);
    client.send('hello');
    client.socket.end();
    expect(await client.end()).toBe('end');
    expect(client.text.endsWith('heard hello')).toBe(true);
    await settled(proxy.running);
    await proxy.stop();
    server.close();
  });

  it('of a client that has half-closed before the 101 reaches the server with its end', async () => {
    const server = await startNoting((socket, soFar) => {
      if (soFar.toString('latin1').endsWith('\r\n\r\n')) setTimeout(() => socket.write(`${SWITCHED}bye`), 50);
    });
    const proxy = await startProxy([server.port]);
    const client = await proxy.open();
    client.send(UPGRADE);
    client.socket.end();
    // The server ends when it learns of the end.
    expect(await client.end()).toBe('end');
    expect(client.text.endsWith('bye')).toBe(true);
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it.each([
    ['idle', 'idle: 150ms', false],
    ['total', 'total: 250ms', true],
    ['half-closed', 'half-closed: 150ms', false],
  ])('ends by its %s timeout', async (limit, timeout, talks) => {
    const server = await startNoting((socket, soFar) => {
      socket.removeAllListeners('end');
      if (soFar.toString('latin1').endsWith('\r\n\r\n')) socket.write(SWITCHED);
    });
    const proxy = await startProxy([server.port], `timeouts: { ${timeout} }`);
    const client = await proxy.open();
    expect((await client.send(UPGRADE).answer()).status).toBe(101);
    const talk = setInterval(() => talks && client.send('x'), 20);
    if (limit === 'half-closed') client.socket.end();
    expect(await client.end()).toBe('reset');
    clearInterval(talk);
    expect(hits(proxy.running, limit)).toBe(1);
    const [record] = await proxy.running.records(1);
    expect(record).toMatchObject({ ended_by: 'proxy', reason: `${limit} timeout` });
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });
});
