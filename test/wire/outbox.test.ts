import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { takeChunk } from '../../proxy/wire/chunks.ts';
import { COUNT_EVERY, CROWD_MIN, Outbox, outbox, POSTS_MAX } from '../../proxy/wire/outbox.ts';
import type { Wire } from '../../proxy/wire/wire.ts';
import { until } from '../node/harness.ts';
import { randomFrom } from '../policy/randomDocument.ts';
import { fill, pair } from './pair.ts';

const SEED = Number(process.env.BULKHEAD_SEED ?? Date.now() % 2 ** 31);

const idle = { encrypts: false, deliver: () => undefined };

/** So many messages in one turn. Answers how many of them waited. */
async function turnOf(box: Outbox, messages: number): Promise<number> {
  let waited = 0;
  for (let i = 0; i < messages; i++) {
    if (!box.opens()) continue;
    box.add(idle);
    waited++;
  }
  await nextTurn();
  return waited;
}

/** From here on, what is posted waits. */
async function crowd(box: Outbox): Promise<void> {
  for (let i = 0; i < 4 * COUNT_EVERY; i++) await turnOf(box, 4 * CROWD_MIN);
  expect(await turnOf(box, 1)).toBe(1);
}

describe('the outbox', () => {
  it.each([
    [1, 'sends at once'],
    [2, 'sends at once'],
    [CROWD_MIN - 2, 'sends at once'],
    [4 * CROWD_MIN, 'has all wait'],
    [3 * POSTS_MAX, 'has all wait'],
  ])('of %i messages a turn %s, but for those that are counted now and then', async (messages, verdict) => {
    const box = new Outbox();
    for (let i = 0; i < 20 * COUNT_EVERY; i++) await turnOf(box, messages);
    let waited = 0;
    for (let i = 0; i < 10 * COUNT_EVERY; i++) waited += await turnOf(box, messages);
    // Of a turn that is counted all wait.
    expect(waited).toBeLessThanOrEqual(10 * COUNT_EVERY * messages * (verdict === 'has all wait' ? 1 : messages / COUNT_EVERY));
    expect(waited).toBeGreaterThanOrEqual(verdict === 'has all wait' ? 10 * COUNT_EVERY * messages : messages);
  });

  it('sends at once again when the crowd has gone', async () => {
    const box = new Outbox();
    await crowd(box);
    for (let i = 0; i < 4 * COUNT_EVERY; i++) await turnOf(box, 1);
    expect((await turnOf(box, 1)) + (await turnOf(box, 1)) + (await turnOf(box, 1))).toBeLessThan(2);
  });

  it('delivers each once, what is encrypted behind what is not, and in the order in which they came', async () => {
    const box = new Outbox();
    const delivered: number[] = [];
    for (let i = 0; i < 10; i++) box.add({ encrypts: i % 3 === 0, deliver: () => void delivered.push(i) });
    expect(delivered).toEqual([]);
    await nextTurn();
    expect(delivered).toEqual([1, 2, 4, 5, 7, 8, 0, 3, 6, 9]);
    await nextTurn();
    expect(delivered.length).toBe(10);
  });

  it('holds no more than its bound: who makes it full is delivered with the others', async () => {
    const box = new Outbox();
    let delivered = 0;
    for (let i = 0; i < POSTS_MAX; i++) {
      expect(delivered).toBe(0);
      box.add({ encrypts: i % 2 === 0, deliver: () => void delivered++ });
    }
    expect(delivered).toBe(POSTS_MAX);
    await nextTurn();
    expect(delivered).toBe(POSTS_MAX);
  });

  it('delivers what is added while it delivers', async () => {
    const box = new Outbox();
    const delivered: string[] = [];
    const late = { encrypts: false, deliver: () => void delivered.push('late') };
    box.add({ encrypts: true, deliver: () => box.add(late) });
    await nextTurn();
    await nextTurn();
    expect(delivered).toEqual(['late']);
  });
});

function chunkOf(text: string) {
  const chunk = takeChunk(text.length);
  chunk.length = chunk.bytes.write(text, 'latin1');
  return chunk;
}

function post(wire: Wire, text: string): boolean {
  return wire.post(chunkOf(text));
}

