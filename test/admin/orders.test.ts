/** Orders over the admin endpoint, with a real node behind it. */
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AppliedSchema,
  AuditSchema,
  DryRunSchema,
  FullVersionSchema,
  OverlaySchema,
  QuarantinedSchema,
  RefusedSchema,
  VerificationSchema,
  VersionsSchema,
} from '../../proxy/admin/schemas-orders.ts';
import { type Admin, openAdmin } from '../../proxy/admin/server.ts';
import { History } from '../../proxy/observe/history.ts';
import { freePort, startServer, type TestServer, until } from '../node/harness.ts';
import { type Controlled, connectFrom, startControlled } from '../versions/controlled.ts';
import { tcp } from './fake-node.ts';

const TOKENS = (['viewer', 'operator', 'admin'] as const).map((role) => ({
  name: `${role}-1`,
  role,
  sha256: createHash('sha256').update(`bh_${role}`).digest('hex'),
}));
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

let node: Controlled;
let admin: Admin;
let echo: TestServer;
let port: number;
let base: string;

beforeAll(async () => {
  echo = await startServer((socket) => socket.pipe(socket));
  port = await freePort();
  node = await startControlled(file('{ name: all, action: allow }'));
  admin = await openAdmin(tcp('127.0.0.1', 0), node.node, new History(), silent, { orders: node.control, tokens: TOKENS });
  base = `http://127.0.0.1:${admin.address().port}`;
});
afterAll(async () => {
  await admin.close();
  await node.stop();
  await echo.close();
});

function file(rule: string): string {
  return `
version: 1
process: { workers: 1, admin: { tokens: [{ name: a, role: admin, hash: "sha256:${'a'.repeat(64)}" }] } }
pools: { echo: { servers: [127.0.0.1:${echo.port}] } }
applications: { tcp: { vips: [127.0.0.1:${port}], mode: tcp, pool: echo, rules: [${rule}] } }
`;
}

