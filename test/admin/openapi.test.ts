/** Every route answers what the OpenAPI document says: real answers of a real node, held against the schemas of the document itself. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { PATHS } from '../../proxy/admin/routes.ts';
import { type Admin, openAdmin } from '../../proxy/admin/server.ts';
import { History } from '../../proxy/observe/history.ts';
import { freePort, startServer, type TestServer, until } from '../node/harness.ts';
import { type Controlled, connectFrom, startControlled } from '../versions/controlled.ts';
import { fakeNode, tcp } from './fake-node.ts';

interface Operation {
  readonly summary: string;
  readonly security?: readonly object[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>>;
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

const ROLES = ['viewer', 'operator', 'admin'] as const;
const TOKENS = ROLES.map((role) => ({ name: role, role, sha256: createHash('sha256').update(`bh_${role}`).digest('hex') }));
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

let node: Controlled;
let admin: Admin;
let unready: Admin;
let echo: TestServer;
let port: number;
let document: Document;
let receipt: string;

beforeAll(async () => {
  echo = await startServer((socket) => socket.pipe(socket));
  port = await freePort();
  node = await startControlled(text('all'));
  const history = new History();
  history.record(node.node.counters(), Date.now() - 2_000);
  history.record(node.node.counters(), Date.now() - 1_000);
  admin = await openAdmin(tcp('127.0.0.1', 0), node.node, history, silent, { orders: node.control, tokens: TOKENS });
  const { view } = fakeNode({ ready: { ready: false, reason: 'a test' } });
  unready = await openAdmin(tcp('127.0.0.1', 0), view, new History(), silent);
  const client = await connectFrom('127.0.0.2', port);
  client.socket.write('hi');
  await until(() => client.text() === 'hi');
  receipt = (await node.node.liveFlows(1))[0]!.receipt;
  document = (await (await send(admin, 'GET', '/api/v1/openapi.json', null)).json()) as Document;
});
afterAll(async () => {
  await admin.close();
  await unready.close();
  await node.stop();
  await echo.close();
});

function text(rule: string): string {
  return `
version: 1
process: { workers: 1 }
pools: { echo: { servers: [127.0.0.1:${echo.port}] } }
applications: { tcp: { vips: [127.0.0.1:${port}], mode: tcp, pool: echo, rules: [{ name: ${rule}, action: allow }] } }
`;
}

function send(to: Admin, method: string, path: string, role: string | null, body?: string, headers: Record<string, string> = {}) {
  const token: Record<string, string> = role === null ? {} : { authorization: `Bearer bh_${role}` };
  const url = `http://127.0.0.1:${to.address().port}${path}`;
  return fetch(url, { method, headers: { ...token, ...headers }, ...(body === undefined ? {} : { body }) });
}

/** A value of the document's own schema, in which references lead to `$defs`. */
function check(described: object, value: unknown): void {
  const local = (part: object) => JSON.parse(JSON.stringify(part).replaceAll('#/components/schemas/', '#/$defs/')) as object;
  const whole = { ...local(described), $defs: local(document.components.schemas) };
  const schema = z.fromJSONSchema(whole as Parameters<typeof z.fromJSONSchema>[0]);
  const result = schema.safeParse(value);
  expect(result.success ? [] : result.error.issues).toEqual([]);
}

type Case = readonly [operation: string, path: string, role: string | null, body: string | (() => string) | undefined, status: number];

const QUARANTINE = JSON.stringify({ target: '192.0.2.7', for: '1h', reason: 'a test' });
const SERVER = () => JSON.stringify({ pool: 'echo', server: `127.0.0.1:${echo.port}`, state: 'drain' });

