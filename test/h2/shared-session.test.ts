/** What clients do to a session with a server that carries the requests of others as well. */
import http2, { type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { until } from '../node/harness.ts';
import { ERROR, frame, RawClient, request, TYPE, word } from './frames.ts';
import { at, front } from './front.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

it('clients that give up many requests do not end the streams of others, though the server counts what is given up', async () => {
  let begun = 0;
  // As every server that is built on nghttp2, it ends a session in which 1,000 streams were given up at once (CVE-2023-44487).
  const server = http2.createServer().on('sessionError', () => undefined);
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    begun++;
    stream.on('error', () => undefined);
    stream.respond({ ':status': 200 });
    stream.write('begun');
    if (headers[':path'] === '/now') stream.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => server.close());
  const setup = await front((server.address() as AddressInfo).port, 'h2');
  stops.push(() => setup.stop());
  const honest = await RawClient.open(setup.port);
  stops.push(() => honest.close());
  honest.send(request(1, at('/stream')));
  await until(() => honest.bodies.get(1) === 'begun');
  for (let client = 0; client < 4; client++) {
    const one = await RawClient.open(setup.port);
    for (let batch = 0; batch < 10; batch++) {
      const before = begun;
      const streams = Array.from({ length: 50 }, (_, i) => (batch * 50 + i) * 2 + 1);
      one.send(...streams.map((stream) => request(stream, at('/stream'))));
      await until(() => begun >= before + 50 || honest.codes(1).length > 0);
      one.send(...streams.map((stream) => frame(TYPE.reset, 0, stream, word(ERROR.cancel))));
    }
    one.close();
  }
  expect(honest.codes(1)).toEqual([]);
  honest.send(request(3, at('/now')));
  await until(() => honest.bodies.get(3) === 'begun');
});
