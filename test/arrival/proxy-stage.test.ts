import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { metricsText } from '../../proxy/observe/metrics.ts';
import { freePort, type RunningNode, startNode, startServer, type TestServer, until } from '../node/harness.ts';
import { client } from '../relay/client.ts';
import { bytesOf, tlv, v2 } from './headers.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** Clients of the tests come from here; the second is no proxy. */
const PROXY = '127.0.0.2';
const OTHER = '127.0.0.3';

interface Words {
  mode?: 'tcp' | 'http';
  proxy?: string;
  rules?: string;
  limits?: string;
  pool?: string;
  more?: string;
  vip?: string;
}

async function server(serve: (socket: Socket) => void): Promise<TestServer> {
  const started = await startServer(serve);
  stops.push(() => started.close());
  return started;
}

function yaml(port: number, to: number, words: Words = {}): string {
  return `
version: 1
process: { workers: 1 }
segments: { office: { addresses: [192.0.2.0/24] }, ${words.more ?? ''} }
pools: { p: { servers: [127.0.0.1:${to}], ejection: off, balance: source-hash, ${words.pool ?? ''} } }
applications:
  app:
    vips: [${words.vip ?? `127.0.0.1:${port}`}]
    mode: ${words.mode ?? 'tcp'}
    pool: p
    proxy-protocol: { from: [${PROXY}], ${words.proxy ?? ''} }
    limits: { ${words.limits ?? ''} }
    rules: [${words.rules ?? '{ name: staff, from: [office, 127.0.0.0/8], action: allow }'}]
`;
}

async function node(port: number, to: number, words: Words = {}): Promise<RunningNode> {
  const started = await startNode(yaml(port, to, words));
  stops.push(() => started.stop());
  return started;
}

const hits = (running: RunningNode, limit: string) => running.node.counters().limits.find((each) => each.limit === limit)?.hits ?? 0;
const headersOf = (running: RunningNode) =>
  Object.fromEntries(running.application('app').proxyHeaders.map(({ result, count }) => [result, count]));
const header = (source: string) => `PROXY TCP4 ${source} 198.51.100.2 4711 443\r\n`;
const binary = (source: string, ...tlvs: Buffer[]) => v2(0x21, 0x11, Buffer.concat([bytesOf(`${source} 198.51.100.2 4711 443`), ...tlvs]));

/** A node with an echo server behind it, for each way of settings; they last as long as the file. */
const kept = new Map<string, Promise<{ port: number; running: RunningNode; echo: TestServer }>>();
afterAll(async () => {
  for (const started of kept.values()) {
    const { running, echo } = await started;
    await running.stop();
    await echo.close();
  }
});

async function echoNode(words: Words) {
  const echo = await startServer((socket) => void socket.pipe(socket));
  const port = await freePort();
  return { port, echo, running: await startNode(yaml(port, echo.port, words)) };
}

/** Sends the bytes to an echo server behind a node; answers what came back, how it ended, and the record. */
async function sent(words: Words, from: string, ...parts: (string | Buffer)[]) {
  const key = JSON.stringify(words);
  if (!kept.has(key)) kept.set(key, echoNode(words));
  const { port, running, echo } = await kept.get(key)!;
  const before = {
    dialled: echo.sockets.length,
    records: (await running.node.recentFlows(1_000, false)).length,
    headers: headersOf(running),
  };
  const one = client(port, { localAddress: from });
  for (const part of parts) {
    one.socket.write(part, 'latin1');
    // Each part in a packet of its own.
    await new Promise((resolve) => setImmediate(resolve));
  }
  one.socket.end();
  const over = await one.over;
  await until(() => running.application('app').connectionsActive === 0);
  const records = await running.node.recentFlows(1_000, false);
  records.splice(records.length - before.records);
  const counted = Object.fromEntries(
    Object.entries(headersOf(running)).flatMap(([result, count]) =>
      count === before.headers[result] ? [] : [[result, count - before.headers[result]!]],
    ),
  );
  return { text: one.text(), over, records, running, counted, dialled: echo.sockets.length - before.dialled };
}

