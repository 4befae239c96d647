/** RFC 9113 §3, §4 and §6, sentence by sentence: what each frame may be, and what becomes of those that it may not be. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../node/harness.ts';
import { block, ERROR, FLAG, frame, GET, POST, PREFACE, RawClient, request, setting, TYPE, word } from './frames.ts';
import {
  answered,
  CUT,
  changed,
  check,
  END,
  END_HEADERS,
  goAway,
  HALF_CLOSED,
  headers,
  OPEN,
  play,
  type Row,
  reset,
  rows,
  type Step,
  type Suite,
  settled,
  startSuite,
  status,
  WAITING_POST,
} from './suite.ts';

let suite: Suite;
beforeAll(async () => {
  suite = await startSuite();
});
afterAll(() => suite.stop());

const { padded, priority, endStream } = FLAG;
const WEIGHT = Buffer.from([15]);
const dependsOn = (stream: number, weight = WEIGHT) => Buffer.concat([word(stream), weight]);
const EXCLUSIVE = 2 ** 31;
const PROTOCOL = goAway(ERROR.protocol);
const SIZE = goAway(ERROR.frameSize);
const FLOW = goAway(ERROR.flowControl);
/** So many full DATA frames. */
const data = (stream: number, count: number) => Array.from({ length: count }, () => frame(TYPE.data, 0, stream, Buffer.alloc(16_384)));
/** A frame whose stream number has its reserved bit set. */
const reserved = (bytes: Buffer) => {
  bytes[5]! |= 0x80;
  return bytes;
};
const settings = (...pairs: readonly (readonly [number, number])[]) =>
  frame(TYPE.settings, 0, 0, Buffer.concat(pairs.map(([name, value]) => setting(name, value))));

describe('frames as such (§4)', () => {
  rows(() => suite, [
    ['4.1', 'a type that nobody knows', 'passes', [frame(0x16, 0, 0, 'x'), frame(0xff, 0xff, 7, 'anything')]],
    ['4.1', 'flags that PING does not have', 'passes', [frame(TYPE.ping, 0x16, 0, Buffer.alloc(8))]],
    ['4.1', 'flags that HEADERS do not have', status('200'), [headers(1, END | 0x52)]],
    ['4.1', 'the reserved bit of a stream number', status('200'), [reserved(request(1))]],
    ['4.1', 'the reserved bit of PING', 'passes', [reserved(frame(TYPE.ping, 0, 0, Buffer.alloc(8)))]],
    ['4.2', 'DATA of the largest size', status('200'), [request(1, POST, false), frame(TYPE.data, endStream, 1, Buffer.alloc(16_384))]],
    ['4.2', 'DATA above the largest size', SIZE, [OPEN, frame(TYPE.data, 0, 1, Buffer.alloc(16_385))]],
    ['4.2', 'HEADERS above the largest size', SIZE, [headers(1, END, Buffer.alloc(16_385))]],
    ['4.2', 'SETTINGS above the largest size', SIZE, [frame(TYPE.settings, 0, 0, Buffer.alloc(16_386))]],
    ['4.2', 'an unknown frame above the largest size', SIZE, [frame(0x16, 0, 0, Buffer.alloc(16_385))]],
    [
      '4.3',
      'a field block that cannot be decoded',
      goAway(ERROR.compression),
      [headers(1, END, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]))],
    ],
    ['4.3', 'PRIORITY within a field block', PROTOCOL, [headers(1, 0, CUT), frame(TYPE.priority, 0, 1, dependsOn(0))]],
    ['4.3', 'HEADERS of another stream within a field block', PROTOCOL, [headers(1, 0, CUT), request(3)]],
    ['4.3', 'HEADERS of the same stream within a field block', PROTOCOL, [headers(1, 0, CUT), request(1)]],
    ['4.3', 'DATA within a field block', PROTOCOL, [headers(1, 0, CUT), frame(TYPE.data, 0, 1, 'x')]],
    ['4.3', 'PING within a field block', PROTOCOL, [headers(1, 0, CUT), frame(TYPE.ping, 0, 0, Buffer.alloc(8))]],
    ['4.3', 'SETTINGS within a field block', PROTOCOL, [headers(1, 0, CUT), settings()]],
    ['4.3', 'WINDOW_UPDATE within a field block', PROTOCOL, [headers(1, 0, CUT), frame(TYPE.window, 0, 0, word(1))]],
    ['4.3', 'RST_STREAM within its field block', PROTOCOL, [headers(1, 0, CUT), frame(TYPE.reset, 0, 1, word(8))]],
    ['5.5', 'an unknown frame within a field block', PROTOCOL, [headers(1, 0, CUT), frame(0x16, 0, 0, 'x')]],
  ] satisfies Row[]);
});