/** In order: some of them change what the later ones find. */
const CASES: readonly Case[] = [
  ['GET /metrics', '/metrics', null, undefined, 200],
  ['GET /healthz', '/healthz', null, undefined, 200],
  ['GET /readyz', '/readyz', null, undefined, 200],
  ['GET /', '/', null, undefined, 200],
  ['GET /api/v1/openapi.json', '/api/v1/openapi.json', null, undefined, 200],
  ['GET /api/v1/status', '/api/v1/status', null, undefined, 200],
  ['GET /api/v1/policy', '/api/v1/policy', null, undefined, 200],
  ['GET /api/v1/flows', '/api/v1/flows', null, undefined, 200],
  ['GET /api/v1/flows', '/api/v1/flows?source=127.0.0.0/8&limit=1', null, undefined, 200],
  ['GET /api/v1/flows', '/api/v1/flows?limit=x', null, undefined, 400],
  ['GET /api/v1/flows', '/api/v1/flows?since=x', null, undefined, 400],
  ['GET /api/v1/flows/{receipt}', '/api/v1/flows/RECEIPT', null, undefined, 200],
  ['GET /api/v1/flows/{receipt}', '/api/v1/flows/nobody', null, undefined, 404],
  ['GET /api/v1/events', '/api/v1/events?kinds=applies', null, undefined, 200],
  ['GET /api/v1/events', '/api/v1/events?kinds=gossip', null, undefined, 400],
  ['GET /api/v1/events', '/api/v1/events?source=nowhere', null, undefined, 400],
  ['PUT /api/v1/policy', '/api/v1/policy?dry-run=1', 'operator', () => text('none'), 200],
  ['PUT /api/v1/policy', '/api/v1/policy', null, () => text('none'), 401],
  ['PUT /api/v1/policy', '/api/v1/policy', 'nobody', () => text('none'), 401],
  ['PUT /api/v1/policy', '/api/v1/policy', 'operator', () => text('none'), 403],
  ['PUT /api/v1/policy', '/api/v1/policy?note=', 'admin', () => text('none'), 400],
  ['PUT /api/v1/policy', '/api/v1/policy?generation=999', 'admin', () => text('none'), 409],
  ['PUT /api/v1/policy', '/api/v1/policy', 'admin', 'version: 2', 422],
  ['PUT /api/v1/policy', '/api/v1/policy', 'admin', 'x'.repeat(4 * 1024 * 1024 + 1), 413],
  ['PUT /api/v1/policy', '/api/v1/policy?note=other', 'admin', () => text('other'), 200],
  ['POST /api/v1/policy/confirm', '/api/v1/policy/confirm', 'operator', undefined, 409],
  ['PUT /api/v1/policy', '/api/v1/policy?confirm=60s', 'admin', () => text('third'), 200],
  ['POST /api/v1/policy/confirm', '/api/v1/policy/confirm', 'viewer', undefined, 403],
  ['POST /api/v1/policy/confirm', '/api/v1/policy/confirm', 'operator', undefined, 200],
  ['POST /api/v1/policy/rollback', '/api/v1/policy/rollback', 'operator', '{"version":1}', 200],
  ['POST /api/v1/policy/rollback', '/api/v1/policy/rollback', 'operator', '{"version":99}', 404],
  ['POST /api/v1/policy/rollback', '/api/v1/policy/rollback', 'operator', '{"version":"x"}', 400],
  ['POST /api/v1/quarantines', '/api/v1/quarantines', 'operator', QUARANTINE, 200],
  ['POST /api/v1/quarantines', '/api/v1/quarantines', 'operator', '{', 400],
  ['POST /api/v1/quarantines', '/api/v1/quarantines', 'operator', QUARANTINE.replace('192.0.2.7', 'nobody'), 422],
  ['GET /api/v1/overlay', '/api/v1/overlay', null, undefined, 200],
  ['DELETE /api/v1/quarantines/{name}', '/api/v1/quarantines/nobody', 'operator', undefined, 404],
  ['DELETE /api/v1/quarantines/{name}', '/api/v1/quarantines/192.0.2.7', 'operator', undefined, 200],
  ['POST /api/v1/servers', '/api/v1/servers', 'operator', SERVER, 200],
  ['POST /api/v1/servers', '/api/v1/servers', 'operator', '{"pool":"echo","server":"127.0.0.1:1","state":"drain"}', 404],
  ['POST /api/v1/servers', '/api/v1/servers', 'operator', '{"pool":"echo"}', 400],
  ['GET /api/v1/overlay', '/api/v1/overlay', null, undefined, 200],
  ['GET /api/v1/versions', '/api/v1/versions', null, undefined, 200],
  ['GET /api/v1/versions/{version}', '/api/v1/versions/1', null, undefined, 200],
  ['GET /api/v1/versions/{version}', '/api/v1/versions/99', null, undefined, 404],
  ['GET /api/v1/audit', '/api/v1/audit?limit=3', null, undefined, 200],
  ['GET /api/v1/audit', '/api/v1/audit?limit=0', null, undefined, 400],
  ['GET /api/v1/audit/verify', '/api/v1/audit/verify', null, undefined, 200],
  ['GET /api/v1/status', '/api/v1/status', null, undefined, 200],
  ['GET /api/v1/flows/{receipt}', '/api/v1/flows/RECEIPT', null, undefined, 200],
];

