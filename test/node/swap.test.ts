import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parseAddress } from '../../config/address.ts';
import { listen } from '../../proxy/wire/listen.ts';
import { client } from '../relay/client.ts';
import { freePort, type RunningNode, startNode, startServer, type TestServer, until } from './harness.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function server(serve: (socket: Socket) => void, port?: number): Promise<TestServer> {
  const started = await startServer(serve, port);
  stops.push(() => started.close());
  return started;
}

async function start(yaml: string): Promise<RunningNode> {
  const running = await startNode(yaml);
  stops.push(() => running.stop());
  return running;
}

const echo = (socket: Socket) => void socket.pipe(socket);

interface Application {
  vips: (number | string)[];
  pool?: string;
  rules?: string;
  more?: string;
}

function file(pools: Record<string, string>, applications: Record<string, Application>, workers = 2): string {
  return `
version: 1
process: { workers: ${workers} }
pools:
${Object.entries(pools)
  .map(([name, text]) => `  ${name}: { ${text} }`)
  .join('\n')}
applications:
${Object.entries(applications)
  .map(
    ([name, { vips, pool = 'p', rules = '{ name: all, action: allow }', more = '' }]) => `  ${name}:
    vips: [${vips.map((vip) => (typeof vip === 'number' ? `127.0.0.1:${vip}` : vip)).join(', ')}]
    mode: tcp
    pool: ${pool}
    rules: [${rules}]
    ${more}`,
  )
  .join('\n')}
`;
}

const p = (...ports: number[]) => ({ p: `servers: [${ports.map((port) => `127.0.0.1:${port}`).join(', ')}]` });

async function balanced(running: RunningNode, name: string, active: number): Promise<void> {
  // They are counted one after the other, while this thread may look.
  await until(() => running.application(name).flowsActive === active && running.application(name).connectionsActive === active);
  const { flowsOpened, flowsClosed } = running.application(name);
  expect(flowsOpened - flowsClosed).toBe(active);
}

