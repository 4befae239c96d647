/** Servers by name: a real name server, real servers on loopback addresses, a real node. */
import { createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { metricsText } from '../../proxy/observe/metrics.ts';
import type { NameTimes } from '../../proxy/sources/names.ts';
import { client } from '../relay/client.ts';
import { type NameServer, startNameServer } from '../sources/dns-server.ts';
import { freePort, type RunningNode, startNode, until } from './harness.ts';

const TIMES: NameTimes = { leastMs: 20, mostMs: 60_000, retryMs: 20, timeoutMs: 200, waitMs: 1_000 };
const NAME = 'web.internal';

const stops: (() => unknown)[] = [];
let names: NameServer;
let port: number;
let vip: number;

beforeEach(async () => {
  names = await startNameServer();
  stops.push(() => names.close());
  port = await freePort('127.0.0.2');
  vip = await freePort();
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** A server at that address that says which it is, then echoes. */
async function server(address: string): Promise<Socket[]> {
  const sockets: Socket[] = [];
  const listener = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.write(address.slice(-1));
    socket.pipe(socket);
  });
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(port, address, resolve);
  });
  stops.push(() => {
    for (const socket of sockets) socket.destroy();
    listener.close();
  });
  return sockets;
}

interface Words {
  readonly more?: string;
  readonly mode?: string;
  readonly rules?: string;
}

const yaml = (servers: string, { more = '', mode = 'tcp', rules = '{ name: all, action: allow }' }: Words = {}) => `
version: 1
process: { workers: 1, resolvers: ["${names.text}"] }
${more}
pools: { web: { servers: [${servers}] } }
applications: { app: { vips: [127.0.0.1:${vip}], mode: ${mode}, pool: web, rules: [${rules}] } }
`;

async function start(text: string): Promise<RunningNode> {
  const running = await startNode(text, { names: TIMES });
  stops.push(() => running.stop());
  return running;
}

/** With a TTL of 0, so that the name is looked up again and again. */
const has = (...addresses: string[]) => names.zone.set(NAME, { addresses, ttl: 0 });
const states = (running: RunningNode) => running.node.servers().map(({ server: text, up, draining }) => [text, up, draining]);
const series = async (running: RunningNode, metric: string) =>
  (await metricsText(running.node)).split('\n').filter((line) => line.startsWith(metric));

/** Which server answers the next flow. */
async function next(): Promise<string> {
  const one = client(vip);
  const text = await one.bytes(1);
  one.socket.destroy();
  return text;
}

