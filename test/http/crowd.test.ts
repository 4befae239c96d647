/** What single clients see while a crowd has whole messages wait for the end of the turn. The crowd is wrk's. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort, startNode } from '../node/harness.ts';
import { lacks, peer } from '../real/programs.ts';
import { startPlain, WireClient } from './wire-client.ts';

const ROUNDS = 60;

/** A VIP under load, and its port. */
async function crowded(): Promise<number> {
  const server = await startPlain();
  const port = await freePort();
  const running = await startNode(`
version: 1
process: { workers: 1 }
pools: { web: { servers: ["127.0.0.1:${server.port}"] } }
applications:
  web:
    vips: [127.0.0.1:${port}]
    mode: http
    pool: web
    rules:
      - { name: cut, http: { paths: [/cut] }, action: deny, deny-with: reset }
      - { name: all, action: allow }
`);
  const crowd = spawn(peer('wrk'), ['-t1', '-c64', '-d60s', `http://127.0.0.1:${port}/crowd`], { stdio: 'ignore' });
  const gone = once(crowd, 'exit');
  onTestFinished(async () => {
    crowd.kill('SIGTERM');
    await gone;
    await running.stop();
    await server.close();
  });
  return port;
}

describe.skipIf(lacks('wrk'))('in a crowd', () => {
  it('an answer goes before the reset of a request behind it', async () => {
    const port = await crowded();
    for (let round = 0; round < ROUNDS; round++) {
      const client = await WireClient.open(port);
      client.send(`GET /first/${round} HTTP/1.1\r\nHost: a\r\n\r\nGET /cut HTTP/1.1\r\nHost: a\r\n\r\n`);
      expect((await client.answer()).body.toString()).toBe(`/first/${round}`);
      expect(await client.end()).toBe('reset');
      client.close();
    }
  }, 60_000);

  it('pipelined requests are answered whole and in order, also where the client has half-closed behind them', async () => {
    const port = await crowded();
    for (let round = 0; round < ROUNDS; round++) {
      const client = await WireClient.open(port);
      const paths = Array.from({ length: 1 + (round % 7) }, (_, i) => `/${round}/${i}/${'x'.repeat((round * 97) % 3_000)}`);
      client.send(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
      if (round % 2 === 0) client.socket.end();
      for (const path of paths) expect((await client.answer()).body.toString()).toBe(path);
      if (round % 2 === 0) expect(await client.end()).toBe('end');
      client.close();
    }
  }, 60_000);
});
