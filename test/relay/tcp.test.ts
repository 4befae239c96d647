import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode, startServer, type TestServer, until } from '../node/harness.ts';
import { client } from './client.ts';

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
  vips?: string;
  servers?: string;
  rules?: string;
  timeouts?: string;
  limits?: string;
  pool?: string;
  enforcement?: string;
  workers?: number;
  more?: string;
}

const ALL = '{ name: all, action: allow }';

/** A node with one TCP application `app` on `port` in front of a server. */
async function node(port: number, to: number | string, words: Words = {}): Promise<RunningNode> {
  const started = await startNode(`
version: 1
process: { workers: ${words.workers ?? 1} }
${words.more ?? ''}
pools: { p: { servers: [${typeof to === 'number' ? `127.0.0.1:${to}` : to}], ${words.pool ?? 'ejection: off'} } }
applications:
  app:
    vips: [${words.vips ?? `127.0.0.1:${port}`}]
    mode: tcp
    pool: p
    enforcement: ${words.enforcement ?? 'enforce'}
    timeouts: { ${words.timeouts ?? ''} }
    limits: { ${words.limits ?? ''} }
    rules: [${words.rules ?? ALL}]
`);
  stops.push(() => started.stop());
  return started;
}

/** A server whose backlog is full: what dials it gets no answer. Its thread is asleep, so nothing is accepted. */
async function deafServer(): Promise<number> {
  const thread = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
     });`,
    { eval: true, execArgv: [] },
  );
  const [port] = (await once(thread, 'message')) as [number];
  const fillers = Array.from({ length: 8 }, () => client(port).socket);
  stops.push(() => thread.terminate());
  stops.push(() => {
    for (const socket of fillers) socket.destroy();
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  return port;
}

const echo = (socket: Socket) => void socket.pipe(socket);

async function atRest(running: RunningNode): Promise<void> {
  await until(() => running.application('app').connectionsActive === 0);
  const { flowsOpened, flowsClosed, flowsActive } = running.application('app');
  expect([flowsOpened - flowsClosed, flowsActive]).toEqual([0, 0]);
  expect(running.node.servers().every((one) => one.flowsActive === 0)).toBe(true);
}

describe('a denied source', () => {
  it('is reset before a byte of it is read, and no server is dialled', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(port, backend.port, { rules: '{ name: friends, from: [127.0.0.7], action: allow }' });
    for (let i = 0; i < 20; i++) {
      const denied = client(port);
      denied.socket.write('hello');
      expect(await denied.over).toMatch(/ECONNRESET|EPIPE/);
    }
    const friend = client(port, { localAddress: '127.0.0.7' });
    friend.socket.end('x');
    expect(await friend.bytes(1)).toBe('x');
    expect(backend.sockets).toHaveLength(1);
    const records = await running.records(21);
    expect(records.filter((record) => record.verdict === 'deny')).toHaveLength(20);
    expect(records[0]).toMatchObject({ rule: 'default', server: null, bytes_in: 0, ended_by: 'policy', reason: 'denied' });
    await atRest(running);
  });
});

describe('half-close', () => {
  it('of the client is passed on, and the server may go on for long after it', async () => {
    const backend = await server((socket) => {
      let got = '';
      socket.on('data', (data) => (got += data));
      socket.on('end', () => {
        socket.write(`got ${got}`);
        setTimeout(() => socket.end(' and more'), 50);
      });
    });
    const port = await freePort();
    const running = await node(port, backend.port);
    const one = client(port);
    one.socket.end('question');
    expect(await one.over).toBe('end');
    expect(one.text()).toBe('got question and more');
    await atRest(running);
    expect((await running.records(1))[0]).toMatchObject({ ended_by: 'client', reason: 'closed', bytes_in: 8, bytes_out: 21 });
  });

  it('of the server is passed on, and the client may go on after it', async () => {
    let got = '';
    const backend = await server((socket) => {
      socket.end('greeting');
      socket.on('data', (data) => (got += data));
    });
    const port = await freePort();
    const running = await node(port, backend.port);
    const one = client(port);
    expect(await one.over).toBe('end');
    expect(one.text()).toBe('greeting');
    one.socket.write('late ');
    await until(() => got === 'late ');
    one.socket.end('words');
    await until(() => got === 'late words');
    await atRest(running);
    expect((await running.records(1))[0]).toMatchObject({ ended_by: 'server', reason: 'closed' });
  });

  it('of a client that ends before the server is connected is passed on with its bytes', async () => {
    const backend = await server(echo);
    const port = await freePort();
    await node(port, backend.port, { rules: '{ name: redis, protocols: [redis], action: allow }' });
    const one = client(port);
    one.socket.end('PING\r\n');
    expect(await one.over).toBe('end');
    expect(one.text()).toBe('PING\r\n');
  });
});

describe('backpressure', () => {
  const TOTAL = 256 * 1024 * 1024;
  const BLOCK = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => (i * 7 + (i >> 8)) & 255));

  function offer(socket: Socket): string {
    const hash = createHash('sha256');
    let sent = 0;
    const more = () => {
      while (sent < TOTAL) {
        hash.update(BLOCK);
        sent += BLOCK.length;
        if (!socket.write(BLOCK)) break;
      }
      if (sent >= TOTAL) socket.end();
      else socket.once('drain', more);
    };
    more();
    const expected = createHash('sha256');
    for (let at = 0; at < TOTAL; at += BLOCK.length) expected.update(BLOCK);
    return expected.digest('hex');
  }

  /** Reads nothing for a while, then all of it. */
  async function slowly(socket: Socket, meanwhile: () => void): Promise<string> {
    const hash = createHash('sha256');
    socket.pause();
    await new Promise((resolve) => setTimeout(resolve, 300));
    meanwhile();
    socket.on('data', (data) => hash.update(data));
    socket.resume();
    await once(socket, 'end');
    return hash.digest('hex');
  }

  it.each(['to the client', 'to the server'])('%s: one slow reader never grows memory, and gets every byte', async (direction) => {
    const toClient = direction === 'to the client';
    const far = Promise.withResolvers<Socket>();
    const backend = await server((socket) => far.resolve(socket));
    const port = await freePort();
    const running = await node(port, backend.port);
    const near = client(port).socket;
    near.removeAllListeners('data');
    near.pause();
    const [source, sink] = toClient ? [await far.promise, near] : [near, await far.promise];
    const before = process.memoryUsage();
    const expected = offer(source);
    const stuck = () => {
      // What the kernel's own buffers take is a few megabytes each; the rest of what was offered still waits at the source.
      const { bytesIn, bytesOut } = running.application('app');
      expect(bytesIn + bytesOut).toBeLessThan(TOTAL / 2);
      expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(8 << 20);
    };
    expect(await slowly(sink, stuck)).toBe(expected);
    (toClient ? near : await far.promise).end();
    await atRest(running);
    const { bytesIn, bytesOut } = running.application('app');
    expect([bytesIn, bytesOut]).toEqual(toClient ? [0, TOTAL] : [TOTAL, 0]);
  });

  it('both ways at once: an echo of many megabytes comes back whole', async () => {
    const backend = await server(echo);
    const port = await freePort();
    await node(port, backend.port);
    const { socket } = client(port);
    socket.removeAllListeners('data');
    const expected = offer(socket);
    const hash = createHash('sha256');
    socket.on('data', (data) => hash.update(data));
    await once(socket, 'end');
    expect(hash.digest('hex')).toBe(expected);
  });
});

describe('a reset', () => {
  /** Sends without end, and resets in the middle: the kernel may take a single write whole at once, however large, and then nothing is under way. */
  function pourAndReset(socket: Socket): void {
    const block = Buffer.alloc(1 << 20);
    const pour = () => {
      while (!socket.destroyed && socket.write(block));
    };
    socket.on('drain', pour);
    pour();
    setTimeout(() => socket.resetAndDestroy(), 50);
  }

  it('of the client is passed on to the server as one', async () => {
    const ends: string[] = [];
    const backend = await server((socket) => {
      socket.resume();
      socket.on('end', () => ends.push('end'));
      socket.on('error', (error: NodeJS.ErrnoException) => ends.push(error.code ?? ''));
    });
    const port = await freePort();
    const running = await node(port, backend.port);
    const one = client(port);
    one.socket.write('x');
    await until(() => running.application('app').bytesIn === 1);
    one.socket.resetAndDestroy();
    await until(() => ends.length > 0);
    expect(ends).toEqual(['ECONNRESET']);
    expect((await running.records(1))[0]).toMatchObject({ ended_by: 'client', reason: 'reset' });
    await atRest(running);
  });

  it.each([
    ['at once', (socket: Socket) => socket.resetAndDestroy()],
    ['after a few bytes', (socket: Socket) => socket.write('hello', () => setTimeout(() => socket.resetAndDestroy(), 20))],
    ['after the end of the client', (socket: Socket) => socket.resume().on('end', () => socket.resetAndDestroy())],
    ['in the middle of bulk', pourAndReset],
  ])('of the server %s is passed on to the client as one', async (when, serve) => {
    const backend = await server((socket) => void serve(socket));
    const port = await freePort();
    const running = await node(port, backend.port);
    const one = client(port);
    if (when === 'in the middle of bulk') one.socket.pause();
    if (when.includes('end')) one.socket.end('bye');
    if (when === 'in the middle of bulk') setTimeout(() => one.socket.resume(), 200);
    expect(await one.over).toBe('ECONNRESET');
    const [record] = await running.records(1);
    // A reset that comes with the handshake is a failed dial.
    if (when === 'at once') expect(`${record!.ended_by} ${record!.reason}`).toMatch(/^(server reset|proxy dial reset)$/);
    else expect(record).toMatchObject({ ended_by: 'server', reason: 'reset' });
    await atRest(running);
  });

  it('of the client at every phase leaves nothing behind', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(port, backend.port, { rules: '{ name: some, protocols: [redis, ssh, mysql], action: allow }' });
    const phases: ((socket: Socket) => void)[] = [
      (socket) => socket.resetAndDestroy(),
      (socket) => socket.write('PI', () => socket.resetAndDestroy()),
      (socket) => socket.write('PING\r\n', () => socket.resetAndDestroy()),
      (socket) => setTimeout(() => socket.resetAndDestroy(), 180 + Math.random() * 60),
      (socket) => {
        socket.end('PING\r\n');
        socket.on('end', () => socket.resetAndDestroy());
      },
      (socket) => socket.write('PING\r\n') && socket.once('data', () => socket.resetAndDestroy()),
    ];
    const all = Array.from({ length: 120 }, (_, i) => {
      const one = client(port);
      one.socket.on('connect', () => phases[i % phases.length]!(one.socket));
      return new Promise((resolve) => one.socket.on('close', resolve));
    });
    await Promise.all(all);
    await atRest(running);
    await until(() => backend.sockets.every((socket) => socket.destroyed || socket.readableEnded));
  });
});

describe('timeouts', () => {
  it.each([
    {
      name: 'idle',
      timeouts: 'idle: 150ms',
      act: (socket: Socket) => socket.write('x'),
      reason: 'idle timeout',
      limit: 'idle',
    },
    {
      name: 'total, however busy',
      timeouts: 'idle: 10s, total: 300ms',
      act: (socket: Socket) => {
        const timer = setInterval(() => socket.write('x'), 20);
        socket.on('close', () => clearInterval(timer));
      },
      reason: 'total timeout',
      limit: 'total',
    },
    {
      name: 'half-closed',
      timeouts: 'idle: 10s, half-closed: 150ms',
      act: (socket: Socket) => socket.end('x'),
      reason: 'half-closed timeout',
      limit: 'half-closed',
    },
  ])('$name: both sides are reset, and the limit is counted', async ({ timeouts, act, reason, limit }) => {
    const backend = await server((socket) => socket.resume());
    const port = await freePort();
    const running = await node(port, backend.port, { timeouts });
    const one = client(port);
    act(one.socket);
    expect(await one.over).toBe('ECONNRESET');
    expect((await running.records(1))[0]).toMatchObject({ ended_by: 'proxy', reason });
    expect(running.node.counters().limits).toEqual([{ application: 'app', limit, hits: 1 }]);
    await until(() => backend.sockets.every((socket) => socket.destroyed || socket.readableEnded));
    await atRest(running);
  });

  it('idle: bytes of either side keep a flow', async () => {
    const backend = await server((socket) => {
      const timer = setInterval(() => socket.write('x'), 60);
      socket.on('close', () => clearInterval(timer));
    });
    const port = await freePort();
    await node(port, backend.port, { timeouts: 'idle: 200ms' });
    const one = client(port);
    expect((await one.bytes(15)).length).toBeGreaterThanOrEqual(15);
  });

  it('a stream that is cut short in front of a slow reader ends in a reset, not in an orderly end', async () => {
    const backend = await server((socket) => socket.end(Buffer.alloc(64 << 20)));
    const port = await freePort();
    const running = await node(port, backend.port, { timeouts: 'idle: 300ms' });
    const one = client(port);
    one.socket.pause();
    await until(() => running.application('app').flowsClosed === 1);
    one.socket.resume();
    expect(await one.over).toBe('ECONNRESET');
  });

  it('connect: a server that does not answer is given up in time, and another one is tried', async () => {
    const deaf = await deafServer();
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(port, `127.0.0.1:${deaf}, 127.0.0.1:${backend.port}`, { timeouts: 'connect: 200ms' });
    const one = client(port);
    const startedAt = performance.now();
    one.socket.end('x');
    expect(await one.bytes(1)).toBe('x');
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    expect(running.node.servers().map((one) => [one.dials.timeout, one.dials.connected])).toEqual([
      [1, 0],
      [0, 1],
    ]);
    expect(running.node.counters().limits).toEqual([{ application: 'app', limit: 'connect', hits: 1 }]);
    await atRest(running);
  });

  it('connect: with no other server the client is reset, and so is one that is gone meanwhile', async () => {
    const deaf = await deafServer();
    const port = await freePort();
    const running = await node(port, deaf, { timeouts: 'connect: 200ms', pool: 'retries: { attempts: 0 }' });
    const [one, gone] = [client(port), client(port)];
    setTimeout(() => gone.socket.resetAndDestroy(), 60);
    expect(await one.over).toBe('ECONNRESET');
    expect((await running.records(2)).map((record) => record.reason)).toEqual(['dial timeout', 'dial timeout']);
    await atRest(running);
  });
});

describe('caps', () => {
  const flood = async (port: number, count: number, from = '127.0.0.1') => {
    const all = Array.from({ length: count }, () => client(port, { localAddress: from }));
    for (const one of all) one.socket.write('x');
    const how = await Promise.all(all.map((one) => Promise.race([one.over, one.bytes(1)])));
    const open = all.filter((_, i) => how[i] === 'x');
    return { open, refused: count - open.length };
  };

  it('of an application, over two workers: never one more, and free again afterwards', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(port, backend.port, { workers: 2, limits: 'connections: 10' });
    for (let round = 0; round < 3; round++) {
      const { open } = await flood(port, 60);
      // Two that race for the last place may both step back, but then the next one gets it.
      const more = await flood(port, 60);
      const still = [...open, ...more.open];
      expect(still.length).toBeLessThanOrEqual(10);
      expect(still.length).toBeGreaterThanOrEqual(9);
      expect(running.application('app').connectionsActive).toBe(still.length);
      for (const one of still) one.socket.destroy();
      await atRest(running);
    }
    expect(running.node.counters().limits[0]).toMatchObject({ limit: 'connections' });
  });

  it('of a source address: others are not touched', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(port, backend.port, { workers: 2, limits: 'connections-per-source: 3' });
    const first = await flood(port, 30);
    const second = await flood(port, 30, '127.0.0.2');
    const topUp = [...(await flood(port, 30)).open, ...(await flood(port, 30, '127.0.0.2')).open];
    expect(first.open.length).toBeLessThanOrEqual(3);
    expect(second.open.length).toBeLessThanOrEqual(3);
    expect(first.open.length + second.open.length + topUp.length).toBe(6);
    for (const one of [...first.open, ...second.open, ...topUp]) one.socket.destroy();
    await atRest(running);
    const again = (await flood(port, 30)).open.length;
    expect(again).toBeGreaterThanOrEqual(2);
    expect(again).toBeLessThanOrEqual(3);
  });

  it('of the process', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await startNode(`