describe('DATA (§6.1)', () => {
  rows(() => suite, [
    ['6.1', 'one frame', status('200'), [request(1, POST, false), frame(TYPE.data, endStream, 1, 'test')]],
    ['6.1', 'several frames', status('200'), [request(1, POST, false), frame(TYPE.data, 0, 1, 'te'), frame(TYPE.data, endStream, 1, 'st')]],
    ['6.1', 'nothing but the end', status('200'), [request(1, POST, false), frame(TYPE.data, endStream, 1)]],
    [
      '6.1',
      'padding behind the payload',
      status('200'),
      [request(1, POST, false), frame(TYPE.data, padded | endStream, 1, Buffer.from([5, 1, 0, 0, 0, 0, 0]))],
    ],
    [
      '6.1',
      'padding and nothing else',
      status('200'),
      [request(1, POST, false), frame(TYPE.data, padded | endStream, 1, Buffer.from([3, 0, 0, 0]))],
    ],
    // A receiver may take padding that is not zero for a fault; common ones do not look.
    [
      '6.1',
      'padding that is not zero',
      status('200'),
      [request(1, POST, false), frame(TYPE.data, padded | endStream, 1, Buffer.from([2, 1, 2]))],
    ],
    ['6.1', 'on stream 0', PROTOCOL, [frame(TYPE.data, 0, 0, 'x')]],
    ['6.1', 'on a stream that was never opened', PROTOCOL, [frame(TYPE.data, 0, 5, 'x')]],
    ['6.1', 'on a stream of the server', PROTOCOL, [frame(TYPE.data, 0, 2, 'x')]],
    ['6.1', 'padding as long as the payload', PROTOCOL, [OPEN, frame(TYPE.data, padded, 1, Buffer.from([4, 1, 2, 3]))]],
    ['6.1', 'padding longer than the payload', PROTOCOL, [OPEN, frame(TYPE.data, padded, 1, Buffer.from([255, 1, 2]))]],
    ['6.1', 'padded, without the length of its padding', SIZE, [OPEN, frame(TYPE.data, padded, 1)]],
  ] satisfies Row[]);
});

describe('HEADERS (§6.2)', () => {
  const front = (...parts: readonly Buffer[]) => Buffer.concat([...parts, block(GET)]);
  rows(() => suite, [
    ['6.2', 'one frame', status('200'), [request(1)]],
    ['6.2', 'padding', status('200'), [headers(1, END | padded, Buffer.concat([Buffer.from([4]), block(GET), Buffer.alloc(4)]))]],
    ['6.2', 'a priority', status('200'), [headers(1, END | priority, front(dependsOn(0)))]],
    ['6.2', 'an exclusive priority', status('200'), [headers(1, END | priority, front(dependsOn(EXCLUSIVE)))]],
    ['6.2', 'a priority that names a stream to come', status('200'), [headers(1, END | priority, front(dependsOn(7)))]],
    [
      '6.2',
      'padding and a priority',
      status('200'),
      [headers(1, END | padded | priority, Buffer.concat([Buffer.from([3]), front(dependsOn(0)), Buffer.alloc(3)]))],
    ],
    ['6.2', 'on stream 0', PROTOCOL, [headers(0, END)]],
    ['6.2', 'all padding and more', PROTOCOL, [headers(1, END | padded, Buffer.from([9, 0x82]))]],
    [
      '6.2',
      'padding that reaches into the priority',
      PROTOCOL,
      [headers(1, END | padded | priority, Buffer.from([5, 0, 0, 0, 0, 15, 0x82, 0x86]))],
    ],
    ['6.2', 'padded, without the length of its padding', SIZE, [headers(1, END | padded, Buffer.alloc(0))]],
    ['6.2', 'too short for its priority', SIZE, [headers(1, END | priority, Buffer.from('abc'))]],
    // RFC 7540 §5.3.1; RFC 9113 has no word on it, and nobody means it.
    ['6.2', 'a stream that depends on itself', PROTOCOL, [headers(1, END | priority, front(dependsOn(1)))]],
  ] satisfies Row[]);
});