describe('behind a proxy that is listed', () => {
  it.each([
    ['version 1', header('192.0.2.7')],
    ['version 2', binary('192.0.2.7')],
  ])('the source is the one of the header: %s', async (_what, head) => {
    const { text, over, records, counted } = await sent({}, PROXY, head, 'hello');
    expect([text, over, counted]).toEqual(['hello', 'end', { accepted: 1 }]);
    expect(records).toMatchObject([{ source: '192.0.2.7:4711', rule: 'staff', verdict: 'allow', bytes_in: 5, bytes_out: 5 }]);
  });

  it('a source without a rule is denied, though the proxy itself would be allowed', async () => {
    const { over, records, dialled } = await sent({}, PROXY, header('203.0.113.9'), 'hello');
    expect([over, dialled]).toEqual(['ECONNRESET', 0]);
    expect(records).toMatchObject([{ source: '203.0.113.9:4711', rule: 'default', verdict: 'deny' }]);
  });

  it('header and first bytes may come in one packet, or byte by byte', async () => {
    expect((await sent({}, PROXY, `${header('192.0.2.7')}hello`)).text).toBe('hello');
    const bytes = Buffer.concat([binary('192.0.2.7', tlv(4, 'padding')), Buffer.from('hello')]);
    expect((await sent({}, PROXY, ...Array.from(bytes, (byte) => Buffer.from([byte])))).text).toBe('hello');
  });

  it.each([
    ['LOCAL', v2(0x20, 0, Buffer.alloc(0))],
    ['UNSPEC', v2(0x21, 0, Buffer.alloc(0))],
    ['UNKNOWN', 'PROXY UNKNOWN\r\n'],
  ])('a header that names nobody leaves the source as it is: %s', async (_what, head) => {
    const { text, records, counted } = await sent({}, PROXY, head, 'hello');
    expect([text, counted]).toEqual(['hello', { local: 1 }]);
    expect(records[0]!.source).toMatch(/^127\.0\.0\.2:/);
  });

  it('a unix client has no address, and is matched by rules for any alone', async () => {
    const head = v2(0x21, 0x31, Buffer.alloc(216));
    expect((await sent({}, PROXY, head, 'hello')).over).toBe('ECONNRESET');
    const { text, records } = await sent({ rules: '{ name: all, action: allow }' }, PROXY, head, 'hello');
    expect([text, records[0]!.source]).toEqual(['hello', 'unix']);
  });

  it('a unix client of a database has no address either', async () => {
    const rules =
      '{ name: six, from: ["::/0"], redis: { commands: [ping] }, action: allow }, { name: all, redis: { commands: [get] }, action: allow }';
    const { records } = await sent({ rules }, PROXY, v2(0x21, 0x31, Buffer.alloc(216)), '*1\r\n$4\r\nPING\r\n');
    expect(records.map(({ rule }) => rule)).not.toContain('six');
    expect(records).toContainEqual(expect.objectContaining({ rule: 'default', verdict: 'deny' }));
  });

  it.each([
    ['none', 'GET / HTTP/1.1\r\n\r\n', 'no header', 'none'],
    ['a wrong one', 'PROXY TCP4 1.2.3.4\r\n', 'malformed', 'malformed'],
    ['one of a version to come', v2(0x31, 0x11, Buffer.alloc(12)), 'unknown version', 'malformed'],
    ['a wrong checksum', binary('192.0.2.7', tlv(3, '\0\0\0\0')), 'bad checksum', 'checksum'],
    ['one too long', v2(0x21, 0x11, Buffer.alloc(0), 4_096), 'too long', 'too-long'],
    ['the end before it', '', 'closed before the end of its PROXY header', 'closed'],
    ['half of it', 'PROXY TCP4 192.0.2.7', 'closed before the end of its PROXY header', 'closed'],
  ])(
    'what comes instead of a header ends the connection, is recorded without a verdict, and counted: %s',
    async (_what, head, reason, result) => {
      const { over, records, dialled, counted } = await sent({ rules: '{ name: all, action: allow }' }, PROXY, head);
      expect([over, dialled, counted]).toEqual([expect.stringMatching(/ECONNRESET|end/), 0, { [result]: 1 }]);
      expect(records).toMatchObject([{ verdict: null, rule: null, ended_by: 'client', reason: expect.stringContaining(reason) }]);
    },
  );

  it('a header that is too long is counted, and so is one that is late', async () => {
    const { running } = await sent({ proxy: 'header-size: 1KiB' }, PROXY, v2(0x21, 0x11, Buffer.alloc(0), 1_100));
    expect(hits(running, 'proxy-header-size')).toBe(1);
    const echo = await server((socket) => void socket.pipe(socket));
    const port = await freePort();
    const slow = await node(port, echo.port, { proxy: 'timeout: 100ms' });
    const one = client(port, { localAddress: PROXY });
    one.socket.write('PROXY TCP4 ');
    expect(await one.over).toBe('ECONNRESET');
    await until(() => hits(slow, 'proxy-header') === 1);
    expect(headersOf(slow)).toMatchObject({ timeout: 1 });
    expect(await slow.records(1)).toMatchObject([{ ended_by: 'proxy', reason: 'PROXY header timeout', verdict: null }]);
  });
});