describe('a server by name', () => {
  it('is every address that the name has, with the weight of the entry; in metrics it is one', async () => {
    await Promise.all(['127.0.0.2', '127.0.0.3', '127.0.0.4'].map(server));
    has('127.0.0.3', '127.0.0.2');
    const running = await start(yaml(`127.0.0.4:${port}, { address: Web.Internal.:${port}, weight: 2 }`));
    const answers = [];
    for (let i = 0; i < 10; i++) answers.push(await next());
    expect(answers.toSorted().join('')).toBe('2222333344');
    expect(running.node.servers().map(({ server: text, name, weight }) => [text, name, weight])).toEqual([
      [`127.0.0.4:${port}`, undefined, 1],
      [`127.0.0.2:${port}`, `${NAME}:${port}`, 2],
      [`127.0.0.3:${port}`, `${NAME}:${port}`, 2],
    ]);
    const labels = `pool="web",server="${NAME}:${port}"`;
    expect(await series(running, 'bulkhead_server_dials_total')).toContain(`bulkhead_server_dials_total{${labels},result="connected"} 8`);
    expect(await series(running, 'bulkhead_server_up')).toEqual([
      `bulkhead_server_up{pool="web",server="127.0.0.4:${port}"} 1`,
      `bulkhead_server_up{${labels}} 1`,
    ]);
    expect((await running.records(10)).map((record) => record.server)).toContain(`web/127.0.0.3:${port}`);
  });

  it('follows its name: flows on addresses that stay or leave live on, new ones go where it points; counts never step back', async () => {
    await Promise.all(['127.0.0.2', '127.0.0.3', '127.0.0.4'].map(server));
    has('127.0.0.2', '127.0.0.3');
    const running = await start(yaml(`${NAME}:${port}`));
    const flows = [client(vip), client(vip)];
    for (const flow of flows) await flow.bytes(1);
    expect(flows.map((flow) => flow.text()).toSorted()).toEqual(['2', '3']);
    has('127.0.0.3', '127.0.0.4');
    await until(() => running.node.servers().length === 3);
    expect(states(running)).toEqual([
      [`127.0.0.3:${port}`, true, false],
      [`127.0.0.4:${port}`, true, false],
      [`127.0.0.2:${port}`, true, true],
    ]);
    expect(running.node.serverNames()).toMatchObject([{ isKnown: true, inUse: 2, leaving: 1, refused: 0 }]);
    const answers = new Set<string>();
    for (let i = 0; i < 6; i++) answers.add(await next());
    expect([...answers].toSorted()).toEqual(['3', '4']);
    for (const flow of flows) flow.socket.write('xyz');
    for (const flow of flows) expect((await flow.bytes(4)).slice(1)).toBe('xyz');
    for (const flow of flows) flow.socket.destroy();
    await until(() => running.node.servers().length === 2);
    has('127.0.0.4');
    await until(() => running.node.serverNames()[0]!.inUse === 1);
    expect(await next()).toBe('4');
    const connected = (await series(running, 'bulkhead_server_dials_total')).find((line) => line.includes('connected'));
    expect(connected).toMatch(/ 9$/);
    expect(running.application('app').flowsRevoked).toBe(0);
  });

  it('keeps the last good answer while lookups fail', async () => {
    await server('127.0.0.2');
    has('127.0.0.2');
    const running = await start(yaml(`${NAME}:${port}`));
    names.zone.set(NAME, 'fail');
    await until(() => running.logged.some(({ message }) => message.includes('the last good answer stays')));
    const asked = names.asked();
    await until(() => names.asked() > asked + 4);
    expect(await next()).toBe('2');
  });

  it.each([
    ['tcp', ''],
    ['http', 'HTTP/1.1 503 '],
  ])('that never had an answer is a pool without it, not a refusal to start (%s); it comes when the name does', async (mode, said) => {
    await server('127.0.0.2');
    names.zone.set(NAME, 'fail');
    const running = await start(yaml(`${NAME}:${port}`, { mode }));
    const one = client(vip);
    one.socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    expect(await one.over).toBe(mode === 'tcp' ? 'ECONNRESET' : 'end');
    expect(one.text().slice(0, said.length)).toBe(said);
    expect(running.node.servers()).toMatchObject([
      { server: `${NAME}:${port}`, up: false, checkDetail: 'its name has had no answer yet (ESERVFAIL)' },
    ]);
    expect(await series(running, 'bulkhead_server_resolved')).toEqual([`bulkhead_server_resolved{pool="web",server="${NAME}:${port}"} 0`]);
    expect(running.logged.filter(({ message }) => message.startsWith('a server has no address'))).toMatchObject([
      { level: 'warn', message: expect.stringContaining('no answer yet'), fields: { server: `${NAME}:${port}`, code: 'ESERVFAIL' } },
    ]);
    has('127.0.0.2');
    await until(() => running.node.serverNames()[0]!.isKnown);
    expect(running.node.servers()).toMatchObject([{ server: `127.0.0.2:${port}`, up: true }]);
    if (mode === 'tcp') expect(await next()).toBe('2');
  });

  it('whose name does not exist is told with the code of the resolver, at each apply; its metric is 0 until an address is there', async () => {
    await server('127.0.0.2');
    const text = yaml(`${NAME}:${port}`);
    const running = await start(text);
    const said = () => running.logged.filter(({ message }) => message.startsWith('a server has no address'));
    const resolved = (value: number) => [`bulkhead_server_resolved{pool="web",server="${NAME}:${port}"} ${value}`];
    const fields = { pool: 'web', server: `${NAME}:${port}`, code: 'ENOTFOUND' };
    expect(said()).toMatchObject([{ level: 'warn', fields }]);
    expect(running.node.servers()).toMatchObject([{ up: false, checkDetail: 'its name has no address of its own (ENOTFOUND)' }]);
    expect(await series(running, 'bulkhead_server_resolved')).toEqual(resolved(0));
    expect(running.node.problems.list()).toMatchObject([
      { kind: 'pool', subject: 'web', message: expect.stringContaining('ENOTFOUND') },
      { kind: 'server-name', subject: `web/${NAME}:${port}`, message: expect.stringContaining('ENOTFOUND') },
    ]);
    await running.apply(text);
    expect(said()).toHaveLength(2);
    // Under a name that a new policy asks for, since what does not exist is asked for again after a minute only.
    names.zone.set('other.internal', { addresses: ['127.0.0.2'], ttl: 0 });
    await running.apply(yaml(`other.internal:${port}`));
    expect(running.node.problems.list()).toEqual([]);
    names.zone.delete('other.internal');
    await until(() => said().length === 3);
    names.zone.set('other.internal', 'fail');
    expect(said()[2]).toMatchObject({ fields: { server: `other.internal:${port}`, code: 'ENOTFOUND' } });
  });

  it('is never dialled outside of networks.outbound, whatever DNS says and whenever; that is said once, and counted', async () => {
    const outside = await server('127.0.0.3');
    await server('127.0.0.2');
    has('127.0.0.2');
    const running = await start(yaml(`${NAME}:${port}`, { more: 'networks: { outbound: [127.0.0.2/32] }' }));
    has('127.0.0.3', '127.0.0.2', '0.0.0.0');
    await until(() => running.node.serverNames()[0]!.refused === 2);
    const asked = names.asked();
    await until(() => names.asked() > asked + 4);
    for (let i = 0; i < 6; i++) expect(await next()).toBe('2');
    has('127.0.0.3');
    await until(() => running.node.serverNames()[0]!.inUse === 0);
    expect(await client(vip).over).toBe('ECONNRESET');
    expect(outside).toHaveLength(0);
    expect(running.node.servers().map(({ checkDetail }) => checkDetail)).toEqual([
      expect.stringMatching(/never dialled: 127\.0\.0\.3 is outside networks\.outbound/),
    ]);
    const said = running.logged.filter(({ message }) => message === 'an address of a server is never dialled');
    expect(said.map(({ fields }) => (fields as { address: string }).address).toSorted()).toEqual([`0.0.0.0:${port}`, `127.0.0.3:${port}`]);
    expect(running.node.counters().nodeLimits.find(({ limit }) => limit === 'server-outside-lane')?.hits).toBeGreaterThanOrEqual(2);
  });

  it('that the file has by address as well is one server', async () => {
    await server('127.0.0.2');
    has('127.0.0.2');
    const running = await start(yaml(`${NAME}:${port}, 127.0.0.2:${port}`));
    expect(states(running)).toEqual([
      [`127.0.0.2:${port}`, true, false],
      [`${NAME}:${port}`, false, false],
    ]);
    expect(await next()).toBe('2');
  });

  it('lets the members of a segment change with it, and cuts who is none any more', async () => {
    await server('127.0.0.2');
    await server('127.0.0.4');
    has('127.0.0.2');
    const running = await start(yaml(`${NAME}:${port}`, { rules: '{ name: peers, from: [web], action: allow }' }));
    const flow = client(vip, { localAddress: '127.0.0.2' });
    expect(await flow.bytes(1)).toBe('2');
    expect(await client(vip, { localAddress: '127.0.0.4' }).over).toBe('ECONNRESET');
    has('127.0.0.4');
    expect(await flow.over).toBe('ECONNRESET');
    expect(await client(vip, { localAddress: '127.0.0.4' }).bytes(1)).toBe('4');
    expect(running.application('app').flowsRevoked).toBe(1);
  });

  it('is drained with its entry', async () => {
    await server('127.0.0.2');
    await server('127.0.0.3');
    has('127.0.0.2');
    const running = await start(yaml(`127.0.0.3:${port}, { address: ${NAME}:${port}, drain: true }`));
    for (let i = 0; i < 4; i++) expect(await next()).toBe('3');
    expect(states(running)[1]).toEqual([`127.0.0.2:${port}`, true, true]);
  });
});