version: 1
process: { workers: 2, limits: { connections: 5 } }
pools: { p: { servers: [127.0.0.1:${backend.port}] } }
applications:
  app: { vips: [127.0.0.1:${port}], mode: tcp, pool: p, rules: [${ALL}] }
`);
    stops.push(() => running.stop());
    const first = await flood(port, 20);
    const second = await flood(port, 20);
    expect(first.open.length + second.open.length).toBe(5);
    expect(running.node.counters().limits).toEqual([{ application: 'app', limit: 'process-connections', hits: 35 }]);
  });
});

describe('VIPs and servers of every kind', () => {
  it.each([
    { name: 'IPv4', vip: (port: number) => `127.0.0.1:${port}`, host: '127.0.0.1' },
    { name: 'IPv6', vip: (port: number) => `"[::1]:${port}"`, host: '::1' },
  ])('$name', async ({ vip, host }) => {
    const backend = await server(echo);
    const port = await freePort(host);
    const running = await node(port, backend.port, { vips: vip(port) });
    const one = client(port, { host });
    one.socket.end('x');
    expect(await one.bytes(1)).toBe('x');
    const record = (await running.records(1))[0]!;
    expect(record.vip).toBe(host === '::1' ? `[::1]:${port}` : `127.0.0.1:${port}`);
    expect(record.source.startsWith(host === '::1' ? '[::1]:' : '127.0.0.1:')).toBe(true);
  });

  it('an IPv6 source is judged by IPv6 prefixes', async () => {
    const backend = await server(echo);
    const port = await freePort('::1');
    await node(port, backend.port, { vips: `"[::1]:${port}"`, rules: '{ name: four, from: [127.0.0.0/8], action: allow }' });
    expect(await client(port, { host: '::1' }).over).toBe('ECONNRESET');
  });

  it('a range of ports, told apart by rules', async () => {
    const backend = await server(echo);
    let port = await freePort();
    while (port !== (await freePort()) - 1) port = await freePort();
    await node(port, backend.port, {
      vips: `127.0.0.1:${port}-${port + 1}`,
      rules: `{ name: second, ports: [${port + 1}], action: allow }`,
    });
    expect(await client(port).over).toBe('ECONNRESET');
    const one = client(port + 1);
    one.socket.end('x');
    expect(await one.bytes(1)).toBe('x');
  });

  it('unix sockets on both sides, with half-close, also over two workers', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bulkhead-'));
    stops.push(() => rmSync(folder, { recursive: true }));
    const backend = createServer({ allowHalfOpen: true }, echo).listen(join(folder, 'server'));
    await once(backend, 'listening');
    stops.push(() => backend.close());
    const vip = join(folder, 'vip');
    const running = await node(0, `"unix:${join(folder, 'server')}"`, { vips: `"unix:${vip}"`, workers: 2 });
    for (let i = 0; i < 3; i++) {
      const one = client(vip);
      one.socket.end('hello');
      expect(await one.over).toBe('end');
      expect(one.text()).toBe('hello');
    }
    expect((await running.records(3))[0]).toMatchObject({ source: 'unix', vip: `unix:${vip}`, verdict: 'allow' });
    await atRest(running);
  });

  it('a unix client has no address: a rule for a prefix does not speak of it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bulkhead-'));
    stops.push(() => rmSync(folder, { recursive: true }));
    const backend = await server(echo);
    const vip = join(folder, 'vip');
    await node(0, backend.port, { vips: `"unix:${vip}"`, rules: '{ name: every, from: [0.0.0.0/0, "::/0"], action: allow }' });
    const one = client(vip);
    expect(await one.over).not.toBe('x');
    expect(backend.sockets).toHaveLength(0);
  });
});

describe('detection', () => {
  const rules = (...protocols: string[]) => `{ name: right, protocols: [${protocols.join(', ')}], action: allow }`;

  it('passes on every byte that it looked at, however they were split', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(port, backend.port, { rules: rules('http') });
    const text = 'GET /a HTTP/1.1\r\nHost: b\r\n\r\n';
    const one = client(port, { noDelay: true });
    for (const letter of text) {
      one.socket.write(letter);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(await one.bytes(text.length)).toBe(text);
    one.socket.end();
    expect((await running.records(1))[0]).toMatchObject({ protocol: 'http', rule: 'right', bytes_in: text.length });
  });

  it.each([
    ['TLS in place of HTTP', Buffer.from('160301020001000', 'hex'), 'tls'],
    ['text', Buffer.from('hello world\r\n'), 'unknown'],
    ['Redis', Buffer.from('*1\r\n$4\r\nPING\r\n'), 'redis'],
  ])('%s: told so in its own words or else reset, and no server is dialled', async (_name, first, protocol) => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(port, backend.port, { rules: rules('http'), timeouts: 'detect: 200ms' });
    const one = client(port);
    one.socket.write(first);
    expect(await one.over).toBe(protocol === 'redis' ? 'end' : 'ECONNRESET');
    expect(backend.sockets).toHaveLength(0);
    const [record] = await running.records(1);
    expect(record).toMatchObject({ verdict: 'deny', rule: 'default', ended_by: 'policy' });
    expect([protocol, 'unknown']).toContain(record!.protocol);
  });

  it.each([
    ['says nothing', ''],
    ['says too little', 'GET /'],
  ])('a client that %s is judged as unknown when the time is over', async (_name, first) => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(port, backend.port, { rules: rules('http'), timeouts: 'detect: 150ms' });
    const one = client(port);
    const startedAt = performance.now();
    one.socket.write(first);
    expect(await one.over).toBe('ECONNRESET');
    expect(performance.now() - startedAt).toBeLessThan(1_500);
    expect((await running.records(1))[0]).toMatchObject({ protocol: 'unknown', verdict: 'deny' });
    expect(running.node.counters().limits).toEqual([{ application: 'app', limit: 'detect', hits: 1 }]);
  });

  it('a client that drips bytes does not stretch the time', async () => {
    const backend = await server(echo);
    const port = await freePort();
    await node(port, backend.port, { rules: rules('http'), timeouts: 'detect: 200ms' });
    const one = client(port, { noDelay: true });
    const timer = setInterval(() => one.socket.write('A'), 30);
    const startedAt = performance.now();
    await one.over;
    clearInterval(timer);
    expect(performance.now() - startedAt).toBeLessThan(1_500);
    expect(backend.sockets).toHaveLength(0);
  });

  it('a client that never gets to the point is judged after so many bytes', async () => {
    const backend = await server(echo);
    const port = await freePort();
    await node(port, backend.port, { rules: rules('http'), timeouts: 'detect: 10s' });
    const one = client(port);
    one.socket.write(`GET /${'a'.repeat(100_000)}`);
    expect(await one.over).toMatch(/ECONNRESET|EPIPE/);
    expect(backend.sockets).toHaveLength(0);
  });
});

describe('protocols in which the server speaks first', () => {
  const MYSQL = Buffer.from('4a0000000a382e302e333600080000000102030405060708', 'hex').toString('latin1');
  const rules = (...protocols: string[]) => `{ name: right, protocols: [${protocols.join(', ')}], action: allow }`;

  it.each([
    ['mysql', MYSQL],
    ['ssh', 'SSH-2.0-test\r\n'],
    ['smtp', '220 mail ESMTP\r\n'],
    ['ftp', '220 FTP\r\n'],
  ])('%s: the banner is the proof, and the client gets it', async (protocol, banner) => {
    const backend = await server((socket) => {
      socket.write(Buffer.from(banner, 'latin1'));
      socket.pipe(socket);
    });
    const port = await freePort();
    const running = await node(port, backend.port, { rules: rules(protocol) });
    const one = client(port);
    expect(await one.bytes(banner.length)).toBe(banner);
    one.socket.end('and on');
    expect(await one.bytes(banner.length + 6)).toBe(`${banner}and on`);
    expect((await running.records(1))[0]).toMatchObject({ protocol, verdict: 'allow', bytes_out: banner.length + 6 });
    await atRest(running);
  });

  it('a banner in pieces is put together', async () => {
    const backend = await server((socket) => {
      socket.write('SSH');
      setTimeout(() => socket.write('-2.0-x\r\n'), 50);
    });
    const port = await freePort();
    await node(port, backend.port, { rules: rules('ssh') });
    expect(await client(port).bytes(11)).toBe('SSH-2.0-x\r\n');
  });

  it.each([
    ['another server that speaks first', MYSQL],
    ['a server of no known protocol', 'hello there\r\n'],
    ['a server that says nothing', ''],
  ])('%s: the client is told so or reset, and never sees a byte of it', async (_name, banner) => {
    const backend = await server((socket) => void socket.write(Buffer.from(banner, 'latin1')));
    const port = await freePort();
    const running = await node(port, backend.port, { rules: rules('ssh'), timeouts: 'detect: 200ms' });
    const one = client(port);
    expect(await one.over).toBe(banner === MYSQL ? 'end' : 'ECONNRESET');
    if (banner === MYSQL) expect(one.text()).toContain('denied by policy');
    else expect(one.text()).toBe('');
    expect((await running.records(1))[0]).toMatchObject({ verdict: 'deny', bytes_out: one.text().length });
    one.socket.end();
    await until(() => backend.sockets.every((socket) => socket.destroyed));
    await atRest(running);
  });

  it('with a rule for protocols of both kinds, a silent client gets a server soon, one that speaks is judged by its bytes', async () => {
    const backend = await server((socket) => void socket.write('SSH-2.0-x\r\n'));
    const port = await freePort();
    await node(port, backend.port, { rules: rules('ssh', 'http') });
    const silent = client(port);
    expect(await silent.bytes(11)).toBe('SSH-2.0-x\r\n');
    const dialled = backend.sockets.length;
    const wrong = client(port);
    wrong.socket.write('PING\r\n');
    expect(await wrong.over).toBe('end');
    expect(wrong.text()).toContain('-ERR denied by policy');
    expect(backend.sockets).toHaveLength(dialled);
  });

  it('both sides speak at once: whoever is read first is judged, and nothing is lost', async () => {
    const backend = await server((socket) => {
      socket.write('SSH-2.0-server\r\n');
      socket.on('data', (data) => socket.write(data));
    });
    const port = await freePort();
    const running = await node(port, backend.port, { rules: rules('ssh') });
    const all = Array.from({ length: 30 }, () => client(port));
    for (const one of all) one.socket.write('SSH-2.0-client\r\n');
    for (const one of all) expect(await one.bytes(32)).toBe('SSH-2.0-server\r\nSSH-2.0-client\r\n');
    for (const one of all) one.socket.resetAndDestroy();
    await atRest(running);
  });

  it('a client that listens only, having ended its side, still gets the banner', async () => {
    const backend = await server((socket) => setTimeout(() => socket.end('SSH-2.0-x\r\n'), 60));
    const port = await freePort();
    const running = await node(port, backend.port, { rules: rules('ssh') });
    const one = client(port);
    one.socket.end();
    expect(await one.over).toBe('end');
    expect(one.text()).toBe('SSH-2.0-x\r\n');
    await atRest(running);
  });

  it('a client that says the wrong thing first is told so, and its bytes never reach the server', async () => {
    let got = '';
    const backend = await server((socket) => socket.on('data', (data) => (got += data)));
    const port = await freePort();
    await node(port, backend.port, { rules: rules('ssh') });
    const one = client(port);
    one.socket.write('GET / HTTP/1.1\r\n\r\n');
    expect(await one.over).toBe('end');
    expect(one.text()).toMatch(/^HTTP\/1.1 403 /);
    expect(got).toBe('');
  });
});

describe('observing', () => {
  it('lets through what it would deny, and says so', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await node(port, backend.port, {
      enforcement: 'observe',
      rules: '{ name: friends, from: [127.0.0.7], protocols: [http], action: allow }',
    });
    const one = client(port);
    one.socket.end('anything');
    expect(await one.bytes(8)).toBe('anything');
    const other = client(port, { localAddress: '127.0.0.7' });
    other.socket.end('anything');
    expect(await other.bytes(8)).toBe('anything');
    const records = await running.records(2);
    expect(records.map((record) => record.verdict)).toEqual(['would_deny', 'would_deny']);
    expect(running.node.counters().rules.find((rule) => rule.rule === 'default')).toMatchObject({ allow: 0, deny: 0, wouldDeny: 2 });
  });
});

describe('servers that are not there', () => {
  it('a refused dial is tried on another server', async () => {
    const backend = await server(echo);
    const [port, nobody] = [await freePort(), await freePort()];
    const running = await node(port, `127.0.0.1:${nobody}, 127.0.0.1:${backend.port}`);
    for (let i = 0; i < 4; i++) {
      const one = client(port);
      one.socket.end('x');
      expect(await one.bytes(1)).toBe('x');
    }
    const [refusing, good] = running.node.servers();
    expect(refusing!.dials.refused).toBeGreaterThan(0);
    expect(good!.dials.connected).toBe(4);
  });

  it('with none left the client is reset, and the journal says why', async () => {
    const [port, nobody] = [await freePort(), await freePort()];
    const running = await node(port, nobody, { pool: 'retries: { attempts: 1 }' });
    expect(await client(port).over).toBe('ECONNRESET');
    expect((await running.records(1))[0]).toMatchObject({ ended_by: 'proxy', reason: 'dial refused', verdict: 'allow' });
    expect(running.node.servers()[0]!.dials.refused).toBe(2);
  });

  it('an empty pool resets the client, and the journal says why', async () => {
    const port = await freePort();
    const running = await node(port, '{ address: 127.0.0.1:9, drain: true }');
    expect(await client(port).over).toBe('ECONNRESET');
    expect((await running.records(1))[0]).toMatchObject({ ended_by: 'proxy', reason: 'no server available', server: null });
  });
});