function operationOf(name: string): Operation {
  const [method = '', path = ''] = name.split(' ');
  return document.paths[path]![method.toLowerCase()]!;
}

async function expectAsDescribed(name: string, response: Response): Promise<void> {
  const described = operationOf(name).responses[response.status];
  expect(described, `${name} answers ${response.status}, of which the document says nothing`).toBeDefined();
  const type = response.headers.get('content-type')?.split(';')[0] ?? '';
  expect(Object.keys(described!.content ?? {})).toContain(type);
  const { schema } = described!.content![type]!;
  if (type === 'text/event-stream') await response.body?.cancel();
  else check(schema, type === 'application/json' ? await response.json() : await response.text());
}

describe('an answer is as the document says', () => {
  it.each(CASES)('%s: %s as %s', async (name, path, role, body, status) => {
    const [method = ''] = name.split(' ');
    const response = await send(admin, method, path.replace('RECEIPT', receipt), role, typeof body === 'function' ? body() : body);
    expect(response.status).toBe(status);
    await expectAsDescribed(name, response);
  });

  it('where the node is not ready', async () => {
    const response = await send(unready, 'GET', '/readyz', null);
    expect(response.status).toBe(503);
    await expectAsDescribed('GET /readyz', response);
  });

  it.each([
    ['POST', '/healthz', 405],
    ['GET', '/nowhere', 404],
    [`GET`, `/${'x'.repeat(3_000)}`, 414],
  ])('%s of what there is not', async (method, path, status) => {
    const response = await send(admin, method, path, null);
    expect(response.status).toBe(status);
    check({ $ref: '#/components/schemas/Error' }, await response.json());
  });

  it('after too many wrong tokens, which comes last', async () => {
    let response: Response;
    do response = await send(admin, 'POST', '/api/v1/servers', 'nobody', '{}');
    while (response.status === 401);
    expect(response.status).toBe(429);
    await expectAsDescribed('POST /api/v1/servers', response);
  });
});

describe('the document', () => {
  it('is OpenAPI 3.1, and every operation of it has an answer above', () => {
    expect(document.openapi).toMatch(/^3\.1\./);
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(operations.filter((name) => !CASES.some(([known]) => known === name))).toEqual([]);
  });

  it('has every path that the endpoint says it has', () => {
    const written = PATHS.map((path) => path.replace(/[A-Z]{3,}$/, (word) => `{${word.toLowerCase()}}`));
    expect(written.filter((path) => !Object.hasOwn(document.paths, path))).toEqual([]);
  });

  it('asks for a token exactly where one is asked for', () => {
    for (const [path, methods] of Object.entries(document.paths))
      for (const [method, { security }] of Object.entries(methods))
        expect([path, method, security !== undefined]).toEqual([path, method, method !== 'get']);
  });

  it('names every part of a path as a parameter', () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      const parts = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      for (const { parameters = [] } of Object.values(methods))
        expect(parameters.filter((parameter) => parameter.in === 'path' && parameter.required).map(({ name }) => name)).toEqual(parts);
    }
  });
});