describe('PRIORITY (§6.3)', () => {
  const send = (stream: number, payload: Buffer | string) => frame(TYPE.priority, 0, stream, payload);
  rows(() => suite, [
    ['6.3', 'the least weight', 'passes', [send(1, dependsOn(0, Buffer.from([0])))]],
    ['6.3', 'the greatest weight', 'passes', [send(1, dependsOn(0, Buffer.from([255])))]],
    ['6.3', 'exclusive', 'passes', [send(1, dependsOn(EXCLUSIVE))]],
    ['6.3', 'on another stream', 'passes', [send(3, dependsOn(1))]],
    ['6.3', 'on an idle stream, and a lower one is opened after it', status('200'), [send(5, dependsOn(0)), request(1)]],
    ['6.3', 'on a stream that is half closed', status('200'), [request(1), send(1, dependsOn(0))]],
    ['6.3', 'on a stream that is closed', 'passes', [request(1), answered(), send(1, dependsOn(0))]],
    ['6.3', 'on stream 0', PROTOCOL, [send(0, dependsOn(0))]],
    ['6.3', 'of a wrong size', reset(ERROR.frameSize), [HALF_CLOSED, send(1, 'abcd')]],
    ['6.3', 'that depends on itself', reset(ERROR.protocol), [HALF_CLOSED, send(1, dependsOn(1))]],
    // RFC 9113 §6.4: no RST_STREAM may be sent on an idle stream, so nothing less than the connection can end.
    ['6.3', 'of a wrong size, on an idle stream', SIZE, [send(1, 'abcd')]],
    ['6.3', 'that depends on itself, on an idle stream', PROTOCOL, [send(2, dependsOn(2))]],
    ['6.3', 'of a wrong size, on a stream that is closed', 'passes', [request(1), answered(), send(1, 'abcd')]],
  ] satisfies Row[]);
});

describe('RST_STREAM (§6.4)', () => {
  const send = (stream: number, payload: Buffer | string = word(ERROR.cancel)) => frame(TYPE.reset, 0, stream, payload);
  rows(() => suite, [
    ['6.4', 'on an open stream', 'passes', [OPEN, send(1)]],
    ['6.4', 'on a half-closed stream', 'passes', [HALF_CLOSED, send(1)]],
    ['6.4', 'twice', 'passes', [OPEN, send(1), send(1)]],
    ['6.4', 'on a stream that is closed', 'passes', [request(1), answered(), send(1)]],
    ['6.4', 'on stream 0', PROTOCOL, [send(0)]],
    ['6.4', 'on an idle stream', PROTOCOL, [send(1)]],
    ['6.4', 'on an idle stream of the server', PROTOCOL, [send(2)]],
    ['6.4', 'too short', SIZE, [HALF_CLOSED, send(1, 'abc')]],
    ['6.4', 'too long', SIZE, [HALF_CLOSED, send(1, 'abcde')]],
    ['7', 'a code that nobody knows', 'passes', [OPEN, send(1, word(0xff))]],
  ] satisfies Row[]);
});

