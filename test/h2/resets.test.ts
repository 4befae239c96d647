/** RST_STREAM on its way through: what a server means by giving a stream up is what its client is told, as far as it speaks of the call. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type TestServer, until } from '../node/harness.ts';
import { block, ERROR, FLAG, frame, GET, POST, RawClient, request, TYPE, word } from './frames.ts';
import { ALL, front, type Setup, text } from './front.ts';
import { startRawServer } from './raw-server.ts';
import { answered, changed, type Fields, headers, play, type Suite, startSuite } from './suite.ts';

const INADEQUATE_SECURITY = 12;
const CONNECT_ERROR = 10;
const HTTP_1_1_REQUIRED = 13;
/** Less than the windows that the proxy gives, more than it hands on without being read. */
const PARTS = 6;

let server: TestServer;
let setup: Setup;

const OK = block([[':status', '200']]);
/** The server has left once. */
let leaving = false;

/** `/before/CODE` is reset at once, `/after/CODE` once its answer has begun, which is all of `/begun`; `/early` is answered whole, and the request not wanted any more. */
function answer(path: string, stream: number): Buffer[] {
  const [, when, code] = path.split('/');
  const head = headers(stream, FLAG.endHeaders, OK);
  const reset = frame(TYPE.reset, 0, stream, word(Number(code ?? ERROR.none)));
  const part = (bytes: number, ended = false) => frame(TYPE.data, ended ? FLAG.endStream : 0, stream, Buffer.alloc(bytes, 'x'));
  if (when === 'before') return [reset];
  if (when === 'after') return [head, part(5), reset];
  if (when === 'begun') return [head, part(5)];
  if (when === 'away') {
    if (leaving) return [headers(stream, FLAG.endHeaders | FLAG.endStream, OK)];
    leaving = true;
    return [frame(TYPE.goAway, 0, 0, Buffer.concat([word(0), word(ERROR.none)]))];
  }
  return [head, ...Array.from({ length: PARTS }, (_, i) => part(10_000, i === PARTS - 1)), reset];
}

beforeAll(async () => {
  server = await startRawServer(answer);
  setup = await front(server.port, 'h2');
});
afterAll(async () => {
  await setup.stop();
  server.close();
});

const at = (path: string, more: Fields = []): Fields => [...changed(POST, ':path', path), ...more];
const GRPC: Fields = [['content-type', 'application/grpc']];

describe('a stream that the server resets before it answers', () => {
  it.each([
    ['CANCEL', ERROR.cancel, '1'],
    ['INADEQUATE_SECURITY', INADEQUATE_SECURITY, '7'],
    ['ENHANCE_YOUR_CALM', ERROR.calm, '8'],
    ['INTERNAL_ERROR', ERROR.internal, '13'],
    ['PROTOCOL_ERROR', ERROR.protocol, '13'],
    ['REFUSED_STREAM, twice', ERROR.refused, '14'],
    ['NO_ERROR', ERROR.none, '13'],
  ])('%s: is a 502, and to gRPC the status that is meant', async (_name, code, grpcStatus) => {
    const client = await RawClient.open(setup.port);
    client.send(request(1, at(`/before/${code}`)), request(3, at(`/before/${code}`, GRPC)));
    expect([await client.answer(1), client.field(1, 'bulkhead-error')]).toEqual(['502', 'server-closed']);
    expect([await client.answer(3), client.field(3, 'grpc-status')]).toEqual(['200', grpcStatus]);
    client.close();
  });
});

describe('a stream that the server resets in the middle of its answer', () => {
  it.each([
    ['CANCEL', ERROR.cancel, ERROR.cancel, 'reset: cancel'],
    ['ENHANCE_YOUR_CALM', ERROR.calm, ERROR.calm, 'reset: enhance your calm'],
    ['CONNECT_ERROR', CONNECT_ERROR, CONNECT_ERROR, 'reset: connect error'],
    ['INTERNAL_ERROR', ERROR.internal, ERROR.internal, 'reset: code 2'],
    // It has answered: whoever takes it for untouched would send it twice.
    ['REFUSED_STREAM', ERROR.refused, ERROR.internal, 'reset: refused'],
    // The client has done nothing wrong.
    ['PROTOCOL_ERROR', ERROR.protocol, ERROR.internal, 'reset: code 1'],
    ['FLOW_CONTROL_ERROR', ERROR.flowControl, ERROR.internal, 'reset: code 3'],
    ['NO_ERROR, which leaves the answer cut', ERROR.none, ERROR.internal, 'reset: no error'],
    ['HTTP_1_1_REQUIRED', HTTP_1_1_REQUIRED, ERROR.internal, 'reset: code 13'],
    ['a code that nobody knows', 0xdead, ERROR.internal, 'reset: code 57005'],
  ])('%s', async (_name, code, told, reason) => {
    const client = await RawClient.open(setup.port);
    client.send(request(1, at(`/after/${code}`)));
    await until(() => client.codes(1).length > 0);
    expect([client.field(1, ':status'), client.codes(1)]).toEqual(['200', [told]]);
    // The next stream of the same place has nothing of it.
    client.send(request(3, at('/after/1')));
    await until(() => client.codes(3).length > 0);
    expect(client.codes(3)).toEqual([ERROR.internal]);
    await until(async () =>
      (await setup.node.node.recentFlows(10, false)).some((flow) => flow.path === `/after/${code}` && flow.reason === reason),
    );
    client.close();
  });
});