describe('a swap', () => {
  it('resets the live flows that it no longer allows, and only those; the others keep their bytes in order', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const rules = (from: string) => `{ name: some, from: [${from}], action: allow }`;
    const running = await start(file(p(backend.port), { app: { vips: [port], rules: rules('127.0.0.0/8') } }));
    const flows = Array.from({ length: 300 }, (_, i) => {
      const source = 2 + (i % 3);
      const one = client(port, { localAddress: `127.0.0.${source}`, noDelay: true });
      return { source, one, sent: '' };
    });
    let number = 0;
    const talk = () => {
      for (const flow of flows) {
        if (flow.one.socket.destroyed) continue;
        const word = `${number++};`;
        flow.sent += word;
        flow.one.socket.write(word);
      }
    };
    talk();
    for (const flow of flows) await flow.one.bytes(1);
    const timer = setInterval(talk, 10);
    const result = await running.apply(file(p(backend.port), { app: { vips: [port], rules: rules('127.0.0.2, 127.0.0.4') } }));
    expect(result).toMatchObject({ ok: true, revoked: 100, kept: 200 });
    const ends = await Promise.all(flows.filter((flow) => flow.source === 3).map((flow) => flow.one.over));
    expect(new Set(ends)).toEqual(new Set(['ECONNRESET']));
    clearInterval(timer);
    talk();
    const kept = flows.filter((flow) => flow.source !== 3);
    for (const flow of kept) expect(await flow.one.bytes(flow.sent.length)).toBe(flow.sent);
    await balanced(running, 'app', 200);
    expect(running.application('app').flowsRevoked).toBe(100);
    const revoked = (await running.records(100)).filter((record) => record.ended_by === 'policy');
    expect(revoked).toHaveLength(100);
    expect(new Set(revoked.map((record) => record.reason))).toEqual(new Set(['revoked by default']));
    for (const flow of kept) flow.one.socket.destroy();
    await balanced(running, 'app', 0);
  });

  it('that changes nothing for a flow leaves it alone, again and again, under load', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const running = await start(file(p(backend.port), { app: { vips: [port] } }));
    const flows = Array.from({ length: 20 }, () => client(port));
    for (const flow of flows) flow.socket.write('a');
    for (const flow of flows) await flow.bytes(1);
    for (let i = 0; i < 10; i++) {
      const rules = `{ name: rule-${i}, action: allow }`;
      const [result] = await Promise.all([
        running.apply(file(p(backend.port), { app: { vips: [port], rules } })),
        ...Array.from({ length: 10 }, async () => {
          const one = client(port);
          one.socket.end('short');
          expect(await one.bytes(5)).toBe('short');
        }),
      ]);
      expect(result).toMatchObject({ ok: true, revoked: 0 });
    }
    for (const flow of flows) flow.socket.write('z');
    for (const flow of flows) expect(await flow.bytes(2)).toBe('az');
    await balanced(running, 'app', 20);
    expect(running.application('app').flowsOpened).toBe(120);
    const sums = running.node.counters().rules.reduce((sum, rule) => sum + rule.allow, 0);
    expect(sums).toBe(120);
  });

  it('judges again what has no verdict yet', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const waiting = (protocol: string) => ({ vips: [port], rules: `{ name: ${protocol}, protocols: [${protocol}], action: allow }` });
    const running = await start(file(p(backend.port), { app: waiting('http') }));
    const [now, later] = [client(port), client(port)];
    now.socket.write('PI');
    later.socket.write('GET /');
    await until(() => running.application('app').connectionsActive === 2);
    await running.apply(file(p(backend.port), { app: waiting('redis') }));
    now.socket.write('NG\r\n');
    later.socket.write(' HTTP/1.1\r\n');
    expect(await now.bytes(6)).toBe('PING\r\n');
    expect(await later.over).toBe('end');
    expect(later.text()).toMatch(/^HTTP\/1.1 403 /);
    // Now anything goes, and a waiting client need not say what it is.
    const third = client(port);
    third.socket.write('whatev');
    expect(await third.over).toBe('ECONNRESET');
    const fourth = client(port);
    await until(() => running.application('app').connectionsActive === 2);
    await running.apply(file(p(backend.port), { app: { vips: [port] } }));
    await until(() => backend.sockets.length === 2);
    fourth.socket.write('x');
    expect(await fourth.bytes(1)).toBe('x');
  });

  it('that now allows every protocol does not make a flow wait for the banner, nor dial twice', async () => {
    const backend = await server((socket) => socket.resume());
    const port = await freePort();
    const timeouts = 'timeouts: { detect: 20s }';
    const rules = '{ name: ssh, protocols: [ssh], action: allow }';
    const running = await start(file(p(backend.port), { app: { vips: [port], rules, more: timeouts } }));
    client(port);
    await until(() => backend.sockets.length === 1);
    expect(running.application('app').flowsActive).toBe(0);
    await running.apply(file(p(backend.port), { app: { vips: [port], more: timeouts } }));
    await balanced(running, 'app', 1);
    expect(backend.sockets).toHaveLength(1);
    expect(running.node.servers()[0]!.flowsActive).toBe(1);
  });

  it('brings a nearer idle timeout to live flows, keeps the half-closed one, and does not put off what is due', async () => {
    const backend = await server((socket) => socket.resume());
    const port = await freePort();
    const app = (timeouts: string) => file(p(backend.port), { app: { vips: [port], more: `timeouts: { ${timeouts} }` } });
    const running = await start(app('idle: 1h, half-closed: 1h'));
    const [open, half] = [client(port), client(port)];
    open.socket.write('x');
    half.socket.end('x');
    await until(() => running.application('app').bytesIn === 2);
    await running.apply(app('idle: 300ms, half-closed: 1h'));
    expect(await open.over).toBe('ECONNRESET');
    await balanced(running, 'app', 1);
    await running.apply(app('idle: 1h, half-closed: 300ms'));
    const timer = setInterval(() => void running.apply(app('idle: 1h, half-closed: 300ms')), 40);
    expect(await half.over).toBe('ECONNRESET');
    clearInterval(timer);
    await balanced(running, 'app', 0);
    expect((await running.records(2)).map((record) => record.reason)).toEqual(['idle timeout', 'half-closed timeout']);
  });
});

