import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WireClient } from '../http/wire-client.ts';
import { client } from '../relay/client.ts';
import { freePort, type RunningNode, startNode, startServer, type TestServer, until } from './harness.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function server(serve: (socket: Socket) => void): Promise<TestServer> {
  const started = await startServer(serve);
  stops.push(() => started.close());
  return started;
}

type Mode = 'tcp' | 'http';
const ALLOW = '{ name: all, action: allow }';
const DENY = (onRevoke: string) => `{ name: out, action: deny, on-revoke: ${onRevoke} }`;

function file(port: number, to: number, mode: Mode, rules: string): string {
  return `
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${to}] } }
applications:
  app: { vips: [127.0.0.1:${port}], mode: ${mode}, pool: p, rules: [${rules}] }
`;
}

interface Scene {
  readonly running: RunningNode;
  readonly port: number;
  change(rules: string): ReturnType<RunningNode['apply']>;
}

async function scene(mode: Mode, backend: TestServer, rules = ALLOW): Promise<Scene> {
  const port = await freePort();
  const running = await startNode(file(port, backend.port, mode, rules));
  stops.push(() => running.stop());
  return { running, port, change: (next) => running.apply(file(port, backend.port, mode, next)) };
}

const echo = (socket: Socket) => void socket.pipe(socket);

async function talking(port: number) {
  const one = client(port, { noDelay: true });
  one.socket.on('error', () => undefined);
  one.socket.write('a');
  await one.bytes(1);
  return one;
}

const live = async (running: RunningNode) => (await running.node.liveFlows(10)).map((flow) => flow.draining ?? false);

describe('a TCP flow that is no longer allowed', () => {
  it.each([
    ['cut', { revoked: 1, draining: 0, kept: 0 }, 'revoked by out'],
    ['{ drain: 300ms }', { revoked: 0, draining: 1, kept: 0 }, 'revoked by out, its time to drain is over'],
  ])('on-revoke: %s', async (onRevoke, outcome, reason) => {
    const { running, port, change } = await scene('tcp', await server(echo));
    const one = await talking(port);
    const timer = setInterval(() => one.socket.write('x'), 10);
    stops.push(() => clearInterval(timer));
    const startedAt = performance.now();
    expect(await change(DENY(onRevoke))).toMatchObject(outcome);
    expect(await one.over).toMatch(/ECONNRESET|EPIPE/);
    // The last quarter is for the jitter, and what comes due is looked for every 50 ms.
    if (onRevoke !== 'cut') expect(performance.now() - startedAt).toBeGreaterThan(220);
    expect((await running.records(1))[0]).toMatchObject({ ended_by: 'policy', reason });
    expect(running.application('app').flowsRevoked).toBe(1);
  });

  it('drains until it has been idle for a moment, long before the bound', async () => {
    const { port, change } = await scene('tcp', await server(echo));
    const one = await talking(port);
    const startedAt = performance.now();
    expect(await change(DENY('{ drain: 1h }'))).toMatchObject({ draining: 1 });
    expect(await one.over).toBe('ECONNRESET');
    expect(performance.now() - startedAt).toBeGreaterThan(900);
  });

  it('finishes by itself, is shown as what it is, and nobody follows it', async () => {
    const { running, port, change } = await scene('tcp', await server(echo));
    const one = await talking(port);
    expect(await live(running)).toEqual([false]);
    expect(await change(DENY('finish'))).toMatchObject({ revoked: 0, draining: 1 });
    expect(await live(running)).toEqual([true]);
    expect(await client(port).over).toBe('ECONNRESET');
    one.socket.end('b');
    expect(await one.over).toBe('end');
    expect(one.text()).toBe('ab');
    expect((await running.records(2)).find((record) => record.verdict === 'allow')).toMatchObject({ ended_by: 'client', reason: 'closed' });
  });

  it.each([
    ['the rule that denies it now says how', `{ name: all, action: allow, on-revoke: cut }`, DENY('finish'), 1],
    ['where it says nothing, it cuts', `{ name: all, action: allow, on-revoke: finish }`, '{ name: out, action: deny }', 0],
    ['where none denies it, the rule that admitted it says so', `{ name: all, action: allow, on-revoke: finish }`, '', 1],
    ['where neither says anything, it is cut', ALLOW, '', 0],
  ])('%s', async (_, before, after, draining) => {
    const { port, change } = await scene('tcp', await server(echo), before);
    await talking(port);
    expect(await change(after)).toMatchObject({ draining, revoked: 1 - draining });
  });

  it('goes on as if nothing had been once it is allowed again, and is cut at once by a later cut', async () => {
    const { running, port, change } = await scene('tcp', await server(echo));
    const one = await talking(port);
    expect(await change(DENY('{ drain: 400ms }'))).toMatchObject({ draining: 1 });
    expect(await change(ALLOW)).toMatchObject({ draining: 0, kept: 1 });
    expect(await live(running)).toEqual([false]);
    const until = performance.now() + 1_500;
    while (performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 100));
    one.socket.write('b');
    expect(await one.bytes(2)).toBe('ab');
    expect(await change(DENY('{ drain: 1h }'))).toMatchObject({ draining: 1 });
    expect(await change(DENY('cut'))).toMatchObject({ draining: 0, revoked: 1 });
    expect(await one.over).toBe('ECONNRESET');
  });
});

