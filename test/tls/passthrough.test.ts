/** TLS that passes through: the hello is read and judged, the rest is the server's. */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect as connectTcp } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Authority, type Issued } from './authority.ts';
import { ask, dial, type Edge, startEdge, tell } from './edge.ts';

let authority: Authority;
let shop: Issued;
let secure: Server;
let server = 0;
let edge: Edge | null = null;

beforeAll(async () => {
  authority = new Authority();
  shop = authority.issue({ names: ['DNS:shop.example.com', 'DNS:*.example.com'] });
  secure = createServer(
    { cert: readFileSync(shop.certificate), key: readFileSync(shop.key), ALPNProtocols: ['http/1.1', 'imap'] },
    (socket: TLSSocket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\n\r\n${socket.servername}`));
    },
  );
  secure.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
  server = (secure.address() as AddressInfo).port;
});

afterEach(async () => {
  await edge?.at.stop();
  edge = null;
});

afterAll(() => {
  secure.close();
  authority.remove();
});

describe('passthrough', () => {
  it('rules go by what the hello says, and the server ends TLS', async () => {
    const rules = `[
      { name: bad-name, tls: { sni: [bad.example.com] }, action: deny },
      { name: mail, tls: { alpn: [imap] }, action: deny },
      { name: names, tls: { sni: ["*.example.com"] }, action: allow }]`;
    edge = await startEdge({ tls: 'passthrough', mode: 'tcp', server, rules });
    const { port, at } = edge;
    const table: readonly { name: string; alpn: string[]; gets: 'server' | 'nothing'; by: string }[] = [
      { name: 'shop.example.com', alpn: ['http/1.1'], gets: 'server', by: 'names' },
      { name: 'bad.example.com', alpn: ['http/1.1'], gets: 'nothing', by: 'bad-name' },
      { name: 'shop.example.com', alpn: ['imap'], gets: 'nothing', by: 'mail' },
      { name: 'shop.example.org', alpn: ['http/1.1'], gets: 'nothing', by: 'default' },
    ];
    for (const [row, { name, alpn, gets }] of table.entries()) {
      const socket = await dial(port, authority, { servername: name, ALPNProtocols: alpn, rejectUnauthorized: false }).catch(() => null);
      if (gets === 'nothing') expect(socket, name).toBe(null);
      else {
        expect(socket!.getPeerCertificate().fingerprint256).toBeDefined();
        expect(await ask(socket!)).toContain(name);
      }
      // A flow is recorded when it is over, which the next one need not wait for.
      await at.records(row + 1);
    }
    const records = await at.records(table.length);
    expect(records.map(({ sni, alpn, rule, tls }) => ({ sni, alpn, rule: rule ?? 'default', tls }))).toEqual(
      table.map(({ name, alpn, by }) => ({ sni: name, alpn: alpn.join(','), rule: by, tls: null })),
    );
    expect(records.every(({ ja4 }) => /^t13d[0-9]{4}[a-z0-9]{2}_/.test(ja4!))).toBe(true);
    expect(edge.handshakes()).toMatchObject({ passed: table.length });
  });

  it('the hello reaches the server whole, in whatever pieces it came', async () => {
    edge = await startEdge({ tls: 'passthrough', mode: 'tcp', server });
    const { port } = edge;
    // A client behind a proxy of ours that cuts its bytes up.
    const { createServer: createTcp } = await import('node:net');
    const cutter = createTcp((client) => {
      const on = connectTcp(port, '127.0.0.1');
      on.setNoDelay(true);
      let sent: Promise<void> = Promise.resolve();
      client.on('data', (bytes: Buffer) => {
        for (let at = 0; at < bytes.length; at += 97) {
          const part = bytes.subarray(at, at + 97);
          sent = sent.then(() => new Promise<void>((resolve) => on.write(part, () => setImmediate(resolve))));
        }
      });
      on.on('data', (bytes: Buffer) => client.write(bytes));
      on.on('end', () => client.end());
      for (const socket of [client, on]) socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => cutter.listen(0, '127.0.0.1', resolve));
    const socket = await dial((cutter.address() as AddressInfo).port, authority);
    expect(await ask(socket)).toContain('shop.example.com');
    cutter.close();
  });

  it('what is no TLS does not pass', async () => {
    edge = await startEdge({ tls: 'passthrough', mode: 'tcp', server });
    expect(await tell(edge.port, Buffer.from('EHLO there\r\n'))).toBe('');
    expect((await edge.at.records(1))[0]).toMatchObject({ reason: 'speaks no TLS', server: null });
  });
});