describe('an apply that fails leaves everything as it was:', () => {
  it.each([
    {
      name: 'a test that does not hold',
      change: async (text: string) => `${text}tests: [{ from: 127.0.0.1, to: "127.0.0.1:PORT", expect: deny }]\n`,
      says: /^test failed: /,
    },
    {
      name: 'a port in use',
      change: async (text: string) => {
        const other = createServer().listen(0, '127.0.0.1');
        await once(other, 'listening');
        stops.push(() => other.close());
        return text.replace('127.0.0.1:PORT', `127.0.0.1:${(other.address() as { port: number }).port}`);
      },
      says: /is in use/,
    },
    {
      name: 'a VIP that is no address of this machine',
      change: async (text: string) => `${text.replace('127.0.0.1:PORT', '192.0.2.1:80')}networks: { inbound: [192.0.2.0/24] }\n`,
      says: /192\.0\.2\.1:80 is not an address of this machine/,
    },
  ])('$name', async ({ change, says }) => {
    const backend = await server(echo);
    const port = await freePort();
    const text = file(p(backend.port), { app: { vips: ['127.0.0.1:PORT'] } });
    const running = await start(text.replaceAll('PORT', String(port)));
    const one = client(port);
    one.socket.write('a');
    await one.bytes(1);
    const generation = running.node.policy().generation;
    const result = await running.apply((await change(text)).replaceAll('PORT', String(port)));
    expect(result.ok).toBe(false);
    expect(result.ok ? '' : result.problems.join('\n')).toMatch(says);
    expect(running.node.policy().generation).toBe(generation);
    expect(running.node.applies()).toEqual({ applied: 1, refused: 1 });
    expect(running.node.lastRefusal()?.problems.join('\n')).toMatch(says);
    expect(running.node.readiness().ready).toBe(true);
    one.socket.write('b');
    expect(await one.bytes(2)).toBe('ab');
    const other = client(port);
    other.socket.end('c');
    expect(await other.bytes(1)).toBe('c');
    expect(await running.apply(text.replaceAll('PORT', String(port)))).toMatchObject({ ok: true });
    expect(running.node.lastRefusal()).toBeNull();
  });
});

it('a port that is taken in the very moment of the swap refuses it as well, and no flow is cut', async () => {
  const backend = await server(echo);
  const [port, wanted] = [await freePort(), await freePort()];
  const running = await start(file(p(backend.port), { app: { vips: [port] } }));
  const one = client(port);
  one.socket.write('a');
  await one.bytes(1);
  const other = file(p(backend.port), { app: { vips: [port, wanted], rules: '{ name: nobody, from: [127.0.0.9], action: allow }' } });
  const endpoint = { kind: 'tcp', address: parseAddress('127.0.0.1')!, port: wanted, text: '' } as const;
  for (let moments = 0; moments < 12; moments++) {
    const applying = running.apply(other);
    for (let i = 0; i < moments; i++) await null;
    const taken = listen(endpoint, false, { accept: (handle) => handle.close(), acceptFailed: () => undefined });
    const result = await applying;
    if (taken.ok) taken.listener.close();
    expect(taken.ok && result.ok).toBe(false);
    if (result.ok) break;
    one.socket.write('b');
    expect((await one.bytes(2 + moments)).length).toBe(2 + moments);
    expect(running.node.readiness().ready).toBe(true);
  }
  await balanced(running, 'app', 0).catch(() => balanced(running, 'app', 1));
});

