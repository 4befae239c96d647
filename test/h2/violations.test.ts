import { createServer, type Server } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode, until } from '../node/harness.ts';
import { block, ERROR, FLAG, frame, GET, POST, PREFACE, RawClient, request, setting, TYPE, word } from './frames.ts';

let server: Server;
let node: RunningNode;
let port: number;

beforeAll(async () => {
  const backend = await freePort();
  // `/wait` is never answered; anything else at once, whatever its body.
  server = createServer((asked, answer) => {
    asked.resume();
    if (asked.url !== '/wait') answer.end('hello');
  });
  await new Promise<void>((resolve) => server.listen(backend, '127.0.0.1', resolve));
  port = await freePort();
  node = await startNode(`
version: 1
process: { workers: 1 }
pools: { web: { servers: [127.0.0.1:${backend}] } }
applications:
  shop: { vips: [127.0.0.1:${port}], mode: http, pool: web, rules: [{ name: all, action: allow }] }
`);
});

afterAll(async () => {
  await node.stop();
  server.closeAllConnections();
  server.close();
});

const WAIT = GET.map(([name, value]) => [name, name === ':path' ? '/wait' : value] as const);
const WAITING_POST = POST.map(([name, value]) => [name, name === ':path' ? '/wait' : value] as const);
/** An open stream whose request goes on, one that has said all, and one that is over. */
const OPEN = request(1, WAITING_POST, false);
const HALF_CLOSED = request(1, WAIT);
const END_HEADERS = FLAG.endHeaders;
const END = FLAG.endHeaders | FLAG.endStream;
const without = (dropped: string) => GET.filter(([name]) => name !== dropped);
const cut = (from: readonly (readonly [string, string])[]) => block(from).subarray(0, 3);

