import { randomBytes } from 'node:crypto';
import {
  createServer as createHttpServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import {
  type ClientHttp2Session,
  connect,
  createServer as createHttp2Server,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
} from 'node:http2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode, until } from '../node/harness.ts';

let server: Server;
let server2: Http2Server;
let node: RunningNode;
let port: number;
/** The VIP in front of the server that speaks HTTP/2. */
let port2: number;
const sessions: ServerHttp2Session[] = [];
const asked: IncomingMessage['headers'][] = [];

/** What a handler does with the path; the same for servers of both kinds. */
async function answer(path: string, body: Buffer, out: ServerResponse, headers: IncomingMessage['headers'], trailers: NodeJS.Dict<string>) {
  asked.push(headers);
  switch (path) {
    case '/echo':
      out.setHeader('content-length', body.length);
      out.end(body);
      break;
    case '/chunks':
      out.write(body.subarray(0, 1));
      out.write(body.subarray(1));
      out.end();
      break;
    case '/trailers':
      out.setHeader('trailer', 'sum');
      out.write('body');
      out.addTrailers({ sum: trailers.sent ?? 'none', 'x-other': 'y' });
      out.end();
      break;
    case '/hints':
      out.writeEarlyHints({ link: '</style.css>; rel=preload' });
      out.end('hinted');
      break;
    case '/204':
      out.writeHead(204).end();
      break;
    case '/304':
      out.writeHead(304, { etag: '"x"' }).end();
      break;
    case '/cookies':
      out.setHeader('set-cookie', ['a=1', 'b=2']);
      out.end('set');
      break;
    case '/broken':
      out.write('half');
      await new Promise((resolve) => setTimeout(resolve, 20));
      out.destroy();
      break;
    default:
      out.end(`${path} ${body.length}`);
  }
}

const listenAt = (one: Server | Http2Server, at: number) => new Promise<void>((resolve) => one.listen(at, '127.0.0.1', resolve));

beforeAll(async () => {
  const [backend, backend2] = [await freePort(), await freePort()];
  const handle = (request: IncomingMessage, out: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => void answer(request.url!, Buffer.concat(chunks), out, request.headers, request.trailers));
    request.on('error', () => undefined);
  };
  server = createHttpServer(handle);
  server2 = createHttp2Server((request, out) => handle(request as unknown as IncomingMessage, out as unknown as ServerResponse));
  server2.on('session', (session) => void sessions.push(session));
  await listenAt(server, backend);
  await listenAt(server2, backend2);
  [port, port2] = [await freePort(), await freePort()];
  node = await startNode(`
version: 1
process: { workers: 1 }
pools:
  web: { servers: [127.0.0.1:${backend}] }
  web2: { servers: [127.0.0.1:${backend2}], protocol: h2 }
applications:
  shop: { vips: [127.0.0.1:${port}], mode: http, pool: web, limits: { connections-per-source: 2 }, rules: [{ name: all, action: allow }] }
  shop2: { vips: [127.0.0.1:${port2}], mode: http, pool: web2, rules: [{ name: all, action: allow }] }
`);
});

afterAll(async () => {
  await node.stop();
  server.closeAllConnections();
  server.close();
  server2.close();
});

interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: NodeJS.Dict<string | string[]>;
  readonly hints: IncomingHttpHeaders[];
}

function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body: Buffer | null = null,
  trailers: OutgoingHttpHeaders | null = null,
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const stream = session.request(
      { ':authority': 'shop.test', ...headers },
      { endStream: body === null, waitForTrailers: trailers !== null },
    );
    let got: IncomingHttpHeaders = {};
    let last: NodeJS.Dict<string | string[]> = {};
    const hints: IncomingHttpHeaders[] = [];
    const chunks: Buffer[] = [];
    stream.on('headers', (early) => hints.push(early));
    stream.on('response', (head) => (got = head));
    stream.on('trailers', (head) => (last = head));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('wantTrailers', () => stream.sendTrailers(trailers!));
    stream.on('error', reject);
    stream.on('end', () => resolve({ status: Number(got[':status']), headers: got, body: Buffer.concat(chunks), trailers: last, hints }));
    if (body !== null) stream.end(body);
  });
}

/** The same by HTTP/1.1. */
function askPlain(
  at: number,
  path: string,
  method: string,
  body: Buffer | null,
  headers: Record<string, string> = {},
  trailers: Record<string, string> | null = null,
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const hints: IncomingHttpHeaders[] = [];
    const out = httpRequest({ port: at, host: '127.0.0.1', path, method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: Buffer.concat(chunks),
          trailers: response.trailers,
          hints,
        }),
      );
    });
    out.on('information', ({ headers: early }) => hints.push(early as IncomingHttpHeaders));
    out.on('error', reject);
    if (trailers !== null) {
      out.setHeader('transfer-encoding', 'chunked');
      out.write(body ?? '');
      out.addTrailers(trailers);
      out.end();
    } else out.end(body ?? undefined);
  });
}