it('what one worker cannot bind changes nothing in the others: no flow is asked again', async () => {
  const backend = await server(echo);
  const port = await freePort();
  const running = await start(file(p(backend.port), { app: { vips: [port] } }));
  const flows = Array.from({ length: 40 }, () => client(port));
  for (const flow of flows) flow.socket.write('a');
  for (const flow of flows) await flow.bytes(1);
  expect(running.node.workers().every(({ connections }) => connections > 0)).toBe(true);
  const before = running.node.workers().map(({ generation }) => generation);
  // One path in two spellings: each is free by itself, and the first worker, which alone binds unix sockets, can have only one.
  const path = join(tmpdir(), `bulkhead-${process.pid}-twice`);
  const twice = [port, `"unix:${path}"`, `"unix:${path.replace(tmpdir(), `${tmpdir()}/.`)}"`];
  const nobody = '{ name: nobody, from: [127.0.0.9], action: allow }';
  const result = await running.apply(file(p(backend.port), { app: { vips: twice, rules: nobody } }));
  expect(result).toMatchObject({ ok: false, problems: [expect.stringContaining('is in use')] });
  expect(running.node.workers().map(({ generation }) => generation)).toEqual(before);
  expect(running.application('app')).toMatchObject({ flowsRevoked: 0, flowsActive: 40 });
  for (const flow of flows) flow.socket.write('b');
  for (const flow of flows) expect(await flow.bytes(2)).toBe('ab');
  expect(await client(path).over).toBe('ENOENT');
  expect(await running.apply(file(p(backend.port), { app: { vips: [port], rules: nobody } }))).toMatchObject({ ok: true, revoked: 40 });
});

