/** The same sentences of RFC 9113, to a server: what it answers a request with, and what becomes of the request and of the connection. */
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode, startServer, type TestServer, until } from '../node/harness.ts';
import { block, ERROR, FLAG, frame, RawClient, setting, TYPE, word } from './frames.ts';
import type { Fields } from './suite.ts';

const HEADER_END = Buffer.from('\r\n');
const PREFACE_BYTES = 24;

/** A server's end of a connection of the proxy, once its preface was taken off. */
interface Peer {
  readonly reader: RawClient;
}

let server: TestServer;
let node: RunningNode;
let port: number;
/** What the next connection is greeted with, and what the request on its stream 1 is answered with. */
let greeting: Buffer;
let answer: Buffer[];
let peer: Peer | null;

function serve(socket: Socket): void {
  let early = Buffer.alloc(0);
  const greet = (bytes: Buffer) => {
    early = Buffer.concat([early, bytes]);
    // A PROXY header comes first: so each client has a connection of its own.
    const from = early.indexOf(HEADER_END) + 2 + PREFACE_BYTES;
    if (from < 2 + PREFACE_BYTES || early.length < from) return;
    socket.off('data', greet);
    const reader = new RawClient(socket);
    peer = { reader };
    socket.write(greeting);
    socket.emit('data', early.subarray(from));
    socket.on('data', () => {
      if (answer.length > 0 && reader.fields.has(1)) socket.write(Buffer.concat(answer.splice(0)));
    });
  };
  socket.on('data', greet);
}

beforeAll(async () => {
  server = await startServer(serve);
  port = await freePort();
  node = await startNode(`
version: 1
process: { workers: 1 }
pools: { web: { servers: [127.0.0.1:${server.port}], protocol: h2, proxy-protocol: v1, retries: { attempts: 0 } } }
applications:
  shop: { vips: [127.0.0.1:${port}], mode: http, pool: web, rules: [{ name: all, action: allow }] }
`);
});
afterAll(async () => {
  await node.stop();
  server.close();
});

type Outcome = { goAway: number } | { reset: number } | { status: number; body?: string };
type Row = readonly [section: string, what: string, outcome: Outcome, frames: readonly Buffer[]];

const SETTINGS = frame(TYPE.settings, 0, 0);
const END_HEADERS = FLAG.endHeaders;
const END = FLAG.endHeaders | FLAG.endStream;
const OK: Fields = [[':status', '200']];
const head = (fields: Fields = OK, ended = false, stream = 1) => frame(TYPE.headers, ended ? END : END_HEADERS, stream, block(fields));
const data = (text: string, ended = true, stream = 1) => frame(TYPE.data, ended ? FLAG.endStream : 0, stream, text);
const WHOLE = head(OK, true);
const CUT = frame(TYPE.headers, 0, 1, block(OK).subarray(0, 3));
const goAway = (code: number): Outcome => ({ goAway: code });
const reset = (code: number): Outcome => ({ reset: code });
const ok = (body = ''): Outcome => ({ status: 200, body });
const PROTOCOL = goAway(ERROR.protocol);
const SIZE = goAway(ERROR.frameSize);
const CLOSED = goAway(ERROR.streamClosed);
const MALFORMED = reset(ERROR.protocol);
const settings = (name: number, value: number) => frame(TYPE.settings, 0, 0, setting(name, value));

/** A client of HTTP/1.1 that asks once. */
async function ask(method = 'GET'): Promise<string> {
  const socket = connect(port, '127.0.0.1', () => socket.write(`${method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`));
  let text = '';
  socket.on('data', (bytes) => (text += bytes.toString('latin1')));
  await new Promise<void>((resolve) => socket.on('close', () => resolve()).on('error', () => resolve()));
  return text;
}

/** The request is sent, the frames are its answer; what the client got, and what the server was told. */
async function play(frames: readonly Buffer[], method = 'GET', first = SETTINGS): Promise<{ text: string; reader: RawClient }> {
  peer = null;
  greeting = first;
  answer = [...frames];
  const text = await ask(method);
  return { text, reader: peer!.reader };
}