describe('SETTINGS (§6.5)', () => {
  rows(() => suite, [
    ['6.5', 'without any', 'passes', [settings()]],
    ['6.5', 'all of them', 'passes', [settings([1, 4_096], [2, 0], [3, 100], [4, 65_535], [5, 16_384], [6, 4_096])]],
    ['6.5', 'acknowledged', 'passes', [frame(TYPE.settings, FLAG.ack, 0)]],
    ['6.5', 'acknowledged, with a payload', SIZE, [frame(TYPE.settings, FLAG.ack, 0, setting(1, 1))]],
    ['6.5', 'on a stream', PROTOCOL, [frame(TYPE.settings, 0, 1, setting(3, 100))]],
    ['6.5', 'of a size that is no multiple of six', SIZE, [frame(TYPE.settings, 0, 0, 'abc')]],
    ['6.5.2', 'one that nobody knows', 'passes', [settings([0x99, 1], [0, 7], [0xffff, 2 ** 32 - 1])]],
    ['6.5.2', 'ENABLE_PUSH that is neither', PROTOCOL, [settings([2, 2])]],
    ['6.5.2', 'ENABLE_PUSH of 1', 'passes', [settings([2, 1])]],
    ['6.5.2', 'INITIAL_WINDOW_SIZE above the largest', FLOW, [settings([4, 2 ** 31])]],
    ['6.5.2', 'INITIAL_WINDOW_SIZE of the largest', status('200'), [settings([4, 2 ** 31 - 1]), request(1)]],
    ['6.5.2', 'MAX_FRAME_SIZE below the least', PROTOCOL, [settings([5, 16_383])]],
    ['6.5.2', 'MAX_FRAME_SIZE above the largest', PROTOCOL, [settings([5, 2 ** 24])]],
    ['6.5.2', 'MAX_FRAME_SIZE of the largest', 'passes', [settings([5, 2 ** 24 - 1])]],
    ['6.5.2', 'HEADER_TABLE_SIZE of nothing, then of everything', status('200'), [settings([1, 0], [1, 2 ** 32 - 1]), request(1)]],
    ['6.5.2', 'ENABLE_CONNECT_PROTOCOL that is neither (RFC 8441)', PROTOCOL, [settings([8, 2])]],
    ['6.5.2', 'MAX_CONCURRENT_STREAMS of nothing: it is the server that must not push', status('200'), [settings([3, 0]), request(1)]],
  ] satisfies Row[]);

  it('6.5.3 is acknowledged', async () => {
    const client = await check(suite.port, 'passes', [settings([3, 100])]);
    // Those of the preface, and these.
    expect(
      client.frames.filter(({ type, flags, payload }) => type === TYPE.settings && flags === FLAG.ack && payload.length === 0),
    ).toHaveLength(2);
  });
});

describe('PING (§6.7)', () => {
  const send = (flags: number, stream: number, payload: Buffer | string) => frame(TYPE.ping, flags, stream, payload);
  const answers = (client: RawClient) =>
    client.frames.filter(({ type }) => type === TYPE.ping).map(({ flags, payload }) => [flags, payload.toString()]);
  rows(() => suite, [
    ['6.7', 'on a stream', PROTOCOL, [send(0, 1, Buffer.alloc(8))]],
    ['6.7', 'too short', SIZE, [send(0, 0, Buffer.alloc(6))]],
    ['6.7', 'too long', SIZE, [send(0, 0, Buffer.alloc(9))]],
    ['6.7', 'acknowledged, and too short', SIZE, [send(FLAG.ack, 0, Buffer.alloc(7))]],
  ] satisfies Row[]);

  it('6.7 is answered with what it says', async () => {
    expect(answers(await check(suite.port, 'passes', [send(0, 0, 'bulkhead')]))).toEqual([[FLAG.ack, 'bulkhead']]);
  });

  it('6.7 is not answered where it is an answer, of nobody', async () => {
    expect(answers(await check(suite.port, 'passes', [send(FLAG.ack, 0, 'unasked!'), send(0, 0, 'bulkhead')]))).toEqual([
      [FLAG.ack, 'bulkhead'],
    ]);
  });
});