describe('VIPs', () => {
  it('are added while others carry on', async () => {
    const backend = await server(echo);
    const [port, added] = [await freePort(), await freePort()];
    const running = await start(file(p(backend.port), { app: { vips: [port] } }));
    const one = client(port);
    one.socket.write('a');
    await one.bytes(1);
    expect(await running.apply(file(p(backend.port), { app: { vips: [port, added] } }))).toMatchObject({ ok: true, revoked: 0, kept: 1 });
    const two = client(added);
    two.socket.end('b');
    expect(await two.bytes(1)).toBe('b');
    one.socket.end('z');
    expect(await one.bytes(2)).toBe('az');
  });

  it('that are removed take their flows along, close their port, and leave the account right', async () => {
    const backend = await server(echo);
    const [port, removed] = [await freePort(), await freePort()];
    const running = await start(file(p(backend.port), { app: { vips: [port, removed] } }));
    const [stays, goes] = [client(port), client(removed)];
    for (const one of [stays, goes]) one.socket.write('a');
    for (const one of [stays, goes]) await one.bytes(1);
    expect(await running.apply(file(p(backend.port), { app: { vips: [port] } }))).toMatchObject({ revoked: 1, kept: 1 });
    expect(await goes.over).toBe('ECONNRESET');
    expect(await client(removed).over).toBe('ECONNREFUSED');
    await balanced(running, 'app', 1);
    expect((await running.records(1))[0]).toMatchObject({ application: 'app', ended_by: 'policy', reason: 'vip removed' });
    stays.socket.end('b');
    expect(await stays.bytes(2)).toBe('ab');
  });

  it('that move to another application leave their flows behind, and new ones are judged by the new rules', async () => {
    const [first, second] = [await server((socket) => void socket.write('1')), await server((socket) => void socket.write('2'))];
    const [port, other] = [await freePort(), await freePort()];
    const pools = { one: `servers: [127.0.0.1:${first.port}]`, two: `servers: [127.0.0.1:${second.port}]` };
    const running = await start(file(pools, { a: { vips: [port], pool: 'one' }, b: { vips: [other], pool: 'two' } }));
    const flow = client(port);
    expect(await flow.bytes(1)).toBe('1');
    await running.apply(file(pools, { a: { vips: [other], pool: 'one' }, b: { vips: [port], pool: 'two' } }));
    expect(await flow.over).toBe('ECONNRESET');
    for (let i = 0; i < 10; i++) {
      expect(await client(port).bytes(1)).toBe('2');
      expect(await client(other).bytes(1)).toBe('1');
    }
    await balanced(running, 'a', 10);
    await balanced(running, 'b', 10);
  });

  it('that move keep the clients that wait to be accepted', async () => {
    const backend = await server(echo);
    const [port, other] = [await freePort(), await freePort()];
    const layouts = [
      file(p(backend.port), { a: { vips: [port] }, b: { vips: [other] } }),
      file(p(backend.port), { a: { vips: [other] }, b: { vips: [port] } }),
    ];
    const running = await start(layouts[0]!);
    let knocks = 0;
    let moving = true;
    const ends: string[] = [];
    const knock = async () => {
      while (moving) {
        knocks++;
        const one = client(port);
        one.socket.end('x');
        ends.push(await one.over);
      }
    };
    const clients = Array.from({ length: 24 }, knock);
    for (let i = 1; i <= 9; i++) expect(await running.apply(layouts[i % 2]!)).toMatchObject({ ok: true });
    moving = false;
    await Promise.all(clients);
    await until(() => ['a', 'b'].every((name) => running.application(name).connectionsActive === 0));
    // A client that the kernel connected and nobody accepted would be in no account.
    const accepted = running.node.counters().applications.reduce((sum, { flowsOpened }) => sum + flowsOpened, 0);
    expect(knocks).toBeGreaterThan(50);
    expect(ends).not.toContain('ECONNREFUSED');
    expect(accepted).toBe(knocks);
  });

  it('grow from one address to all of them on the same port', async () => {
    const backend = await server(echo);
    const port = await freePort();
    const lanes = 'networks: { inbound: [0.0.0.0/0] }\n';
    const running = await start(file(p(backend.port), { app: { vips: [port] } }) + lanes);
    expect(await running.apply(file(p(backend.port), { app: { vips: [`0.0.0.0:${port}`] } }) + lanes)).toMatchObject({ ok: true });
    const one = client(port, { host: '127.0.0.5' });
    one.socket.end('x');
    expect(await one.bytes(1)).toBe('x');
  });

  it('that are unix sockets move as well', async () => {
    const [first, second] = [await server((socket) => void socket.write('1')), await server((socket) => void socket.write('2'))];
    const [path, other] = [join(tmpdir(), `bulkhead-${process.pid}-move`), await freePort()];
    const pools = { one: `servers: [127.0.0.1:${first.port}]`, two: `servers: [127.0.0.1:${second.port}]` };
    const running = await start(file(pools, { a: { vips: [`"unix:${path}"`], pool: 'one' }, b: { vips: [other], pool: 'two' } }));
    const flow = client(path);
    expect(await flow.bytes(1)).toBe('1');
    await running.apply(file(pools, { a: { vips: [other], pool: 'one' }, b: { vips: [`"unix:${path}"`], pool: 'two' } }));
    await flow.over;
    expect(await client(path).bytes(1)).toBe('2');
    await balanced(running, 'a', 0);
  });

  it('go with their application, which comes back with counters of its own', async () => {
    const backend = await server(echo);
    const [port, other] = [await freePort(), await freePort()];
    const both = file(p(backend.port), { a: { vips: [port] }, b: { vips: [other] } });
    const running = await start(both);
    const flow = client(other);
    flow.socket.write('x');
    await flow.bytes(1);
    await running.apply(file(p(backend.port), { a: { vips: [port] } }));
    expect(await flow.over).toBe('ECONNRESET');
    expect(running.application('b')).toBeUndefined();
    await until(() => running.node.servers()[0]!.flowsActive === 0);
    await running.apply(both);
    expect(running.application('b')).toMatchObject({ flowsOpened: 0, connectionsActive: 0 });
    const again = client(other);
    again.socket.write('x');
    await again.bytes(1);
    await balanced(running, 'b', 1);
    await running.node.killWorker(0);
    await running.node.killWorker(1);
    await balanced(running, 'b', 0);
  });
});

