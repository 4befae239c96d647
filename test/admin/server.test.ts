import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders, type RequestOptions } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { Endpoint } from '../../config/document.ts';
import { FlowSchema, FlowsSchema, PolicySchema, StatusSchema } from '../../proxy/admin/schemas.ts';
import { type Admin, openAdmin } from '../../proxy/admin/server.ts';
import { History } from '../../proxy/observe/history.ts';
import {
  application,
  applicationCounters,
  countersOf,
  documentOf,
  type FakeState,
  fakeNode,
  flow,
  histogramOf,
  pool,
  rule,
  ruleCounters,
  server,
  tcp,
} from './fake-node.ts';

const admins: Admin[] = [];
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

afterEach(async () => {
  for (const admin of admins.splice(0)) await admin.close();
});

async function opened(more: Partial<FakeState> = {}, endpoint: Endpoint = tcp('127.0.0.1', 0)) {
  const node = fakeNode(more);
  const admin = await openAdmin(endpoint, node.view, new History(), silent);
  admins.push(admin);
  return { ...node, admin };
}

interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** A request by `node:http`, because fetch would not let a test choose its Host field. */
function ask(admin: Admin, path: string, options: RequestOptions & { body?: string } = {}): Promise<Reply> {
  const { text, port } = admin.address();
  const reply = Promise.withResolvers<Reply>();
  const where = port === null ? { socketPath: text } : { host: '127.0.0.1', port };
  const request = httpRequest({ ...where, path, agent: false, ...options }, (response) => {
    let body = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => (body += chunk));
    response.on('end', () => reply.resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
  });
  request.on('error', reply.reject);
  request.end(options.body);
  return reply.promise;
}

/** Raw bytes in, all bytes out until the other side ends. */
function exchange(admin: Admin, bytes: string): Promise<string> {
  const { port } = admin.address();
  const answer = Promise.withResolvers<string>();
  let text = '';
  const socket = connect(port!, '127.0.0.1', () => socket.write(bytes));
  socket.on('data', (chunk) => (text += chunk));
  socket.on('error', answer.reject);
  socket.on('close', () => answer.resolve(text));
  return answer.promise;
}

const json = (reply: Reply): unknown => JSON.parse(reply.body);

