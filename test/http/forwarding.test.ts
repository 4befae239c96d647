import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { freePort, startNode, until } from '../node/harness.ts';
import { type NotingServer, type Proxied, proxyText, settled, startNoting, startPlain, startProxy, WireClient } from './wire-client.ts';

/** Runs `use` with a client of a node before one server, and tidies up. */
async function through(
  respond: (socket: Socket, soFar: Buffer, connection: number) => void,
  use: (client: WireClient, server: NotingServer, proxy: Proxied) => Promise<void>,
  more = '',
): Promise<void> {
  const server = await startNoting(respond);
  const proxy = await startProxy([server.port], more);
  const client = await proxy.open();
  try {
    await use(client, server, proxy);
    client.close();
    await settled(proxy.running);
  } finally {
    await proxy.stop();
    await server.close();
  }
}

/** Answers with these bytes once a read ends what `when` asks for. */
const answering =
  (bytes: string | Buffer, when = '\r\n\r\n', close = false) =>
  (socket: Socket, soFar: Buffer) => {
    if (!soFar.toString('latin1').endsWith(when)) return;
    socket.write(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, 'latin1'));
    if (close) socket.end();
  };

describe('connections', () => {
  it('are kept alive on both sides, and servers see one for many clients one after the other', async () => {
    const server = await startPlain();
    const proxy = await startProxy([server.port]);
    for (let i = 0; i < 3; i++) {
      const client = await proxy.open();
      for (let j = 0; j < 3; j++)
        expect((await client.send(`GET /${i}${j} HTTP/1.1\r\nHost: a\r\n\r\n`).answer()).body.toString()).toBe(`/${i}${j}`);
      client.close();
    }
    expect(server.received.length).toBe(1);
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it.each([
    ['HTTP/1.1', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', true, undefined],
    ['HTTP/1.1 with close', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', false, 'close'],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n', false, 'close'],
    ['HTTP/1.0 with keep-alive', 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', true, 'keep-alive'],
    ['HTTP/1.0 with both', 'GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n', false, 'close'],
  ])('of a client with %s', async (_what, request, kept, connection) => {
    await through(answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), async (client) => {
      const answer = await client.send(request).answer();
      expect(answer.body.toString()).toBe('ok');
      expect(answer.fields.connection).toBe(connection);
      if (!kept) expect(await client.end()).toBe('end');
      else expect((await client.send(request).answer()).body.toString()).toBe('ok');
    });
  });
});

describe('the request that a server gets', () => {
  const cases: [string, string, RegExp[], RegExp[]][] = [
    [
      'hop-by-hop fields end here',
      'GET /x HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nX-Mine: 1\r\nX-Yours: 2\r\n\r\n',
      [/^GET \/x HTTP\/1\.1\r\nHost: a\r\nX-Yours: 2\r\n/],
      [/X-Mine/i, /keep-alive/i, /proxy-connection/i, /\r\nTE/i, /\r\nConnection/i],
    ],
    [
      'what frames or routes it cannot be nominated away',
      'GET /x HTTP/1.1\r\nHost: a\r\nConnection: host, content-length, cookie, authorization\r\nContent-Length: 0\r\nCookie: c\r\nAuthorization: x\r\n\r\n',
      [/\r\nHost: a\r\n/, /\r\nContent-Length: 0\r\n/, /\r\nCookie: c\r\n/, /\r\nAuthorization: x\r\n/],
      [],
    ],
    [
      'forwarding fields are ours',
      'GET /x HTTP/1.1\r\nHost: a.example:81\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nx-forwarded-proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\n\r\n',
      [
        /\r\nX-Forwarded-For: 127\.0\.0\.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\.example:81\r\nForwarded: for=127\.0\.0\.1;host="a\.example:81";proto=http\r\n\r\n$/,
      ],
      [/6\.6\.6\.6/, /evil/, /https/],
    ],
    [
      'an absolute-form target is the Host',
      'GET http://b:82/p?q HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n',
      [/^GET \/p\?q HTTP\/1\.1\r\nHost: b:82\r\nX: y\r\n/],
      [/Host: a/],
    ],
    ['an absolute-form target without path', 'GET http://b HTTP/1.1\r\nHost: a\r\n\r\n', [/^GET \/ HTTP\/1\.1\r\nHost: b\r\n/], []],
    [
      'an absolute-form target with a query alone',
      'GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n',
      [/^GET \/\?q HTTP\/1\.1\r\nHost: b\r\n/],
      [],
    ],
    ['OPTIONS *', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', [/^OPTIONS \* HTTP\/1\.1\r\n/], []],
    ['HTTP/1.0 goes on as HTTP/1.1 with a Host', 'GET /x HTTP/1.0\r\n\r\n', [/^GET \/x HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\n/], []],
    [
      'h2c is not asked for',
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n',
      [/^GET/],
      [/upgrade/i, /settings/i],
    ],
    ['nor in a list', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n', [/^GET/], [/upgrade/i]],
    [
      'nor is an upgrade with a body',
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n\r\n\r\n\r\n',
      [/^POST/],
      [/upgrade/i],
    ],
    ['Upgrade without Connection is not passed on', 'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n', [/^GET/], [/upgrade/i]],
    [
      'an upgrade goes on',
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nX: y\r\n\r\n',
      [/\r\nConnection: upgrade\r\nUpgrade: websocket\r\n/],
      [/keep-alive/],
    ],
  ];
  it.each(cases)('%s', async (_what, request, there, notThere) => {
    await through(answering('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'), async (client, server) => {
      expect((await client.send(request).answer()).status).toBe(200);
      for (const pattern of there) expect(server.text()).toMatch(pattern);
      for (const pattern of notThere) expect(server.text()).not.toMatch(pattern);
    });
  });
});

describe('where a request came from', () => {
  it.each([
    ['::1', 'X-Forwarded-For: ::1\r\n', 'Forwarded: for="[::1]";host='],
    ['127.0.0.5', 'X-Forwarded-For: 127.0.0.5\r\n', 'Forwarded: for=127.0.0.5;host='],
  ])('is told to the server: %s', async (source, plain, element) => {
    const server = await startPlain();
    const host = source.includes(':') ? '::1' : '127.0.0.1';
    const port = await freePort(host);
    const running = await startNode(
      proxyText(port, [server.port]).replace(`127.0.0.1:${port}`, host === '::1' ? `"[::1]:${port}"` : `${host}:${port}`),
    );
    const client = await WireClient.open(port, host, source);
    expect((await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').answer()).status).toBe(200);
    expect(server.text()).toContain(plain);
    expect(server.text()).toContain(element);
    const [record] = await running.records(1);
    expect(record?.source.startsWith(source.includes(':') ? `[${source}]:` : `${source}:`)).toBe(true);
    client.close();
    await running.stop();
    await server.close();
  });
});

describe('a response', () => {
  const chunks = '5\r\nhello\r\n0\r\nChecksum: 1\r\n\r\n';
  it.each<[string, string, string, boolean, Partial<{ status: number; body: string; kept: boolean }>, RegExp[], RegExp[]]>([
    ['with a length', 'GET / HTTP/1.1', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', false, { body: 'hello', kept: true }, [], []],
    [
      'in chunks, with a trailer',
      'GET / HTTP/1.1',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`,
      false,
      { body: 'hello', kept: true },
      [/Checksum: 1/],
      [],
    ],
    [
      'until the server closes',
      'GET / HTTP/1.1',
      'HTTP/1.1 200 OK\r\n\r\nhello',
      true,
      { body: 'hello', kept: false },
      [/Connection: close/],
      [],
    ],
    [
      'of HTTP/1.0',
      'GET / HTTP/1.1',
      'HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello',
      true,
      { body: 'hello', kept: true },
      [/^HTTP\/1\.1 200 OK/],
      [],
    ],
    [
      'in chunks to HTTP/1.0',
      'GET / HTTP/1.0',
      `HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\nZ: z\r\n\r\n${chunks}`,
      false,
      { body: 'hello', kept: false },
      [/\r\nX: y\r\nZ: z\r\n/],
      [/chunked/i, /Checksum/],
    ],
    [
      'to HEAD with a length',
      'HEAD / HTTP/1.1',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
      false,
      { body: '', kept: true },
      [/Content-Length: 5/],
      [],
    ],
    [
      'to HEAD with chunked',
      'HEAD / HTTP/1.1',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
      false,
      { body: '', kept: true },
      [/chunked/],
      [],
    ],
    ['of 204', 'GET / HTTP/1.1', 'HTTP/1.1 204 No Content\r\n\r\n', false, { status: 204, kept: true }, [], []],
    [
      'of 204 that speaks of a length',
      'GET / HTTP/1.1',
      'HTTP/1.1 204 No Content\r\nA: b\r\nContent-Length: 5\r\nC: d\r\n\r\n',
      false,
      { status: 204, kept: true },
      [/\r\nA: b\r\nC: d\r\n/],
      [/Content-Length/i],
    ],
    [
      'of 204 that speaks of chunks',
      'GET / HTTP/1.1',
      'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n',
      false,
      { status: 204, kept: true },
      [],
      [/Transfer-Encoding/i],
    ],
    [
      'of 304 with a length',
      'GET / HTTP/1.1',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
      false,
      { status: 304, kept: true },
      [/Content-Length: 5/],
      [],
    ],
    [
      'with hop-by-hop fields',
      'GET / HTTP/1.1',
      'HTTP/1.1 200 OK\r\nConnection: close, X-Mine\r\nKeep-Alive: 5\r\nX-Mine: 1\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n',
      false,
      { kept: true },
      [],
      [/X-Mine/, /Keep-Alive/i, /Upgrade/i, /Connection/i],
    ],
  ])('%s', async (_what, line, response, closes, expected, there, notThere) => {
    await through(answering(response, '\r\n\r\n', closes), async (client) => {
      const answer = await client.send(`${line}\r\nHost: a\r\n\r\n`).answer(line.startsWith('HEAD'));
      expect(answer.status).toBe(expected.status ?? 200);
      expect(answer.body.toString()).toBe(expected.body ?? '');
      for (const pattern of there) expect(client.text).toMatch(pattern);
      for (const pattern of notThere) expect(client.text).not.toMatch(pattern);
      if (expected.kept)
        expect((await client.send(`${line}\r\nHost: a\r\n\r\n`).answer(line.startsWith('HEAD'))).status).toBe(answer.status);
      else expect(await client.end()).toBe('end');
    });
  });

  it('cut by the server in the middle is a reset, so that nobody takes a part for the whole', async () => {
    for (const head of ['Content-Length: 50', 'Transfer-Encoding: chunked'])
      await through(answering(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n5\r\nhello\r\n`, '\r\n\r\n', true), async (client) => {
        client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
        expect(await client.end()).toBe('reset');
      });
  });

  it('followed by bytes that nobody asked for is the last one of its connection', async () => {
    const twice = 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na';
    await through(answering(twice + twice.replace(/a$/, 'b')), async (client, server) => {
      for (let i = 0; i < 3; i++) expect((await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').answer()).body.toString()).toBe('a');
      expect(server.received.length).toBe(3);
    });
  });

  it('of interim kind passes, also in a row, without framing of its own, and not to HTTP/1.0', async () => {
    const bytes =
      'HTTP/1.1 102 Processing\r\nContent-Length: 5\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
    await through(answering(bytes), async (client, _server, proxy) => {
      client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      const answers = [await client.answer(), await client.answer(), await client.answer()];
      expect(answers.map((answer) => answer.status)).toEqual([102, 103, 200]);
      expect(answers[0]!.fields).toEqual({});
      expect(answers[1]!.fields).toEqual({ link: '</a>' });
      const old = await proxy.open();
      expect((await old.send('GET / HTTP/1.0\r\n\r\n').answer()).status).toBe(200);
      old.close();
    });
  });

  it.each([1, 2, 3, 7, 20])('comes whole from a server that writes %i bytes at a time', async (size) => {
    const bytes =
      'HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\n';
    const respond = async (socket: Socket) => {
      socket.setNoDelay(true);
      for (let at = 0; at < bytes.length; at += size) {
        socket.write(bytes.slice(at, at + size));
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await through(
      (socket) => void respond(socket),
      async (client) => {
        client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
        expect((await client.answer()).status).toBe(103);
        expect((await client.answer()).body.toString()).toBe('helloabc');
      },
    );
  });
});

describe('a request body', () => {
  const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
  it.each([1, 3, 11, 1000])('arrives as sent, %i bytes at a time', async (size) => {
    const chunked = '5;x=y\r\nhello\r\n0\r\nT: u\r\n\r\n';
    const request = `POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`;
    await through(answering(OK, 'T: u\r\n\r\n'), async (client, server) => {
      for (let at = 0; at < request.length; at += size) {
        client.send(request.slice(at, at + size));
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect((await client.answer()).body.toString()).toBe('ok');
      expect(server.text().endsWith(`\r\n\r\n${chunked}`)).toBe(true);
    });
  });

  it('waits for 100 Continue where the client asked, which comes from the server', async () => {
    const respond = (socket: Socket, soFar: Buffer) => {
      const text = soFar.toString('latin1');
      if (text.endsWith('\r\n\r\n')) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      else if (text.endsWith('hello')) socket.write(OK);
    };
    await through(respond, async (client, server) => {
      client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
      expect((await client.answer()).status).toBe(100);
      expect(server.text()).toMatch(/Expect: 100-continue/);
      expect((await client.send('hello').answer()).body.toString()).toBe('ok');
      // Kept alive: body and answer are whole.
      client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
      expect((await client.answer()).status).toBe(100);
    });
  });

  it('that is answered before it ended: the answer arrives, and both connections end', async () => {
    await through(answering('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno'), async (client, server) => {
      client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n');
      const answer = await client.answer();
      expect([answer.status, answer.body.toString(), answer.fields.connection]).toEqual([417, 'no', 'close']);
      await client.end();
      await until(() => server.sockets[0]!.destroyed || server.sockets[0]!.readableEnded);
    });
  });

  it('and its response may flow at the same time', async () => {
    const respond = (socket: Socket, soFar: Buffer) => {
      const body = soFar.toString('latin1').split('\r\n\r\n')[1]!;
      if (body === '') socket.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n');
      else socket.write(body.at(-1)!);
    };
    await through(respond, async (client) => {
      client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n');
      for (const letter of ['x', 'y', 'z']) {
        await until(() => client.text.includes('\r\n\r\n'));
        const before = client.bytes.length;
        client.send(letter);
        await until(() => client.bytes.length === before + 1);
      }
      expect(client.text).toMatch(/\r\n\r\nxyz$/);
    });
  });
});