describe('who a client is by its certificate, as a header has it', () => {
  const rules = '{ name: ana, identities: ["cn:ana"], action: allow }';
  const shown = (client: number, verify: number) =>
    binary('192.0.2.7', tlv(0x20, Buffer.concat([Buffer.from([client, 0, 0, 0, verify]), tlv(0x22, 'ana')])));

  it('counts where the file says so', async () => {
    expect((await sent({ rules, proxy: 'trust-identity: true' }, PROXY, shown(7, 0), 'hello')).records).toMatchObject([{ rule: 'ana' }]);
  });

  it('is nobody where the file says nothing', async () => {
    expect((await sent({ rules }, PROXY, shown(7, 0), 'hello')).records).toMatchObject([{ rule: 'default', verdict: 'deny' }]);
  });

  it.each([
    ['not verified', 3, 1],
    ['not there', 1, 0],
    ['shown without TLS', 6, 0],
  ])('is nobody where that was %s', async (_what, flags, verify) => {
    const { records } = await sent({ rules, proxy: 'trust-identity: true' }, PROXY, shown(flags, verify), 'hello');
    expect(records).toMatchObject([{ rule: 'default', verdict: 'deny' }]);
  });
});

describe('somebody who is not listed', () => {
  it('is who it is on a unix socket, too, where addresses alone are listed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bulkhead-'));
    stops.push(() => rm(folder, { recursive: true }));
    const echo = await server((socket) => void socket.pipe(socket));
    const path = join(folder, 'vip');
    await node(0, echo.port, { vip: `"unix:${path}"`, rules: '{ name: all, action: allow }' });
    const one = connect(path);
    stops.push(() => one.destroy());
    one.end(header('192.0.2.7'));
    expect(await text(one)).toBe(header('192.0.2.7'));
  });

  it('is who it is, and what looks like a header of its is no header', async () => {
    const { text, records, counted } = await sent({}, OTHER, `${header('192.0.2.7')}hello`);
    expect([text, counted]).toEqual([`${header('192.0.2.7')}hello`, {}]);
    expect(records[0]!.source).toMatch(/^127\.0\.0\.3:/);
  });

  it.each([
    ['version 1', header('192.0.2.7'), 'bad-version: it began with a PROXY header, which is not expected from its address'],
    ['version 2', binary('192.0.2.7'), 'bad-request-line: it began with a PROXY header, which is not expected from its address'],
    ['something else', 'PROXYING TCP4\r\n', 'bad-target'],
  ])('is told of in the journal where it sends a header and no request: %s', async (_what, head, reason) => {
    const { text, records, counted } = await sent({ mode: 'http' }, OTHER, head, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    expect([text.slice(0, 12), counted]).toEqual(['HTTP/1.1 400', {}]);
    // The client need not know whom this port believes.
    expect(text).not.toContain('PROXY');
    expect(records).toMatchObject([{ ended_by: 'client', status: 400, reason: `bad-request: ${reason}` }]);
  });

  it('is refused where a header is required, and recorded', async () => {
    const { over, running, dialled, records } = await sent({ proxy: 'require: true' }, OTHER, 'hello');
    expect([over, dialled, hits(running, 'proxy-required')]).toEqual(['ECONNRESET', 0, 1]);
    expect(records).toMatchObject([
      {
        ...{ application: 'app', source: expect.stringMatching(/^127\.0\.0\.3:/), verdict: null, rule: null },
        ...{ ended_by: 'policy', reason: 'not a listed proxy, which alone may come here' },
      },
    ]);
    expect((await sent({ proxy: 'require: true' }, PROXY, header('192.0.2.7'), 'hello')).text).toBe('hello');
  });
});

