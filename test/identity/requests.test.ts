/** Requests whose bearers show who they are, through a whole node. */
import { createServer, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KEYS_WAIT_MS } from '../../proxy/identity/token.ts';
import { metricsText } from '../../proxy/observe/metrics.ts';
import { freePort, type RunningNode, startNode, startServer, until } from '../node/harness.ts';

const stops: (() => unknown)[] = [];
let pair: Awaited<ReturnType<typeof generateKeyPair>>;
let published: JWK[];
let asked: number;
let keysPort: number;
let webPort: number;
let vip: number;

async function serve(answer: () => string, port = 0): Promise<number> {
  const server = createServer((_, response) => response.end(answer()));
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  stops.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

beforeEach(async () => {
  pair = await generateKeyPair('ES256');
  published = [{ ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'ES256' }];
  asked = 0;
  keysPort = await serve(() => {
    asked++;
    return JSON.stringify({ keys: published });
  });
  webPort = await serve(() => 'web');
  vip = await freePort();
});

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const file = (rules: string, from = '', more = '') => `
version: 1
process: { workers: 1 }
segments:
  admins: { identities: ["claim:groups=admins"] }
pools: { web: { servers: [127.0.0.1:${webPort}] } }
applications:
  shop:
    vips: [127.0.0.1:${vip}]
    mode: http
    pool: web
    jwt:
      - { issuer: https://login.example, audiences: [shop], keys: "http://127.0.0.1:${keysPort}/keys", claims: [groups]${from} }
    ${more}
    rules: [${rules}]
`;

async function start(rules: string, from = '', more = ''): Promise<RunningNode> {
  const running = await startNode(file(rules, from, more));
  stops.push(() => running.stop());
  return running;
}

const token = (claims: Record<string, unknown> = {}, kid = 'one') =>
  new SignJWT({ iss: 'https://login.example', aud: 'shop', sub: 'anna', exp: Math.floor(Date.now() / 1000) + 60, ...claims })
    .setProtectedHeader({ alg: 'ES256', kid })
    .sign(pair.privateKey);

function ask(path: string, headers: Record<string, string> = {}): Promise<{ status: number; challenge: string | undefined }> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: vip, path, headers, agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve({ status: response.statusCode!, challenge: response.headers['www-authenticate'] }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

const bearer = (text: string) => ({ authorization: `Bearer ${text}` });
const ANNA = '{ name: anna, identities: ["jwt:anna"], action: allow }';

describe('a rule by identity', () => {
  it('lets in who shows a token that holds, and nobody else', async () => {
    await start(ANNA);
    expect(await ask('/', bearer(await token()))).toMatchObject({ status: 200 });
    expect(await ask('/')).toMatchObject({ status: 403, challenge: undefined });
    expect(await ask('/', bearer(await token({ sub: 'bert' })))).toMatchObject({ status: 403 });
    expect(await ask('/', bearer(await token({ exp: 1 })))).toEqual({ status: 401, challenge: 'Bearer error="invalid_token"' });
    expect(await ask('/', bearer('hello'))).toMatchObject({ status: 401 });
  });

  it('asks of segments as well', async () => {
    await start('{ name: admins, from: [admins], action: allow }');
    expect(await ask('/', bearer(await token({ groups: ['staff', 'admins'] })))).toMatchObject({ status: 200 });
    expect(await ask('/', bearer(await token({ groups: ['staff'] })))).toMatchObject({ status: 403 });
  });

  it('takes tokens from the cookie that the file names', async () => {
    await start(ANNA, ', from: { cookie: session }');
    expect(await ask('/', { cookie: `a=b; session=${await token()}` })).toMatchObject({ status: 200 });
    expect(await ask('/', bearer(await token()))).toMatchObject({ status: 403 });
  });

  it('takes no token where several come that are not the same: a server might believe another than was checked', async () => {
    await start(ANNA);
    const [anna, bert] = await Promise.all([token(), token({ sub: 'bert' })]);
    const lines = (...fields: string[]) =>
      new Promise<string>((resolve) => {
        const socket = connect(vip, '127.0.0.1');
        socket.on('data', (data) => {
          resolve(data.toString('latin1').slice(9, 12));
          socket.destroy();
        });
        socket.write(`GET / HTTP/1.1\r\nHost: a\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`);
      });
    expect(await lines(`Authorization: Bearer ${anna}`, `authorization: Bearer ${anna}`)).toBe('200');
    for (const other of [bert, 'hello', `${anna}x`, '']) {
      expect(await lines(`Authorization: Bearer ${anna}`, `Authorization: Bearer ${other}`)).toBe('401');
      expect(await lines(`Authorization: Bearer ${other}`, `authorization: Bearer ${anna}`)).toBe('401');
    }
  });

  it('takes no cookie that comes with two values', async () => {
    await start(ANNA, ', from: { cookie: session }');
    const [anna, bert] = await Promise.all([token(), token({ sub: 'bert' })]);
    expect(await ask('/', { cookie: `session=${anna}; session=${bert}` })).toMatchObject({ status: 401 });
    expect(await ask('/', { cookie: `session=${anna}; session=${anna}` })).toMatchObject({ status: 200 });
  });

  it('looks at no token that is longer than tokens are', async () => {
    const running = await start(ANNA);
    const long = await token({ filler: 'x'.repeat(8_000) });
    expect(await ask('/', bearer(long))).toMatchObject({ status: 401 });
    const [record] = await running.records(1);
    expect(record!.reason).toContain('malformed');
  });

  it('fetches the keys once, and again when a token names one that is new', async () => {
    await start(ANNA);
    for (let i = 0; i < 3; i++) expect(await ask('/', bearer(await token()))).toMatchObject({ status: 200 });
    expect(asked).toBe(1);
  });

  it('refuses a token whose key the issuer does not have, without a wait', async () => {
    const running = await start(ANNA);
    const since = performance.now();
    expect(await ask('/', bearer(await token({}, 'two')))).toMatchObject({ status: 401 });
    expect(performance.now() - since).toBeLessThan(KEYS_WAIT_MS + 1_000);
    const [record] = await running.records(1);
    expect(record!.reason).toContain('no-key');
  });

  it('computes nothing where no rule asks for it', async () => {
    await start('{ name: all, action: allow }');
    expect(await ask('/', bearer('hello'))).toMatchObject({ status: 200 });
  });
});

describe('keys that cannot be had', () => {
  const RULES = `${ANNA}, { name: public, http: { paths: [/public/*] }, action: allow }`;
  const problem = (running: RunningNode) => running.node.problems.list().find(({ kind }) => kind === 'token-keys');

  it.each([
    ['nobody listens there', () => freePort()],
    ['nobody answers there', () => silent()],
    [
      'its key set has no keys',
      () => {
        published = [];
        return keysPort;
      },
    ],
  ])('are a 503 with a record of the request where %s; who needs no token is served', async (_, where) => {
    keysPort = await where();
    const running = await start(RULES);
    const sent = await token();
    const since = performance.now();
    const answer = await raw('/private', sent);
    expect(performance.now() - since).toBeLessThan(KEYS_WAIT_MS + 1_500);
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer).toMatch(/\r\nbulkhead-error: token-keys\r\n/);
    expect(answer).toMatch(/\r\nRetry-After: 1\r\n/);
    expect(await ask('/public/x')).toMatchObject({ status: 200 });
    // What could not be told of its bearer is no reason to refuse what everybody may have.
    expect(await ask('/public/x', bearer(sent))).toMatchObject({ status: 200 });
    const [record] = await running.records(3);
    expect(record).toMatchObject({ method: 'GET', host: 'a', path: '/private', status: 503, ended_by: 'proxy', server: null });
    expect(record!.reason).toMatch(/^token-keys: /);
    expect(running.node.counters().limits.filter(({ limit }) => limit === 'request-head' || limit === 'head')).toEqual([]);
    await until(() => problem(running) !== undefined);
    expect(problem(running)).toMatchObject({ subject: `http://127.0.0.1:${keysPort}/keys`, message: expect.stringContaining('503') });
  });

  it('do not run the time of a head: the client is not the slow one', async () => {
    keysPort = await silent();
    const running = await start(RULES, '', 'timeouts: { request-head: 200ms }');
    expect(await raw('/private', await token())).toMatch(/^HTTP\/1\.1 503 /);
    const [record] = await running.records(1);
    expect(record).toMatchObject({ status: 503, path: '/private' });
  });

  it('are there as soon as the issuer is, by themselves', async () => {
    keysPort = await freePort();
    const running = await start(RULES);
    const sent = await token();
    expect(await ask('/', bearer(sent))).toMatchObject({ status: 503 });
    expect(await metricsText(running.node)).toMatch(/bulkhead_token_keys_fetches_total\{location="[^"]+",result="failed"\} [1-9]/);
    await serve(() => JSON.stringify({ keys: published }), keysPort);
    await until(() => problem(running) === undefined);
    await until(async () => (await ask('/', bearer(sent))).status === 200);
    expect(await metricsText(running.node)).toMatch(/bulkhead_token_keys_age_seconds\{location="[^"]+"\} [0-9.]+\n/);
    expect(running.logged.some(({ message }) => message === 'keys of a token issuer are had again')).toBe(true);
  });
});

/** A port that takes connections and says nothing. */
async function silent(): Promise<number> {
  const server = await startServer(() => undefined);
  stops.push(() => server.close());
  return server.port;
}

/** The whole answer to a request with a token, as it came. */
function raw(path: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(vip, '127.0.0.1');
    let got = '';
    socket.on('data', (data) => {
      got += data;
    });
    socket.on('end', () => resolve(got));
    socket.on('error', reject);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer ${text}\r\n\r\n`);
  });
}

it('requests of several people on one connection are told apart, in order', async () => {
  const running = await start(`${ANNA}, { name: public, http: { paths: [/public/*] }, action: allow }`);
  const tokens = await Promise.all([token(), token({ sub: 'bert' }), token({ exp: 1 })]);
  const socket = connect(vip, '127.0.0.1');
  const head = (path: string, text: string | null) =>
    `GET ${path} HTTP/1.1\r\nHost: a\r\n${text === null ? '' : `Authorization: Bearer ${text}\r\n`}\r\n`;
  // All at once: each that has to be checked holds up those behind it, and none passes another.
  socket.write(
    head('/', tokens[0]) + head('/', tokens[1]) + head('/public/x', null) + head('/', tokens[2]) + head('/', null) + head('/', tokens[0]),
  );
  let text = '';
  socket.on('data', (data) => {
    text += data;
  });
  const records = await running.records(6);
  socket.destroy();
  expect(records.map(({ status }) => status)).toEqual([200, 403, 200, 401, 403, 200]);
  expect([...text.matchAll(/HTTP\/1\.1 ([0-9]+)/g)].map((match) => Number(match[1]))).toEqual([200, 403, 200, 401, 403, 200]);
});

it('a new rule ends the requests of whom it no longer allows, by who they are', async () => {
  const running = await start(ANNA);
  expect(await ask('/', bearer(await token()))).toMatchObject({ status: 200 });
  await running.apply(file('{ name: bert, identities: ["jwt:bert"], action: allow }'));
  expect(await ask('/', bearer(await token()))).toMatchObject({ status: 403 });
  expect(await ask('/', bearer(await token({ sub: 'bert' })))).toMatchObject({ status: 200 });
});