function rows(table: readonly Row[], method = 'GET'): void {
  it.each(table)('%s %s', async (_section, _what, outcome, frames) => {
    const { text, reader } = await play(frames, method);
    if ('goAway' in outcome) {
      await until(() => reader.codes(0).length > 0);
      expect(reader.codes(0)).toEqual([outcome.goAway]);
    } else if ('reset' in outcome) {
      await until(() => reader.codes(1).length > 0);
      expect([reader.codes(1), reader.codes(0).filter((code) => code !== ERROR.none)]).toEqual([[outcome.reset], []]);
    } else {
      const final = text.replace(/^(?:HTTP\/1\.1 1\d\d[\s\S]*?\r\n\r\n)+/, '');
      expect(final).toMatch(new RegExp(`^HTTP/1\\.1 ${outcome.status} `));
      if (outcome.body !== undefined) expect(bodyOf(final)).toBe(outcome.body);
      expect([reader.codes(1), reader.codes(0).filter((code) => code !== ERROR.none)]).toEqual([[], []]);
    }
    reader.close();
  });
}

/** What stands behind the head, chunks put together. */
function bodyOf(text: string): string {
  const at = text.indexOf('\r\n\r\n') + 4;
  if (!/transfer-encoding: chunked/i.test(text.slice(0, at))) return text.slice(at);
  return text
    .slice(at, text.indexOf('0\r\n', at))
    .split('\r\n')
    .filter((_line, i) => i % 2 === 1)
    .join('');
}

describe('the beginning (§3.4)', () => {
  it.each([
    ['no settings first', frame(TYPE.ping, 0, 0, Buffer.alloc(8))],
    ['acknowledged settings first', frame(TYPE.settings, FLAG.ack, 0)],
    ['ENABLE_PUSH of a server (RFC 9113 §6.5.2)', settings(2, 1)],
    ['MAX_FRAME_SIZE below the least', settings(5, 1)],
    ['ENABLE_CONNECT_PROTOCOL that is neither', settings(8, 2)],
  ])('%s: no HTTP/2', async (_what, first) => {
    const { text, reader } = await play([WHOLE], 'GET', first);
    expect([text.slice(0, 12), reader.codes(0)]).toEqual(['HTTP/1.1 502', [ERROR.protocol]]);
  });
});

describe('frames as such (§4)', () => {
  rows([
    ['4.1', 'a type that nobody knows', ok(), [frame(0x16, 0xff, 1, 'x'), WHOLE]],
    [
      '4.1',
      'frames of extensions: ALTSVC, ORIGIN, PRIORITY_UPDATE',
      ok(),
      [frame(10, 0, 0, 'x'), frame(12, 0, 0, 'x'), frame(16, 0, 0, 'x'), WHOLE],
    ],
    ['4.1', 'flags that HEADERS do not have', ok(), [frame(TYPE.headers, END | 0x52, 1, block(OK))]],
    ['4.1', 'the reserved bit of a stream number', ok(), [Buffer.concat([WHOLE.subarray(0, 5), Buffer.from([0x80]), WHOLE.subarray(6)])]],
    ['4.2', 'DATA above the largest size', SIZE, [head(), frame(TYPE.data, 0, 1, Buffer.alloc(16_385))]],
    ['4.2', 'HEADERS above the largest size', SIZE, [frame(TYPE.headers, END, 1, Buffer.alloc(16_385))]],
    ['4.3', 'a field block that cannot be decoded', goAway(ERROR.compression), [frame(TYPE.headers, END, 1, Buffer.from([0xff, 0xff]))]],
    ['4.3', 'PRIORITY within a field block', PROTOCOL, [CUT, frame(TYPE.priority, 0, 1, Buffer.alloc(5))]],
    ['4.3', 'HEADERS of another stream within a field block', PROTOCOL, [CUT, head(OK, true, 3)]],
    ['5.5', 'an unknown frame within a field block', PROTOCOL, [CUT, frame(0x16, 0, 0, 'x')]],
  ]);
});