describe('the source of a header', () => {
  it('is what the cap on a source speaks of, and not the proxy', async () => {
    const echo = await server((socket) => void socket.pipe(socket));
    const port = await freePort();
    const running = await node(port, echo.port, { limits: 'connections-per-source: 2' });
    const open = async (source: string) => {
      const one = client(port, { localAddress: PROXY });
      stops.push(() => one.socket.destroy());
      one.socket.write(`${header(source)}hi`);
      return (await one.bytes(2)) || one.over;
    };
    expect(await open('192.0.2.1')).toBe('hi');
    expect(await open('192.0.2.1')).toBe('hi');
    expect(await open('192.0.2.1')).toBe('ECONNRESET');
    for (const last of [2, 3, 4, 5]) expect(await open(`192.0.2.${last}`)).toBe('hi');
    expect(hits(running, 'connections-per-source')).toBe(1);
    for (const stop of stops.splice(2).reverse()) await stop();
    await until(() => running.application('app').connectionsActive === 0);
    expect(await open('192.0.2.1')).toBe('hi');
  });

  it('takes the place of the proxy under the cap on all connections, rather than one beside it', async () => {
    const words = { limits: 'connections: 1' };
    for (let i = 0; i < 3; i++) expect((await sent(words, PROXY, header('192.0.2.7'), 'hello')).text).toBe('hello');
  });

  it('is what a server hears of in X-Forwarded-For', async () => {
    const heads: string[] = [];
    const web = await server((socket) => {
      socket.on('data', (data) => {
        heads.push(data.toString('latin1'));
        socket.write('HTTP/1.1 204 No Content\r\n\r\n');
      });
    });
    const port = await freePort();
    await node(port, web.port, { mode: 'http' });
    const one = client(port, { localAddress: PROXY });
    one.socket.write(`${header('192.0.2.7')}GET / HTTP/1.1\r\nHost: a\r\n\r\n`);
    await one.bytes(20);
    one.socket.destroy();
    expect(heads[0]).toMatch(/^x-forwarded-for: 192\.0\.2\.7\r$/im);
  });

  it('comes before requests that go on as they are, though the header came in parts', async () => {
    const heads: string[] = [];
    const web = await server((socket) => {
      socket.on('data', (data) => {
        heads.push(data.toString('latin1').split('\r\n', 1)[0]!);
        socket.write('HTTP/1.1 204 No Content\r\n\r\n');
      });
    });
    const port = await freePort();
    const running = await node(port, web.port, { mode: 'http' });
    const one = client(port, { localAddress: PROXY });
    one.socket.write('PROXY TCP4 192.');
    await until(() => running.application('app').connectionsActive === 1);
    const requests = ['/a', '/b', '/c'].map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    one.socket.write(`${header('192.0.2.7').slice(15)}${requests.join('')}`);
    await until(() => heads.length === 3 || one.text().includes(' 400 '));
    one.socket.destroy();
    expect(heads).toEqual(['GET /a HTTP/1.1', 'GET /b HTTP/1.1', 'GET /c HTTP/1.1']);
  });

  it.each([0x21, 0x22, 0x23])('is not taken from a header that says too much of TLS for a record: TLV %i', async (type) => {
    const ssl = (length: number) => tlv(0x20, Buffer.concat([Buffer.from([1, 0, 0, 0, 0]), tlv(type, '\x01'.repeat(length))]));
    const known = tlv(0x01, '\x01'.repeat(255));
    expect((await sent({}, PROXY, binary('192.0.2.7', known, ssl(256)), 'hello')).text).toBe('hello');
    expect((await sent({}, PROXY, binary('192.0.2.7', known, ssl(3_500)), 'hello')).records).toMatchObject([
      { verdict: null, reason: 'PROXY header: bad TLV' },
    ]);
  });

  it('is asked for again when a policy no longer lists the proxy', async () => {
    const echo = await server((socket) => void socket.pipe(socket));
    const port = await freePort();
    const running = await node(port, echo.port);
    const one = client(port, { localAddress: PROXY });
    one.socket.write('PROXY TCP4 192.');
    await until(() => running.application('app').connectionsActive === 1);
    const applied = await running.apply(yaml(port, echo.port).replace(`from: [${PROXY}]`, 'from: [127.0.0.9]'));
    expect(applied.ok).toBe(true);
    expect(await one.over).toBe('ECONNRESET');
    expect(await running.records(1)).toMatchObject([{ ended_by: 'policy', reason: 'no longer a listed proxy' }]);
  });
});

it('a proxy that sends no header any more is among the problems and in the metrics, until it sends one again', async () => {
  const echo = await server((socket) => void socket.pipe(socket));
  const port = await freePort();
  const running = await node(port, echo.port);
  const problems = () => running.node.problems.list().filter(({ kind }) => kind === 'proxy-header');
  const say = async (words: string) => {
    const one = client(port, { localAddress: PROXY });
    one.socket.end(words);
    await one.over;
  };
  expect(problems()).toEqual([]);
  await say('hello');
  expect(problems()).toMatchObject([{ subject: 'app', message: expect.stringContaining('none: 1') }]);
  // What was counted counts on where a policy comes between.
  expect((await running.apply(yaml(port, echo.port, { limits: 'connections: 9' }))).ok).toBe(true);
  expect(problems()).toMatchObject([{ subject: 'app', message: expect.stringContaining('none: 1') }]);
  await say(`${header('192.0.2.7')}hello`);
  expect(problems()).toEqual([]);
  expect(await metricsText(running.node)).toMatch(
    /bulkhead_proxy_headers_total\{application="app",result="accepted"\} 1\n.*result="local"\} 0\n.*result="none"\} 1\n/,
  );
});
