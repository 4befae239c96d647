/** What a client may still say of TLS once its connection is up: new keys, and the end. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../node/harness.ts';
import { lacks, peer } from '../real/programs.ts';
import { Authority } from './authority.ts';
import { type Edge, pairs, startEdge } from './edge.ts';

const LARGE = 'x'.repeat(300_000);

let authority: Authority;
let web: Server;
let edge: Edge;

beforeAll(async () => {
  authority = new Authority();
  web = createServer((request, response) => response.end(request.url === '/large' ? LARGE : `served ${request.url}`));
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const certificate = authority.issue({ names: ['DNS:shop.example.com'] });
  const { port } = web.address() as AddressInfo;
  edge = await startEdge({ tls: `{ certificates: [${pairs(certificate)}] }`, server: port });
});

afterAll(async () => {
  await edge.at.stop();
  web.close();
  web.closeAllConnections();
  authority.remove();
});

/** openssl s_client, which takes lines that begin with k, K or R for orders to itself. */
class Client {
  text = '';
  ended = false;
  private readonly program: ChildProcessWithoutNullStreams;

  constructor(...words: readonly string[]) {
    this.program = spawn(peer('openssl'), ['s_client', '-connect', `127.0.0.1:${edge.port}`, '-servername', 'shop.example.com', ...words]);
    for (const stream of [this.program.stdout, this.program.stderr])
      stream.on('data', (part: Buffer) => {
        this.text += part.toString('latin1');
      });
    this.program.once('close', () => {
      this.ended = true;
    });
  }

  async says(what: string): Promise<void> {
    await until(() => this.text.includes(what));
  }

  write(line: string): void {
    this.program.stdin.write(line);
  }

  close(): void {
    this.program.kill();
  }
}

const asking = (path: string) => `GET ${path} HTTP/1.1\r\nhost: shop.example.com\r\n\r\n`;

describe.skipIf(lacks('openssl'))('a client of TLS 1.3', () => {
  it.each([
    ['for itself', 'k'],
    ['for both sides', 'K'],
  ])('takes new keys %s, between requests and before a large answer', async (_whose, order) => {
    const client = new Client('-tls1_3');
    await client.says('New, TLSv1.3');
    client.write(asking('/first'));
    await client.says('served /first');
    for (let round = 1; round <= 3; round++) {
      client.text = '';
      client.write(`${order}\n`);
      await client.says('KEYUPDATE');
      client.write(asking(`/after-${round}`));
      await client.says(`served /after-${round}`);
    }
    client.write(asking('/large'));
    await client.says(LARGE);
    expect(client.ended).toBe(false);
    client.close();
  });
});

describe.skipIf(lacks('openssl'))('a client of TLS 1.2', () => {
  it('that wants to begin anew in between is refused, and what was served stays served', async () => {
    const client = new Client('-tls1_2');
    await client.says('New, TLSv1.2');
    client.write(asking('/first'));
    await client.says('served /first');
    client.write('R\n');
    await client.says('RENEGOTIATING');
    await until(() => client.ended);
    expect(client.text).toMatch(/no renegotiation/);
    await until(() => edge.at.application('shop').connectionsActive === 0);
  });
});