/** What is sent after preface and settings, and the code with which the connection then ends. */
const CONNECTION: readonly (readonly [name: string, code: number, frames: readonly Buffer[]])[] = [
  ['DATA on stream 0', ERROR.protocol, [frame(TYPE.data, 0, 0, 'x')]],
  ['DATA on a stream that was never opened', ERROR.protocol, [frame(TYPE.data, 0, 5, 'x')]],
  ['DATA that is all padding and more', ERROR.protocol, [OPEN, frame(TYPE.data, FLAG.padded, 1, Buffer.from([6, 1, 2]))]],
  ['padded DATA without a byte', ERROR.frameSize, [OPEN, frame(TYPE.data, FLAG.padded, 1)]],
  ['a frame above the largest size', ERROR.frameSize, [OPEN, frame(TYPE.data, 0, 1, Buffer.alloc(16_385))]],
  ['HEADERS on stream 0', ERROR.protocol, [frame(TYPE.headers, END, 0, block(GET))]],
  ['HEADERS on a stream of the server', ERROR.protocol, [request(2)]],
  ['HEADERS with a number below one before', ERROR.protocol, [request(5, WAIT), request(3, WAIT)]],
  ['HEADERS above the largest size', ERROR.frameSize, [frame(TYPE.headers, END, 1, Buffer.alloc(16_385))]],
  ['HEADERS that are all padding and more', ERROR.protocol, [frame(TYPE.headers, END | FLAG.padded, 1, Buffer.from([9, 0x82]))]],
  [
    'HEADERS whose stream depends on itself',
    ERROR.protocol,
    [frame(TYPE.headers, END | FLAG.priority, 1, Buffer.concat([word(1), Buffer.from([7]), block(GET)]))],
  ],
  ['HEADERS too short for their priority', ERROR.frameSize, [frame(TYPE.headers, END | FLAG.priority, 1, 'abc')]],
  ['a field block that refers to nothing', ERROR.compression, [frame(TYPE.headers, END, 1, Buffer.from([0xff, 0x7f]))]],
  ['a field block that refers to field 0', ERROR.compression, [frame(TYPE.headers, END, 1, Buffer.from([0x80]))]],
  ['a field block that ends within a field', ERROR.compression, [frame(TYPE.headers, END, 1, cut(GET))]],
  ['a field block with a number without end', ERROR.compression, [frame(TYPE.headers, END, 1, Buffer.alloc(12, 0xff))]],
  ['a field block with bad Huffman padding', ERROR.compression, [frame(TYPE.headers, END, 1, Buffer.from([0x00, 0x81, 0x18, 0x81, 0x18]))]],
  [
    'a table grown above the settings',
    ERROR.compression,
    [frame(TYPE.headers, END, 1, Buffer.concat([Buffer.from([0x3f, 0xe2, 0x1f]), block(GET)]))],
  ],
  ['a table resized behind a field', ERROR.compression, [frame(TYPE.headers, END, 1, Buffer.from([0x82, 0x20]))]],
  ['CONTINUATION without HEADERS', ERROR.protocol, [frame(TYPE.continuation, END_HEADERS, 1, block(GET))]],
  ['CONTINUATION of another stream', ERROR.protocol, [frame(TYPE.headers, 0, 1, cut(GET)), frame(TYPE.continuation, END_HEADERS, 3, 'x')]],
  ['DATA within a field block', ERROR.protocol, [frame(TYPE.headers, 0, 1, cut(GET)), frame(TYPE.data, 0, 1, 'x')]],
  ['PING within a field block', ERROR.protocol, [frame(TYPE.headers, 0, 1, cut(GET)), frame(TYPE.ping, 0, 0, Buffer.alloc(8))]],
  ['an unknown frame within a field block', ERROR.protocol, [frame(TYPE.headers, 0, 1, cut(GET)), frame(0x16, 0, 0, 'x')]],
  ['CONTINUATION after the end of a block', ERROR.protocol, [HALF_CLOSED, frame(TYPE.continuation, END_HEADERS, 1, block(GET))]],
  ['PRIORITY on stream 0', ERROR.protocol, [frame(TYPE.priority, 0, 0, Buffer.alloc(5))]],
  ['RST_STREAM on stream 0', ERROR.protocol, [frame(TYPE.reset, 0, 0, word(8))]],
  ['RST_STREAM on a stream that was never opened', ERROR.protocol, [frame(TYPE.reset, 0, 1, word(8))]],
  ['RST_STREAM of a wrong size', ERROR.frameSize, [HALF_CLOSED, frame(TYPE.reset, 0, 1, 'abc')]],
  ['SETTINGS on a stream', ERROR.protocol, [frame(TYPE.settings, 0, 1)]],
  ['SETTINGS of a wrong size', ERROR.frameSize, [frame(TYPE.settings, 0, 0, 'abc')]],
  ['acknowledged SETTINGS with a payload', ERROR.frameSize, [frame(TYPE.settings, FLAG.ack, 0, setting(1, 1))]],
  ['ENABLE_PUSH that is neither', ERROR.protocol, [frame(TYPE.settings, 0, 0, setting(2, 2))]],
  ['INITIAL_WINDOW_SIZE above the largest', ERROR.flowControl, [frame(TYPE.settings, 0, 0, setting(4, 2 ** 31))]],
  ['MAX_FRAME_SIZE below the least', ERROR.protocol, [frame(TYPE.settings, 0, 0, setting(5, 16_383))]],
  ['MAX_FRAME_SIZE above the largest', ERROR.protocol, [frame(TYPE.settings, 0, 0, setting(5, 2 ** 24))]],
  ['PUSH_PROMISE of a client', ERROR.protocol, [HALF_CLOSED, frame(TYPE.push, END_HEADERS, 1, Buffer.concat([word(2), block(GET)]))]],
  ['PING on a stream', ERROR.protocol, [frame(TYPE.ping, 0, 1, Buffer.alloc(8))]],
  ['PING of a wrong size', ERROR.frameSize, [frame(TYPE.ping, 0, 0, Buffer.alloc(7))]],
  ['GOAWAY on a stream', ERROR.protocol, [frame(TYPE.goAway, 0, 1, Buffer.alloc(8))]],
  ['WINDOW_UPDATE of a wrong size', ERROR.frameSize, [frame(TYPE.window, 0, 0, 'abc')]],
  ['WINDOW_UPDATE of nothing', ERROR.protocol, [frame(TYPE.window, 0, 0, word(0))]],
  ['WINDOW_UPDATE above the largest window', ERROR.flowControl, [frame(TYPE.window, 0, 0, word(2 ** 31 - 1))]],
  ['WINDOW_UPDATE on a stream that was never opened', ERROR.protocol, [frame(TYPE.window, 0, 1, word(1))]],
  [
    'stream windows that settings take above the largest',
    ERROR.flowControl,
    [HALF_CLOSED, frame(TYPE.window, 0, 1, word(1000)), frame(TYPE.settings, 0, 0, setting(4, 2 ** 31 - 1))],
  ],
];