describe('states of streams (§5.1)', () => {
  rows([
    ['5.1', 'idle: DATA', PROTOCOL, [data('x', true, 2)]],
    ['5.1', 'idle: RST_STREAM', PROTOCOL, [frame(TYPE.reset, 0, 2, word(8))]],
    ['5.1', 'idle: WINDOW_UPDATE', PROTOCOL, [frame(TYPE.window, 0, 2, word(100))]],
    ['5.1', 'idle: CONTINUATION', PROTOCOL, [frame(TYPE.continuation, END_HEADERS, 2, block(OK))]],
    ['5.1', 'closed by RST_STREAM: DATA', CLOSED, [head(), frame(TYPE.reset, 0, 1, word(8)), data('x')]],
    ['5.1', 'closed by RST_STREAM: HEADERS', CLOSED, [head(), frame(TYPE.reset, 0, 1, word(8)), WHOLE]],
    [
      '5.1',
      'closed by RST_STREAM: CONTINUATION',
      PROTOCOL,
      [head(), frame(TYPE.reset, 0, 1, word(8)), frame(TYPE.continuation, 4, 1, block(OK))],
    ],
    ['5.1', 'closed: DATA', CLOSED, [WHOLE, data('x')]],
    ['5.1', 'closed: HEADERS', CLOSED, [WHOLE, WHOLE]],
    ['5.1', 'closed: CONTINUATION', PROTOCOL, [WHOLE, frame(TYPE.continuation, END_HEADERS, 1, block(OK))]],
    ['5.1.1', 'an answer to what was not asked', PROTOCOL, [head(OK, true, 101)]],
    ['5.1.1', 'a stream of its own', PROTOCOL, [head(OK, true, 2)]],
  ]);
});