async function withSession<T>(at: number, use: (session: ClientHttp2Session) => Promise<T>): Promise<T> {
  const session = connect(`http://127.0.0.1:${at}`);
  try {
    return await use(session);
  } finally {
    await new Promise<void>((resolve) => session.close(resolve));
  }
}

/** Each way that a request can go: by what its client speaks, and its server. */
const WAYS = [
  ['h2 to http', () => port, true],
  ['h2 to h2', () => port2, true],
  ['http to h2', () => port2, false],
] as const;

describe.each(WAYS)('%s', (_name, at, speaksHttp2) => {
  const go = (
    path: string,
    method = 'GET',
    body: Buffer | null = null,
    headers: Record<string, string> = {},
    trailers: Record<string, string> | null = null,
  ) =>
    speaksHttp2
      ? withSession(at(), (session) => ask(session, { ':path': path, ':method': method, ...headers }, body, trailers))
      : askPlain(at(), path, method, body, headers, trailers);

  it.each([0, 1, 16_383, 16_384, 65_535, 65_536, 3_000_000])('carries a body of %i bytes there and back', async (size) => {
    const body = randomBytes(size);
    for (const path of ['/echo', '/chunks']) expect((await go(path, 'POST', body)).body.equals(body)).toBe(true);
  });

  it('carries trailers both ways', async () => {
    const got = await go('/trailers', 'POST', Buffer.from('x'), {}, { sent: '42' });
    expect([got.body.toString(), got.trailers.sum, got.trailers['x-other']]).toEqual(['body', '42', 'y']);
  });

  it('carries interim answers', async () => {
    const got = await go('/hints');
    expect([got.status, got.body.toString(), got.hints.map((hint) => hint.link)]).toEqual([200, 'hinted', ['</style.css>; rel=preload']]);
  });

  it.each([
    ['GET', '/204', 204],
    ['GET', '/304', 304],
    ['HEAD', '/echo', 200],
    ['HEAD', '/anything', 200],
  ])('%s %s has no body: %i', async (method, path, status) => {
    const got = await go(path, method);
    expect([got.status, got.body.length]).toEqual([status, 0]);
  });

  it('keeps fields that come more than once apart', async () => {
    expect((await go('/cookies')).headers['set-cookie']).toEqual(['a=1', 'b=2']);
  });

  it('tells the server who asks, and nothing of the connection', async () => {
    await go('/', 'GET', null, { cookie: 'a=1; b=2', 'x-forwarded-for': '9.9.9.9' });
    const headers = asked.at(-1)!;
    expect(headers).toMatchObject({ cookie: 'a=1; b=2', 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http' });
    expect(headers.connection === undefined || headers.connection === 'keep-alive').toBe(true);
  });

  it('ends an answer that the server has broken off as one that is not whole', async () => {
    await expect(go('/broken')).rejects.toThrow();
  });
});

describe('a connection of HTTP/2', () => {
  it('is one connection under the caps, whatever its streams', async () => {
    await withSession(port, async (session) => {
      const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => ask(session, { ':path': `/${i}` })));
      expect(answers.map(({ body }) => body.toString())).toEqual(answers.map((_, i) => `/${i} 0`));
      expect(node.application('shop').connectionsActive).toBe(1);
    });
    await until(() => node.application('shop').connectionsActive === 0);
  });

  it('joins the crumbs of a cookie for a server of HTTP/1.1', async () => {
    await withSession(port, (session) => ask(session, { ':path': '/', cookie: ['a=1', 'b=2', 'c=3'] }));
    expect(asked.at(-1)!.cookie).toBe('a=1; b=2; c=3');
  });

  it('says what it is in the record', async () => {
    await withSession(port, (session) => ask(session, { ':path': '/recorded' }));
    await until(async () => (await node.node.recentFlows(50, false)).some(({ path }) => path === '/recorded'));
    const record = (await node.node.recentFlows(50, false)).find(({ path }) => path === '/recorded');
    expect(record).toMatchObject({ protocol: 'h2', method: 'GET', host: 'shop.test', status: 200, verdict: 'allow', reason: 'complete' });
  });

  it('carries many requests to a server on few connections', async () => {
    const before = sessions.length;
    await withSession(port2, async (session) => {
      for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 50 }, () => ask(session, { ':path': '/' })));
    });
    expect(sessions.length - before).toBeLessThanOrEqual(1);
  });

  it('outlives the server’s leave: its next request goes by another connection', async () => {
    await withSession(port2, async (session) => {
      expect((await ask(session, { ':path': '/' })).status).toBe(200);
      for (const one of sessions) if (!one.closed) one.close();
      expect((await ask(session, { ':path': '/' })).status).toBe(200);
    });
  });
});
