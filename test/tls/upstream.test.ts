/** TLS to servers: whom the node believes, what it shows, and what becomes of the rest. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Agent, createServer as createWeb, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { createInterface } from 'node:readline';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startServer, until } from '../node/harness.ts';
import { Authority, type Issued } from './authority.ts';
import { type Edge, startEdge } from './edge.ts';

let authority: Authority;
let strangers: Authority;
let named: Issued;
let addressed: Issued;
let client: Issued;
let edge: Edge | null = null;
const servers: Server[] = [];
const processes: ChildProcess[] = [];

beforeAll(() => {
  authority = new Authority();
  strangers = new Authority('Strangers');
  named = authority.issue({ names: ['DNS:web.internal'] });
  addressed = authority.issue({ names: ['IP:127.0.0.1'] });
  client = authority.issue({ subject: '/CN=edge' });
});

afterEach(async () => {
  await edge?.at.stop();
  edge = null;
  for (const server of servers.splice(0)) server.close();
  for (const each of processes.splice(0)) each.kill();
});

afterAll(() => {
  authority.remove();
  strangers.remove();
});

/** A web server under TLS; `seen` gets each connection. */
async function serve(issued: Issued, seen: (socket: TLSSocket) => void = () => undefined, more: TlsOptions = {}): Promise<number> {
  const web = createWeb((_request, response) => response.end('served'));
  const server = createServer({ cert: readFileSync(issued.certificate), key: readFileSync(issued.key), ...more }, (socket) => {
    seen(socket);
    web.emit('connection', socket);
  });
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  return (server.address() as AddressInfo).port;
}

/** A server that ends the handshake of everybody without a certificate of the strangers; servers of Node close without an alert. */
function pickyServer(version: string): Promise<number> {
  const own = ['-cert', named.certificate, '-key', named.key];
  const asked = ['-Verify', '1', '-verify_return_error', '-CAfile', strangers.ca];
  const server = spawn('openssl', ['s_server', '-accept', '127.0.0.1:0', version, ...own, ...asked], { stdio: 'pipe' });
  processes.push(server);
  return new Promise((resolve) => {
    createInterface(server.stdout).on('line', (line) => {
      const [, port] = /^ACCEPT .*:(\d+)$/.exec(line) ?? [];
      if (port !== undefined) resolve(Number(port));
    });
  });
}

function get(port: number, agent: Agent | false = false): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ port, host: '127.0.0.1', agent }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode!));
    })
      .on('error', reject)
      .end();
  });
}

