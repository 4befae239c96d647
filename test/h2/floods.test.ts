import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode, until } from '../node/harness.ts';
import { block, ERROR, FLAG, frame, GET, POST, RawClient, request, setting, TYPE, word } from './frames.ts';

let server: Server;
let node: RunningNode;
let port: number;

beforeAll(async () => {
  const backend = await freePort();
  server = createServer((asked, answer) => {
    asked.resume();
    if (asked.url === '/large') answer.end(Buffer.alloc(2_000_000, 'x'));
    else if (asked.url !== '/wait') answer.end('hello');
  });
  await new Promise<void>((resolve) => server.listen(backend, '127.0.0.1', resolve));
  port = await freePort();
  node = await startNode(`
version: 1
process: { workers: 1 }
pools: { web: { servers: [127.0.0.1:${backend}] } }
applications:
  shop:
    vips: [127.0.0.1:${port}]
    mode: http
    pool: web
    timeouts: { request-head: 300ms, request-body: 300ms, response: 400ms, keep-alive: 300ms }
    limits: { streams: 10, head-size: 4KiB, head-fields: 50, target-size: 1KiB }
    rules: [{ name: all, action: allow }]
`);
});

afterAll(async () => {
  await node.stop();
  server.closeAllConnections();
  server.close();
});

const at = (path: string, from = GET) => from.map(([name, value]) => [name, name === ':path' ? path : value] as const);
const hits = (limit: string) => node.node.counters().limits.find((one) => one.application === 'shop' && one.limit === limit)?.hits ?? 0;
const repeat = (count: number, make: (i: number) => Buffer) => Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));
const HALF_HEAD = frame(TYPE.headers, 0, 1, block(GET).subarray(0, 2));

/** More of each than an honest client sends in a second; the limit that it meets. */
const FLOODS: readonly (readonly [name: string, limit: string, flood: Buffer])[] = [
  [
    'requests that are given up at once (CVE-2023-44487)',
    'h2-resets',
    repeat(3_000, (i) => Buffer.concat([request(i * 2 + 1, at('/wait')), frame(TYPE.reset, 0, i * 2 + 1, word(ERROR.cancel))])),
  ],
  [
    'requests that the proxy has to give up (CVE-2025-8671)',
    'h2-resets',
    repeat(3_000, (i) => Buffer.concat([request(i * 2 + 1, at('/wait')), frame(TYPE.window, 0, i * 2 + 1, word(0))])),
  ],
  ['requests above the streams at once', 'h2-streams', repeat(3_000, (i) => request(i * 2 + 1, at('/wait')))],
  ['malformed requests', 'h2-resets', repeat(3_000, (i) => request(i * 2 + 1, [...GET, ['X', 'y']]))],
  [
    'CONTINUATION frames without end (CVE-2024-27316)',
    'h2-control',
    Buffer.concat([HALF_HEAD, repeat(5_000, () => frame(TYPE.continuation, 0, 1, 'x'))]),
  ],
  ['empty CONTINUATION frames', 'h2-control', Buffer.concat([HALF_HEAD, repeat(5_000, () => frame(TYPE.continuation, 0, 1))])],
  [
    'empty CONTINUATION frames, a few a field block',
    'h2-control',
    repeat(400, (i) =>
      Buffer.concat([
        frame(TYPE.headers, FLAG.endStream, i * 2 + 1, block(at('/wait'))),
        repeat(15, () => frame(TYPE.continuation, 0, i * 2 + 1)),
        frame(TYPE.continuation, FLAG.endHeaders, i * 2 + 1),
      ]),
    ),
  ],
  [
    'a field block without end',
    'head-size',
    Buffer.concat([HALF_HEAD, repeat(16, () => frame(TYPE.continuation, 0, 1, Buffer.alloc(2_000)))]),
  ],
  ['SETTINGS', 'h2-control', repeat(5_000, () => frame(TYPE.settings, 0, 0, setting(4, 65_535)))],
  [
    'SETTINGS that acknowledge none',
    'h2-control',
    Buffer.concat([frame(TYPE.settings, 0, 0), repeat(5_000, () => frame(TYPE.settings, FLAG.ack, 0))]),
  ],
  ['PING', 'h2-control', repeat(5_000, () => frame(TYPE.ping, 0, 0, Buffer.alloc(8)))],
  ['PRIORITY', 'h2-control', repeat(5_000, () => frame(TYPE.priority, 0, 1, Buffer.concat([word(0), Buffer.from([1])])))],
  ['empty DATA', 'h2-control', Buffer.concat([request(1, at('/wait', POST), false), repeat(5_000, () => frame(TYPE.data, 0, 1))])],
  [
    'padding alone',
    'h2-control',
    Buffer.concat([request(1, at('/wait', POST), false), repeat(5_000, () => frame(TYPE.data, FLAG.padded, 1, Buffer.from([1, 0])))]),
  ],
  ['frames of no known type', 'h2-control', repeat(5_000, () => frame(0x42, 0, 0))],
];