describe('GOAWAY (§6.8)', () => {
  const last = (stream: number, code: number, more = '') => Buffer.concat([word(stream), word(code), Buffer.from(more)]);
  const send = (payload: Buffer) => frame(TYPE.goAway, 0, 0, payload);
  rows(() => suite, [
    ['6.8', 'on a stream', PROTOCOL, [frame(TYPE.goAway, 0, 1, last(0, 0))]],
    ['6.8', 'too short', SIZE, [frame(TYPE.goAway, 0, 0, 'abcdefg')]],
    ['6.8', 'with nothing under way: the connection is over', goAway(ERROR.none), [send(last(0, 0))]],
    ['6.8', 'with an explanation', goAway(ERROR.none), [send(last(0, 0, 'because'))]],
    ['7', 'with a code that nobody knows', goAway(ERROR.none), [send(last(0, 0xff))]],
    ['6.8', 'with a request under way, which is answered', goAway(ERROR.none), [request(1), send(last(0, 0))]],
  ] satisfies Row[]);
});

describe('WINDOW_UPDATE (§6.9)', () => {
  const send = (stream: number, increment: number) => frame(TYPE.window, 0, stream, word(increment));
  rows(() => suite, [
    ['6.9', 'on the connection', status('200'), [send(0, 1), request(1)]],
    ['6.9', 'on an open stream', 'passes', [HALF_CLOSED, send(1, 1)]],
    ['6.9', 'on a stream that is closed', 'passes', [request(1), answered(), send(1, 100)]],
    ['6.9', 'with its reserved bit set', 'passes', [send(0, 2 ** 31 + 1)]],
    ['6.9', 'of nothing', PROTOCOL, [send(0, 0)]],
    ['6.9', 'of nothing, on a stream', reset(ERROR.protocol), [HALF_CLOSED, send(1, 0)]],
    ['6.9', 'too short', SIZE, [frame(TYPE.window, 0, 0, 'abc')]],
    ['6.9', 'too long, on a stream', SIZE, [HALF_CLOSED, frame(TYPE.window, 0, 1, 'abcde')]],
    ['6.9', 'on an idle stream', PROTOCOL, [send(1, 100)]],
    ['6.9.1', 'above the largest window', FLOW, [send(0, 2 ** 31 - 1), send(0, 2 ** 31 - 1)]],
    ['6.9.1', 'above the largest window, on a stream', reset(ERROR.flowControl), [HALF_CLOSED, send(1, 2 ** 31 - 1), send(1, 2 ** 31 - 1)]],
    ['6.9.1', 'to the largest window', 'passes', [HALF_CLOSED, send(1, 2 ** 31 - 1 - 65_535), send(0, 2 ** 31 - 1 - 65_535)]],
    ['6.9.2', 'settings that take a stream above it', FLOW, [HALF_CLOSED, send(1, 1_000), settings([4, 2 ** 31 - 1])]],
  ] satisfies Row[]);

  it.each<readonly [string, number, number, readonly Buffer[]]>([
    ['more DATA than the window of the stream', 1, ERROR.flowControl, [request(1, POST, false), ...data(1, 17)]],
    [
      'padding that is more than the window of the stream',
      1,
      ERROR.flowControl,
      [request(1, POST, false), ...data(1, 16), frame(TYPE.data, padded, 1, Buffer.from([1, 7, 0]))],
    ],
    [
      'more DATA than the window of the connection',
      0,
      ERROR.flowControl,
      [1, 3, 5, 7, 9].flatMap((id) => [request(id, POST, false), ...data(id, 16)]),
    ],
  ])('6.9.1 %s', async (_what, stream, code, frames) => {
    const client = await RawClient.open(suite.waitingPort);
    client.send(...frames);
    await until(() => client.codes(stream).length > 0);
    expect(client.codes(stream)).toEqual([code]);
    client.close();
  });

  /** The sizes of the DATA frames on a stream so far. */
  const sizes = (client: RawClient, stream = 1) =>
    client.frames.filter((one) => one.type === TYPE.data && one.stream === stream).map(({ payload }) => payload.length);
  const open = async (...steps: readonly Step[]) => {
    const client = await RawClient.open(suite.port);
    await play(client, steps);
    return client;
  };
  const sent = (count: number) => (client: RawClient) => until(() => sizes(client).length === count);

  it.each<readonly [string, string, number[], readonly Step[]]>([
    ['6.5.3', 'values are applied in order', [1], [settings([4, 100], [4, 1]), request(1), sent(1)]],
    ['6.9.1', 'a window of one is one byte', [1], [settings([4, 1]), request(1), sent(1)]],
    [
      '6.9.1',
      'a window that opens byte by byte',
      [1, 1, 1],
      [settings([4, 1]), request(1), sent(1), send(1, 1), sent(2), send(1, 1), sent(3)],
    ],
    ['6.9.2', 'settings change the windows of open streams', [1], [settings([4, 0]), request(1), settled, settings([4, 1]), sent(1)]],
    [
      '6.9.2',
      'settings can make a window negative',
      [3, 1],
      [settings([4, 3]), request(1), sent(1), settings([4, 2]), send(1, 2), sent(2)],
    ],
    ['6.9.2', "the window of the connection is not the settings' to change", [5], [settings([4, 2 ** 20]), request(1), sent(1)]],
    ['5.1', 'a half-closed stream takes windows', [1], [settings([4, 0]), request(1), send(1, 1), sent(1)]],
    [
      '5.1',
      'a half-closed stream takes a priority',
      [1],
      [settings([4, 0]), request(1), frame(TYPE.priority, 0, 1, dependsOn(0)), send(1, 1), sent(1)],
    ],
  ])('%s %s', async (_section, _what, expected, steps) => {
    const client = await open(...steps);
    // An answer to a ping comes behind whatever was on its way.
    client.send(frame(TYPE.ping, 0, 0, 'the last'));
    await until(() => client.frames.some(({ type }) => type === TYPE.ping));
    expect(sizes(client)).toEqual(expected);
    client.close();
  });

  it('6.9.1 no more comes on the connection than its window lets', async () => {
    const client = await open(request(1, changed(GET, ':path', '/large')), settings([4, 2 ** 20]));
    await until(() => sizes(client).reduce((sum, size) => sum + size, 0) === 65_535);
    client.send(send(0, 2 ** 20));
    expect(await client.answer(1)).toBe('200');
    expect(sizes(client).reduce((sum, size) => sum + size, 0)).toBe(100_000);
    client.close();
  });

  it('6.9 what was refused of DATA counts for the connection, and is given back', async () => {
    const wrong = (id: number) => [
      request(id, [...WAITING_POST, ['content-length', '5']], false),
      frame(TYPE.data, 0, id, Buffer.alloc(16_384)),
    ];
    // 1.2 MiB, of a window of 1 MiB.
    const ids = Array.from({ length: 75 }, (_, i) => 2 * i + 1);
    const client = await RawClient.open(suite.port);
    for (const id of ids) {
      client.send(...wrong(id));
      await client.answer(id);
    }
    expect(ids.map((id) => client.codes(id))).toEqual(ids.map(() => [ERROR.protocol]));
    expect([client.codes(0), client.frames.some(({ type, stream }) => type === TYPE.window && stream === 0)]).toEqual([[], true]);
    client.close();
  });
});

