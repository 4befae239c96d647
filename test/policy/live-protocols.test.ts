/** What a real node makes of each protocol that a rule can tell apart among requests, beside what `explain` foretells of it. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { parseQuestion } from '../../config/question.ts';
import { compile } from '../../policy/compile.ts';
import { explain } from '../../policy/explain.ts';
import type { Image } from '../../policy/image.ts';
import { type KnownFlow, replay } from '../../policy/replay.ts';
import type { FlowRecord } from '../../proxy/observe/view.ts';
import { frame, GET, POST, PREFACE, RawClient, request, TYPE } from '../h2/frames.ts';
import { documentOf, freePort, type RunningNode, startNode, startServer, until } from '../node/harness.ts';
import { client } from '../relay/client.ts';

const NAMES = ['http', 'h2', 'grpc', 'websocket'] as const;
const UPGRADE = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n`;
const EXTENDED_CONNECT = [
  [':method', 'CONNECT'],
  [':protocol', 'websocket'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'shop.test'],
  ['sec-websocket-version', '13'],
] as const;

interface Spoken {
  readonly protocol: (typeof NAMES)[number];
  readonly over?: 'h2';
  /** What the client sends first: text, or the fields of a stream. */
  readonly sends: string | readonly (readonly [string, string])[];
  /** What the journal calls it where only first bytes are seen. */
  readonly ofBytes: string;
}