/** The same for one stream, which alone ends. */
const STREAM: readonly (readonly [name: string, code: number, frames: readonly Buffer[]])[] = [
  ['DATA behind the last of a request', ERROR.streamClosed, [HALF_CLOSED, frame(TYPE.data, 0, 1, 'x')]],
  ['HEADERS behind the last of a request', ERROR.streamClosed, [HALF_CLOSED, request(1, [['a', 'b']])]],
  ['PRIORITY of a wrong size', ERROR.frameSize, [HALF_CLOSED, frame(TYPE.priority, 0, 1, 'abc')]],
  [
    'a stream that depends on itself',
    ERROR.protocol,
    [HALF_CLOSED, frame(TYPE.priority, 0, 1, Buffer.concat([word(1), Buffer.from([1])]))],
  ],
  ['WINDOW_UPDATE of nothing', ERROR.protocol, [HALF_CLOSED, frame(TYPE.window, 0, 1, word(0))]],
  ['WINDOW_UPDATE above the largest window', ERROR.flowControl, [HALF_CLOSED, frame(TYPE.window, 0, 1, word(2 ** 31 - 1))]],
  ['trailers that do not end the stream', ERROR.protocol, [OPEN, request(1, [['a', 'b']], false)]],
  ['trailers with a pseudo-field', ERROR.protocol, [OPEN, request(1, [[':path', '/']])]],
  ['a name in upper case', ERROR.protocol, [request(1, [...GET, ['X-Y', 'z']])]],
  ['a name with a blank', ERROR.protocol, [request(1, [...GET, ['x y', 'z']])]],
  ['no name', ERROR.protocol, [request(1, [...GET, ['', 'z']])]],
  ['a value with a line end', ERROR.protocol, [request(1, [...GET, ['x', 'a\r\nb: c']])]],
  ['a value with NUL', ERROR.protocol, [request(1, [...GET, ['x', 'a\0']])]],
  ['a value with a blank before', ERROR.protocol, [request(1, [...GET, ['x', ' a']])]],
  ['an unknown pseudo-field', ERROR.protocol, [request(1, [...GET, [':test', 'a']])]],
  ['a pseudo-field of responses', ERROR.protocol, [request(1, [...GET, [':status', '200']])]],
  ['a pseudo-field behind others', ERROR.protocol, [request(1, [...without(':path'), ['a', 'b'], [':path', '/']])]],
  ['connection', ERROR.protocol, [request(1, [...GET, ['connection', 'close']])]],
  ['keep-alive', ERROR.protocol, [request(1, [...GET, ['keep-alive', 'timeout=5']])]],
  ['transfer-encoding', ERROR.protocol, [request(1, [...POST, ['transfer-encoding', 'chunked']], false)]],
  ['upgrade', ERROR.protocol, [request(1, [...GET, ['upgrade', 'h2c']])]],
  ['te of anything but trailers', ERROR.protocol, [request(1, [...GET, ['te', 'gzip']])]],
  ['no method', ERROR.protocol, [request(1, without(':method'))]],
  ['no scheme', ERROR.protocol, [request(1, without(':scheme'))]],
  ['no path', ERROR.protocol, [request(1, without(':path'))]],
  ['an empty path', ERROR.protocol, [request(1, [...without(':path'), [':path', '']])]],
  ['a path that is a whole address', ERROR.protocol, [request(1, [...without(':path'), [':path', 'http://a.test/']])]],
  ['a path with a blank, where HTTP/1.1 would see its end', ERROR.protocol, [request(1, [...without(':path'), [':path', '/ HTTP/1.1']])]],
  ['a method that is no token', ERROR.protocol, [request(1, [...without(':method'), [':method', 'GET /x']])]],
  ['two methods', ERROR.protocol, [request(1, [...GET, [':method', 'GET']])]],
  ['two paths', ERROR.protocol, [request(1, [...GET, [':path', '/']])]],
  ['two hosts that differ', ERROR.protocol, [request(1, [...GET, ['host', 'other.test']])]],
  ['a protocol without CONNECT', ERROR.protocol, [request(1, [...GET, [':protocol', 'websocket']])]],
  ['CONNECT with a path', ERROR.protocol, [request(1, [...without(':method'), [':method', 'CONNECT']])]],
  ['two lengths', ERROR.protocol, [request(1, [...POST, ['content-length', '1'], ['content-length', '1']], false)]],
  ['a length that is no number', ERROR.protocol, [request(1, [...POST, ['content-length', '+1']], false)]],
  ['a length without a body', ERROR.protocol, [request(1, [...POST, ['content-length', '1']])]],
  [
    'a body below its length',
    ERROR.protocol,
    [request(1, [...WAITING_POST, ['content-length', '3']], false), frame(TYPE.data, FLAG.endStream, 1, 'xx')],
  ],
  [
    'a body above its length',
    ERROR.protocol,
    [request(1, [...WAITING_POST, ['content-length', '3']], false), frame(TYPE.data, 0, 1, 'xxxx')],
  ],
  ['trailers below the length', ERROR.protocol, [request(1, [...WAITING_POST, ['content-length', '3']], false), request(1, [['a', 'b']])]],
];