describe('servers', () => {
  it('that are removed keep the flows they have and take no new ones; drained ones as well', async () => {
    const [stays, goes] = [await server(echo), await server(echo)];
    const port = await freePort();
    const app = { app: { vips: [port] } };
    const running = await start(file(p(stays.port, goes.port), app, 1));
    const flows = Array.from({ length: 4 }, () => client(port));
    for (const one of flows) one.socket.write('a');
    for (const one of flows) await one.bytes(1);
    expect([stays.sockets.length, goes.sockets.length]).toEqual([2, 2]);
    const drained = { p: `servers: [127.0.0.1:${stays.port}, { address: 127.0.0.1:${goes.port}, drain: true }]` };
    expect(await running.apply(file(drained, app, 1))).toMatchObject({ ok: true, revoked: 0, kept: 4 });
    expect(running.node.servers()[1]).toMatchObject({ draining: true, flowsActive: 2 });
    expect(await running.apply(file(p(stays.port), app, 1))).toMatchObject({ ok: true, revoked: 0, kept: 4 });
    const more = Array.from({ length: 6 }, () => client(port));
    for (const one of more) one.socket.write('a');
    for (const one of more) await one.bytes(1);
    expect([stays.sockets.length, goes.sockets.length]).toEqual([8, 2]);
    for (const one of flows) one.socket.end('z');
    for (const one of flows) expect(await one.bytes(2)).toBe('az');
    // Back again: its counts are what they were, exactly.
    await running.apply(file(p(stays.port, goes.port), app, 1));
    await until(() => running.node.servers()[1]!.flowsActive === 0);
  });

  it('that restart are used again without a restart of ours', async () => {
    let backend = await startServer(echo);
    const port = await freePort();
    const _running = await start(
      file({ p: `servers: [127.0.0.1:${backend.port}], ejection: { failures: 2, for: 300ms }` }, { app: { vips: [port] } }),
    );
    const ask = async () => {
      const one = client(port);
      one.socket.end('x');
      return (await one.bytes(1)) === 'x';
    };
    expect(await ask()).toBe(true);
    await backend.close();
    for (let i = 0; i < 10; i++) expect(await ask()).toBe(false);
    backend = await startServer(echo, backend.port);
    stops.push(() => backend.close());
    expect(await ask()).toBe(true);
  });
});

it('round-robin goes on where it was, whatever else a change brings', async () => {
  const backends = await Promise.all(['1', '2', '3'].map((word) => server((socket) => void socket.write(word))));
  const [port, other] = [await freePort(), await freePort()];
  const ports = backends.map((backend) => backend.port);
  const running = await start(file(p(...ports), { app: { vips: [port] } }, 1));
  let answers = '';
  for (let i = 0; i < 7; i++) {
    answers += await client(port).bytes(1);
    const vips = i % 2 === 0 ? [port, other] : [port];
    expect(await running.apply(file(p(...ports), { app: { vips } }, 1))).toMatchObject({ ok: true });
  }
  expect(answers).toBe('1231231');
});

it('an apply after the node began to leave is refused, and opens nothing', async () => {
  const backend = await server(echo);
  const [port, late] = [await freePort(), await freePort()];
  const running = await startNode(file(p(backend.port), { app: { vips: [port] } }));
  const held = client(port);
  held.socket.write('x');
  await held.bytes(1);
  const left = running.stop(400);
  expect(await running.apply(file(p(backend.port), { app: { vips: [late] } }))).toMatchObject({ ok: false });
  expect(await client(late).over).toBe('ECONNREFUSED');
  expect(await left).toBe(1);
  expect(await held.over).toBe('ECONNRESET');
});
