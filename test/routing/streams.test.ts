/** Routes of an application that lets TLS through: by what the hello says, without decrypting. */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server } from 'node:tls';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode } from '../node/harness.ts';
import { Authority } from '../tls/authority.ts';

const NAMES = ['one', 'two', 'rest'] as const;
const authority = new Authority();
const servers: Server[] = [];
const ports: Record<string, number> = {};
let vip: number;
let running: RunningNode;

beforeAll(async () => {
  for (const name of NAMES) {
    const issued = authority.issue({ names: [`DNS:${name}.example.com`] });
    const files = { cert: readFileSync(issued.certificate), key: readFileSync(issued.key) };
    const server = createServer({ ...files, ALPNProtocols: ['http/1.1', 'imap'] }, (socket) =>
      socket.on('error', () => undefined).end(name),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ports[name] = (server.address() as AddressInfo).port;
    servers.push(server);
  }
  vip = await freePort();
  running = await startNode(`
version: 1
process: { workers: 1 }
pools:
${NAMES.map((name) => `  ${name}: { servers: [127.0.0.1:${ports[name]}] }`).join('\n')}
applications:
  edge:
    vips: [127.0.0.1:${vip}]
    mode: tcp
    tls: passthrough
    pool: rest
    routes:
      - { name: one, tls: { sni: [one.example.com] }, pool: one }
      - { name: two, tls: { sni: ["*.two.example.com"], alpn: [imap] }, pool: two }
    rules: [{ name: all, action: allow }]
`);
});

afterAll(async () => {
  await running.stop();
  for (const server of servers) server.close();
  authority.remove();
});

const TABLE: readonly (readonly [servername: string, alpn: string[], server: string])[] = [
  ['one.example.com', [], 'one'],
  ['ONE.example.com', ['http/1.1'], 'one'],
  ['a.two.example.com', ['imap'], 'two'],
  ['a.two.example.com', ['http/1.1'], 'rest'],
  ['two.example.com', ['imap'], 'rest'],
  ['other.example.com', [], 'rest'],
];

it.each(TABLE)('%s with %j goes to %s', async (servername, alpn, server) => {
  const socket = connect({ port: vip, host: '127.0.0.1', servername, ALPNProtocols: alpn, rejectUnauthorized: false });
  let text = '';
  for await (const part of socket) text += part;
  expect(text).toBe(server);
});