describe('admin endpoint', () => {
  const RECEIPTS = {
    live: [flow('l1', { ended_by: null }), flow('l2', { ended_by: null })],
    ended: [flow('e1', { verdict: 'deny' }), flow('e2')],
  };

  it.each([
    ['/healthz', 200, 'text/plain', /^alive\n$/],
    ['/readyz', 200, 'text/plain', /^ready\n$/],
    ['/metrics', 200, 'text/plain; version=0.0.4', /^bulkhead_policy_generation 7$/m],
    ['/metrics?x=1', 200, 'text/plain; version=0.0.4', /^# TYPE bulkhead_flows_total counter$/m],
    ['/api/v1/policy', 200, 'application/json', /"generation":7.*"document":\{"version":1\}/],
    ['/api/v1/status', 200, 'application/json', /"node":"edge-1"/],
    ['/api/v1/flows', 200, 'application/json', /"live":true.*l1.*l2/],
    ['/api/v1/flows?limit=1', 200, 'application/json', /^\{"live":true,"flows":\[\{"receipt":"l1"[^[]*\],"next":null\}\n$/],
    ['/api/v1/flows?denied=1', 200, 'application/json', /^\{"live":false,"flows":\[\{"receipt":"e1"[^[]*\],"next":null\}\n$/],
    ['/api/v1/flows?live=0', 200, 'application/json', /"live":false.*e1.*e2/],
    ['/api/v1/flows?live=0&verdict=deny', 200, 'application/json', /"flows":\[\{"receipt":"e1"[^[]*\],"next":null\}\n$/],
    ['/api/v1/flows?source=127.0.0.0/8&since=2020-01-01T00:00:00Z', 200, 'application/json', /l1.*l2/],
    ['/api/v1/flows?source=10.0.0.0/8', 200, 'application/json', /"flows":\[\]/],
    ['/api/v1/flows?source=nowhere', 400, 'application/json', /"code":"bad-filter"/],
    ['/api/v1/flows?live=0&verdict=no', 400, 'application/json', /"code":"bad-filter"/],
    ['/api/v1/flows?denied=1&verdict=allow', 400, 'application/json', /"code":"bad-filter"/],
    ['/api/v1/flows?since=then', 400, 'application/json', /"code":"bad-filter"/],
    ['/api/v1/flows?live=0&cursor=../../x', 400, 'application/json', /"code":"bad-cursor"/],
    ['/api/v1/flows?live=1&cursor=x@1', 400, 'application/json', /"code":"bad-cursor"/],
    ['/api/v1/flows?live=1&denied=1', 400, 'application/json', /"code":"never-live"/],
    ['/api/v1/flows?limit=0', 400, 'application/json', /1 to 1000/],
    ['/api/v1/flows?limit=1e3', 400, 'application/json', /"code":"bad-limit"/],
    ['/api/v1/flows?limit=1001', 400, 'application/json', /"code":"bad-limit"/],
    ['/api/v1/flows?denied=yes', 400, 'application/json', /"code":"bad-flag"/],
    ['/api/v1/flows/e2', 200, 'application/json', /^\{"receipt":"e2"/],
    ['/api/v1/flows/nobody', 404, 'application/json', /"code":"no-such-flow"/],
    ['/api/v1/flows/', 404, 'application/json', /"code":"no-such-flow"/],
    ['/api/v1/flows/%zz', 404, 'application/json', /"code":"no-such-flow"/],
    ['/api/v1/flows/..%2f..%2fetc', 404, 'application/json', /"code":"no-such-flow"/],
    ['/api/v1/openapi.json', 200, 'application/json', /"openapi":"3\.1\.0"/],
    ['/', 200, 'text/html', /<title>Bulkhead<\/title>/],
    ['/assets/page.js', 200, 'text/javascript', /fetch/],
    ['/assets/preact.js', 200, 'text/javascript', /export/],
    ['/assets/uplot.js', 200, 'text/javascript', /export/],
    ['/assets/uplot.css', 200, 'text/css', /uplot/],
    ['/assets/icon.svg', 200, 'image/svg+xml', /<svg/],
    ['/nowhere', 404, 'application/json', /"\/metrics".*"\/api\/v1\/flows\/RECEIPT"/],
    ['/assets/../server.ts', 404, 'application/json', /"code":"not-found"/],
    ['/assets/page/../../server.ts', 404, 'application/json', /"code":"not-found"/],
    ['/__proto__', 404, 'application/json', /"code":"not-found"/],
    [`/${'a'.repeat(3000)}`, 414, 'application/json', /"code":"long-target"/],
  ])('GET %s answers %i', async (path, status, type, body) => {
    const { admin } = await opened(RECEIPTS);
    const reply = await ask(admin, path);
    expect(reply.status).toBe(status);
    expect(reply.headers['content-type']).toContain(type);
    expect(reply.body).toMatch(body);
    expect(reply.headers['content-security-policy']).toContain("default-src 'none'; script-src 'self'");
    expect(reply.headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
    });
    const head = await ask(admin, path, { method: 'HEAD' });
    expect(head.status).toBe(status);
    expect(head.body).toBe('');
    expect(head.headers['content-type']).toBe(reply.headers['content-type']);
  });

  it('says why it is not ready', async () => {
    const { admin } = await opened({ ready: { ready: false, reason: '127.0.0.1:8080 is taken' } });
    const reply = await ask(admin, '/readyz');
    expect(reply.status).toBe(503);
    expect(reply.body).toBe('not ready: 127.0.0.1:8080 is taken\n');
    expect((await ask(admin, '/healthz')).status).toBe(200);
  });

  it.each([
    ['PUT', '/api/v1/policy', 403, undefined, 'no-token'],
    ['PUT', '/api/v1/policy?dry-run=1', 403, undefined, 'no-token'],
    ['POST', '/api/v1/policy', 405, 'GET, HEAD, PUT', 'method-not-allowed'],
    ['DELETE', '/api/v1/flows/l1', 405, 'GET, HEAD', 'method-not-allowed'],
    ['OPTIONS', '/', 405, 'GET, HEAD', 'method-not-allowed'],
  ])('%s %s answers %i and reads no body', async (method, path, status, allow, code) => {
    const { admin } = await opened();
    const reply = await ask(admin, path, { method, ...(method === 'PUT' || method === 'POST' ? { body: 'x'.repeat(300_000) } : {}) });
    expect(reply.status).toBe(status);
    expect(reply.headers.allow).toBe(allow);
    expect(json(reply)).toMatchObject({ code, error: expect.any(String) });
  });

  it.each([
    ['127.0.0.1:9900', 200],
    ['[::1]:9900', 200],
    ['[::1]', 200],
    ['10.1.2.3', 200],
    ['localhost', 200],
    ['LocalHost:1234', 200],
    ['edge-1:9900', 200],
    ['evil.example', 421],
    ['evil.example:9900', 421],
    ['localhost.evil.example', 421],
    ['127.0.0.1.evil.example', 421],
    ['evil.example:127.0.0.1', 421],
    ['[evil]', 421],
  ])('a Host of %s answers %i', async (host, status) => {
    const { admin } = await opened();
    for (const path of ['/metrics', '/', '/api/v1/status']) expect((await ask(admin, path, { headers: { host } })).status).toBe(status);
  });

  it.each([
    ['no request', 'hello\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['an endless head', `GET / HTTP/1.1\r\nHost: localhost\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
    ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['an empty Host', 'GET /healthz HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 421 /],
    ['HTTP/1.0', 'GET /healthz HTTP/1.0\r\n\r\n', /^HTTP\/1\.1 200 [\s\S]*alive/],
    [
      'an upgrade',
      'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n',
      /^HTTP\/1\.1 200 /,
    ],
    [
      'an expectation',
      'PUT /api/v1/policy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde',
      /^HTTP\/1\.1 403 /,
    ],
  ])('%s gets an answer, and the next request too', async (_, bytes, expected) => {
    const { admin } = await opened();
    expect(await exchange(admin, bytes)).toMatch(expected);
    expect((await ask(admin, '/healthz')).status).toBe(200);
  });

  it('answers 500 where the view fails, and lives on', async () => {
    const { admin, view } = await opened();
    Object.assign(view, {
      counters: () => {
        throw new Error('ledger gone');
      },
    });
    const reply = await ask(admin, '/metrics');
    expect(reply.status).toBe(500);
    expect(json(reply)).toMatchObject({ code: 'failed', error: expect.stringContaining('ledger gone') });
    expect((await ask(admin, '/healthz')).status).toBe(200);
  });

  it('gives its status without the flows of workers that do not answer', async () => {
    const { admin, view } = await opened();
    Object.assign(view, { liveFlows: () => new Promise(() => undefined) });
    const reply = await ask(admin, '/api/v1/status');
    expect(StatusSchema.parse(json(reply)).flows).toEqual({ live: [], denied: [], error: expect.stringContaining('did not answer') });
  });

  it('answers an asset that the browser still has with 304', async () => {
    const { admin } = await opened();
    const { etag } = (await ask(admin, '/assets/page.css')).headers;
    const again = await ask(admin, '/assets/page.css', { headers: { 'if-none-match': etag! } });
    expect([again.status, again.body]).toEqual([304, '']);
  });
});

describe('what the API answers', () => {
  const node = {
    document: documentOf({
      pools: [pool('web')],
      applications: [application('shop', { rules: [rule('customers', 'allow')] }), application('idle', { enforcement: 'observe' })],
    }),
    counters: countersOf({
      applications: [
        applicationCounters('shop', { flowsOpened: 4, flowsActive: 1, responses: [0, 3, 0, 0, 1], requestDuration: histogramOf([0, 4]) }),
        applicationCounters('idle'),
      ],
      rules: [
        ruleCounters('shop', 'customers', { allow: 3 }),
        ruleCounters('shop', 'default', { deny: 1 }),
        ruleCounters('idle', 'default'),
      ],
    }),
    servers: [
      server('web', 'a:1'),
      server('web', 'a:2', { up: false }),
      server('web', 'a:3', { ejectedUntil: Date.now() + 60_000 }),
      server('web', 'a:4', { draining: true }),
    ],
    live: [flow('l1')],
    ended: [flow('e1', { verdict: 'deny' })],
    refusal: { at: 5000, problems: ['bulkhead.yaml:1:1 no'] },
  };

  it('is what its schemas promise', async () => {
    const { admin } = await opened(node);
    const status = StatusSchema.parse(json(await ask(admin, '/api/v1/status')));
    expect(status.applications[0]).toMatchObject({
      application: 'shop',
      verdicts: { allow: 3, deny: 1, would_deny: 0 },
      top_rules: [
        { rule: 'customers', allow: 3 },
        { rule: 'default', deny: 1 },
      ],
      latency: { of: 'requests' },
    });
    expect(status.pools[0]?.servers.map((s) => s.state)).toEqual(['up', 'down', 'ejected', 'draining']);
    expect(status.totals.verdicts).toEqual({ allow: 3, deny: 1, would_deny: 0 });
    expect(status.last_refusal).toEqual({ at: '1970-01-01T00:00:05.000Z', problems: ['bulkhead.yaml:1:1 no'], problem_count: 1 });
    FlowsSchema.parse(json(await ask(admin, '/api/v1/flows')));
    FlowSchema.parse(json(await ask(admin, '/api/v1/flows/e1')));
    PolicySchema.parse(json(await ask(admin, '/api/v1/policy')));
  });

  it('is described whole: every reference in the OpenAPI document leads somewhere', async () => {
    const { admin } = await opened();
    const text = (await ask(admin, '/api/v1/openapi.json')).body;
    const document = JSON.parse(text) as { paths: object; components: { schemas: object } };
    const references = [...text.matchAll(/"\$ref":"([^"]*)"/g)].map((match) => match[1]!);
    expect(references.length).toBeGreaterThan(5);
    for (const reference of references)
      expect(Object.keys(document.components.schemas).map((id) => `#/components/schemas/${id}`)).toContain(reference);
    expect(Object.keys(document.paths)).toContain('/api/v1/flows/{receipt}');
  });
});

describe('binding the admin endpoint', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-admin-'));
  const socketAt = (name: string): Endpoint => ({ kind: 'unix', path: join(folder, name), text: `unix:${join(folder, name)}` });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('says what to do where the port is taken', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => blocker.once('listening', resolve));
    const port = (blocker.address() as { port: number }).port;
    await expect(opened({}, tcp('127.0.0.1', port))).rejects.toMatchObject({
      name: 'AdminError',
      code: 'admin-address-in-use',
      path: '/process/admin/listen',
      message: expect.stringMatching(/127\.0\.0\.1:\d+ is taken by another process.*stop that one, or set process\.admin\.listen/),
    });
    blocker.close();
  });

  it('says what to do where the address is not of this machine', async () => {
    await expect(opened({}, tcp('192.0.2.1', 9900))).rejects.toMatchObject({
      code: 'admin-address-refused',
      message: expect.stringContaining('not an address of this machine'),
    });
  });

  it("listens on a unix socket that is its owner's alone, and removes it", async () => {
    const endpoint = socketAt('a.sock');
    const { admin } = await opened({}, endpoint);
    const path = admin.address().text;
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect((await ask(admin, '/healthz')).status).toBe(200);
    await expect(opened({}, endpoint)).rejects.toMatchObject({ code: 'admin-address-in-use' });
    expect((await ask(admin, '/healthz')).status).toBe(200);
    await admin.close();
    expect(existsSync(path)).toBe(false);
  });

  it('replaces the socket of a dead process, but no other file', async () => {
    const stale = join(folder, 'stale.sock');
    // A process that is killed leaves its socket file behind.
    const killed = execFile(process.execPath, [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 'SIGKILL'))`,
    ]);
    await new Promise((resolve) => killed.once('exit', resolve));
    expect(existsSync(stale)).toBe(true);
    const { admin } = await opened({}, socketAt('stale.sock'));
    expect((await ask(admin, '/healthz')).status).toBe(200);
    const file = join(folder, 'file');
    writeFileSync(file, 'precious');
    await expect(opened({}, socketAt('file'))).rejects.toMatchObject({ name: 'AdminError' });
    expect(readFileSync(file, 'utf8')).toBe('precious');
  });
});
