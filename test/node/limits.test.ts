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

interface Words {
  rules: string;
  mode?: 'tcp' | 'http';
  workers?: number;
  enforcement?: string;
  more?: string;
}

function file(port: number, to: number, { rules, mode = 'tcp', workers = 1, enforcement = 'enforce', more = '' }: Words): string {
  return `
version: 1
process: { workers: ${workers} }
${more}
pools: { p: { servers: [127.0.0.1:${to}] } }
applications:
  app: { vips: [127.0.0.1:${port}], mode: ${mode}, pool: p, enforcement: ${enforcement}, rules: [${rules}] }
`;
}

async function start(port: number, to: number, words: Words): Promise<RunningNode> {
  const running = await startNode(file(port, to, words));
  stops.push(() => running.stop());
  return running;
}

const allow = (limits: string, more = '') => `{ name: some, action: allow, limits: { ${limits} }${more} }`;
const echo = (socket: Socket) => void socket.pipe(socket);
const hits = (running: RunningNode, limit: string) =>
  running.node.counters().limits.find((entry) => entry.application === 'app' && entry.limit === limit)?.hits ?? 0;

/** Whether a new TCP flow is carried: it has its byte echoed, or is ended. */
async function carried(port: number, source = '127.0.0.1'): Promise<{ ok: boolean; socket: Socket }> {
  const one = client(port, { localAddress: source });
  one.socket.on('error', () => undefined);
  one.socket.write('x');
  return { ok: (await one.bytes(1)) === 'x', socket: one.socket };
}

