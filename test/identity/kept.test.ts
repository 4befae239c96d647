/** Tokens of a connection that is kept, while the policy, its keys or the time change. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode, until } from '../node/harness.ts';

let keys: Server;
let web: Server;
let waiting: ServerResponse[];
let answering: boolean;
let jwks: string;
let token: string;
let vip: number;
let running: RunningNode;
let socket: Socket;
let got: string;

beforeEach(async () => {
  const pair = await generateKeyPair('ES256');
  jwks = JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'ES256' }] });
  token = await new SignJWT({ iss: 'https://login.example', aud: 'shop', sub: 'anna', exp: Math.floor(Date.now() / 1000) + 60 })
    .setProtectedHeader({ alg: 'ES256', kid: 'one' })
    .sign(pair.privateKey);
  waiting = [];
  answering = false;
  keys = createServer((_, answer) => (answering ? answer.end(jwks) : waiting.push(answer)));
  web = createServer((asked, answer) => answer.end(`web ${asked.url}`));
  await Promise.all([keys, web].map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))));
  vip = await freePort();
  got = '';
});

afterEach(async () => {
  socket.destroy();
  await running.stop();
  for (const server of [keys, web]) {
    server.closeAllConnections();
    server.close();
  }
});

const port = (server: Server) => (server.address() as AddressInfo).port;
const file = (rules: string, issuers = true) => `
version: 1
process: { workers: 1 }
pools: { web: { servers: [127.0.0.1:${port(web)}] } }
applications:
  shop:
    vips: [127.0.0.1:${vip}]
    mode: http
    pool: web
    timeouts: { keep-alive: 300ms }
    ${issuers ? `jwt: [{ issuer: https://login.example, audiences: [shop], keys: "http://127.0.0.1:${port(keys)}/keys" }]` : ''}
    rules: [${rules}]
`;
const ANNA = '{ name: anna, identities: ["jwt:anna"], action: allow }';

describe('a request that waits for keys', () => {
  it('is answered although a policy comes meanwhile that allows it as well', async () => {
    running = await startNode(file(ANNA));
    await until(() => waiting.length > 0);
    socket = connect(vip, '127.0.0.1');
    let over = false;
    socket
      .on('data', (bytes) => (got += bytes.toString('latin1')))
      .on('error', () => undefined)
      .on('close', () => (over = true));
    socket.write(`GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    await until(() => running.application('shop').bytesIn > 0);
    expect((await running.apply(file(`${ANNA}, { name: other, from: [192.0.2.1], action: allow }`))).ok).toBe(true);
    answering = true;
    for (const answer of waiting) answer.end(jwks);
    await until(() => got.includes('web /a') || over);
    expect(got).toContain('web /a');
  });

  it('has the time that heads have, and not what was left of the time between two requests', async () => {
    running = await startNode(file(`{ name: open, http: { paths: [/open] }, action: allow }, ${ANNA}`));
    await until(() => waiting.length > 0);
    socket = connect(vip, '127.0.0.1');
    socket.on('data', (bytes) => (got += bytes.toString('latin1'))).on('error', () => undefined);
    socket.write('GET /open HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => got.includes('web /open'));
    socket.write(`GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    await new Promise((resolve) => setTimeout(resolve, 700));
    answering = true;
    for (const answer of waiting) answer.end(jwks);
    await until(() => got.includes('web /a') || got.includes(' 408 '));
    expect(got).not.toContain(' 408 ');
  });
});

describe('a connection of somebody who showed a token', () => {
  it("is nobody's, once tokens are no longer taken", async () => {
    answering = true;
    running = await startNode(file(ANNA));
    socket = connect(vip, '127.0.0.1');
    socket.on('data', (bytes) => (got += bytes.toString('latin1'))).on('error', () => undefined);
    socket.write(`GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    await until(() => got.includes('web /a'));
    expect((await running.apply(file(ANNA, false))).ok).toBe(true);
    socket.write('GET /b HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => got.includes('web /b') || got.includes(' 403 '));
    expect(got).not.toContain('web /b');
  });

  it('is told of no token, once tokens are no longer taken', async () => {
    answering = true;
    running = await startNode(file(`{ name: open, http: { paths: [/open] }, action: allow }, ${ANNA}`));
    socket = connect(vip, '127.0.0.1');
    socket.on('data', (bytes) => (got += bytes.toString('latin1'))).on('error', () => undefined);
    socket.write('GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer hello\r\n\r\n');
    await until(() => got.includes('HTTP/1.1 401 '));
    expect((await running.apply(file(`{ name: open, http: { paths: [/open] }, action: allow }, ${ANNA}`, false))).ok).toBe(true);
    socket.write('GET /b HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => got.split('HTTP/1.1').length > 2);
    expect(got).toContain('HTTP/1.1 403 ');
  });
});