describe('a flood', () => {
  it.each(FLOODS)('of %s: %s', async (_name, limit, flood) => {
    const before = hits(limit);
    const client = await RawClient.open(port);
    client.send(flood);
    await until(() => client.closed);
    expect(client.codes(0)).toEqual([ERROR.calm]);
    await until(() => hits(limit) > before);
  });

  it('of pings that are never read is bounded by what waits', async () => {
    const before = hits('h2-control');
    // Made before there is a connection, which would be idle for too long meanwhile on a busy machine.
    const flood = repeat(200_000, () => frame(TYPE.ping, 0, 0, Buffer.alloc(8)));
    const client = await RawClient.open(port);
    client.pause();
    client.send(flood);
    await until(async () => {
      client.resume();
      return client.closed;
    });
    // More than is thrown away in peace comes after the last word: a reset follows it, and can overtake it.
    expect([[], [ERROR.calm]]).toContainEqual(client.codes(0));
    await until(() => hits('h2-control') > before);
  });

  it('leaves nothing behind', async () => {
    await until(() => node.application('shop').connectionsActive === 0 && node.application('shop').flowsActive === 0);
    const { flowsOpened, flowsClosed } = node.application('shop');
    expect(flowsOpened).toBe(flowsClosed);
  });
});

describe('a head that is too large is answered, and the connection goes on', () => {
  it.each([
    ['one long field', '431', [...GET, ['x', 'y'.repeat(5_000)]]],
    ['a field said a hundred times by its number', '431', [...GET, ...Array.from({ length: 60 }, (_, i) => [`x${i}`, 'y'])]],
    ['a long path', '414', at(`/${'x'.repeat(2_000)}`)],
    ['crumbs of a cookie', '431', [...GET, ...Array.from({ length: 40 }, () => ['cookie', 'c'.repeat(150)])]],
  ] as const)('%s: %s', async (_name, status, fields) => {
    const client = await RawClient.open(port);
    client.send(request(1, fields as readonly (readonly [string, string])[]), request(3));
    expect([await client.answer(1), await client.answer(3)]).toEqual([status, '200']);
    client.close();
  });

  it('also where a small block stands for much (an HPACK bomb)', async () => {
    const client = await RawClient.open(port);
    const name = Buffer.concat([Buffer.from([0x40, 1]), Buffer.from('x'), Buffer.from([0x7f, 0xb9, 0x1e]), Buffer.alloc(4_000, 'y')]);
    const bomb = Buffer.concat([block(GET), name, Buffer.alloc(3_000, 0x80 | 62)]);
    client.send(frame(TYPE.headers, FLAG.endHeaders | FLAG.endStream, 1, bomb), request(3));
    expect([await client.answer(1), await client.answer(3)]).toEqual(['431', '200']);
    client.close();
  });
});

describe('who takes its time', () => {
  it('over its first request, loses the connection', async () => {
    const before = hits('request-head');
    const client = await RawClient.open(port);
    await until(() => client.closed);
    expect([client.codes(0), hits('request-head') - before]).toEqual([[ERROR.none], 1]);
  });

  it('over a field block, loses the connection', async () => {
    const client = await RawClient.open(port);
    client.send(HALF_HEAD);
    await until(() => client.closed);
  });

  it('over its next request, loses the connection, whatever it pings', async () => {
    const before = hits('keep-alive');
    const client = await RawClient.open(port);
    client.send(request(1));
    await client.answer(1);
    const pings = setInterval(() => client.send(frame(TYPE.ping, 0, 0, Buffer.alloc(8))), 20);
    await until(() => client.closed);
    clearInterval(pings);
    expect(hits('keep-alive')).toBe(before + 1);
  });

  it('over the body of a request, is told so', async () => {
    const client = await RawClient.open(port);
    client.send(request(1, at('/wait', POST), false), frame(TYPE.data, 0, 1, 'x'));
    expect(await client.answer(1)).toBe('408');
    // The rest of the request is not wanted any more, which is no error; what was on its way is none either.
    await until(() => client.codes(1).length > 0);
    client.send(frame(TYPE.data, FLAG.endStream, 1, 'late'), request(3));
    expect([client.codes(1), await client.answer(3), client.codes(0)]).toEqual([[ERROR.none], '200', []]);
    client.close();
  });

  it('over its window, loses the stream and nothing else', async () => {
    const before = hits('response');
    const client = await RawClient.open(port);
    client.send(request(1, at('/large')));
    await until(() => client.codes(1).length > 0);
    expect([client.codes(1), client.bodies.get(1)!.length]).toEqual([[ERROR.internal], 65_535]);
    // The window of the connection is used up as well; an answer without a body needs none.
    client.send(frame(TYPE.window, 0, 0, word(1_000)), request(3));
    expect(await client.answer(3)).toBe('200');
    expect(hits('response')).toBe(before + 1);
    client.close();
  });
});
