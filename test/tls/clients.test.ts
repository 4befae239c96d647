/** Certificates of clients: who gets in, as whom, and what the rest are told. */
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect as connectTcp, createServer as createHop } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../node/harness.ts';
import { Authority, type Issued, type Wish } from './authority.ts';
import { ask, dial, type Edge, pairs, startEdge } from './edge.ts';

let authority: Authority;
let strangers: Authority;
let shop: Issued;
let web: Server;
let server = 0;
let edge: Edge | null = null;

beforeAll(async () => {
  authority = new Authority();
  strangers = new Authority('Strangers');
  shop = authority.issue({ names: ['DNS:shop.example.com'] });
  web = createServer((_request, response) => response.end('served'));
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  server = (web.address() as AddressInfo).port;
});

afterEach(async () => {
  await edge?.at.stop();
  edge = null;
});

afterAll(() => {
  web.close();
  web.closeAllConnections();
  authority.remove();
  strangers.remove();
});

/** The preface, and settings that say nothing. */
const HTTP2_START = Buffer.from(`${Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n').toString('hex')}000000040000000000`, 'hex');

const shown = ({ certificate, key }: Issued): ConnectionOptions => ({ cert: readFileSync(certificate), key: readFileSync(key) });

/** What a client with this certificate comes to: the answer, or the code of the error. */
async function outcome(port: number, options: ConnectionOptions): Promise<string> {
  try {
    const answer = await ask(await dial(port, authority, options));
    return answer.endsWith('served') ? 'served' : (/^HTTP\/1.1 ([0-9]+)/.exec(answer)?.[1] ?? 'ended');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  }
}

async function start(clients: string, rules?: string): Promise<Edge> {
  edge = await startEdge({
    tls: `{ certificates: [${pairs(shop)}], alpn: [http/1.1], clients: { ${clients} } }`,
    server,
    ...(rules === undefined ? {} : { rules }),
  });
  return edge;
}