describe('frames (§6)', () => {
  rows([
    ['6.1', 'DATA on stream 0', PROTOCOL, [data('x', true, 0)]],
    ['6.1', 'DATA that is all padding and more', PROTOCOL, [head(), frame(TYPE.data, FLAG.padded, 1, Buffer.from([6, 1, 2]))]],
    ['6.1', 'padded DATA', ok('x'), [head(), frame(TYPE.data, FLAG.padded | FLAG.endStream, 1, Buffer.from([2, 0x78, 0, 0]))]],
    ['6.2', 'HEADERS on stream 0', PROTOCOL, [head(OK, true, 0)]],
    ['6.2', 'HEADERS that are all padding and more', PROTOCOL, [frame(TYPE.headers, END | FLAG.padded, 1, Buffer.from([9, 0x88]))]],
    ['6.3', 'PRIORITY', ok(), [frame(TYPE.priority, 0, 1, Buffer.alloc(5)), WHOLE]],
    ['6.3', 'PRIORITY on stream 0', PROTOCOL, [frame(TYPE.priority, 0, 0, Buffer.alloc(5))]],
    ['6.3', 'PRIORITY of a wrong size', reset(ERROR.frameSize), [frame(TYPE.priority, 0, 1, 'abc')]],
    ['6.3', 'PRIORITY of a wrong size, on an idle stream', SIZE, [frame(TYPE.priority, 0, 2, 'abc')]],
    ['6.4', 'RST_STREAM on stream 0', PROTOCOL, [frame(TYPE.reset, 0, 0, word(8))]],
    ['6.4', 'RST_STREAM of a wrong size', SIZE, [frame(TYPE.reset, 0, 1, 'abc')]],
    ['6.5', 'SETTINGS on a stream', PROTOCOL, [frame(TYPE.settings, 0, 1, setting(3, 100))]],
    ['6.5', 'SETTINGS of a wrong size', SIZE, [frame(TYPE.settings, 0, 0, 'abc')]],
    ['6.5', 'acknowledged SETTINGS with a payload', SIZE, [frame(TYPE.settings, FLAG.ack, 0, setting(3, 100))]],
    ['6.5.2', 'INITIAL_WINDOW_SIZE above the largest', goAway(ERROR.flowControl), [settings(4, 2 ** 31)]],
    ['6.5.2', 'MAX_FRAME_SIZE above the largest', PROTOCOL, [settings(5, 2 ** 24)]],
    ['6.5.2', 'one that nobody knows', ok(), [settings(0x99, 1), WHOLE]],
    [
      '6.6',
      'PUSH_PROMISE, which it was told not to send',
      PROTOCOL,
      [frame(TYPE.push, END_HEADERS, 1, Buffer.concat([word(2), block(OK)]))],
    ],
    ['6.7', 'PING on a stream', PROTOCOL, [frame(TYPE.ping, 0, 1, Buffer.alloc(8))]],
    ['6.7', 'PING of a wrong size', SIZE, [frame(TYPE.ping, 0, 0, Buffer.alloc(6))]],
    ['6.8', 'GOAWAY on a stream', PROTOCOL, [frame(TYPE.goAway, 0, 1, Buffer.alloc(8))]],
    [
      '6.8',
      'GOAWAY that has looked at the request',
      ok('x'),
      [frame(TYPE.goAway, 0, 0, Buffer.concat([word(1), word(0)])), head(), data('x')],
    ],
    [
      '6.8',
      'a first GOAWAY, a second, and the answer',
      ok('x'),
      [
        frame(TYPE.goAway, 0, 0, Buffer.concat([word(2 ** 31 - 1), word(0)])),
        frame(TYPE.goAway, 0, 0, Buffer.concat([word(1), word(0)])),
        head(),
        data('x'),
      ],
    ],
    ['6.9', 'WINDOW_UPDATE of nothing', PROTOCOL, [frame(TYPE.window, 0, 0, word(0))]],
    ['6.9', 'WINDOW_UPDATE of nothing, on a stream', reset(ERROR.protocol), [frame(TYPE.window, 0, 1, word(0))]],
    ['6.9', 'WINDOW_UPDATE of a wrong size', SIZE, [frame(TYPE.window, 0, 0, 'abc')]],
    ['6.9.1', 'WINDOW_UPDATE above the largest window', goAway(ERROR.flowControl), [frame(TYPE.window, 0, 0, word(2 ** 31 - 1))]],
    [
      '6.9.1',
      'WINDOW_UPDATE above the largest window, on a stream',
      reset(ERROR.flowControl),
      [frame(TYPE.window, 0, 1, word(2 ** 31 - 1))],
    ],
    [
      '6.10',
      'CONTINUATION',
      ok(),
      [frame(TYPE.headers, 1, 1, block(OK).subarray(0, 3)), frame(TYPE.continuation, 4, 1, block(OK).subarray(3))],
    ],
    ['6.10', 'CONTINUATION behind HEADERS that were whole', PROTOCOL, [head(), frame(TYPE.continuation, END_HEADERS, 1, block(OK))]],
    ['6.10', 'CONTINUATION on stream 0', PROTOCOL, [CUT, frame(TYPE.continuation, END_HEADERS, 0, 'x')]],
  ]);
});

