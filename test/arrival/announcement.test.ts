import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { ProxyTlv } from '../../config/proxy-protocol.ts';
import { announce, announceSelf } from '../../proxy/arrival/announcement.ts';
import { readProxyHeader } from '../../proxy/arrival/proxy-header.ts';
import type { Arrival } from '../../proxy/worker/arrival.ts';
import { freePort, type RunningNode, startNode, startServer, until } from '../node/harness.ts';
import { client } from '../relay/client.ts';
import { described } from './headers.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const TLS = { sni: 'a.example', alpn: ['h2', 'http/1.1'], ja4: 't', terminated: true, version: '1.3', cipher: 'X', agreed: 'http/1.1' };
const CLIENT = {
  source: [0, 0, 0xffff, 0xc0000201],
  hasAddress: true,
  sourcePort: 4711,
  destination: { address: { family: 4, words: [0, 0, 0xffff, 0xc6336402] }, port: 443 },
  tls: TLS,
  identities: ['spiffe://a/b', 'cn:ana'],
} as unknown as Arrival;

function said(bytes: Buffer): string {
  const reading = readProxyHeader(bytes, bytes.length, 4_096);
  return reading.kind === 'header' && reading.end === bytes.length ? described(reading.header) : reading.kind;
}

const WHO = '192.0.2.1:4711 > 198.51.100.2:443';

describe('what a server is told', () => {
  it.each<[string, Partial<Arrival>, 1 | 2, ProxyTlv[], string]>([
    ['version 1', {}, 1, [], `v1 ${WHO}`],
    ['version 2', {}, 2, [], `v2 ${WHO}`],
    [
      'all that there is',
      {},
      2,
      ['alpn', 'authority', 'crc32c', 'unique-id', 'ssl'],
      `v2 ${WHO} alpn=http/1.1 authority=a.example id=7231 ssl=111,1.3,X,ana`,
    ],
    ['without TLS', { tls: null, identities: [] }, 2, ['alpn', 'authority', 'ssl'], `v2 ${WHO}`],
    [
      'TLS that passes through',
      { tls: { ...TLS, terminated: false, agreed: null, certificate: null }, identities: [] },
      2,
      ['alpn', 'authority', 'ssl'],
      `v2 ${WHO} authority=a.example`,
    ],
    ['TLS without a certificate', { identities: [] }, 2, ['ssl'], `v2 ${WHO} ssl=100,1.3,X,null`],
    ['a client on a unix socket', { hasAddress: false, destination: null }, 2, ['crc32c'], 'v2 nobody'],
    ['the same in version 1', { hasAddress: false, destination: null }, 1, [], 'v1 nobody'],
  ])('%s', (_what, more, version, tlvs, expected) => {
    expect(said(announce({ version, tlvs }, { ...CLIENT, ...more }, 'r1'))).toBe(expected);
  });

  it('by a check of its health: nobody but ourselves', () => {
    expect(said(announceSelf({ version: 1, tlvs: [] }))).toBe('v1 nobody');
    expect(said(announceSelf({ version: 2, tlvs: ['crc32c'] }))).toBe('v2 itself');
  });
});

/** A server that wants a PROXY header, and answers requests with the port of its client that the header named and the number of its connection. */
function webServer(answer: (port: string, connection: number) => string) {
  let connections = 0;
  return startServer((socket: Socket) => {
    const number = ++connections;
    let text = '';
    let port = '';
    socket.on('data', (data) => {
      text += data.toString('latin1');
      const header = /^PROXY TCP4 \S+ \S+ (\d+) \d+\r\n/.exec(text);
      if (header !== null) {
        port = header[1]!;
        text = text.slice(header[0].length);
      }
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        text = text.slice(end + 4);
        const body = answer(port, number);
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      }
    });
  });
}

describe('with a PROXY header, a connection to a server', () => {
  async function node(port: number, to: number, out: string): Promise<RunningNode> {
    const started = await startNode(yaml(port, to, out));
    stops.push(() => started.stop());
    return started;
  }
  const yaml = (port: number, to: number, out: string) => `
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${to}]${out} } }
applications:
  app: { vips: [127.0.0.1:${port}], mode: http, pool: p, rules: [{ name: all, action: allow }] }
`;
  const V1 = ', proxy-protocol: v1';

  /** One kept-alive client; answers the body of each of its requests. */
  function keptAlive(port: number) {
    const one = client(port);
    stops.push(() => one.socket.destroy());
    let read = 0;
    return {
      one,
      async ask(): Promise<string> {
        one.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
        await until(() => /\r\n\r\n.*!$/s.test(one.text().slice(read)));
        const answer = one.text().slice(read);
        read = one.text().length;
        return answer.slice(answer.indexOf('\r\n\r\n') + 4, -1);
      },
    };
  }

  it('is the client’s own for as long as that stays, and is closed with it', async () => {
    const web = await webServer((port, connection) => `${port} ${connection}!`);
    stops.push(() => web.close());
    const port = await freePort();
    await node(port, web.port, V1);
    const [a, b] = [keptAlive(port), keptAlive(port)];
    for (let i = 0; i < 3; i++) {
      expect(await a.ask()).toBe(`${a.one.socket.localPort} 1`);
      expect(await b.ask()).toBe(`${b.one.socket.localPort} 2`);
    }
    a.one.socket.end();
    await until(() => web.sockets[0]!.readableEnded || web.sockets[0]!.destroyed);
    expect(await keptAlive(port).ask()).toMatch(/ 3$/);
    expect(await b.ask()).toMatch(/ 2$/);
  });

  it('is never passed on to others when the header is no longer asked for', async () => {
    const web = await webServer((port, connection) => `${port} ${connection}!`);
    stops.push(() => web.close());
    const port = await freePort();
    const running = await node(port, web.port, V1);
    const a = keptAlive(port);
    expect(await a.ask()).toMatch(/ 1$/);
    expect((await running.apply(yaml(port, web.port, ''))).ok).toBe(true);
    expect(await keptAlive(port).ask()).toBe(' 2');
    expect(await a.ask()).not.toMatch(/ 1$/);
  });
});