describe('what ends a connection (RFC 9113)', () => {
  it.each(CONNECTION)('%s: code %i', async (_name, code, frames) => {
    const client = await RawClient.open(port);
    client.send(...frames);
    await until(() => client.closed);
    expect(client.codes(0)).toEqual([code]);
  });

  it.each([
    ['no settings after the preface', Buffer.concat([PREFACE, request(1)])],
    ['acknowledged settings first', Buffer.concat([PREFACE, frame(TYPE.settings, FLAG.ack, 0)])],
  ])('%s', async (_name, greeting) => {
    const client = await RawClient.open(port, greeting);
    await until(() => client.closed);
    expect(client.codes(0)).toEqual([ERROR.protocol]);
  });

  it('a preface that goes on otherwise', async () => {
    const client = await RawClient.open(port, PREFACE.subarray(0, 18));
    await until(() => client.frames.length > 0);
    client.send(Buffer.from('XX\r\n\r\n'));
    await until(() => client.closed);
    expect(client.codes(0)).toEqual([ERROR.protocol]);
  });

  it('DATA on a stream that both sides have ended', async () => {
    const client = await RawClient.open(port);
    client.send(request(1));
    expect(await client.answer(1)).toBe('200');
    client.send(frame(TYPE.data, 0, 1, 'x'));
    await until(() => client.closed);
    expect(client.codes(0)).toEqual([ERROR.streamClosed]);
  });

  it('HEADERS on a stream that both sides have ended', async () => {
    const client = await RawClient.open(port);
    client.send(request(1));
    expect(await client.answer(1)).toBe('200');
    client.send(request(1));
    await until(() => client.closed);
    expect(client.codes(0)).toEqual([ERROR.streamClosed]);
  });
});

describe('what ends one stream', () => {
  it.each(STREAM)('%s: code %i', async (_name, code, frames) => {
    const client = await RawClient.open(port);
    client.send(...frames, request(99));
    expect(await client.answer(99)).toBe('200');
    expect([client.codes(1), client.codes(0)]).toEqual([[code], []]);
    client.close();
  });
});

