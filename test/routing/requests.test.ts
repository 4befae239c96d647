/** Routes on the wire: real servers that say what they got. */
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode, until } from '../node/harness.ts';

const stops: (() => unknown)[] = [];
const got: { server: string; method: string; url: string; headers: IncomingMessage['headers']; body: string }[] = [];
const ports: Record<string, number> = {};
let vip: number;

beforeEach(async () => {
  got.length = 0;
  for (const name of ['web', 'api', 'copy']) ports[name] = await startServer(name);
  vip = await freePort();
});

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function startServer(name: string): Promise<number> {
  const server: Server = createServer(async (asked, response) => {
    let body = '';
    for await (const part of asked) body += part;
    got.push({ server: name, method: asked.method!, url: asked.url!, headers: asked.headers, body });
    response.setHeader('x-powered-by', 'node');
    response.end(name);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

async function start(routes: string, rules = '{ name: all, action: allow }'): Promise<RunningNode> {
  const running = await startNode(file(routes, rules));
  stops.push(() => running.stop());
  return running;
}

function file(routes: string, rules = '{ name: all, action: allow }'): string {
  return `
version: 1
process: { workers: 1 }
pools:
${['web', 'api', 'copy'].map((name) => `  ${name}: { servers: [127.0.0.1:${ports[name]}] }`).join('\n')}
applications:
  shop:
    vips: [127.0.0.1:${vip}]
    mode: http
    pool: web
    routes: [${routes}]
    rules: [${rules}]
`;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

function ask(path: string, words: { method?: string; headers?: Record<string, string>; body?: string } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        host: '127.0.0.1',
        port: vip,
        path,
        method: words.method ?? 'GET',
        headers: { host: 'shop.example', ...words.headers },
        agent: false,
      },
      async (response) => {
        let body = '';
        for await (const part of response) body += part;
        resolve({ status: response.statusCode!, headers: response.headers, body });
      },
    );
    asked.on('error', reject);
    asked.end(words.body);
  });
}

