/** Sessions that are resumed, and certificates that change under load. */
import { once } from 'node:events';
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { Agent, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { advance, beginChain, TicketKeys } from '../../proxy/tls/tickets.ts';
import { until } from '../node/harness.ts';
import { Authority, type Issued } from './authority.ts';
import { ask, dial, type Edge, pairs, startEdge } from './edge.ts';

let authority: Authority;
let shop: Issued;
let web: Server;
let server = 0;
let edge: Edge | null = null;

beforeAll(async () => {
  authority = new Authority();
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
});

/** One whole visit; answers its session and whether it was resumed. */
async function visit(port: number, options: ConnectionOptions = {}): Promise<{ session: Buffer; resumed: boolean }> {
  const socket = await dial(port, authority, options);
  let session: Buffer = socket.getSession()!;
  socket.on('session', (newer: Buffer) => {
    session = newer;
  });
  const resumed = socket.isSessionReused();
  expect(await ask(socket)).toContain('served');
  return { session, resumed };
}

describe('resumption', () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`works on every worker under ${version}, and after a swap`, async () => {
      edge = await startEdge({ tls: `{ certificates: [${pairs(shop)}], alpn: [] }`, server, workers: 2 });
      const options: ConnectionOptions = { minVersion: version, maxVersion: version };
      let { session, resumed } = await visit(edge.port, options);
      expect(resumed).toBe(false);
      for (let i = 0; i < 12; i++) {
        if (i === 6)
          await edge.apply({
            tls: `{ certificates: [${pairs(shop)}], alpn: [] }`,
            server,
            workers: 2,
            rules: '[{ name: other, action: allow }]',
          });
        ({ session, resumed } = await visit(edge.port, { ...options, session }));
        expect(resumed, `visit ${i}`).toBe(true);
      }
      const counts = edge.handshakes();
      const short = version.slice(-3);
      expect(counts).toMatchObject({ [`full-${short}`]: 1, [`resumed-${short}`]: 12 });
    });
  }

  const anew: readonly { version: 'TLSv1.2' | 'TLSv1.3'; tickets: string }[] = [
    { version: 'TLSv1.3', tickets: 'another one, since each is for one connection' },
    { version: 'TLSv1.2', tickets: 'none, since the first serves until its key goes' },
  ];
  for (const { version, tickets } of anew) {
    it(`gives who was resumed under ${version} ${tickets}`, async () => {
      edge = await startEdge({ tls: `{ certificates: [${pairs(shop)}], alpn: [] }`, server });
      const options: ConnectionOptions = { minVersion: version, maxVersion: version };
      const { session } = await visit(edge.port, options);
      const socket = await dial(edge.port, authority, { ...options, session });
      const given: Buffer[] = [];
      socket.on('session', (newer: Buffer) => void given.push(newer));
      await ask(socket);
      expect(socket.isSessionReused()).toBe(true);
      expect(given.length).toBe(version === 'TLSv1.3' ? 1 : 0);
      for (const next of given) expect((await visit(edge.port, { ...options, session: next })).resumed).toBe(true);
    });
  }

  it('is off where tickets are', async () => {
    edge = await startEdge({ tls: `{ certificates: [${pairs(shop)}], tickets: off, alpn: [] }`, server });
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { session } = await visit(edge.port, { maxVersion });
      expect((await visit(edge.port, { maxVersion, session })).resumed).toBe(false);
    }
  });

  it('ends where other authorities of clients begin', async () => {
    const tls = `{ certificates: [${pairs(shop)}], alpn: [] }`;
    edge = await startEdge({ tls, server });
    const { session } = await visit(edge.port);
    await edge.apply({ tls: `{ certificates: [${pairs(shop)}], alpn: [], clients: { verify: optional, ca: ${authority.ca} } }`, server });
    expect((await visit(edge.port, { session })).resumed).toBe(false);
  });
});

