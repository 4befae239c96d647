/** A session with a server of which nothing is read any more, and one on which nothing but the answers is missing. */
import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Silence } from '../../proxy/h2/silence.ts';
import { Wheel } from '../../proxy/wire/wheel.ts';
import type { Context } from '../../proxy/worker/context.ts';
import { freePort, startNode, until } from '../node/harness.ts';
import { block, ERROR, FLAG, frame, RawClient, request, TYPE, word } from './frames.ts';
import { at } from './front.ts';
import { startRawServer } from './raw-server.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const OK = block([[':status', '200']]);

/** Clients of two applications before one server: one that does not wait long for answers, and one that does. */
async function clientsOf(server: number): Promise<{ hasty: RawClient; patient: RawClient }> {
  const [hasty, patient] = [await freePort(), await freePort()];
  const node = await startNode(`
version: 1
process: { workers: 1 }
pools: { web: { servers: [127.0.0.1:${server}], protocol: h2, ejection: off, retries: { attempts: 0 } } }
applications:
  hasty: { vips: [127.0.0.1:${hasty}], mode: http, pool: web, timeouts: { response: 50ms }, rules: [{ name: all, action: allow }] }
  patient: { vips: [127.0.0.1:${patient}], mode: http, pool: web, rules: [{ name: all, action: allow }] }
`);
  stops.push(() => node.stop());
  const clients = { hasty: await RawClient.open(hasty), patient: await RawClient.open(patient) };
  stops.push(
    () => clients.hasty.close(),
    () => clients.patient.close(),
  );
  return clients;
}

describe('who gives requests up, a second each', () => {
  const SECOND = 1_000;
  const rows: readonly (readonly [
    what: string,
    seconds: number,
    answersAt: readonly number[],
    pings: readonly number[],
    goneAt: number | null,
  ])[] = [
    ['to a server of which nothing comes, finds it gone', 20, [], [0], 5],
    ['to a server that acknowledges PINGs and no more, has few of them sent', 620, [], [0, 6, 306, 606], null],
    ['to a server that answers now and then, may ask anew', 30, [10, 20], [0, 6, 12, 18, 24], null],
  ];

  it.each(rows)('%s', (_what, seconds, answersAt, pings, goneAt) => {
    const clock = { now: () => clock.coarse, coarse: 0, epoch: 0 };
    const wheel = new Wheel(0);
    const sent: number[] = [];
    let gone: number | null = null;
    const place = {
      context: { clock, wheel } as unknown as Context,
      reads: 0,
      sendPing() {
        sent.push(clock.coarse / SECOND);
        if (goneAt === null) place.reads++;
      },
      gone: () => (gone ??= clock.coarse / SECOND),
    };
    const silence = new Silence(place);
    for (let second = 0; second < seconds && gone === null; second++) {
      clock.coarse = second * SECOND;
      if (answersAt.includes(second)) silence.answered();
      silence.ask();
      wheel.turn(clock.coarse);
    }
    expect([sent, gone]).toEqual([pings, goneAt]);
  });
});

it('a server that is gone without a word is found out by one PING, and all that its session carries ends', async () => {
  // The first connection answers nothing, not even the PING; any other works.
  const server = await startRawServer((_path, stream) =>
    server.sockets.length > 1 ? [frame(TYPE.headers, FLAG.endHeaders | FLAG.endStream, stream, OK)] : [],
  );
  stops.push(() => server.close());
  const { hasty, patient } = await clientsOf(server.port);
  patient.send(request(1));
  await until(() => server.readers[0]?.fields.size === 1);
  const statuses: (string | undefined)[] = [];
  for (let stream = 1; statuses.at(-1) !== '200' && stream < 1_000; stream += 2) {
    hasty.send(request(stream));
    statuses.push(await hasty.answer(stream));
  }
  // The last that was sent on it, if there was one just then, ended with it.
  expect(new Set(statuses.slice(0, -2))).toEqual(new Set(['504']));
  expect(statuses.at(-1)).toBe('200');
  expect(server.sockets).toHaveLength(2);
  expect(server.readers[0]!.frames.filter(({ type }) => type === TYPE.ping).map(({ flags }) => flags)).toEqual([0]);
  expect([await patient.answer(1), patient.field(1, 'bulkhead-error')]).toEqual(['502', 'server-closed']);
}, 60_000);

it('a server that is there keeps its session, however many requests are given up unanswered', async () => {
  let pings = 0;
  let asked = 0;
  const sessions: ServerHttp2Session[] = [];
  const server = createServer();
  server.on('session', (session: ServerHttp2Session) => {
    sessions.push(session);
    session.on('error', () => undefined).on('ping', () => pings++);
  });
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    asked++;
    stream.on('error', () => undefined);
    if (headers[':path'] === '/now') stream.respond({ ':status': 200 }, { endStream: true });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => server.close());
  const { hasty, patient } = await clientsOf((server.address() as AddressInfo).port);
  patient.send(request(1, at('/wait')));
  await until(() => sessions.length === 1);
  // A second PING only goes out once the time of the first is over, and the session still there.
  let stream = 3;
  for (; pings < 2 && stream < 1_000; stream += 2) {
    const before = asked;
    patient.send(request(stream, at('/wait')));
    await until(() => asked > before);
    patient.send(frame(TYPE.reset, 0, stream, word(ERROR.cancel)));
    hasty.send(request(stream, at('/wait')));
    expect(await hasty.answer(stream)).toBe('504');
  }
  expect(pings).toBe(2);
  patient.send(request(stream, at('/now')));
  expect([await patient.answer(stream), patient.codes(1), sessions.length]).toEqual(['200', [], 1]);
}, 60_000);