describe('required and optional', () => {
  const good: Wish = { subject: '/CN=ana' };
  const ended: Wish = { subject: '/CN=late', days: -1 };
  const table: readonly { verify: string; who: () => ConnectionOptions; gets: string | RegExp }[] = [
    { verify: 'required', who: () => shown(authority.issue(good)), gets: 'served' },
    { verify: 'required', who: () => ({}), gets: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED' },
    { verify: 'required', who: () => ({ maxVersion: 'TLSv1.2' }), gets: /^ERR_SSL_.*ALERT_HANDSHAKE_FAILURE$/ },
    { verify: 'required', who: () => shown(strangers.issue(good)), gets: /^ERR_SSL_.*ALERT/ },
    { verify: 'required', who: () => ({ ...shown(strangers.issue(good)), maxVersion: 'TLSv1.2' }), gets: /^ERR_SSL_.*ALERT/ },
    { verify: 'required', who: () => shown(authority.issue(ended)), gets: /^ERR_SSL_.*ALERT/ },
    { verify: 'optional', who: () => ({}), gets: 'served' },
    { verify: 'optional', who: () => shown(authority.issue(good)), gets: 'served' },
    { verify: 'optional', who: () => shown(strangers.issue(good)), gets: /^ERR_SSL_.*ALERT/ },
  ];

  for (const verify of ['required', 'optional']) {
    it(`${verify}: lets in who it should`, async () => {
      const { port, at, handshakes } = await start(`verify: ${verify}, ca: ${authority.ca}`);
      const rows = table.filter((row) => row.verify === verify);
      for (const { who, gets } of rows) {
        const got = await outcome(port, who());
        if (typeof gets === 'string') expect(got).toBe(gets);
        else expect(got).toMatch(gets);
      }
      const refused = rows.filter(({ gets }) => gets !== 'served').length;
      await until(() => handshakes()['client-certificate'] === refused);
      await until(() => at.application('shop').connectionsActive === 0);
    });
  }

  it('revoked ones are out', async () => {
    const [ana, bob] = [authority.issue({ subject: '/CN=ana' }), authority.issue({ subject: '/CN=bob' })];
    const { port } = await start(`ca: ${authority.ca}, crl: ${authority.revoke(bob)}`);
    expect(await outcome(port, shown(ana))).toBe('served');
    expect(await outcome(port, shown(bob))).toMatch(/^ERR_SSL_.*ALERT/);
  });

  it('that are revoked later are cut off where they are connected, and nobody else is', async () => {
    const [ana, bob] = [authority.issue({ subject: '/CN=ana' }), authority.issue({ subject: '/CN=bob' })];
    const words = (crl: string, mode: 'http' | 'tcp', alpn: string) => ({
      tls: `{ certificates: [${pairs(shop)}], alpn: [${alpn}], clients: { ca: ${authority.ca}, crl: ${crl} } }`,
      ...{ mode, server },
    });
    const before = authority.revoke();
    const after = authority.revoke(bob);
    for (const [mode, alpn] of [
      ['http', 'http/1.1'],
      ['http', 'h2'],
      ['tcp', 'http/1.1'],
    ] as const) {
      edge = await startEdge(words(before, mode, alpn));
      const [hers, his] = await Promise.all([ana, bob].map((who) => dial(edge!.port, authority, { ...shown(who), ALPNProtocols: [alpn] })));
      const cut = new Promise((resolve) => his!.once('close', resolve).on('error', () => undefined));
      hers!.on('error', () => undefined);
      if (alpn === 'h2') for (const socket of [hers!, his!]) socket.write(HTTP2_START);
      else if (mode === 'tcp') for (const socket of [hers!, his!]) socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
      if (mode === 'tcp') await until(async () => (await edge!.at.node.liveFlows(10)).length === 2);
      expect(await edge.apply(words(after, mode, alpn))).toMatchObject({ ok: true, revoked: 1, kept: 1 });
      await cut;
      expect(hers!.destroyed).toBe(false);
      if (alpn !== 'h2' && mode === 'http') expect(await ask(hers!)).toContain('served');
      if (mode === 'tcp') expect((await edge.at.records(1))[0]).toMatchObject({ reason: 'client certificate revoked' });
      hers!.destroy();
      await edge.at.stop();
    }
    edge = null;
  });

  it('that are revoked while they shake hands are refused', async () => {
    const bob = authority.issue({ subject: '/CN=bob' });
    const [before, after] = [authority.revoke(), authority.revoke(bob)];
    const { port } = await start(`ca: ${authority.ca}, crl: ${before}`);
    // Holds back what he says after his hello: his certificate.
    let said = 0;
    let letGo = () => {};
    const hasSaid = Promise.withResolvers<void>();
    const hop = createHop((socket) => {
      const out = connectTcp(port, '127.0.0.1');
      out.pipe(socket).on('error', () => undefined);
      out.on('error', () => socket.destroy());
      socket.on('data', (bytes) => {
        if (said++ === 0) out.write(bytes);
        else {
          letGo = () => void out.write(bytes);
          hasSaid.resolve();
        }
      });
    });
    await new Promise<void>((resolve) => hop.listen(0, '127.0.0.1', resolve));
    const his = outcome((hop.address() as AddressInfo).port, shown(bob));
    await hasSaid.promise;
    const tls = `{ certificates: [${pairs(shop)}], alpn: [http/1.1], clients: { ca: ${authority.ca}, crl: ${after} } }`;
    expect(await edge!.apply({ tls, server })).toMatchObject({ ok: true });
    letGo();
    expect(await his).toMatch(/^ERR_SSL_.*ALERT/);
    hop.close();
  });

  it('are told apart in the journal: why not, and who it was', async () => {
    const [bob, eve, late] = [
      authority.issue({ subject: '/CN=bob' }),
      strangers.issue({ subject: '/CN=eve' }),
      authority.issue({ subject: `/CN=late/OU=${'x'.repeat(60)}/O=${'y'.repeat(60)}`, days: -1 }),
    ];
    const { port, at } = await start(`ca: ${authority.ca}, crl: ${authority.revoke(bob)}`);
    for (const who of [bob, eve, late]) expect(await outcome(port, shown(who))).toMatch(/^ERR_SSL_.*ALERT/);
    const reasons = (await at.records(3)).map(({ reason, ended_by }) => [ended_by, reason]);
    const refused = 'client certificate not accepted:';
    expect(reasons).toEqual([
      [
        'policy',
        expect.stringMatching(`^${refused} certificate revoked \\(CN=bob; serial number [0-9A-F]+; issued by CN=Test Authority\\)$`),
      ],
      [
        'policy',
        expect.stringMatching(
          `^${refused} unable to verify the first certificate \\(CN=eve; serial number [0-9A-F]+; issued by CN=Strangers\\)$`,
        ),
      ],
      ['policy', expect.stringMatching(`^${refused} certificate has expired \\(CN=late, OU=x{60}, O=y{40,50}; serial number`)],
    ]);
  });
});

describe('identities', () => {
  const names = ['URI:spiffe://example.org/web', 'DNS:Web.Example.org', 'email:web@example.org', 'IP:192.0.2.7', 'URI:urn:x:y'];
  const subject = '/C=DE/O=Firma, \\+ Söhne/CN=ana';
  const table: readonly { identity: string; matches: boolean }[] = [
    { identity: 'spiffe://example.org/*', matches: true },
    { identity: 'spiffe://example.org/other', matches: false },
    { identity: 'uri:urn:x:y', matches: true },
    { identity: 'dns:web.example.org', matches: true },
    { identity: 'email:web@example.org', matches: true },
    { identity: 'ip:192.0.2.7', matches: true },
    { identity: 'ip:192.0.2.8', matches: false },
    { identity: 'cn:ana', matches: true },
    { identity: 'subject:CN=ana,*', matches: true },
    { identity: 'issuer:CN=Test Authority', matches: true },
    { identity: 'issuer:CN=Strangers', matches: false },
  ];

  it('are those of the certificate, and rules go by them, on resumed sessions too', async () => {
    const ana = authority.issue({ names, subject });
    for (const { identity, matches } of table) {
      const rules = `[{ name: known, identities: ["${identity}"], action: allow }]`;
      if (edge === null) await start(`verify: optional, ca: ${authority.ca}`, rules);
      else
        await edge.apply({
          tls: `{ certificates: [${pairs(shop)}], alpn: [http/1.1], clients: { verify: optional, ca: ${authority.ca} } }`,
          server,
          rules,
        });
      expect(await outcome(edge!.port, shown(ana)), identity).toBe(matches ? 'served' : '403');
      expect(await outcome(edge!.port, {}), identity).toBe('403');
    }
    const rules = '[{ name: known, identities: ["cn:ana"], action: allow }]';
    await edge!.apply({
      tls: `{ certificates: [${pairs(shop)}], alpn: [http/1.1], clients: { verify: optional, ca: ${authority.ca} } }`,
      server,
      rules,
    });
    const first = await dial(edge!.port, authority, shown(ana));
    const session = new Promise<Buffer>((resolve) => first.once('session', resolve));
    await ask(first);
    const again = await dial(edge!.port, authority, { session: await session });
    expect(again.isSessionReused()).toBe(true);
    expect(await ask(again)).toContain('served');
  });
});