describe('a route', () => {
  it('sends what matches to its pool, and the rest goes to that of the application', async () => {
    await start('{ name: api, http: { paths: [/api/*], methods: [GET] }, pool: api }');
    expect((await ask('/api/x')).body).toBe('api');
    expect((await ask('/API/../api/x')).body).toBe('api');
    expect((await ask('/%61pi/x')).body).toBe('api');
    expect((await ask('/api/x', { method: 'POST', body: 'x' })).body).toBe('web');
    expect((await ask('/other')).body).toBe('web');
  });

  it('never lets through what the rules do not', async () => {
    await start(
      '{ name: api, http: { paths: [/admin/*] }, rewrite: { path: /public/* }, pool: api }',
      '{ name: no, http: { paths: [/admin/*] }, action: deny }, { name: all, action: allow }',
    );
    expect((await ask('/admin/x')).status).toBe(403);
    expect(got).toEqual([]);
  });

  it('shares requests out as its split says', async () => {
    await start('{ name: split, split: { web: 1, api: 3 } }');
    const bodies = await Promise.all(Array.from({ length: 200 }, () => ask('/')));
    const api = bodies.filter(({ body }) => body === 'api').length;
    expect(api).toBeGreaterThan(110);
    expect(api).toBeLessThan(185);
  });

  it('changes target, host and fields on the way there, and fields on the way back', async () => {
    await start(`{ name: api, http: { paths: [/api/*] }, pool: api, rewrite: { path: /v2/*, host: api.internal },
      request-headers: { set: { x-team: blue }, add: { x-via: edge }, remove: [x-debug] },
      response-headers: { set: { x-frame-options: DENY }, remove: [x-powered-by] } }`);
    const answer = await ask('/api/Users?page=2', { method: 'POST', body: 'hello', headers: { 'x-team': 'red', 'x-debug': '1' } });
    expect(answer).toMatchObject({ status: 200, body: 'api' });
    expect(answer.headers['x-frame-options']).toBe('DENY');
    expect(answer.headers['x-powered-by']).toBeUndefined();
    expect(got[0]).toMatchObject({ method: 'POST', url: '/v2/Users?page=2', body: 'hello' });
    expect(got[0]!.headers).toMatchObject({ host: 'api.internal', 'x-team': 'blue', 'x-via': 'edge', 'x-forwarded-host': 'shop.example' });
    expect(got[0]!.headers['x-debug']).toBeUndefined();
  });

  it('changes large uploads as it does small requests', async () => {
    await start('{ name: all, rewrite: { path: /upload }, request-headers: { set: { x-team: blue } } }');
    const body = 'x'.repeat(500_000);
    expect((await ask('/', { method: 'POST', body })).status).toBe(200);
    expect(got[0]).toMatchObject({ url: '/upload' });
    expect(got[0]!.body.length).toBe(body.length);
  });

  it.each([
    ['redirect: https', 308, 'https://shop.example/x?y=1'],
    ['redirect: { host: www.example.com, status: 301 }', 301, 'http://www.example.com/x?y=1'],
    ['redirect: { scheme: https, path: /new, status: 302 }', 302, 'https://shop.example/new?y=1'],
  ])('with %s answers %d to %s', async (words, status, location) => {
    const running = await start(`{ name: away, ${words} }`);
    const answer = await ask('/x?y=1');
    expect(answer.status).toBe(status);
    expect(answer.headers.location).toBe(location);
    expect(got).toEqual([]);
    const [record] = await running.records(1);
    expect(record).toMatchObject({ verdict: 'allow', rule: 'all', status, server: null, reason: 'redirected' });
  });

  it('mirrors to another pool, and the client never learns of it', async () => {
    await start('{ name: all, mirror: { pool: copy } }');
    const answer = await ask('/x', { method: 'POST', body: 'hello', headers: { 'x-a': 'b' } });
    expect(answer.body).toBe('web');
    await until(() => got.length === 2);
    const copy = got.find(({ server }) => server === 'copy')!;
    expect(copy).toMatchObject({ method: 'POST', url: '/x', body: 'hello' });
    expect(copy.headers['x-a']).toBe('b');
  });

  it('that is dead does not take the client with it when it is the mirror', async () => {
    ports.copy = await freePort();
    await start('{ name: all, mirror: { pool: copy } }');
    for (let i = 0; i < 5; i++) expect((await ask('/x')).body).toBe('web');
  });

  it('mirrors no longer than its application allows, also where the answer to the copy never ends', async () => {
    // As an endpoint of server-sent events.
    const endless = createServer((_asked, response) => {
      const timer = setInterval(() => response.write(':\n\n'), 20);
      response.on('close', () => clearInterval(timer));
    });
    await new Promise<void>((resolve) => endless.listen(0, '127.0.0.1', resolve));
    stops.push(() => {
      endless.closeAllConnections();
      return new Promise((resolve) => endless.close(resolve));
    });
    let begun = 0;
    let over = 0;
    endless.on('connection', (socket) => {
      begun++;
      socket.on('close', () => over++);
    });
    ports.copy = (endless.address() as AddressInfo).port;
    const running = await startNode(
      file('{ name: all, mirror: { pool: copy } }').replace('mode: http', 'mode: http\n    timeouts: { total: 300ms }'),
    );
    stops.push(() => running.stop());
    for (let i = 0; i < 5; i++) expect((await ask('/x')).body).toBe('web');
    await until(() => begun === 5);
    await until(() => over === 5);
  });

  it('holds for the next request of a kept connection when the file changes', async () => {
    const running = await start('');
    expect((await ask('/api/x')).body).toBe('web');
    await running.apply(file('{ name: api, http: { paths: [/api/*] }, pool: api }'));
    expect((await ask('/api/x')).body).toBe('api');
  });
});