describe('a server that leaves without having looked at a request (RFC 9113 §6.8)', () => {
  it('gets it again on another connection, whatever its method', async () => {
    const client = await RawClient.open(setup.port);
    client.send(request(1, at('/away')));
    expect([await client.answer(1), leaving]).toEqual(['200', true]);
    client.close();
  });
});

describe('a server that answers before it has the whole request, and wants no more of it (RFC 9113 §8.1)', () => {
  it('has its whole answer heard, by a client that reads late', async () => {
    const client = await RawClient.open(setup.port);
    client.send(
      frame(TYPE.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])),
      request(1, at('/early'), false),
      frame(TYPE.data, 0, 1, 'a part'),
    );
    await until(() => client.field(1, ':status') !== undefined);
    client.send(frame(TYPE.settings, 0, 0, Buffer.from([0, 4, 0x7f, 0, 0, 0])), frame(TYPE.window, 0, 0, Buffer.from([0x7f, 0, 0, 0])));
    await client.answer(1);
    expect([client.bodies.get(1)?.length, client.hasEnded(1)]).toEqual([PARTS * 10_000, true]);
    client.close();
  });
});

describe('a call that the policy no longer allows, in the middle of its answer', () => {
  const DENY = '{ name: none, action: deny, http: { paths: [/begun] } }';
  afterEach(() => setup.node.apply(text(setup.port, server.port, 'h2', ALL)));

  it.each([
    ['of gRPC, whose client sends on', GRPC, false, [ERROR.none]],
    ['of gRPC, whose client has said all', GRPC, true, []],
    ['of something else', [], true, [ERROR.internal]],
  ])('%s', async (_what, more, ended, codes) => {
    const client = await RawClient.open(setup.port);
    // No window: what the server has sent waits, and is given up.
    client.send(frame(TYPE.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])), request(1, at('/begun', more), ended));
    await until(() => client.field(1, ':status') === '200');
    await setup.node.apply(text(setup.port, server.port, 'h2', `${DENY}, ${ALL}`));
    const isGrpc = more.length > 0;
    await until(() => client.hasEnded(1) === isGrpc && client.codes(1).length === codes.length);
    expect([client.field(1, 'grpc-status'), client.codes(1), client.bodies.get(1)]).toEqual([isGrpc ? '7' : undefined, codes, undefined]);
    // What the client had still to say is no fault, and the connection goes on.
    if (!ended) client.send(frame(TYPE.data, FLAG.endStream, 1, 'late'));
    client.send(request(3, at('/before/8')));
    await until(() => client.field(3, ':status') === '502');
    expect(client.codes(0)).toEqual([]);
    client.close();
    await until(() => setup.node.application('shop').flowsActive === 0);
  });
});

describe('what comes late', () => {
  let suite: Suite;
  beforeAll(async () => {
    suite = await startSuite();
  });
  afterAll(() => suite.stop());

  it.each<readonly [string, Buffer]>([
    ['DATA', frame(TYPE.data, FLAG.endStream, 1, 'late')],
    ['trailers', headers(1, FLAG.endStream | FLAG.endHeaders, block([['a', 'b']]))],
    ['WINDOW_UPDATE', frame(TYPE.window, 0, 1, Buffer.from([0, 0, 0, 1]))],
  ])('%s for a stream that the proxy ended is no fault, however many have ended since', async (_what, late) => {
    const client = await RawClient.open(suite.port);
    client.send(request(1, [...POST, ['X', 'y']], false));
    await client.answer(1);
    const others = Array.from({ length: 300 }, (_, i) => 2 * i + 101);
    for (let from = 0; from < others.length; from += 50) {
      const some = others.slice(from, from + 50);
      await play(client, [...some.map((id) => request(id, GET)), ...some.map(answered)]);
    }
    client.send(late, request(1001));
    expect([await client.answer(1001), client.codes(1), client.codes(0)]).toEqual(['200', [ERROR.protocol], []]);
    client.close();
  });
});