describe('ticket keys', () => {
  const PERIOD = 60_000;
  const name = (keys: TicketKeys) => (keys.answer(Buffer.alloc(16), true) as unknown[])[3] as Buffer;

  it('are the same in every thread, whenever it came by its chain', () => {
    const chain = beginChain(PERIOD, 0);
    for (const [joinedAt, now] of [
      [0, 0],
      [0, 5 * PERIOD],
      [3 * PERIOD, 5 * PERIOD],
      [5 * PERIOD, 5 * PERIOD],
    ] as const) {
      const early = new TicketKeys(chain, () => now);
      const late = new TicketKeys(advance(chain, joinedAt), () => now);
      expect(name(late).equals(name(early)), `${joinedAt} at ${now}`).toBe(true);
    }
  });

  it('open tickets of their own period and of the one after, and no longer', () => {
    let now = 0;
    const keys = new TicketKeys(beginChain(PERIOD, 0), () => now);
    const first = Buffer.from(name(keys));
    const answers = [0, 0.9, 1, 1.9, 2, 3].map((periods) => {
      now = periods * PERIOD;
      return keys.answer(first, false)[0];
    });
    expect(answers).toEqual([1, 1, 2, 2, 0, 0]);
    now = 0;
    expect(keys.answer(Buffer.alloc(16, 7), false)[0]).toBe(0);
    keys.renews = true;
    expect(keys.answer(Buffer.from(name(keys)), false)[0]).toBe(2);
  });

  it('never use a vector twice', () => {
    const keys = new TicketKeys(beginChain(PERIOD, 0), () => 0);
    const vectors = Array.from({ length: 1_000 }, () => (keys.answer(Buffer.alloc(16), true)[4] as Buffer).toString('hex'));
    expect(new Set(vectors).size).toBe(vectors.length);
  });
});

describe('certificates that change', () => {
  /** Clients that come again and again, and clients that stay. */
  const VISITORS = 2;
  const KEPT = 3;
  const AFTERWARDS = 6;

  it('come into use without a restart and without a connection less', async () => {
    const [certificate, key] = [authority.path('live.pem'), authority.path('live.key')];
    const put = (one: Issued) => {
      // As renewal programs do it: whole files, moved into place.
      for (const [from, to] of [
        [one.key, key],
        [one.certificate, certificate],
      ] as const) {
        copyFileSync(from, `${to}.new`);
        renameSync(`${to}.new`, to);
      }
    };
    put(shop);
    edge = await startEdge({ tls: `{ certificates: [{ certificate: ${certificate}, key: ${key} }], alpn: [] }`, server, workers: 2 });
    const { port, at } = edge;
    const old: TLSSocket = await dial(port, authority);
    const kept = new Agent({ keepAlive: true, maxSockets: KEPT, maxTotalSockets: KEPT, ca: readFileSync(authority.ca) });
    let running = true;
    /** Names of the certificates that a client was shown, in their order. */
    const shown = Array.from({ length: VISITORS }, () => [] as string[]);
    const visitors = shown.map(async (names) => {
      while (running) {
        const socket = await dial(port, authority);
        names.push(socket.getPeerCertificate().subject.CN as string);
        expect(await ask(socket)).toContain('served');
      }
    });
    let opened = 0;
    let answered = 0;
    const sitters = Array.from({ length: KEPT }, async () => {
      while (running) {
        const asked = request({ agent: kept, port, host: '127.0.0.1', servername: 'shop.example.com' }).end();
        asked.once('socket', () => {
          if (!asked.reusedSocket) opened++;
        });
        const [response] = (await once(asked, 'response')) as [IncomingMessage];
        expect(response.statusCode).toBe(200);
        for await (const _part of response) answered++;
      }
    });
    put(authority.issue({ names: ['DNS:shop.example.com'], subject: '/CN=renewed' }));
    // Whatever fails on the way fails here.
    const load = Promise.all([...visitors, ...sitters]);
    const served = until(() => shown.every((names) => names.filter((one) => one === 'renewed').length >= AFTERWARDS), 40_000);
    await Promise.race([load, served]).finally(() => {
      running = false;
    });
    await load;
    kept.destroy();
    expect(shown.flat().filter((name) => name === 'test').length).toBeGreaterThan(0);
    // From the moment on that all workers have the new one, nobody is shown the old one.
    for (const names of shown) expect(names.slice(-AFTERWARDS / 2)).not.toContain('test');
    // Those that were open then have lived on.
    expect(opened).toBe(KEPT);
    expect(answered).toBeGreaterThan(opened);
    expect(await ask(old)).toContain('served');

    writeFileSync(certificate, 'half a cert');
    await until(() => at.node.certificates().failures === 1, 9_000);
    expect(at.logged.some(({ fields }) => JSON.stringify(fields).includes('holds no certificate'))).toBe(true);
    const socket = await dial(port, authority);
    expect(socket.getPeerCertificate().subject.CN).toBe('renewed');
    socket.destroy();
    const [fact] = at.node.certificates().inUse;
    expect(fact).toMatchObject({ application: 'shop', name: 'shop.example.com' });
    expect(fact!.notAfter).toBeGreaterThan(Date.now() + 29 * 24 * 3_600_000);
    expect(readFileSync(certificate, 'utf8')).toBe('half a cert');
  }, 60_000);
});