describe('servers that are believed', () => {
  const table: readonly { what: string; tls: () => string; issued: () => Issued; status: number }[] = [
    { what: 'the name that was asked for', tls: () => `verify: ${authority.ca}, sni: web.internal`, issued: () => named, status: 200 },
    { what: 'the address', tls: () => `verify: ${authority.ca}`, issued: () => addressed, status: 200 },
    { what: 'another name', tls: () => `verify: ${authority.ca}, sni: other.internal`, issued: () => named, status: 502 },
    { what: 'a name in place of the address', tls: () => `verify: ${authority.ca}`, issued: () => named, status: 502 },
    {
      what: 'a name that only its subject has',
      tls: () => `verify: ${authority.ca}, sni: web.internal`,
      issued: () => authority.issue({ subject: '/CN=web.internal' }),
      status: 502,
    },
    { what: 'another authority', tls: () => `verify: ${strangers.ca}, sni: web.internal`, issued: () => named, status: 502 },
    { what: 'the authorities of the system', tls: () => 'sni: web.internal', issued: () => named, status: 502 },
    { what: 'anybody', tls: () => 'verify: off', issued: () => strangers.issue(), status: 200 },
    {
      what: 'one that has ended',
      tls: () => `verify: ${authority.ca}`,
      issued: () => authority.issue({ names: ['IP:127.0.0.1'], days: -1 }),
      status: 502,
    },
  ];
  for (const { what, tls, issued, status } of table) {
    it(`${what}: ${status}`, async () => {
      edge = await startEdge({ server: await serve(issued()), pool: `tls: { ${tls()} }` });
      expect(await get(edge.port)).toBe(status);
      const { dials } = edge.at.node.servers()[0]!;
      if (status === 200) expect(dials).toMatchObject({ connected: 1, tls: 0 });
      else {
        expect(dials.connected).toBe(0);
        expect(dials.tls).toBeGreaterThan(0);
      }
    });
  }

  it.each<[string, () => string, () => Issued]>([
    ['certificate has expired', () => `verify: ${authority.ca}`, () => authority.issue({ names: ['IP:127.0.0.1'], days: -1 })],
    ['no name of the certificate is other.internal', () => `verify: ${authority.ca}, sni: other.internal`, () => named],
    ['no name of the certificate is 127.0.0.1', () => `verify: ${authority.ca}`, () => named],
    ['unable to verify the first certificate', () => `verify: ${strangers.ca}, sni: web.internal`, () => named],
  ])('and those that are not are in the journal with why: %s', async (why, tls, issued) => {
    const server = await serve(issued());
    const pool = `tls: { ${tls()} }, retries: { attempts: 0 }`;
    edge = await startEdge({ server, pool });
    expect(await get(edge.port)).toBe(502);
    expect(await edge.at.records(1)).toMatchObject([{ reason: `dial-failed: web/127.0.0.1:${server} tls: ${why}` }]);
    await edge.at.stop();
    edge = await startEdge({ server, pool, mode: 'tcp' });
    await expect(get(edge.port)).rejects.toThrow();
    expect(await edge.at.records(1)).toMatchObject([{ ended_by: 'proxy', reason: `dial tls: ${why}` }]);
    await edge.at.stop();
    // Sessions of HTTP/2 are dialled elsewhere.
    edge = await startEdge({ server, pool: `${pool}, protocol: h2` });
    expect(await get(edge.port)).toBe(502);
    expect(await edge.at.records(1)).toMatchObject([{ reason: `dial-failed: web/127.0.0.1:${server} tls: ${why}` }]);
  });

  it.each(['-tls1_2', '-tls1_3'])('say by an alert that our certificate is not theirs, and the journal has it: %s', async (version) => {
    const server = await pickyServer(version);
    const pool = `tls: { verify: off, certificate: ${client.certificate}, key: ${client.key} }, retries: { attempts: 0 }`;
    edge = await startEdge({ server, pool, mode: 'tcp' });
    // Says nothing: under TLS 1.3 the server is content at first, and what it had not read would make a reset of its alert.
    const socket = connect(edge.port, '127.0.0.1').on('error', () => undefined);
    const [record] = await edge.at.records(1);
    socket.destroy();
    const told = 'refused by TLS alert: unknown ca';
    expect(record).toMatchObject(
      version === '-tls1_3' ? { ended_by: 'server', reason: told } : { ended_by: 'proxy', reason: `dial tls: ${told}` },
    );
  });

  it('get the name, the protocols and the certificate, and sessions are resumed', async () => {
    const seen: { name: unknown; alpn: unknown; who: string | undefined; reused: boolean }[] = [];
    const server = await serve(
      named,
      (socket) =>
        seen.push({
          name: socket.servername,
          alpn: socket.alpnProtocol,
          who: socket.getPeerCertificate().subject?.CN as string,
          reused: socket.isSessionReused(),
        }),
      { requestCert: true, ca: readFileSync(authority.ca), ALPNProtocols: ['http/1.1'] },
    );
    const tls = `tls: { verify: ${authority.ca}, sni: web.internal, alpn: [http/1.1], certificate: ${client.certificate}, key: ${client.key} }, idle: { connections: 0 }`;
    edge = await startEdge({ server, pool: tls });
    for (let i = 0; i < 3; i++) expect(await get(edge.port)).toBe(200);
    expect(seen[0]).toEqual({ name: 'web.internal', alpn: 'http/1.1', who: 'edge', reused: false });
    expect(seen.slice(1).map(({ reused }) => reused)).toEqual([true, true]);
  });

  it('that speak no TLS, or fall silent, are other servers to try', async () => {
    const plain = await startServer((socket) => void socket.end('hello, no TLS\r\n'));
    edge = await startEdge({ server: plain.port, pool: 'tls: { verify: off }' });
    expect(await get(edge.port)).toBe(502);
    expect(edge.at.node.servers()[0]!.dials.tls).toBeGreaterThan(0);
    await plain.close();
  });

  it('are spoken to with TLS at once when the file says so, whatever connections were kept', async () => {
    const seen: TLSSocket[] = [];
    const server = await serve(addressed, (socket) => seen.push(socket));
    const { port, at, apply } = (edge = await startEdge({ server, pool: 'tls: { verify: off }' }));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect(await get(port, agent)).toBe(200);
    expect(await get(port, agent)).toBe(200);
    expect(seen.length).toBe(1);
    expect((await apply({ server, pool: `tls: { verify: ${authority.ca} }` })).ok).toBe(true);
    expect(await get(port, agent)).toBe(200);
    expect(seen.length).toBe(2);
    expect((await apply({ server, pool: `tls: { verify: ${strangers.ca} }` })).ok).toBe(true);
    expect(await get(port, agent)).toBe(502);
    agent.destroy();
    expect(at.node.servers()[0]!.dials.connected).toBe(2);
  });

  it('are checked over TLS', async () => {
    for (const [health, issued, up] of [
      ['{ type: http, path: /, interval: 50ms, timeout: 1s }', named, true],
      ['{ type: tcp, interval: 50ms, timeout: 1s }', named, true],
      ['{ type: http, path: /, interval: 50ms, timeout: 1s }', addressed, false],
      ['{ type: tcp, interval: 50ms, timeout: 1s }', addressed, false],
    ] as const) {
      const seen: unknown[] = [];
      edge = await startEdge({
        server: await serve(issued, (socket) => seen.push(socket.servername)),
        pool: `tls: { verify: ${authority.ca}, sni: web.internal }, health: ${health}`,
      });
      const { node } = edge.at;
      await until(() => node.servers()[0]!.checkDetail !== 'not checked yet' && node.servers()[0]!.up === up);
      await edge.at.stop();
      edge = null;
    }
  });
});