describe('answers (§8)', () => {
  const answers = (fields: Fields, ended = true) => [head(fields, ended)];
  const length = (value: string): Fields => [...OK, ['content-length', value]];
  const TRAILERS = frame(TYPE.headers, END, 1, block([['a', 'b']]));
  rows([
    ['8.1', 'a head and a body', ok('hello'), [head(), data('hel', false), data('lo')]],
    ['8.1', 'interim heads before it', ok('x'), [head([[':status', '100']]), head([[':status', '103']]), head(), data('x')]],
    ['8.1', 'trailers', ok('x'), [head(), data('x', false), TRAILERS]],
    ['8.1', 'an interim head that ends it', MALFORMED, answers([[':status', '103']])],
    ['8.1', 'DATA before the head', MALFORMED, [data('x', false)]],
    ['8.1', 'an end before the head', MALFORMED, [data('')]],
    ['8.1', 'nothing but empty DATA before the head', MALFORMED, [data('', false), WHOLE]],
    ['8.1', 'two heads', MALFORMED, [head(), head()]],
    ['8.1', 'trailers that do not end it', MALFORMED, [head(), frame(TYPE.headers, END_HEADERS, 1, block([['a', 'b']]))]],
    ['8.1.1', 'less than the length', MALFORMED, [head(length('5')), data('x')]],
    ['8.1.1', 'more than the length', MALFORMED, [head(length('1')), data('xx')]],
    ['8.1.1', 'a length, and none of it', MALFORMED, answers(length('5'))],
    ['8.1.1', 'two lengths', MALFORMED, answers([...length('0'), ['content-length', '0']])],
    ['8.1.1', 'a length that is no number', MALFORMED, answers(length('x'))],
    ['8.1.1', 'a body of a 204', MALFORMED, [head([[':status', '204']]), data('x')]],
    [
      '8.1.1',
      'a body of a 304',
      MALFORMED,
      [
        head([
          [':status', '304'],
          ['content-length', '1'],
        ]),
        data('x'),
      ],
    ],
    [
      '8.1.1',
      'the length of what a 304 does not send',
      { status: 304 },
      answers([
        [':status', '304'],
        ['content-length', '5'],
      ]),
    ],
    ['8.2.1', 'a name in upper case', MALFORMED, answers([...OK, ['X-Y', 'z']])],
    ['8.2.1', 'a value with a line end', MALFORMED, answers([...OK, ['x', 'a\r\nset-cookie: b']])],
    ['8.2.1', 'a value with NUL', MALFORMED, answers([...OK, ['x', 'a\0']])],
    ['8.2.2', 'connection', MALFORMED, answers([...OK, ['connection', 'close']])],
    ['8.2.2', 'transfer-encoding', MALFORMED, [head([...OK, ['transfer-encoding', 'chunked']]), data('x')]],
    ['8.2.2', 'upgrade', MALFORMED, answers([...OK, ['upgrade', 'h2c']])],
    ['8.3', 'a pseudo-field of requests', MALFORMED, answers([...OK, [':path', '/']])],
    ['8.3', 'a pseudo-field that nobody knows', MALFORMED, answers([...OK, [':test', 'x']])],
    ['8.3', 'a pseudo-field behind others', MALFORMED, answers([['a', 'b'], ...OK])],
    ['8.3', 'a pseudo-field among trailers', MALFORMED, [head(), frame(TYPE.headers, END, 1, block(OK))]],
    ['8.3.2', 'no status', MALFORMED, answers([['a', 'b']])],
    ['8.3.2', 'nothing at all', MALFORMED, [frame(TYPE.headers, END, 1)]],
    ['8.3.2', 'two of them', MALFORMED, answers([...OK, ...OK])],
    ['8.3.2', 'a status of two digits', MALFORMED, answers([[':status', '20']])],
    ['8.3.2', 'a status of four digits', MALFORMED, answers([[':status', '2000']])],
    ['8.3.2', 'a status that is no number', MALFORMED, answers([[':status', 'two']])],
    ['8.3.2', 'a status with a phrase', MALFORMED, answers([[':status', '200 OK']])],
    ['8.3.2', 'a status below 100', MALFORMED, answers([[':status', '099']])],
    ['8.6', '101, which HTTP/2 does not have', MALFORMED, [head([[':status', '101']])]],
  ]);

  describe('to HEAD', () => {
    rows(
      [
        ['8.1.1', 'a length, and nothing of it', ok(), answers(length('5'))],
        ['8.1.1', 'a head that does not end it, and an end behind', ok(), [head(length('5')), data('')]],
        ['8.1.1', 'a body', MALFORMED, [head(length('5')), data('hello')]],
      ],
      'HEAD',
    );
  });
});