describe('a message that is posted in a crowd', () => {
  it('leaves with the end of the turn', async () => {
    const { wire, peer, done } = await pair();
    await crowd(outbox);
    expect(post(wire, 'message')).toBe(true);
    expect(wire.unsent).toBe(true);
    await nextTurn();
    expect(wire.unsent).toBe(false);
    expect(String((await once(peer, 'data'))[0])).toBe('message');
    done();
  });

  it.each([
    ['another message', (wire: Wire) => post(wire, ' 2'), 'message 2'],
    ['other bytes', (wire: Wire) => wire.writeBytes(Buffer.from(' 2')), 'message 2'],
    ['its end', (wire: Wire) => wire.end(), 'message'],
    ['its closing', (wire: Wire) => wire.close(), 'message'],
    ['being asked for what waits', (wire: Wire) => expect(wire.flush()).toBe(0), 'message'],
  ] as const)('goes before %s', async (_, then, text) => {
    const { wire, peer, done } = await pair();
    let read = '';
    peer.on('data', (data) => (read += data));
    await crowd(outbox);
    post(wire, 'message');
    then(wire);
    await nextTurn();
    wire.close();
    await once(peer, 'end');
    expect(read).toBe(text);
    done();
  });

  it('is dropped by a reset: nobody has seen it, and its chunk is free', async () => {
    const { wire, peer, done } = await pair();
    let read = 0;
    peer.on('data', (data) => (read += data.length));
    await crowd(outbox);
    const chunk = chunkOf('message');
    wire.post(chunk);
    wire.reset();
    expect(chunk.release()).toBe(true);
    await once(peer, 'error');
    expect(read).toBe(0);
    done();
  });

  it('keeps its chunk until it has left, whoever gives it back', async () => {
    const { wire, peer, done } = await pair();
    await crowd(outbox);
    const chunk = chunkOf('message');
    wire.post(chunk);
    expect(chunk.release()).toBe(false);
    const others = Array.from({ length: 2_000 }, () => takeChunk(1));
    expect(others).not.toContain(chunk);
    await once(peer, 'data');
    expect(Array.from({ length: 2_000 }, () => takeChunk(1))).toContain(chunk);
    done();
  });

  it('that the kernel refuses is known as unsent, and told as an error', async () => {
    const { wire, owner, peer, done } = await pair();
    peer.resetAndDestroy();
    await once(peer, 'close');
    await crowd(outbox);
    expect(post(wire, 'message')).toBe(true);
    await until(() => owner.errors.length > 0);
    expect(owner.errors).toEqual([-104]);
    expect(wire.unsent).toBe(true);
    expect(post(wire, 'another')).toBe(false);
    done();
  });

  it('waits in the kernel’s place where the peer does not read', async () => {
    const { wire, owner, peer, done } = await pair();
    fill(wire);
    const pending = wire.pending;
    await crowd(outbox);
    post(wire, 'last');
    expect(wire.flush()).toBe(pending + 1);
    let tail = '';
    peer.on('data', (data: Buffer) => (tail = (tail + data.toString('latin1')).slice(-4)));
    await until(() => owner.drained > 0 && tail === 'last');
    done();
  });

  it(`stands where it was posted among all that is sent (seed ${SEED})`, async () => {
    const random = randomFrom(SEED);
    const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
    await crowd(outbox);
    for (let round = 0; round < 40; round++) {
      const { wire, peer, done } = await pair();
      let read = '';
      let sent = '';
      peer.on('data', (data) => (read += data.toString('latin1')));
      for (let i = 0; i < 60; i++) {
        const text = `${i}${'.'.repeat(pick([0, 10, 5_000]))};`;
        const what = pick(['post', 'post', 'write', 'flush', 'turn']);
        if (what === 'post') post(wire, text);
        else if (what === 'write') wire.writeBytes(Buffer.from(text));
        else if (what === 'flush') wire.flush();
        else await nextTurn();
        if (what === 'post' || what === 'write') sent += text;
      }
      wire.end();
      await once(peer, 'end');
      expect(read, `seed ${SEED}`).toBe(sent);
      done();
    }
  });
});