async function ask(method: string, path: string, role: string | null, body?: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${base}${path}`, {
    method,
    headers: { ...(role === null ? {} : { authorization: `Bearer bh_${role}` }), ...headers },
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown> };
}

const ALL = '{ name: all, action: allow }';
const NONE = '{ name: none, action: deny }';

describe('an order', () => {
  it.each([
    ['PUT', '/api/v1/policy', 'operator', 403],
    ['PUT', '/api/v1/policy?dry-run=1', 'viewer', 403],
    ['PUT', '/api/v1/policy?dry-run=1', 'operator', 200],
    ['POST', '/api/v1/policy/rollback', 'viewer', 403],
    ['POST', '/api/v1/policy/confirm', 'viewer', 403],
    ['POST', '/api/v1/policy/confirm', 'operator', 409],
    ['POST', '/api/v1/quarantines', 'viewer', 403],
    ['DELETE', '/api/v1/quarantines/x', 'viewer', 403],
    ['DELETE', '/api/v1/quarantines/x', 'operator', 404],
    ['POST', '/api/v1/servers', 'viewer', 403],
    ['POST', '/api/v1/servers', 'operator', 400],
    ['PUT', '/api/v1/policy', null, 401],
    ['PUT', '/api/v1/policy', 'nobody', 401],
  ])('%s %s by %s answers %i', async (method, path, role, status) => {
    const answer = await ask(method, path, role, method === 'PUT' ? file(ALL) : method === 'POST' ? '{}' : undefined);
    expect(answer.status, JSON.stringify(answer.body)).toBe(status);
    if (status === 401) expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
  });

  it('is applied in YAML and JSON, and tells what it did', async () => {
    const yaml = await ask('PUT', '/api/v1/policy?note=none', 'admin', file(NONE), { 'content-type': 'application/yaml' });
    expect(yaml.status).toBe(200);
    expect(AppliedSchema.parse(yaml.body)).toMatchObject({
      recorded: true,
      summary: { rules: { added: ['tcp/none'], removed: ['tcp/all'] } },
    });
    expect(yaml.headers.get('etag')).toBe(`"${yaml.body.generation}"`);
    const got = await ask('GET', '/api/v1/policy', null);
    expect([got.headers.get('etag'), JSON.stringify(got.body)]).toEqual([yaml.headers.get('etag'), expect.not.stringContaining('aaaa')]);
    const again = await ask('PUT', '/api/v1/policy', 'admin', JSON.stringify(got.body.document), { 'content-type': 'application/json' });
    expect(AppliedSchema.parse(again.body).summary.text).toBe('no change');
    expect((await ask('PUT', '/api/v1/policy', 'admin', file(ALL))).status).toBe(200);
  });

  it('on another generation is answered 409 with what is in force', async () => {
    const current = (await ask('GET', '/api/v1/policy', null)).headers.get('etag')!;
    expect((await ask('PUT', '/api/v1/policy', 'admin', file(NONE), { 'if-match': current })).status).toBe(200);
    const stale = await ask('PUT', '/api/v1/policy', 'admin', file(ALL), { 'if-match': current });
    expect(stale.status).toBe(409);
    expect(RefusedSchema.parse(stale.body)).toMatchObject({ code: 'stale-generation', in_force: { author: 'admin-1' } });
    expect((await ask('PUT', '/api/v1/policy?generation=x', 'admin', file(ALL))).status).toBe(400);
    expect((await ask('PUT', '/api/v1/policy', 'admin', file(ALL))).body).toMatchObject({ changed: true });
    expect((await ask('PUT', '/api/v1/policy', 'admin', file(ALL))).body).toMatchObject({ changed: false, summary: { text: 'no change' } });
  });

  it('with a bad document is answered 422 with every problem as an object', async () => {
    const bad = file('{ name: a, action: alow }').replace('mode: tcp', 'mode: udp');
    const { status, body } = await ask('PUT', '/api/v1/policy?file=shop.yaml', 'admin', bad);
    expect(status).toBe(422);
    expect(RefusedSchema.parse(body).problems).toMatchObject([
      { code: 'wrong-value', severity: 'error', path: '/applications/tcp/mode', at: expect.stringMatching(/^shop\.yaml:5:/) },
      { path: '/applications/tcp/rules/0/action', suggestion: 'allow' },
    ]);
  });

  it.each([
    ['more than 4 MiB, said before', { body: 'x'.repeat(4 * 1024 * 1024 + 1) }, 413],
    ['what is no UTF-8', { body: Buffer.from([0x76, 0xff]) }, 400],
  ])('with %s is refused', async (_, init, status) => {
    const response = await fetch(`${base}/api/v1/policy`, { method: 'PUT', headers: { authorization: 'Bearer bh_admin' }, ...init });
    expect(response.status).toBe(status);
    await response.arrayBuffer();
  });

  it('is invited to send its body only when it may be given', async () => {
    const said = async (secret: string) => {
      const socket = connect(admin.address().port!, '127.0.0.1');
      let text = '';
      socket.on('data', (chunk) => (text += chunk.toString()));
      socket.write(
        `PUT /api/v1/policy HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${secret}\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n`,
      );
      await until(() => text.includes('\r\n\r\n'));
      socket.destroy();
      return text.slice(0, 12);
    };
    expect([await said('bh_admin'), await said('bh_operator')]).toEqual(['HTTP/1.1 100', 'HTTP/1.1 403']);
  });

  it('beside the document is listed, answered and taken back', async () => {
    const placed = await ask('POST', '/api/v1/quarantines', 'operator', JSON.stringify({ target: '127.0.0.9', for: '1h', reason: 'worm' }));
    expect(placed.body).toMatchObject({ quarantine: { target: { text: '127.0.0.9/32' }, author: 'operator-1' } });
    expect(
      (await ask('POST', '/api/v1/servers', 'operator', JSON.stringify({ pool: 'echo', server: `127.0.0.1:${echo.port}`, state: 'drain' })))
        .status,
    ).toBe(200);
    const overlay = OverlaySchema.parse((await ask('GET', '/api/v1/overlay', null)).body);
    expect([overlay.quarantines.length, overlay.servers.length]).toEqual([1, 1]);
    const { since, until: end } = overlay.quarantines[0]!;
    expect(Date.parse(end) - Date.parse(since)).toBe(3_600_000);
    expect(QuarantinedSchema.parse(placed.body).quarantine).toEqual(overlay.quarantines[0]);
    expect((await ask('DELETE', `/api/v1/quarantines/${encodeURIComponent('127.0.0.9/32')}`, 'operator')).status).toBe(200);
    expect(
      (await ask('POST', '/api/v1/servers', 'operator', JSON.stringify({ pool: 'echo', server: `127.0.0.1:${echo.port}`, state: 'up' })))
        .status,
    ).toBe(200);
  });

  it('to cut a wide prefix off is refused, until it is said that it may be wide; a dry run may ask', async () => {
    const order = (more: object) => JSON.stringify({ target: '96.0.0.0/6', for: '1h', reason: 'worm', ...more });
    const refused = await ask('POST', '/api/v1/quarantines', 'operator', order({}));
    expect([refused.status, RefusedSchema.parse(refused.body).code]).toEqual([409, 'too-wide']);
    const dry = await ask('POST', '/api/v1/quarantines?dry-run=1', 'operator', order({}));
    expect([dry.status, DryRunSchema.parse(dry.body).effect.live.cut]).toEqual([200, 0]);
    const placed = await ask('POST', '/api/v1/quarantines', 'operator', order({ wide: true }));
    expect(placed.status).toBe(200);
    const { name } = QuarantinedSchema.parse(placed.body).quarantine;
    expect((await ask('DELETE', `/api/v1/quarantines/${name}`, 'operator')).status).toBe(200);
  });

  it('answers in the shapes that the OpenAPI document tells', async () => {
    expect(DryRunSchema.parse((await ask('PUT', '/api/v1/policy?dry-run=1', 'admin', file(NONE))).body).generation).toBeGreaterThan(0);
    const { versions } = VersionsSchema.parse((await ask('GET', '/api/v1/versions', null)).body);
    const full = FullVersionSchema.parse((await ask('GET', `/api/v1/versions/${versions[0]!.version}`, null)).body);
    expect(full.sources[0]?.text).toContain(`sha256:${'0'.repeat(64)}`);
    expect(AuditSchema.parse((await ask('GET', '/api/v1/audit?limit=5', null)).body).entries.length).toBe(5);
    expect(VerificationSchema.parse((await ask('GET', '/api/v1/audit/verify', null)).body).ok).toBe(true);
    const { body } = await ask('GET', '/api/v1/openapi.json', null);
    const schemas = (body.components as { schemas: object }).schemas;
    const wanted = [...JSON.stringify(body).matchAll(/#\/components\/schemas\/(\w+)/g)].map((match) => match[1]!);
    expect(wanted.filter((name) => !Object.hasOwn(schemas, name))).toEqual([]);
    expect(Object.keys(body.paths as object)).toContain('/api/v1/policy/rollback');
  });

  it('that is refused is in the audit, with who and from where', async () => {
    await ask('POST', '/api/v1/quarantines', 'viewer', '{}');
    const { entries } = AuditSchema.parse((await ask('GET', '/api/v1/audit?limit=1', null)).body);
    expect(entries[0]).toMatchObject({
      who: 'viewer-1',
      role: 'viewer',
      action: 'quarantine',
      outcome: 'refused',
      from: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    });
  });
});

describe('events', () => {
  interface Listener {
    readonly events: { event: string; data: Record<string, unknown> }[];
    readonly status: number;
    stop(): void;
  }

  async function listen(query: string): Promise<Listener> {
    const stop = new AbortController();
    const response = await fetch(`${base}/api/v1/events${query}`, { signal: stop.signal });
    const events: Listener['events'] = [];
    void (async () => {
      let text = '';
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        const blocks = text.split('\n\n');
        text = blocks.pop()!;
        for (const block of blocks) {
          const match = /^event: (.*)\ndata: (.*)$/.exec(block);
          if (match !== null) events.push({ event: match[1]!, data: JSON.parse(match[2]!) as Record<string, unknown> });
        }
      }
    })().catch(() => undefined);
    return { events, status: response.status, stop: () => stop.abort() };
  }

  async function flowFrom(source: string): Promise<void> {
    const client = await connectFrom(source, port);
    client.socket.end('x');
    await client.closed;
  }

  it('tell flows as they end, denials, and orders; each client what it asked for', async () => {
    await ask('PUT', '/api/v1/policy', 'admin', file('{ name: two, from: [127.0.0.2], action: allow }'));
    const all = await listen('');
    const denials = await listen('?kinds=denials&application=tcp');
    const elsewhere = await listen('?kinds=flows&application=other');
    const orders = await listen('?kinds=applies');
    await flowFrom('127.0.0.2');
    await flowFrom('127.0.0.3');
    await until(() => all.events.length >= 2 && denials.events.length >= 1);
    await ask('PUT', '/api/v1/policy?note=again', 'admin', file(ALL));
    await until(() => orders.events.length === 1 && all.events.length === 3);
    expect(all.events.map(({ event }) => event)).toEqual(['flow', 'denial', 'apply']);
    expect(denials.events.map(({ data }) => [data.verdict, data.rule, data.application])).toEqual([['deny', 'default', 'tcp']]);
    expect(orders.events[0]?.data).toMatchObject({ kind: 'applied', author: 'admin-1', detail: 'again' });
    expect(elsewhere.events).toEqual([]);
    for (const listener of [all, denials, elsewhere, orders]) listener.stop();
    await until(async () => ((await ask('GET', '/api/v1/status', null)).body.admin as { listeners: number }).listeners === 0);
  });

  it('of a kind that there is not are refused', async () => {
    expect((await fetch(`${base}/api/v1/events?kinds=flws`)).status).toBe(400);
  });
});
