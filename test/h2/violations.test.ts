import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../node/harness.ts';
import { block, ERROR, FLAG, frame, GET, POST, PREFACE, RawClient, request, setting, TYPE, word } from './frames.ts';
import { HALF_CLOSED, OPEN, type Suite, startSuite, WAIT } from './suite.ts';

let suite: Suite;
beforeAll(async () => {
  suite = await startSuite();
});
afterAll(() => suite.stop());

describe('however it comes', () => {
  it('a client that takes its leave with a request under way', async () => {
    const client = await RawClient.open(suite.port);
    client.send(request(1), frame(TYPE.goAway, 0, 0, Buffer.alloc(8)));
    expect(await client.answer(1)).toBe('200');
    await until(() => client.closed);
    expect(client.codes(0)).toEqual([ERROR.none]);
  });

  it.each([1, 2, 3, 5, 8, 13, 21])('frames that come %i bytes at a time', async (size) => {
    const whole = Buffer.concat([
      PREFACE,
      frame(TYPE.settings, 0, 0),
      request(1, [...POST, ['content-length', '5']], false),
      frame(TYPE.data, FLAG.endStream, 1, 'hello'),
    ]);
    const client = await RawClient.open(suite.port, whole.subarray(0, size));
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
        const client = await RawClient.open(suite.port);
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
    const client = await RawClient.open(suite.port);
    client.send(request(1));
    expect(await client.answer(1)).toBe('200');
    client.close();
    const { node } = suite;
    await until(() => node.application('shop').connectionsActive === 0 && node.application('shop').flowsActive === 0);
    const { flowsOpened, flowsClosed } = node.application('shop');
    expect([flowsOpened - flowsClosed, node.logged.filter(({ level }) => level === 'error')]).toEqual([0, []]);
  });
});