describe('CONTINUATION (§6.10)', () => {
  const whole = block(GET);
  const more = (flags: number, from: number, to = whole.length, stream = 1) =>
    frame(TYPE.continuation, flags, stream, whole.subarray(from, to));
  const CONTINUED = headers(1, endStream, whole.subarray(0, 1));
  rows(() => suite, [
    ['6.10', 'one', status('200'), [CONTINUED, more(END_HEADERS, 1)]],
    ['6.10', 'several', status('200'), [CONTINUED, more(0, 1, 9), more(0, 9, 20), more(END_HEADERS, 20)]],
    ['6.10', 'one that is empty', status('200'), [CONTINUED, more(0, 1, 1), more(END_HEADERS, 1)]],
    ['6.10', 'the whole block, behind empty HEADERS', status('200'), [headers(1, endStream, Buffer.alloc(0)), more(END_HEADERS, 0)]],
    ['6.10', 'behind padded HEADERS', status('200'), [headers(1, endStream | padded, Buffer.from([2, 0, 0, 0])), more(END_HEADERS, 1)]],
    ['6.10', 'followed by another frame', PROTOCOL, [CONTINUED, more(0, 1, 9), frame(TYPE.data, 0, 1, 'x')]],
    ['6.10', 'on stream 0', PROTOCOL, [CONTINUED, more(END_HEADERS, 1, undefined, 0)]],
    ['6.10', 'of another stream', PROTOCOL, [CONTINUED, more(END_HEADERS, 1, undefined, 3)]],
    ['6.10', 'behind HEADERS that were whole', PROTOCOL, [HALF_CLOSED, more(END_HEADERS, 0)]],
    ['6.10', 'behind CONTINUATION that was the last', PROTOCOL, [CONTINUED, more(END_HEADERS, 1), more(END_HEADERS, 0)]],
    ['6.10', 'behind DATA', PROTOCOL, [OPEN, frame(TYPE.data, 0, 1, 'x'), more(END_HEADERS, 0)]],
    ['6.10', 'on an idle stream', PROTOCOL, [more(END_HEADERS, 0)]],
  ] satisfies Row[]);
});