/** Answers each request with 200, but `/slow`, which it answers when told. */
async function web(): Promise<TestServer & { slow: Socket[] }> {
  const slow: Socket[] = [];
  const started = await server((socket) => {
    socket.on('data', (data) => {
      for (const head of data.toString('latin1').split('\r\n\r\n').slice(0, -1))
        if (head.includes('/slow')) slow.push(socket);
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  return { ...started, slow };
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe('flows at once', () => {
  it('are exactly as many as the rule allows, however many clients and workers there are', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await start(port, backend.port, { rules: allow('flows: 10, per: all'), workers: 2 });
    for (let round = 0; round < 4; round++) {
      const flows = await Promise.all(Array.from({ length: 60 }, (_, i) => carried(port, `127.0.0.${2 + (i % 5)}`)));
      expect(flows.filter(({ ok }) => ok)).toHaveLength(10);
      for (const { socket } of flows) socket.destroy();
      await until(() => running.application('app').flowsActive === 0);
    }
    expect(hits(running, 'flows')).toBe(200);
    const denied = (await running.records(240)).filter((record) => record.verdict === 'deny');
    expect(denied).toHaveLength(200);
    expect(denied[0]).toMatchObject({ rule: 'some', server: null, ended_by: 'policy', reason: 'limit flows of rule some' });
  });

  it.each([
    ['source', ['127.0.0.2', '127.0.0.2', '127.0.0.3', '127.0.0.9'], [true, false, true, true]],
    ['all', ['127.0.0.2', '127.0.0.2', '127.0.0.3', '127.0.0.9'], [true, false, false, false]],
    // .2 is in both, .3 in the first, .9 in the second: both have to have room.
    ['segment', ['127.0.0.2', '127.0.0.3', '127.0.0.9', '127.0.0.9'], [true, false, false, false]],
    ['segment', ['127.0.0.3', '127.0.0.9', '127.0.0.2', '127.0.0.3'], [true, true, false, false]],
  ])('per %s of %j', async (per, sources, expected) => {
    const backend = await server(echo);
    const port = await freePort();
    const more = `segments: { one: { addresses: [127.0.0.2/31] }, two: { addresses: [127.0.0.2, 127.0.0.9] } }`;
    await start(port, backend.port, { rules: allow(`flows: 1, per: ${per}`, ', from: [one, two]'), more });
    const found: boolean[] = [];
    for (const source of sources) found.push((await carried(port, source)).ok);
    expect(found).toEqual(expected);
  });

  it('count what is live when the limit comes, cut none of it, and are free again when a worker dies', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await start(port, backend.port, { rules: '{ name: some, action: allow }' });
    const [first, second] = [await carried(port), await carried(port)];
    const limited = file(port, backend.port, { rules: allow('flows: 2') });
    expect(await running.apply(limited)).toMatchObject({ ok: true, revoked: 0, kept: 2 });
    expect((await carried(port)).ok).toBe(false);
    first.socket.destroy();
    await until(() => running.application('app').flowsActive === 1);
    expect((await carried(port)).ok).toBe(true);
    expect((await carried(port)).ok).toBe(false);
    second.socket.on('error', () => undefined);
    await running.node.killWorker(0);
    await until(async () => (await carried(port)).ok);
  });

  it('of an application that observes are counted and let through', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await start(port, backend.port, { rules: allow('flows: 1, bytes-total: 1KiB'), enforcement: 'observe' });
    expect([(await carried(port)).ok, (await carried(port)).ok]).toEqual([true, true]);
    expect(hits(running, 'flows')).toBe(1);
  });
});

describe('rates', () => {
  it('of new flows refuse what comes too fast, and an apply neither forgives nor punishes', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const words = { rules: allow('new-flows: 4/h'), workers: 2 };
    const running = await start(port, backend.port, words);
    const found: boolean[] = [];
    for (let i = 0; i < 6; i++) {
      if (i === 2) await running.apply(file(port, backend.port, { ...words, rules: `${words.rules}, { name: other, action: deny }` }));
      found.push((await carried(port)).ok);
    }
    expect(found).toEqual([true, true, true, true, false, false]);
    await running.apply(file(port, backend.port, { ...words, rules: allow('new-flows: 40/h') }));
    expect((await carried(port)).ok).toBe(false);
  });

  it.each([
    ['requests: 2/h', 'requests', /^1[78]\d\d$/],
    ['new-flows: 2/m', 'new-flows', /^(29|30)$/],
    ['flows: 2', 'flows', /^1$/],
  ])('%s: the third request gets a 429 that says which limit and when to come again', async (limits, limit, retry) => {
    const backend = await web();
    const port = await freePort();
    const running = await start(port, backend.port, { rules: allow(limits), mode: 'http' });
    const clients = await Promise.all([1, 2, 3].map(() => WireClient.open(port)));
    stops.push(() => clients.forEach((one) => void one.close()));
    const path = limit === 'flows' ? '/slow' : '/';
    for (const one of clients.slice(0, 2)) {
      one.send(get(path));
      if (path === '/') expect((await one.answer()).status).toBe(200);
    }
    await until(() => path === '/' || backend.slow.length === 2);
    const answer = await clients[2]!.send(get('/')).answer();
    expect(answer.status).toBe(429);
    expect(answer.fields['retry-after']).toMatch(retry);
    expect(answer.fields['bulkhead-error']).toBe(`limited; ${limit}`);
    expect(answer.fields.connection).toBe('keep-alive');
    const receipt = answer.fields['bulkhead-receipt']!;
    expect(answer.body.toString()).toContain(receipt);
    await until(async () => (await running.node.flow(receipt)) !== null);
    expect(await running.node.flow(receipt)).toMatchObject({ verdict: 'deny', status: 429, reason: `limit ${limit} of rule some` });
    expect(hits(running, limit)).toBe(1);
    if (limit !== 'flows') return;
    for (const socket of backend.slow) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    for (const one of clients.slice(0, 2)) expect((await one.answer()).status).toBe(200);
    expect((await clients[2]!.send(get('/')).answer()).status).toBe(200);
  });

  it.each(['download', 'upload', 'web'])('of bytes hold a %s back and lose nothing', async (kind) => {
    const size = 192 * 1024;
    const body = Buffer.alloc(size, 'b');
    let got = 0;
    const backend = await server((socket) => {
      if (kind === 'download') socket.write(body);
      else if (kind === 'web')
        socket.on('data', () => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`) && socket.write(body));
      else socket.on('data', (data) => (got += data.length));
    });
    const port = await freePort();
    const running = await start(port, backend.port, { rules: allow('bytes: 128KiB/s'), mode: kind === 'web' ? 'http' : 'tcp' });
    const startedAt = performance.now();
    const one = client(port);
    if (kind === 'upload') one.socket.write(body);
    if (kind === 'web') one.socket.write(get('/'));
    if (kind === 'upload') await until(() => got >= size);
    else await one.bytes(size);
    one.socket.destroy();
    // What was read beyond the second's worth that is there at first is owed, so the next flow waits for it.
    await until(() => hits(running, 'bytes') > 0);
    const second = client(port);
    if (kind === 'web') second.socket.write(get('/'));
    if (kind === 'upload') second.socket.write(body);
    const before = performance.now();
    if (kind === 'upload') await until(() => got >= 2 * size, 8_000);
    else await second.bytes(size);
    expect(performance.now() - startedAt).toBeGreaterThan(900);
    expect(performance.now() - before).toBeLessThan(6_000);
    second.socket.destroy();
  });
});

describe('one flow', () => {
  it.each([
    ['bytes-total: 1KiB', 'bytes-total'],
    ['duration: 200ms', 'duration'],
  ])('ends at its %s', async (limits, limit) => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await start(port, backend.port, { rules: allow(limits) });
    const one = client(port);
    const timer = setInterval(() => one.socket.write('x'.repeat(100)), 10);
    stops.push(() => clearInterval(timer));
    expect(await one.over).toMatch(/ECONNRESET|EPIPE/);
    const [record] = await running.records(1);
    expect(record).toMatchObject({ verdict: 'allow', ended_by: 'policy', reason: `limit ${limit} of rule some` });
    if (limit === 'duration') expect(record!.duration_ms).toBeGreaterThanOrEqual(200);
    else expect(record!.bytes_in + record!.bytes_out).toBeGreaterThan(1024);
    expect(hits(running, limit)).toBe(1);
    await until(() => running.application('app').connectionsActive === 0);
  });

  it('that waits for its answer too long gets a 429, and one that has part of it a reset', async () => {
    const backend = await server((socket) =>
      socket.on('data', (data) => data.includes('/part') && socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok')),
    );
    const port = await freePort();
    await start(port, backend.port, { rules: allow('duration: 150ms'), mode: 'http' });
    const [waits, part] = [await WireClient.open(port), await WireClient.open(port)];
    waits.send(get('/wait'));
    part.send(get('/part'));
    expect(await waits.answer()).toMatchObject({ status: 429 });
    expect(await part.end()).toBe('reset');
  });
});
