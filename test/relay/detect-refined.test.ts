import { once } from 'node:events';
import { connect as connectH2 } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { protocolBit, protocolNames } from '../../config/protocols.ts';
import { DETECT_BYTES_MAX, MORE } from '../../proxy/relay/detect.ts';
import { refineClient } from '../../proxy/relay/detect-refined.ts';

const names = (set: number) => (set === MORE ? 'more' : protocolNames(set).join('+'));
const http = protocolBit('http')!;
const h2 = protocolBit('h2')!;

describe('HTTP', () => {
  it.each([
    ['an upgrade', 'GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n', 'http+websocket'],
    ['an upgrade in a list', 'GET / HTTP/1.1\r\nupgrade: foo, WebSocket\r\n\r\n', 'http+websocket'],
    ['an upgrade to something else', 'GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n', 'http'],
    ['no upgrade', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'http'],
    ['websocket in another field', 'GET / HTTP/1.1\r\nX-Upgrade: websocket\r\n\r\n', 'http'],
    ['websocket in the body', 'POST / HTTP/1.1\r\nHost: a\r\n\r\nupgrade: websocket\r\n', 'http'],
    ['a head that is not over', 'GET / HTTP/1.1\r\nUpgrade: websocket\r\n', 'more'],
    ['a head that is too long to wait for', `GET / HTTP/1.1\r\nx: ${'a'.repeat(DETECT_BYTES_MAX)}`, 'http'],
  ])('%s', (_what, text, expected) => {
    const bytes = Buffer.from(text, 'latin1');
    expect(names(refineClient(http, bytes, bytes.length))).toBe(expected);
    if (expected.length > 4)
      for (let length = 0; length < bytes.length; length++) expect(['more', expected]).toContain(names(refineClient(http, bytes, length)));
  });

  it('leaves every other protocol as it is', () => {
    expect(names(refineClient(protocolBit('redis')!, Buffer.from('*1\r\n'), 4))).toBe('redis');
  });
});

/** What a client of HTTP/2 says first, up to and with its first request. */
async function firstBytes(headers: Record<string, string>): Promise<Buffer> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const session = connectH2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  session.on('error', () => undefined);
  const stream = session.request({ ':path': '/a.B/c', ':method': 'POST', ...headers });
  stream.on('error', () => undefined);
  const [socket] = await accepted;
  let bytes = Buffer.alloc(0);
  while (names(refineClient(h2, bytes, bytes.length)) === 'more') {
    const [data] = await once(socket, 'data');
    bytes = Buffer.concat([bytes, data]);
  }
  session.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

describe('HTTP/2', () => {
  it.each([
    ['gRPC', { 'content-type': 'application/grpc', te: 'trailers' }, 'h2+grpc'],
    ['gRPC that says its encoding', { 'content-type': 'application/grpc+proto', te: 'trailers' }, 'h2+grpc'],
    ['gRPC-Web, which is a request like others', { 'content-type': 'application/grpc-web+proto' }, 'h2'],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 'h2'],
    ['nothing', {}, 'h2'],
  ])('of a real client: %s', async (_what, headers, expected) => {
    const bytes = await firstBytes(headers);
    expect(names(refineClient(h2, bytes, bytes.length))).toBe(expected);
    for (let length = 0; length < bytes.length; length++) expect(['more', expected]).toContain(names(refineClient(h2, bytes, length)));
  });

  it('with a plain literal', () => {
    const block = Buffer.from('\x83\x0f\x10\x10application/grpc', 'latin1');
    const head = Buffer.from([0, 0, block.length, 1, 4, 0, 0, 0, 1]);
    const bytes = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), head, block]);
    expect(names(refineClient(h2, bytes, bytes.length))).toBe('h2+grpc');
  });
});
