/** RFC 9113 §5 and §8: what states a stream goes through, and what a message is. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../node/harness.ts';
import { block, ERROR, FLAG, frame, GET, POST, RawClient, request, TYPE, word } from './frames.ts';
import {
  answered,
  changed,
  check,
  END,
  END_HEADERS,
  type Fields,
  goAway,
  HALF_CLOSED,
  headers,
  OPEN,
  type Row,
  reset,
  rows,
  type Suite,
  startSuite,
  status,
  WAIT,
  WAITING_POST,
  without,
} from './suite.ts';

let suite: Suite;
beforeAll(async () => {
  suite = await startSuite();
});
afterAll(() => suite.stop());

const PROTOCOL = goAway(ERROR.protocol);
const CLOSED = goAway(ERROR.streamClosed);
const RESET = frame(TYPE.reset, 0, 1, word(ERROR.cancel));
const DATA = frame(TYPE.data, FLAG.endStream, 1, 'test');
const CONTINUATION = frame(TYPE.continuation, END_HEADERS, 1, block(GET));

describe('states of streams (§5.1)', () => {
  rows(() => suite, [
    ['5.1', 'idle: DATA', PROTOCOL, [DATA]],
    ['5.1', 'idle: RST_STREAM', PROTOCOL, [RESET]],
    ['5.1', 'idle: WINDOW_UPDATE', PROTOCOL, [frame(TYPE.window, 0, 1, word(100))]],
    ['5.1', 'idle: CONTINUATION', PROTOCOL, [CONTINUATION]],
    ['5.1', 'half closed: DATA', reset(ERROR.streamClosed), [HALF_CLOSED, DATA]],
    ['5.1', 'half closed: HEADERS', reset(ERROR.streamClosed), [HALF_CLOSED, request(1, WAIT)]],
    ['5.1', 'half closed: HEADERS that could be trailers', reset(ERROR.streamClosed), [HALF_CLOSED, request(1, [['a', 'b']])]],
    ['5.1', 'half closed: CONTINUATION', PROTOCOL, [HALF_CLOSED, CONTINUATION]],
    // RFC 7540 asks for a stream error here; RFC 9113 lets it be one of the connection, since nobody honest sends it.
    ['5.1', 'closed by RST_STREAM: DATA', CLOSED, [OPEN, RESET, DATA]],
    ['5.1', 'closed by RST_STREAM: HEADERS', CLOSED, [OPEN, RESET, request(1, WAIT)]],
    ['5.1', 'closed by RST_STREAM: CONTINUATION', PROTOCOL, [OPEN, RESET, CONTINUATION]],
    ['5.1', 'closed: DATA', CLOSED, [request(1), answered(), DATA]],
    ['5.1', 'closed: HEADERS', CLOSED, [request(1), answered(), request(1)]],
    ['5.1', 'closed: CONTINUATION', PROTOCOL, [request(1), answered(), CONTINUATION]],
    // What was on its way when the proxy ended the stream is nobody's fault.
    ['5.1', 'ended here: DATA', reset(ERROR.protocol), [request(1, [...POST, ['X', 'y']], false), DATA]],
    ['5.1', 'ended here: trailers', reset(ERROR.protocol), [request(1, [...POST, ['X', 'y']], false), request(1, [['a', 'b']])]],
    ['5.1', 'ended here: RST_STREAM', reset(ERROR.protocol), [request(1, [...POST, ['X', 'y']], false), RESET]],
    ['5.1', 'ended here: WINDOW_UPDATE', reset(ERROR.protocol), [request(1, [...POST, ['X', 'y']]), frame(TYPE.window, 0, 1, word(1))]],
    ['5.1.1', 'a number of the server', PROTOCOL, [request(2)]],
    ['5.1.1', 'a number below one before', PROTOCOL, [request(5, WAIT), request(3, WAIT)]],
    ['5.1.1', 'numbers between are closed: RST_STREAM', 'passes', [request(5, WAIT), frame(TYPE.reset, 0, 3, word(8))]],
  ] satisfies Row[]);

  it('5.4.1 the last stream that was looked at is named', async () => {
    const client = await check(suite.port, PROTOCOL, [request(7, WAIT), frame(TYPE.ping, 0, 1, Buffer.alloc(8))]);
    expect(client.frames.find(({ type }) => type === TYPE.goAway)?.payload.readUInt32BE(0)).toBe(7);
  });

  it('5.1.1 behind the greatest number no other stream is opened', async () => {
    const client = await RawClient.open(suite.port);
    client.send(request(2 ** 31 - 1));
    expect(await client.answer(2 ** 31 - 1)).toBe('200');
    await until(() => client.closed);
    expect(client.codes(0)).toEqual([ERROR.none]);
  });

  it('5.1.2 streams above what the settings allow are refused, and the field blocks of those are read', async () => {
    const client = await RawClient.open(suite.port);
    await until(() => client.frames.length > 0);
    const { payload } = client.frames[0]!;
    const allowed = Array.from({ length: payload.length / 6 }, (_, i) => i * 6).find((at) => payload.readUInt16BE(at) === 3)!;
    const max = payload.readUInt32BE(allowed + 2);
    const ids = Array.from({ length: max }, (_, i) => 2 * i + 1);
    const [refused, after] = [2 * max + 1, 2 * max + 3];
    // The refused one puts a field into the table, to which a later request refers.
    const remembered = Buffer.concat([block(WAIT), Buffer.from([0x40, 5]), Buffer.from('probe'), Buffer.from([1]), Buffer.from('x')]);
    client.send(...ids.map((id) => request(id, WAIT)), headers(refused, END, remembered));
    await until(() => client.codes(refused).length > 0);
    expect(client.codes(refused)).toEqual([ERROR.refused]);
    client.send(RESET, headers(after, END, Buffer.concat([block(GET), Buffer.from([0x80 | 62])])));
    expect([await client.answer(after), client.field(after, 'saw')]).toEqual(['200', 'x']);
    client.close();
  });
});

describe('messages (§8.1)', () => {
  const MALFORMED = reset(ERROR.protocol);
  const get = (...more: Fields) => [request(1, [...GET, ...more])];
  const length = (value: string) => [...WAITING_POST, ['content-length', value]] as const;
  const part = (text: string, ended = false) => frame(TYPE.data, ended ? FLAG.endStream : 0, 1, text);
  rows(() => suite, [
    ['8.1', 'GET', status('200'), get()],
    ['8.1', 'HEAD', status('200'), [request(1, changed(GET, ':method', 'HEAD'))]],
    ['8.1', 'POST', status('200'), [request(1, POST, false), part('test', true)]],
    ['8.1', 'POST with trailers', status('200'), [request(1, POST, false), part('test'), request(1, [['x-test', 'ok']])]],
    ['8.1', 'trailers without DATA before them', status('200'), [request(1, POST, false), request(1, [['x-test', 'ok']])]],
    ['8.1', 'trailers of nothing', status('200'), [request(1, POST, false), request(1, [])]],
    ['8.1', 'HEADERS in the middle, which do not end the stream', MALFORMED, [OPEN, request(1, [['a', 'b']], false)]],
    ['8.1', 'DATA behind trailers', reset(ERROR.streamClosed), [OPEN, request(1, [['a', 'b']]), DATA]],
    ['8.1', 'a request of nothing', MALFORMED, [headers(1, END, Buffer.alloc(0))]],
    ['8.1.1', 'a length, and none of it', MALFORMED, [request(1, [...POST, ['content-length', '1']])]],
    ['8.1.1', 'a length of nothing', status('200'), [request(1, [...POST, ['content-length', '0']])]],
    ['8.1.1', 'less than the length', MALFORMED, [request(1, length('5'), false), part('test', true)]],
    ['8.1.1', 'less than the length, in parts', MALFORMED, [request(1, length('5'), false), part('te'), part('st', true)]],
    ['8.1.1', 'more than the length', MALFORMED, [request(1, length('1'), false), part('test')]],
    ['8.1.1', 'more than the length, in parts', MALFORMED, [request(1, length('3'), false), part('te'), part('st', true)]],
    ['8.1.1', 'less than the length, and trailers', MALFORMED, [request(1, length('3'), false), request(1, [['a', 'b']])]],
    [
      '8.1.1',
      'the length, and trailers',
      status('200'),
      [request(1, [...POST, ['content-length', '4']], false), part('test'), request(1, [['a', 'b']])],
    ],
    [
      '8.1.1',
      'the length, and an end that comes alone',
      status('200'),
      [request(1, [...POST, ['content-length', '4']], false), part('test'), part('', true)],
    ],
    ['8.1.1', 'two lengths', MALFORMED, [request(1, [...length('1'), ['content-length', '1']], false)]],
    ['8.1.1', 'two lengths in one', MALFORMED, [request(1, length('4, 4'), false)]],
    ['8.1.1', 'a length that is signed', MALFORMED, [request(1, length('+1'), false)]],
    ['8.1.1', 'a length in hexadecimal', MALFORMED, [request(1, length('0x4'), false)]],
    ['8.1.1', 'a length above every number', MALFORMED, [request(1, length('99999999999999999999'), false)]],
    ['8.1.1', 'a length of no digits', MALFORMED, [request(1, length(''), false)]],
  ] satisfies Row[]);

  describe('fields (§8.2)', () => {
    rows(() => suite, [
      ['8.2.1', 'a name in upper case', MALFORMED, get(['X-TEST', 'ok'])],
      ['8.2.1', 'a name with a blank', MALFORMED, get(['x y', 'z'])],
      ['8.2.1', 'a name with a blank behind it', MALFORMED, get(['x ', 'z'])],
      ['8.2.1', 'a name with a line end', MALFORMED, get(['x\r\ny', 'z'])],
      ['8.2.1', 'a name with a colon', MALFORMED, get(['x:y', 'z'])],
      ['8.2.1', 'a name with NUL', MALFORMED, get(['x\0', 'z'])],
      ['8.2.1', 'a name with DEL', MALFORMED, get(['x\x7f', 'z'])],
      ['8.2.1', 'a name beyond ASCII', MALFORMED, get(['x\xe9', 'z'])],
      ['8.2.1', 'no name', MALFORMED, get(['', 'z'])],
      ['8.2.1', 'a value with a line end', MALFORMED, get(['x', 'a\r\nb: c'])],
      ['8.2.1', 'a value with CR', MALFORMED, get(['x', 'a\rb'])],
      ['8.2.1', 'a value with LF', MALFORMED, get(['x', 'a\nb'])],
      ['8.2.1', 'a value with NUL', MALFORMED, get(['x', 'a\0'])],
      ['8.2.1', 'a value with a blank before it', MALFORMED, get(['x', ' a'])],
      ['8.2.1', 'a value with a tab behind it', MALFORMED, get(['x', 'a\t'])],
      ['8.2.1', 'a value that is a blank', MALFORMED, get(['x', ' '])],
      ['8.2.1', 'no value', status('200'), get(['x', ''])],
      ['8.2.1', 'a value with a blank in it, and bytes beyond ASCII', status('200'), get(['x', 'a \xe9'])],
      ['8.2.2', 'connection', MALFORMED, get(['connection', 'keep-alive'])],
      ['8.2.2', 'keep-alive', MALFORMED, get(['keep-alive', 'timeout=5'])],
      ['8.2.2', 'proxy-connection', MALFORMED, get(['proxy-connection', 'keep-alive'])],
      ['8.2.2', 'transfer-encoding', MALFORMED, [request(1, [...POST, ['transfer-encoding', 'chunked']], false)]],
      ['8.2.2', 'upgrade', MALFORMED, get(['upgrade', 'h2c'])],
      ['8.2.2', 'te of anything but trailers', MALFORMED, get(['te', 'trailers, deflate'])],
      ['8.2.2', 'te: trailers', status('200'), get(['te', 'trailers'])],
      ['8.2.2', 'connection among trailers', MALFORMED, [OPEN, request(1, [['connection', 'close']])]],
      ['8.2.2', 'a length among trailers', status('200'), [request(1, POST, false), part('x'), request(1, [['content-length', '1']])]],
      ['8.1', 'trailers of more bytes than there may be', MALFORMED, [OPEN, request(1, [['x', 'y'.repeat(9_500)]])]],
      ['8.2.3', 'cookies in crumbs', status('200'), get(['cookie', 'a=b'], ['cookie', 'c=d'])],
    ] satisfies Row[]);
  });

  describe('pseudo-fields (§8.3)', () => {
    const lacking = (name: string) => [request(1, without(GET, name))];
    const other = (name: string, value: string) => [request(1, changed(GET, name, value))];
    rows(() => suite, [
      ['8.3', 'one that nobody knows', MALFORMED, get([':test', 'ok'])],
      ['8.3', 'one that nobody knows, before the others', MALFORMED, [request(1, [[':test', 'ok'], ...GET])]],
      ['8.3', 'one that is nothing but its colon', MALFORMED, [request(1, [[':', 'ok'], ...GET])]],
      ['8.3', 'one of responses', MALFORMED, [request(1, [...GET, [':status', '200']])]],
      ['8.3', 'one among trailers', MALFORMED, [OPEN, request(1, [[':method', 'POST']])]],
      ['8.3', 'one of responses among trailers', MALFORMED, [OPEN, request(1, [[':status', '200']])]],
      ['8.3', 'one behind other fields', MALFORMED, [request(1, [...without(GET, ':path'), ['a', 'b'], [':path', '/']])]],
      [
        '8.3',
        'an authority behind a host that says otherwise',
        MALFORMED,
        [request(1, [...without(GET, ':authority'), ['host', 'shop.test'], [':authority', 'other.test']])],
      ],
      ['8.3', 'in any order', status('200'), [request(1, [...GET].reverse())]],
      ['8.3.1', 'an empty path', MALFORMED, other(':path', '')],
      ['8.3.1', 'a path that does not begin with a slash', MALFORMED, other(':path', 'index.html')],
      ['8.3.1', 'a path that is a whole address', MALFORMED, other(':path', 'http://a.test/')],
      ['8.3.1', 'a path with a blank, where HTTP/1.1 would see its end', MALFORMED, other(':path', '/ HTTP/1.1')],
      ['8.3.1', 'a path with a line end', MALFORMED, other(':path', '/\r\nx: y')],
      ['8.3.1', 'a path with a fragment', MALFORMED, other(':path', '/#x')],
      ['8.3.1', 'an asterisk, of OPTIONS', status('200'), [request(1, changed(changed(GET, ':method', 'OPTIONS'), ':path', '*'))]],
      ['8.3.1', 'no method', MALFORMED, lacking(':method')],
      ['8.3.1', 'no scheme', MALFORMED, lacking(':scheme')],
      ['8.3.1', 'no path', MALFORMED, lacking(':path')],
      ['8.3.1', 'two methods', MALFORMED, get([':method', 'GET'])],
      ['8.3.1', 'two schemes', MALFORMED, get([':scheme', 'http'])],
      ['8.3.1', 'two paths', MALFORMED, get([':path', '/'])],
      ['8.3.1', 'two authorities', MALFORMED, get([':authority', 'shop.test'])],
      ['8.3.1', 'an empty method', MALFORMED, other(':method', '')],
      ['8.3.1', 'a method that is no token', MALFORMED, other(':method', 'GET /x')],
      ['8.3.1', 'an empty scheme', MALFORMED, other(':scheme', '')],
      ['8.3.1', 'a scheme with more behind it', MALFORMED, other(':scheme', 'http://evil/')],
      ['8.3.1', 'a host that is not the authority', MALFORMED, get(['host', 'other.test'])],
      ['8.3.1', 'a host that is the authority', status('200'), get(['host', 'shop.test'])],
      ['8.3.1', 'a host in place of the authority', status('200'), [request(1, [...without(GET, ':authority'), ['host', 'shop.test']])]],
      ['8.3.1', 'an authority with a user', status('400'), other(':authority', 'user@shop.test')],
      ['8.3.1', 'an authority with a path', status('400'), other(':authority', 'shop.test/x')],
      ['8.3.1', 'an authority with a blank', status('400'), other(':authority', 'shop test')],
      ['8.5', 'CONNECT with a path', MALFORMED, other(':method', 'CONNECT')],
      ['8.5', 'CONNECT without authority', MALFORMED, [request(1, [[':method', 'CONNECT']])]],
      [
        '8.5',
        'CONNECT, which is not for this proxy',
        status('405'),
        [
          request(1, [
            [':method', 'CONNECT'],
            [':authority', 'a.test:443'],
          ]),
        ],
      ],
      ['8.5', 'a protocol without CONNECT (RFC 8441)', MALFORMED, get([':protocol', 'websocket'])],
      [
        '8.5',
        'CONNECT with a protocol that nobody knows (RFC 8441, RFC 9298)',
        status('405'),
        [request(1, [...changed(GET, ':method', 'CONNECT'), [':protocol', 'connect-udp']])],
      ],
      [
        '8.5',
        'CONNECT with a protocol, and no path (RFC 8441)',
        MALFORMED,
        [
          request(1, [
            [':method', 'CONNECT'],
            [':protocol', 'websocket'],
            [':authority', 'a.test'],
          ]),
        ],
      ],
    ] satisfies Row[]);
  });
});