const SPOKEN: readonly Spoken[] = [
  { protocol: 'http', sends: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', ofBytes: 'http' },
  { protocol: 'h2', sends: GET, ofBytes: 'h2' },
  { protocol: 'grpc', sends: [...POST, ['content-type', 'application/grpc']], ofBytes: 'grpc' },
  { protocol: 'websocket', sends: `GET / HTTP/1.1\r\nHost: a\r\n${UPGRADE}\r\n`, ofBytes: 'websocket' },
  { protocol: 'websocket', over: 'h2', sends: EXTENDED_CONNECT, ofBytes: 'h2' },
];

const RULES = NAMES.flatMap((name) => [
  { about: `only ${name} is allowed`, rules: `[{ name: it, protocols: [${name}], action: allow }]`, tellsApart: name },
  {
    about: `${name} is denied`,
    rules: `[{ name: it, protocols: [${name}], action: deny }, { name: rest, action: allow }]`,
    tellsApart: name,
  },
]);
const ROWS = (['http', 'tcp'] as const).flatMap((mode) => RULES.map((row, i) => ({ mode, ...row, application: `${mode}-${i}` })));

const stops: (() => unknown)[] = [];
let running: RunningNode;
let image: Image;
const ports = new Map<string, number>();

beforeAll(async () => {
  const web = createServer((_, answer) => answer.end('now'));
  const sockets = new WebSocketServer({ server: web });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const echo = await startServer((socket) => void socket.pipe(socket));
  for (const { application } of ROWS) ports.set(application, await freePort());
  const text = `
version: 1
process: { workers: 1 }
pools:
  http: { servers: [127.0.0.1:${(web.address() as AddressInfo).port}], retries: { attempts: 0 } }
  tcp: { servers: [127.0.0.1:${echo.port}] }
applications:
${ROWS.map(({ application, mode, rules }) => `  ${application}: { vips: [127.0.0.1:${ports.get(application)}], mode: ${mode}, pool: ${mode}, rules: ${rules} }`).join('\n')}
`;
  image = compile(documentOf(text));
  running = await startNode(text);
  stops.push(
    () => web.closeAllConnections(),
    () => web.close(),
    () => sockets.close(),
    () => echo.close(),
    () => running.stop(),
  );
});
afterAll(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** Lets a client speak, and returns the record of its flow once it is over. `before`: how many flows the application has had. */
async function live(application: string, mode: 'http' | 'tcp', { sends }: Spoken, before: number): Promise<FlowRecord> {
  const port = ports.get(application)!;
  if (typeof sends === 'string' || mode === 'tcp') {
    const one = client(port);
    const frames = typeof sends === 'string' ? sends : Buffer.concat([PREFACE, frame(TYPE.settings, 0, 0), request(1, sends, false)]);
    one.socket.write(frames);
    await one.bytes(1);
    one.socket.destroy();
  } else {
    const one = await RawClient.open(port);
    one.send(request(1, sends, sends === GET));
    await until(() => one.field(1, ':status') !== undefined);
    one.close();
  }
  let own: FlowRecord[] = [];
  await until(async () => {
    own = (await running.node.recentFlows(10_000, false)).filter((record) => record.application === application);
    return own.length > before;
  });
  return own[0]!;
}

describe.each(ROWS)('mode $mode, where $about', ({ application, mode, tellsApart }) => {
  it('explain and replay say of every protocol what the node does', async () => {
    const foretold: string[] = [];
    const happened: string[] = [];
    for (const [before, spoken] of SPOKEN.entries()) {
      const { protocol, over, ofBytes } = spoken;
      const told = `${protocol}${over === undefined ? '' : ` over ${over}`}`;
      const reading = parseQuestion({
        from: '127.0.0.1',
        to: `127.0.0.1:${ports.get(application)}`,
        protocol,
        ...(over && { over }),
        ...(mode === 'http' && { method: protocol === 'grpc' ? 'POST' : 'GET', path: '/' }),
      });
      if (!reading.ok) throw new Error(reading.message);
      const answer = explain(image, reading.question);
      foretold.push(`${told}: ${answer.verdict} by ${answer.rule}`);
      const record = await live(application, mode, spoken, before);
      happened.push(`${told}: ${record.verdict} by ${record.rule}`);
      // Bytes are looked at no further than a verdict depends on.
      const inBytes = ofBytes === tellsApart ? ofBytes : record.protocol;
      expect(record.protocol, told).toBe(mode === 'http' ? protocol : inBytes);
      const again = replay(image, record as KnownFlow, null).verdict;
      // What carried a WebSocket without TLS is in no record: where it matters nothing is claimed.
      if (protocol === 'websocket' && mode === 'http' && tellsApart === 'h2') expect(again, told).toBe('unknown');
      else expect(again, told).toBe(record.verdict);
    }
    expect(foretold).toEqual(happened);
  });
});

it('a WebSocket over HTTP/2 that says it is gRPC is a WebSocket', async () => {
  const { application } = ROWS.find(({ mode, about }) => mode === 'http' && about === 'grpc is denied')!;
  const sends = [...EXTENDED_CONNECT, ['content-type', 'application/grpc']] as const;
  const before = (await running.node.recentFlows(10_000, false)).filter((record) => record.application === application).length;
  const record = await live(application, 'http', { protocol: 'websocket', over: 'h2', sends, ofBytes: 'h2' }, before);
  expect(record).toMatchObject({ verdict: 'allow', protocol: 'websocket', rule: 'rest' });
});

it('what is no HTTP is answered with 400 in mode http and is no flow, and explain says so', async () => {
  const port = ports.get('http-0')!;
  const decided = async () =>
    (await running.node.recentFlows(10_000, false)).filter(({ application, verdict }) => application === 'http-0' && verdict !== null);
  const before = (await decided()).length;
  const one = client(port);
  one.socket.write('\0\0\0\u0008\u0004\u00d2\u0016\u002f', 'latin1');
  one.socket.end();
  expect(await one.bytes(12)).toMatch(/^HTTP\/1\.1 400/);
  one.socket.destroy();
  const reading = parseQuestion({ from: '127.0.0.1', to: `127.0.0.1:${port}`, protocol: 'postgres' });
  if (!reading.ok) throw new Error(reading.message);
  expect(explain(image, reading.question).reason).toMatch(/no such flow comes about: .* answers postgres with 400\.$/);
  // The next flow is the next on record.
  await live('http-0', 'http', SPOKEN[0]!, before);
  expect(await decided()).toHaveLength(before + 1);
});
