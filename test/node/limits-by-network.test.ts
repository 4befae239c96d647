/** An IPv6 client has a whole /64 to speak from: it is counted as one source. */
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { countedSource } from '../../proxy/shared/counted-source.ts';
import { client } from '../relay/client.ts';
import { freePort, startNode, startServer } from './harness.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** Whether a connection from that source, as a proxy in front tells it, is carried: it has its byte echoed, or is ended. It stays open. */
async function carried(port: number, source: string): Promise<boolean> {
  const one = client(port, { localAddress: '127.0.0.2' });
  stops.push(() => one.socket.destroy());
  one.socket.on('error', () => undefined);
  const family = source.includes(':') ? ['TCP6', '2001:db8::fe'] : ['TCP4', '198.51.100.2'];
  one.socket.write(`PROXY ${family[0]} ${source} ${family[1]} 4711 443\r\nx`);
  return (await one.bytes(1)) === 'x';
}

it.each([
  ['connections-per-source', 'limits: { connections-per-source: 1 }', ''],
  ['a limit per source', '', ', limits: { flows: 1, per: source }'],
])('%s counts IPv4 addresses one by one, and IPv6 addresses by their /64', async (_what, application, rule) => {
  const backend = await startServer((socket: Socket) => void socket.pipe(socket));
  stops.push(() => backend.close());
  const port = await freePort();
  const running = await startNode(`
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${backend.port}] } }
applications:
  app:
    vips: [127.0.0.1:${port}]
    mode: tcp
    pool: p
    proxy-protocol: { from: [127.0.0.2] }
    ${application}
    rules: [{ name: all, action: allow${rule} }]
`);
  stops.push(() => running.stop());
  const sources: [source: string, ok: boolean][] = [
    ['192.0.2.1', true],
    ['192.0.2.1', false],
    ['192.0.2.2', true],
    ['2001:db8:0:1::1', true],
    ['2001:db8:0:1::1', false],
    ['2001:db8:0:1:ffff:ffff:ffff:ffff', false],
    ['2001:db8:0:2::1', true],
    ['2001:db8:1:1::1', true],
  ];
  for (const [source, ok] of sources) expect([source, await carried(port, source)]).toEqual([source, ok]);
});

describe('the source that is counted', () => {
  it.each([
    ['IPv4', [0, 0, 0xffff, 0x7f000001], [0, 0, 0xffff, 0x7f000001]],
    ['IPv6', [0x20010db8, 1, 2, 3], [0x20010db8, 1, 0, 0]],
    ['IPv6 that only looks mapped', [0, 1, 0xffff, 3], [0, 1, 0, 0]],
    ['IPv6 loopback', [0, 0, 0, 1], [0, 0, 0, 0]],
  ] as const)('%s', (_what, source, counted) => {
    expect(countedSource(source)).toEqual(counted);
  });
});
