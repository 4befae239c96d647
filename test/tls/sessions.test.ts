/** Sessions that are resumed, and certificates that change under load. */
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
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
  });
});

describe('certificates that change', () => {
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
    edge = await startEdge({ tls: `{ certificates: [{ certificate: ${certificate}, key: ${key} }], alpn: [] }`, server });
    const old: TLSSocket = await dial(edge.port, authority);
    const wanted = authority.issue({ names: ['DNS:shop.example.com'], subject: '/CN=renewed' });
    put(wanted);
    const { port } = edge;
    let served = '';
    await until(async () => {
      const socket = await dial(port, authority);
      served = socket.getPeerCertificate().subject.CN as string;
      expect(await ask(socket)).toContain('served');
      return served === 'renewed';
    }, 9_000);
    expect(await ask(old)).toContain('served');

    writeFileSync(certificate, 'half a cert');
    const { at } = edge;
    await until(() => at.node.certificates().failures === 1, 9_000);
    expect(at.logged.some(({ fields }) => JSON.stringify(fields).includes('holds no certificate'))).toBe(true);
    const socket = await dial(port, authority);
    expect(socket.getPeerCertificate().subject.CN).toBe('renewed');
    socket.destroy();
    const [fact] = at.node.certificates().inUse;
    expect(fact).toMatchObject({ application: 'shop', name: 'shop.example.com' });
    expect(fact!.notAfter).toBeGreaterThan(Date.now() + 29 * 24 * 3_600_000);
    expect(readFileSync(certificate, 'utf8')).toBe('half a cert');
  });
});