describe('what is no fault', () => {
  it.each<readonly [string, readonly Buffer[]]>([
    ['an unknown frame', [frame(0x16, 0xff, 7, 'anything')]],
    ['an unknown setting', [frame(TYPE.settings, 0, 0, setting(0x99, 1))]],
    [
      'padding and a priority',
      [
        frame(
          TYPE.headers,
          END | FLAG.padded | FLAG.priority,
          1,
          Buffer.concat([Buffer.from([3]), word(0), Buffer.from([1]), block(GET), Buffer.alloc(3)]),
        ),
      ],
    ],
    ['PRIORITY for a stream to come', [frame(TYPE.priority, 0, 9, Buffer.concat([word(0), Buffer.from([1])]))]],
    [
      'a block in many parts',
      [
        frame(TYPE.headers, FLAG.endStream, 1, block(GET).subarray(0, 1)),
        frame(TYPE.continuation, 0, 1, block(GET).subarray(1, 9)),
        frame(TYPE.continuation, END_HEADERS, 1, block(GET).subarray(9)),
      ],
    ],
    ['host beside the same authority', [request(1, [...GET, ['host', 'shop.test']])]],
    ['te: trailers', [request(1, [...GET, ['te', 'trailers']])]],
    ['WINDOW_UPDATE on a stream that is over', [request(1), frame(TYPE.reset, 0, 1, word(8)), frame(TYPE.window, 0, 1, word(9))]],
    ['a last length of 0', [request(1, [...POST, ['content-length', '0']])]],
  ])('%s', async (_name, frames) => {
    const client = await RawClient.open(port);
    client.send(...frames, request(99));
    expect(await client.answer(99)).toBe('200');
    expect(client.codes(0)).toEqual([]);
    client.close();
  });

  it('a client that takes its leave with a request under way', async () => {
    const client = await RawClient.open(port);
    client.send(request(1), frame(TYPE.goAway, 0, 0, Buffer.alloc(8)));
    expect(await client.answer(1)).toBe('200');
    await until(() => client.closed);
    expect(client.codes(0)).toEqual([ERROR.none]);
  });

  it('answers pings', async () => {
    const client = await RawClient.open(port);
    client.send(frame(TYPE.ping, 0, 0, 'bulkhead'));
    await until(() =>
      client.frames.some(({ type, flags, payload }) => type === TYPE.ping && flags === FLAG.ack && payload.toString() === 'bulkhead'),
    );
    client.close();
  });

  it.each([1, 2, 3, 5, 8, 13, 21])('frames that come %i bytes at a time', async (size) => {
    const whole = Buffer.concat([
      PREFACE,
      frame(TYPE.settings, 0, 0),
      request(1, [...POST, ['content-length', '5']], false),
      frame(TYPE.data, FLAG.endStream, 1, 'hello'),
    ]);
    const client = await RawClient.open(port, whole.subarray(0, size));
    for (let at = size; at < whole.length; at += size) {
      client.send(whole.subarray(at, at + size));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await client.answer(1)).toBe('200');
    client.close();
  });
});

describe('whatever comes', () => {
  const anyFrame = fc.oneof(
    fc.constantFrom(
      OPEN,
      HALF_CLOSED,
      request(3),
      request(5, WAIT),
      frame(TYPE.settings, 0, 0, setting(4, 0)),
      frame(TYPE.window, 0, 0, word(65_535)),
    ),
    fc
      .tuple(
        fc.integer({ min: 0, max: 10 }),
        fc.integer({ min: 0, max: 255 }),
        fc.constantFrom(0, 1, 1, 3, 3, 5, 7, 2),
        fc.uint8Array({ maxLength: 60 }),
      )
      .map(([type, flags, stream, payload]) => frame(type, flags, stream, Buffer.from(payload))),
    fc
      .tuple(fc.constantFrom(0, 1, 5), fc.constantFrom(1, 3, 5, 7), fc.uint8Array({ maxLength: 30 }))
      .map(([flags, stream, tail]) => frame(TYPE.headers, flags, stream, Buffer.concat([block(GET), Buffer.from(tail)]))),
    fc
      .tuple(fc.constantFrom(1, 3, 5, 7), fc.nat({ max: 3_000 }), fc.boolean())
      .map(([stream, size, ended]) => frame(TYPE.data, ended ? 1 : 0, stream, Buffer.alloc(size, 'x'))),
  );

  it('the node goes on, and everything that was opened is closed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyFrame, { minLength: 1, maxLength: 25 }), fc.integer({ min: 1, max: 400 }), async (frames, cut) => {
        const client = await RawClient.open(port);
        const bytes = Buffer.concat(frames);
        for (let at = 0; at < bytes.length; at += cut) client.send(bytes.subarray(at, at + cut));
        // An answer, or the end: either way all of it was read.
        client.send(frame(TYPE.ping, 0, 0, 'the last'));
        await until(
          () =>
            client.closed ||
            client.frames.some(({ type, flags }) => type === TYPE.ping && flags === FLAG.ack) ||
            client.codes(0).length > 0,
        );
        client.close();
      }),
      { numRuns: 200 },
    );
    const client = await RawClient.open(port);
    client.send(request(1));
    expect(await client.answer(1)).toBe('200');
    client.close();
    await until(() => node.application('shop').connectionsActive === 0 && node.application('shop').flowsActive === 0);
    const { flowsOpened, flowsClosed } = node.application('shop');
    expect([flowsOpened - flowsClosed, node.logged.filter(({ level }) => level === 'error')]).toEqual([0, []]);
  });
});