describe('PUSH_PROMISE (§6.6)', () => {
  rows(() => suite, [
    ['8.4', 'of a client', PROTOCOL, [HALF_CLOSED, frame(TYPE.push, END_HEADERS, 1, Buffer.concat([word(2), block(GET)]))]],
    ['6.6', 'on stream 0', PROTOCOL, [frame(TYPE.push, END_HEADERS, 0, Buffer.concat([word(2), block(GET)]))]],
  ] satisfies Row[]);
});

describe('the beginning of a connection (§3.4)', () => {
  const SETTINGS = frame(TYPE.settings, 0, 0);
  it.each<readonly [string, Buffer]>([
    ['no settings after the preface', Buffer.concat([PREFACE, request(1)])],
    ['acknowledged settings first', Buffer.concat([PREFACE, frame(TYPE.settings, FLAG.ack, 0)])],
    ['a ping first', Buffer.concat([PREFACE, frame(TYPE.ping, 0, 0, Buffer.alloc(8)), SETTINGS])],
    ['an unknown frame first', Buffer.concat([PREFACE, frame(0x16, 0, 0), SETTINGS])],
    ['settings on a stream first', Buffer.concat([PREFACE, frame(TYPE.settings, 0, 1)])],
  ])('%s', async (_what, greeting) => {
    await check(suite.port, PROTOCOL, [], greeting);
  });

  it('a preface that goes on otherwise', async () => {
    await check(
      suite.port,
      PROTOCOL,
      [(client) => until(() => client.frames.length > 0), Buffer.from('XX\r\n\r\n')],
      PREFACE.subarray(0, 18),
    );
  });

  it('a preface and requests in one write, before our settings came', async () => {
    await check(suite.port, status('200'), [], Buffer.concat([PREFACE, SETTINGS, request(1)]));
  });

  it('our settings come first, and theirs are acknowledged', async () => {
    const client = await check(suite.port, 'passes', []);
    expect(client.frames[0]).toMatchObject({ type: TYPE.settings, flags: 0, stream: 0 });
    expect(client.frames.filter(({ type, flags }) => type === TYPE.settings && flags === FLAG.ack)).toHaveLength(1);
  });

  it('what is no preface is no HTTP/2: refused in the words of HTTP/1.1', async () => {
    const socket = connect(suite.port, '127.0.0.1', () => socket.write('INVALID CONNECTION PREFACE\r\n\r\n'));
    let text = '';
    socket.on('data', (bytes) => (text += bytes.toString('latin1')));
    await once(socket, 'close');
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
  });
});
