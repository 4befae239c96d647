/** What a denied client gets, by its protocol and by what the rule says. */
import { afterEach, describe, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode, startServer, type TestServer, until } from '../node/harness.ts';
import { client } from '../relay/client.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function node(rules: string, serve: (socket: TestServer['sockets'][number]) => void = () => undefined, mode = 'tcp') {
  const server = await startServer(serve);
  const vip = await freePort();
  const running = await startNode(`
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${server.port}] } }
applications: { app: { vips: [127.0.0.1:${vip}], mode: ${mode}, pool: p, rules: [${rules}] } }
`);
  stops.push(
    () => server.close(),
    () => running.stop(),
  );
  return { vip, running, server };
}

const rule = (running: RunningNode, name: string) => running.node.counters().rules.find((counts) => counts.rule === name)!;
const postgres = (code: number) => Buffer.from([0, 0, 0, 8, code >>> 24, (code >>> 16) & 255, (code >>> 8) & 255, code & 255]);
const STARTUP = Buffer.concat([Buffer.from([0, 0, 0, 22, 0, 3, 0, 0]), Buffer.from('user\0eve\0\0\0\0\0\0', 'latin1').subarray(0, 14)]);

describe('by default, the word of the protocol, with the receipt', () => {
  const NOBODY =
    '{ name: mine, protocols: [mongodb], action: allow }, { name: others, protocols: [redis, http, postgres, imap], from: [127.0.0.9], action: allow }';
  it.each([
    ['redis', '*1\r\n$4\r\nPING\r\n', /^-ERR denied by policy, receipt (\S+)\r\n$/],
    ['http', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', /^HTTP\/1.1 403 Forbidden\r\n[\s\S]*bulkhead-receipt: (\S+)\r\n/],
    ['postgres', STARTUP.toString('latin1'), /^E\0\0\0.SFATAL\0VFATAL\0C28000\0Mdenied by policy, receipt (\S+)\0\0$/],
  ])('%s', async (protocol, says, words) => {
    const { vip, running, server } = await node(NOBODY);
    const one = client(vip);
    one.socket.write(Buffer.from(says, 'latin1'));
    expect(await one.over).toBe('end');
    expect(one.text()).toMatch(words);
    one.socket.end();
    const [record] = await running.records(1);
    expect(record).toMatchObject({ verdict: 'deny', rule: 'default', protocol, receipt: words.exec(one.text())![1], ended_by: 'policy' });
    expect(record!.bytes_out).toBe(one.text().length);
    expect(server.sockets).toHaveLength(0);
  });

  it('postgres: encryption is declined first, so that the error can be read', async () => {
    const { vip } = await node(NOBODY);
    const one = client(vip);
    one.socket.write(postgres(80_877_103));
    expect(await one.bytes(1)).toBe('N');
    one.socket.write(STARTUP);
    expect(await one.over).toBe('end');
    expect(one.text()).toContain('C28000\0Mdenied by policy');
    one.socket.end();
  });

  it.each([
    ['smtp', '220 mail ESMTP ready\r\n', /^554 5.7.1 denied by policy, receipt \S+\r\n$/],
    [
      'mysql',
      Buffer.concat([Buffer.from([74, 0, 0, 0, 10]), Buffer.from('8.0.36\0'), Buffer.alloc(62, 1)]),
      /^[\s\S]{3}\0\xff\x6a\x04denied by policy, receipt \S+$/,
    ],
  ])('%s, where the server spoke first: its banner is not seen', async (protocol, banner, words) => {
    const { vip, server } = await node(`{ name: mine, protocols: [ssh], action: allow }`, (socket) => void socket.write(banner));
    const one = client(vip);
    expect(await one.over, protocol).toBe('end');
    expect(one.text()).toMatch(words);
    one.socket.end();
    expect(server.sockets).toHaveLength(1);
  });

  it('a reset where nothing is known of the protocol, or it has no word', async () => {
    const { vip } = await node(`{ name: mine, protocols: [redis], from: [127.0.0.9], action: allow }`);
    expect(await client(vip).over).toBe('ECONNRESET');
    const other = await node(NOBODY);
    const one = client(other.vip);
    one.socket.write('\x16\x03\x01\x00\x05hello');
    expect(await one.over).toBe('ECONNRESET');
    expect(one.text()).toBe('');
  });
});

describe('deny-with', () => {
  const REDIS = '{ name: no-redis, protocols: [redis], action: deny, deny-with: WAY }, { name: rest, action: allow }';
  it('reset: nothing is said', async () => {
    const { vip } = await node(REDIS.replace('WAY', 'reset'));
    const one = client(vip);
    one.socket.write('*1\r\n$4\r\nPING\r\n');
    expect(await one.over).toBe('ECONNRESET');
    expect(one.text()).toBe('');
  });

  it('close: an end, and nothing is said', async () => {
    const { vip } = await node(REDIS.replace('WAY', 'close'));
    const one = client(vip);
    one.socket.write('*1\r\n$4\r\nPING\r\n');
    expect(await one.over).toBe('end');
    expect(one.text()).toBe('');
    one.socket.end();
  });

  it('tarpit: nothing at all, while the flow is over and its place is free', async () => {
    const { vip, running } = await node('{ name: never, action: deny, deny-with: tarpit }');
    const one = client(vip);
    one.socket.write('hello');
    const [record] = await running.records(1);
    expect(record).toMatchObject({ verdict: 'deny', rule: 'never' });
    expect(running.application('app').connectionsActive).toBe(0);
    const first = await Promise.race([one.over, new Promise((resolve) => setTimeout(() => resolve('held'), 150))]);
    expect(first).toBe('held');
    one.socket.destroy();
  });

  it.each([
    ['reset', 'ECONNRESET'],
    ['close', 'end'],
    ['tarpit', 'held'],
  ])('%s of a request', async (way, ending) => {
    const { vip, running } = await node(
      `{ name: never, http: { paths: [/x] }, action: deny, deny-with: ${way} }, { name: rest, action: allow }`,
      undefined,
      'http',
    );
    const one = client(vip);
    one.socket.write('GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
    const [record] = await running.records(1);
    expect(record).toMatchObject({ verdict: 'deny', rule: 'never', status: null });
    expect(await Promise.race([one.over, new Promise((resolve) => setTimeout(() => resolve('held'), 150))])).toBe(ending);
    expect(one.text()).toBe('');
    one.socket.destroy();
  });
});

describe('shadow rules', () => {
  it('are counted for themselves, and enforced by nobody', async () => {
    const { vip, running } = await node(
      '{ name: maybe-not, from: [127.0.0.1], action: deny, shadow: true }, { name: maybe, action: allow, shadow: true }, { name: rest, action: allow }, { name: behind, action: deny, shadow: true }',
      (socket) => socket.end('hello'),
    );
    const one = client(vip);
    expect(await one.over).toBe('end');
    expect(one.text()).toBe('hello');
    one.socket.end();
    await running.records(1);
    expect(rule(running, 'maybe-not')).toMatchObject({ allow: 0, deny: 0, wouldDeny: 1, wouldAllow: 0 });
    expect(rule(running, 'maybe')).toMatchObject({ allow: 0, deny: 0, wouldDeny: 0, wouldAllow: 1 });
    expect(rule(running, 'rest')).toMatchObject({ allow: 1, wouldAllow: 0 });
    expect(rule(running, 'behind')).toMatchObject({ deny: 0, wouldDeny: 0 });
  });

  it('see requests, also where no other rule asks for them', async () => {
    const { vip, running } = await node(
      '{ name: maybe-not, http: { paths: [/admin/*] }, action: deny, shadow: true }, { name: rest, action: allow }',
      (socket) => socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')),
      'http',
    );
    for (const path of ['/x', '/admin/x']) {
      const one = client(vip);
      one.socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
      await one.over;
      expect(one.text()).toMatch(/^HTTP\/1.1 200/);
      one.socket.end();
    }
    await running.records(2);
    expect(rule(running, 'maybe-not')).toMatchObject({ wouldDeny: 1 });
    expect(rule(running, 'rest')).toMatchObject({ allow: 2 });
  });
});

it('logs the flows of a rule that asks for it, up to a bound a second', async () => {
  const { vip, running } = await node('{ name: noted, from: [127.0.0.1], action: deny, log: true }, { name: rest, action: allow }');
  const ends = Array.from({ length: 150 }, () => client(vip).over);
  await Promise.all(ends);
  const lines = () => running.logged.filter(({ message }) => message === 'flow decided');
  await until(() => lines().length > 0);
  expect(lines()[0]!.fields).toMatchObject({ application: 'app', rule: 'noted', verdict: 'deny', vip: `127.0.0.1:${vip}` });
  await running.records(150);
  expect(lines().length).toBeLessThanOrEqual(200);
});
