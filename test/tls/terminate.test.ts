/** TLS that ends here: which certificate a client gets, what is agreed on, and what servers see. */
import { execFile } from 'node:child_process';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningNode, startServer, until } from '../node/harness.ts';
import { Authority, type Issued } from './authority.ts';
import { ask, dial, type Edge, type EdgeWords, pairs, startEdge, tell } from './edge.ts';

const run = promisify(execFile);

let authority: Authority;
let shop: Issued;
let shopRsa: Issued;
let wild: Issued;
const running: RunningNode[] = [];
let web: Server;
let webPort = 0;

beforeAll(async () => {
  authority = new Authority();
  shop = authority.issue({ names: ['DNS:shop.example.com', 'DNS:localhost', 'IP:127.0.0.1'] });
  shopRsa = authority.issue({ names: ['DNS:shop.example.com'], kind: 'rsa' });
  wild = authority.issue({ names: ['DNS:*.wild.example.com'] });
  web = createServer((request, response) => {
    const body: Buffer[] = [];
    request.on('data', (part: Buffer) => body.push(part));
    request.on('end', () => {
      const bytes = Buffer.concat(body);
      response.setHeader('x-length', bytes.length);
      response.setHeader('x-proto', String(request.headers['x-forwarded-proto']));
      if (request.url === '/large') response.end(Buffer.alloc(3_000_000, 'y'));
      else response.end(createHash('sha256').update(bytes).digest('hex'));
    });
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  webPort = (web.address() as AddressInfo).port;
});

afterEach(async () => {
  for (const node of running.splice(0)) await node.stop();
});

afterAll(async () => {
  for (const edge of shared.values()) await (await edge).at.stop();
  web.close();
  web.closeAllConnections();
  authority.remove();
});

/** One node for all tests that want the same of it. */
const shared = new Map<string, Promise<Edge>>();
function sharedNode(tls: string): Promise<Edge> {
  let edge = shared.get(tls);
  if (edge === undefined) shared.set(tls, (edge = startEdge({ tls, server: webPort })));
  return edge;
}

async function node(tls: string, more: Partial<EdgeWords> = {}): Promise<Edge> {
  const edge = await startEdge({ tls, server: webPort, ...more });
  running.push(edge.at);
  return edge;
}

describe('certificates by name', () => {
  const table: readonly { asks: string | null; options?: ConnectionOptions; gets: () => Issued }[] = [
    { asks: 'shop.example.com', gets: () => shop },
    { asks: 'SHOP.example.com', gets: () => shop },
    { asks: 'a.wild.example.com', gets: () => wild },
    { asks: 'a.b.wild.example.com', gets: () => shop },
    { asks: 'wild.example.com', gets: () => shop },
    { asks: 'unknown.test', gets: () => shop },
    { asks: null, gets: () => shop },
    { asks: 'shop.example.com', options: { sigalgs: 'RSA-PSS+SHA256' }, gets: () => shopRsa },
    { asks: 'shop.example.com', options: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }, gets: () => shopRsa },
    { asks: 'shop.example.com', options: { maxVersion: 'TLSv1.2' }, gets: () => shop },
  ];

  it('gives each client the one that it asks for and can take', async () => {
    const { port } = await node(`{ certificates: [${pairs(shop, shopRsa, wild)}] }`);
    for (const { asks, options, gets } of table) {
      const socket = await dial(port, authority, { ...options, servername: asks ?? '', rejectUnauthorized: false });
      const wanted = new X509Certificate(readFileSync(gets().certificate)).fingerprint256;
      expect(socket.getPeerCertificate().fingerprint256, `${asks} ${JSON.stringify(options)}`).toBe(wanted);
      socket.destroy();
    }
  });
});

describe('what is agreed on', () => {
  const table: readonly { tls: string; client: ConnectionOptions; version: string | null; alpn?: string | false }[] = [
    { tls: '', client: {}, version: 'TLSv1.3', alpn: false },
    { tls: '', client: { maxVersion: 'TLSv1.2' }, version: 'TLSv1.2' },
    { tls: '', client: { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' }, version: null },
    { tls: 'minimum: "1.3"', client: { maxVersion: 'TLSv1.2' }, version: null },
    { tls: '', client: { ALPNProtocols: ['http/1.1'] }, version: 'TLSv1.3', alpn: 'http/1.1' },
    { tls: 'alpn: [a, b]', client: { ALPNProtocols: ['b', 'a'] }, version: 'TLSv1.3', alpn: 'a' },
    { tls: 'alpn: [a]', client: { ALPNProtocols: ['x'] }, version: null },
    { tls: 'alpn: []', client: { ALPNProtocols: ['x'] }, version: 'TLSv1.3', alpn: false },
    { tls: '', client: { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' }, version: null },
    { tls: '', client: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' }, version: null },
    { tls: 'curves: [secp384r1]', client: { ecdhCurve: 'X25519' }, version: null },
    { tls: 'ciphers: [TLS_CHACHA20_POLY1305_SHA256], minimum: "1.3"', client: { ciphers: 'TLS_AES_128_GCM_SHA256' }, version: null },
  ];

  for (const { tls, client, version, alpn } of table) {
    it(`{ ${tls} } with ${JSON.stringify(client)}: ${version ?? 'nothing'}`, async () => {
      const { port, handshakes } = await sharedNode(`{ certificates: [${pairs(shop)}]${tls === '' ? '' : `, ${tls}`} }`);
      const before = handshakes().failed!;
      const socket = await dial(port, authority, client).catch((error: Error) => error);
      if (version === null) {
        expect(socket).toBeInstanceOf(Error);
        await until(() => handshakes().failed === before + 1);
      } else {
        expect((socket as TLSSocket).getProtocol()).toBe(version);
        if (alpn !== undefined) expect((socket as TLSSocket).alpnProtocol).toBe(alpn);
        (socket as TLSSocket).destroy();
      }
    });
  }

  it('never renegotiates', async () => {
    const { port } = await sharedNode(`{ certificates: [${pairs(shop)}] }`);
    const socket = await dial(port, authority, { maxVersion: 'TLSv1.2' });
    // The alert fails it, and the end of the connection may do so once more.
    socket.on('error', () => undefined);
    const refused = await new Promise<Error | null>((resolve) => {
      socket.once('error', resolve);
      socket.once('close', () => resolve(new Error('closed')));
      socket.renegotiate({}, (error) => resolve(error));
    });
    expect(refused).toBeInstanceOf(Error);
  });
});

describe('what is carried', () => {
  it('is whole both ways, whatever its size', async () => {
    const { port } = await sharedNode(`{ certificates: [${pairs(shop)}] }`);
    for (const size of [0, 1, 16_383, 16_384, 16_385, 100_000, 2_000_000]) {
      const body = randomBytes(size);
      const answer = await ask(await dial(port, authority), '/', 'POST', body);
      expect(answer, String(size)).toContain(createHash('sha256').update(body).digest('hex'));
      expect(answer).toContain('x-proto: https');
    }
    const large = await ask(await dial(port, authority), '/large');
    expect(large.length - large.indexOf('\r\n\r\n') - 4).toBe(3_000_000);
  });

  it('ends in order, as curl and openssl see it', async () => {
    const { port } = await sharedNode(`{ certificates: [${pairs(shop)}] }`);
    const resolve = `shop.example.com:${port}:127.0.0.1`;
    const { stdout } = await run(
      'curl',
      ['-sS', '--cacert', authority.ca, '--resolve', resolve, '-H', 'connection: close', `https://shop.example.com:${port}/large`],
      { maxBuffer: 1 << 23 },
    );
    expect(stdout.length).toBe(3_000_000);
  });

  it('is relayed in mode tcp, with half-closed ends', async () => {
    const echo = await startServer((socket) => void socket.pipe(socket));
    const { port } = await node(`{ certificates: [${pairs(shop)}] }`, { mode: 'tcp', server: echo.port });
    const socket = await dial(port, authority, { allowHalfOpen: true } as ConnectionOptions);
    const sent = randomBytes(3_000_000);
    const got: Buffer[] = [];
    socket.on('data', (part: Buffer) => got.push(part));
    socket.end(sent);
    await new Promise<void>((resolve) => socket.once('end', () => resolve()));
    expect(Buffer.concat(got).equals(sent)).toBe(true);
    await echo.close();
  });

  it('stands in the journal with what was agreed on', async () => {
    const { port, at } = await sharedNode(`{ certificates: [${pairs(shop)}] }`);
    await ask(await dial(port, authority, { ALPNProtocols: ['http/1.1'] }));
    await until(async () => (await at.records(1)).at(-1)!.alpn !== null);
    const record = (await at.records(1)).at(-1);
    expect(record).toMatchObject({ sni: 'shop.example.com', alpn: 'http/1.1', tls: '1.3', status: 200, verdict: 'allow' });
    expect(record!.ja4).toMatch(/^t13d[0-9]{4}h1_[0-9a-f]{12}_[0-9a-f]{12}$/);
  });
});

describe('what is no handshake', () => {
  it('HTTP in the clear is told so', async () => {
    const { port, at, handshakes } = await sharedNode(`{ certificates: [${pairs(shop)}] }`);
    const { stdout: answer } = await run('curl', ['-s', '-i', `http://127.0.0.1:${port}/`]);
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(answer).toContain('This port speaks TLS');
    expect(handshakes()['not-tls']).toBeGreaterThan(0);
    expect((await at.records(1)).at(-1)).toMatchObject({ verdict: null, ended_by: 'client', reason: 'speaks no TLS' });
  });

  const broken: readonly { what: string; bytes: Buffer; result: string }[] = [
    { what: 'noise', bytes: Buffer.from('\x00\x01\x02'), result: 'not-tls' },
    { what: 'SSLv2', bytes: Buffer.from('802e0100020015000000100100800200800300800400800500800600400700c0', 'hex'), result: 'not-tls' },
    { what: 'a record of nothing', bytes: Buffer.from('1603010000', 'hex'), result: 'malformed' },
    { what: 'another message', bytes: Buffer.from('160301000402000000', 'hex'), result: 'malformed' },
    { what: 'a hello that is too long', bytes: Buffer.from('160301000401ffffff', 'hex'), result: 'malformed' },
    { what: 'half a hello', bytes: Buffer.from('16030100ff01000100', 'hex'), result: 'timeout' },
    { what: 'silence', bytes: Buffer.alloc(0), result: 'timeout' },
  ];
  for (const { what, bytes, result } of broken) {
    it(`${what} ends as ${result}`, async () => {
      const { port, at, handshakes } = await sharedNode(`{ certificates: [${pairs(shop)}] }`);
      const before = handshakes()[result]!;
      await tell(port, bytes);
      expect(handshakes()[result]).toBe(before + 1);
      await until(() => at.application('shop').connectionsActive === 0);
    });
  }

  it('a client that leaves in the middle leaves nothing behind', async () => {
    const { port, at } = await sharedNode(`{ certificates: [${pairs(shop)}] }`);
    for (let i = 0; i < 50; i++) {
      const under = connectTcp(port, '127.0.0.1');
      const socket = connect({ socket: under, rejectUnauthorized: false });
      for (const one of [under, socket]) one.on('error', () => undefined);
      await (i % 2 === 0 ? once(under, 'connect') : once(socket, 'secureConnect'));
      if (i % 3 === 0) under.resetAndDestroy();
      else socket.destroy();
    }
    await until(() => at.application('shop').connectionsActive === 0);
  });
});
