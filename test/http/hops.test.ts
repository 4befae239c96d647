/** Requests that come by way of proxies in front: whose they are, and what the server is told. */
import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode } from '../node/harness.ts';

const stops: (() => unknown)[] = [];
const got: IncomingHttpHeaders[] = [];
let webPort: number;
let vip: number;

beforeEach(async () => {
  got.length = 0;
  const server = createServer((asked, response) => {
    got.push(asked.headers);
    response.end('web');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  webPort = (server.address() as AddressInfo).port;
  vip = await freePort();
});

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const RULES = '{ name: bad, from: [203.0.113.9, "2001:db8::9"], action: deny }, { name: all, action: allow }';
const file = (rules = RULES, trusted = '127.0.0.2, 192.0.2.0/24') => `
version: 1
process: { workers: 1 }
pools: { web: { servers: [127.0.0.1:${webPort}] } }
applications:
  shop: { vips: [127.0.0.1:${vip}], mode: http, pool: web, forwarded: { trust: [${trusted}] }, rules: [${rules}] }
`;

async function start(rules = RULES): Promise<RunningNode> {
  const running = await startNode(file(rules));
  stops.push(() => running.stop());
  return running;
}

function ask(headers: Record<string, string>, localAddress = '127.0.0.2'): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port: vip, localAddress, headers: { host: 'shop', ...headers }, agent: false },
      (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode!));
      },
    );
    sent.on('error', reject);
    sent.end();
  });
}

const chain = (text: string) => ({ 'x-forwarded-for': text });

describe('the client of a request that a trusted proxy brings', () => {
  it.each([
    [chain('203.0.113.9'), 403, '203.0.113.9'],
    [chain('198.51.100.7'), 200, '198.51.100.7'],
    // Further proxies of ours are passed over; what stands before the client is its own word.
    [chain('203.0.113.9, 192.0.2.4'), 403, '203.0.113.9'],
    [chain('203.0.113.9, 198.51.100.7, 192.0.2.4'), 200, '198.51.100.7'],
    [chain('192.0.2.4'), 200, '192.0.2.4'],
    [chain('203.0.113.9:4711'), 403, '203.0.113.9'],
    [chain('[2001:db8::9]:80'), 403, '2001:db8::9'],
    [chain('2001:db8::9'), 403, '2001:db8::9'],
    // What is no address says nothing of who is behind it.
    [chain('203.0.113.9, nonsense'), 200, '127.0.0.2:'],
    [chain('203.0.113.9, nonsense, 192.0.2.4'), 200, '192.0.2.4'],
    [chain(''), 200, '127.0.0.2:'],
    [{ forwarded: 'for=198.51.100.7;proto=https, for="[2001:db8::9]:80";by=x' }, 403, '2001:db8::9'],
    // Of a list that is too long, the end is read.
    [chain(`203.0.113.9${', 192.0.2.4'.repeat(31)}`), 403, '203.0.113.9'],
    [chain(`203.0.113.9${', 192.0.2.4'.repeat(32)}`), 200, '192.0.2.4'],
    [{ forwarded: 'for=unknown' }, 200, '127.0.0.2:'],
    [{}, 200, '127.0.0.2:'],
  ])('%j: %d, from %s', async (headers, status, source) => {
    const running = await start();
    expect(await ask(headers)).toBe(status);
    const [record] = await running.records(1);
    expect(record!.source.startsWith(source)).toBe(true);
  });

  it('is nobody else than the peer where that is not trusted', async () => {
    const running = await start();
    expect(await ask(chain('203.0.113.9'), '127.0.0.3')).toBe(200);
    expect(got[0]!['x-forwarded-for']).toBe('127.0.0.3');
    const [record] = await running.records(1);
    expect(record!.source).toMatch(/^127\.0\.0\.3:/);
  });
});

it('the server is told what the proxies in front said, with this one behind them', async () => {
  await start();
  const said = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'www.example.com', forwarded: 'for=198.51.100.7;proto=https' };
  expect(await ask({ ...chain('198.51.100.7, 192.0.2.4'), ...said })).toBe(200);
  expect(got[0]).toMatchObject({
    'x-forwarded-for': '198.51.100.7, 192.0.2.4, 127.0.0.2',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'www.example.com',
    forwarded: 'for=198.51.100.7;proto=https, for=127.0.0.2;host=shop;proto=http',
  });
});

it('the server is told of no scheme that there is not', async () => {
  await start();
  expect(await ask({ ...chain('198.51.100.7'), 'x-forwarded-proto': 'https, http' })).toBe(200);
  expect(got[0]!['x-forwarded-proto']).toBe('http');
});

it('requests of several clients by one connection are told apart, and a new rule cuts none of the others', async () => {
  const running = await start();
  const socket = connect({ port: vip, host: '127.0.0.1', localAddress: '127.0.0.2' });
  const head = (client: string) => `GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: ${client}\r\n\r\n`;
  socket.write(head('198.51.100.7') + head('203.0.113.9') + head('198.51.100.8'));
  expect((await running.records(3)).map(({ status }) => status)).toEqual([200, 403, 200]);
  await running.apply(file('{ name: bad, from: [198.51.100.8], action: deny }, { name: all, action: allow }'));
  socket.write(head('203.0.113.9') + head('198.51.100.8') + head('198.51.100.7'));
  expect((await running.records(6)).map(({ status }) => status)).toEqual([200, 403, 200, 200, 403, 200]);
  socket.destroy();
});

it('whose word counts is the say of the policy in force, on connections that are there already as well', async () => {
  const running = await start();
  const sockets = ['127.0.0.2', '127.0.0.3'].map((localAddress) => connect({ port: vip, host: '127.0.0.1', localAddress }));
  const sources = async (count: number) => {
    for (const [i, socket] of sockets.entries()) {
      socket.write('GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n');
      await running.records(count + i + 1);
    }
    return (await running.records(count + 2)).slice(count).map(({ source }) => source.replace(/:.*/, ''));
  };
  expect(await sources(0)).toEqual(['198.51.100.7', '127.0.0.3']);
  await running.apply(file(RULES, '127.0.0.3'));
  expect(await sources(2)).toEqual(['127.0.0.2', '198.51.100.7']);
  expect(got.slice(2).map((headers) => headers['x-forwarded-for'])).toEqual(['127.0.0.2', '198.51.100.7, 127.0.0.3']);
  for (const socket of sockets) socket.destroy();
});