/** Answers when told, keeps what it read, and takes upgrades; what follows one is echoed. */
async function web(): Promise<TestServer & { asked: Socket[]; text: () => string }> {
  const asked: Socket[] = [];
  let text = '';
  const started = await server((socket) => {
    let upgraded = false;
    socket.on('end', () => socket.end());
    socket.on('data', (data) => {
      text += data.toString('latin1');
      if (upgraded) socket.write(data);
      else if (/upgrade: websocket/i.test(data.toString('latin1'))) {
        upgraded = true;
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
      } else if (data.includes('\r\n\r\n')) asked.push(socket);
    });
  });
  return { ...started, asked, text: () => text };
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

describe('a request that is no longer allowed', () => {
  it.each([
    ['cut', 0, 403, 'close', 'end'],
    ['{ drain: 30s }', 1, 200, 'close', 'end'],
    ['finish', 1, 200, undefined, null],
  ])('on-revoke: %s', async (onRevoke, draining, status, connection, end) => {
    const backend = await web();
    const { running, port, change } = await scene('http', backend);
    const one = await WireClient.open(port);
    stops.push(() => one.close());
    one.send(get);
    await until(() => backend.asked.length === 1);
    expect(await change(DENY(onRevoke))).toMatchObject({ draining, revoked: 1 - draining });
    expect((await running.node.liveFlows(10)).length).toBe(draining);
    if (draining === 1) backend.asked[0]!.write(OK);
    const answer = await one.answer();
    expect([answer.status, answer.fields.connection]).toEqual([status, connection]);
    if (end !== null) expect(await one.end()).toBe(end);
    else expect((await one.send(get).answer()).status).toBe(403);
    expect(backend.asked).toHaveLength(1);
  });

  it('has its half-finished upload and its half-sent response drained whole, and the next request behind it denied', async () => {
    const backend = await web();
    const { port, change } = await scene('http', backend);
    const [upload, download] = [await WireClient.open(port), await WireClient.open(port)];
    stops.push(() => [upload, download].forEach((one) => void one.close()));
    upload.send('POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234');
    await until(() => backend.text().endsWith('01234'));
    download.send(get);
    await until(() => backend.asked.length === 2);
    backend.asked[1]!.write('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf');
    await until(() => download.text.endsWith('half'));
    expect(await change(DENY('{ drain: 30s }'))).toMatchObject({ draining: 2, revoked: 0 });
    upload.send('56789');
    await until(() => backend.text().endsWith('56789'));
    backend.asked[0]!.write(OK);
    expect((await upload.answer()).fields.connection).toBe('close');
    backend.asked[1]!.write('full');
    expect((await download.answer()).body.toString()).toBe('halffull');
    // Its head had promised more requests; the connection ends all the same.
    expect(await download.end()).toBe('end');
  });

  it('is cut when its time to drain is over: told so where nothing was answered, reset where a part was', async () => {
    const backend = await web();
    const { running, port, change } = await scene('http', backend);
    const [waits, half] = [await WireClient.open(port), await WireClient.open(port)];
    waits.send(get);
    await until(() => backend.asked.length === 1);
    half.send(get);
    await until(() => backend.asked.length === 2);
    backend.asked[1]!.write('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf');
    await until(() => half.text.endsWith('half'));
    expect(await change(DENY('{ drain: 200ms }'))).toMatchObject({ draining: 2 });
    expect((await waits.answer()).status).toBe(403);
    expect(await half.end()).toBe('reset');
    await until(() => running.application('app').flowsRevoked === 2);
  });

  it('leaves a kept-alive connection open between requests where the rule drains: the next request hears the answer', async () => {
    const backend = await web();
    const { port, change } = await scene('http', backend);
    const [one, other] = [await WireClient.open(port), await WireClient.open(port)];
    stops.push(() => [one, other].forEach((each) => void each.close()));
    for (const each of [one, other]) {
      each.send(get);
      await until(() => backend.asked.length > 0);
      backend.asked.pop()!.write(OK);
      expect((await each.answer()).status).toBe(200);
    }
    expect(await change(DENY('drain'))).toMatchObject({ revoked: 0, draining: 0, kept: 2 });
    expect((await one.send(get).answer()).status).toBe(403);
    expect(await change(DENY('cut'))).toMatchObject({ revoked: 1 });
    expect(await other.end()).toBe('end');
  });
});

describe('a WebSocket that is no longer allowed', () => {
  async function upgraded(port: number): Promise<WireClient> {
    const one = await WireClient.open(port);
    stops.push(() => one.close());
    one.send('GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    expect((await one.answer()).status).toBe(101);
    return one;
  }

  it.each([
    ['cut', { revoked: 1, draining: 0 }, 0, 2_000],
    ['{ drain: 300ms }', { revoked: 0, draining: 1 }, 220, 2_000],
    ['{ drain: 1h }', { revoked: 0, draining: 1 }, 900, 4_000],
  ])('on-revoke: %s', async (onRevoke, outcome, atLeast, atMost) => {
    const { running, port, change } = await scene('http', await web());
    const one = await upgraded(port);
    const startedAt = performance.now();
    expect(await change(DENY(onRevoke))).toMatchObject(outcome);
    expect(await one.end()).toBe('reset');
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(atLeast);
    expect(performance.now() - startedAt).toBeLessThan(atMost);
    expect(running.application('app').flowsRevoked).toBe(1);
  });

  it('finishes by itself, and is left in peace once allowed again', async () => {
    const { running, port, change } = await scene('http', await web());
    const one = await upgraded(port);
    expect(await change(DENY('finish'))).toMatchObject({ draining: 1 });
    one.send('hello');
    await until(() => one.text.endsWith('hello'));
    expect(await change(DENY('{ drain: 500ms }'))).toMatchObject({ draining: 1 });
    expect(await change(ALLOW)).toMatchObject({ draining: 0, kept: 1 });
    await new Promise((resolve) => setTimeout(resolve, 700));
    one.send('again');
    await until(() => one.text.endsWith('again'));
    one.socket.end();
    await once(one.socket, 'end');
    await until(() => running.application('app').flowsActive === 0);
    expect(running.application('app').flowsRevoked).toBe(0);
  });
});
