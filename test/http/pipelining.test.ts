import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { until } from '../node/harness.ts';
import { settled, startPlain, startProxy } from './wire-client.ts';

describe('pipelined requests', () => {
  it('are answered in order, one after the other, however many and however late they are read', async () => {
    const count = 1_000;
    const server = await startPlain();
    const proxy = await startProxy([server.port]);
    const client = await proxy.open();
    client.socket.pause();
    const requests = Array.from({ length: count }, (_, i) => `GET /${i}/${'x'.repeat(500)} HTTP/1.1\r\nHost: a\r\n\r\n`);
    client.send(requests.join(''));
    await until(() => proxy.running.application('web').flowsClosed > 100);
    client.socket.resume();
    for (let i = 0; i < count; i++) expect((await client.answer()).body.toString()).toBe(`/${i}/${'x'.repeat(500)}`);
    expect(server.received.length).toBe(1);
    client.close();
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it('of every kind keep their bodies apart', async () => {
    const bodies: string[] = [];
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (data) => (body += data));
      request.on('end', () => {
        bodies.push(`${request.method} ${request.url} ${body}`);
        response.end(`${request.url}${body}`);
      });
    }).listen(0, '127.0.0.1');
    await until(() => server.listening);
    const proxy = await startProxy([(server.address() as AddressInfo).port]);
    const client = await proxy.open();
    client.send(
      'GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloHEAD /3 HTTP/1.1\r\nHost: a\r\n\r\nPOST /4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\r\nGET /5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /6 HTTP/1.1\r\nHost: a\r\n\r\n',
    );
    expect((await client.answer()).body.toString()).toBe('/1');
    expect((await client.answer()).body.toString()).toBe('/2hello');
    expect((await client.answer(true)).status).toBe(200);
    expect((await client.answer()).body.toString()).toBe('/4abc');
    expect((await client.answer()).body.toString()).toBe('/5');
    expect(await client.end()).toBe('end');
    expect(bodies).toEqual(['GET /1 ', 'POST /2 hello', 'HEAD /3 ', 'POST /4 abc', 'GET /5 ']);
    client.close();
    await proxy.stop();
    server.closeAllConnections();
    server.close();
  });
});
