import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority, type Issued } from '../tls/authority.ts';
import { type Edge, pairs, startEdge } from '../tls/edge.ts';

const run = promisify(execFile);
const authority = new Authority();
let certificate: Issued;
let edge: Edge;
const server = createServer((asked, answer) => {
  let length = 0;
  asked.on('data', (data: Buffer) => (length += data.length));
  asked.on('end', () => answer.end(`${asked.method} ${asked.url} ${length} ${asked.headers['x-forwarded-proto']}\n`));
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  certificate = authority.issue({ names: ['DNS:shop.test'] });
  edge = await startEdge({ server: (server.address() as AddressInfo).port, tls: `{ certificates: [${pairs(certificate)}] }` });
});

afterAll(async () => {
  await edge.at.stop();
  server.closeAllConnections();
  server.close();
  authority.remove();
});

const curl = async (...args: readonly string[]) => {
  const { stdout } = await run('curl', [
    '-sS',
    '--max-time',
    '5',
    '--cacert',
    authority.ca,
    '--resolve',
    `shop.test:${edge.port}:127.0.0.1`,
    ...args,
  ]);
  return stdout;
};

describe('behind TLS', () => {
  it.each([
    ['h2', '--http2', '2'],
    ['http/1.1', '--http1.1', '1.1'],
  ])('curl agrees on %s', async (_name, option, version) => {
    const said = await curl(option, '-w', '%{http_version}', '-d', 'hello', `https://shop.test:${edge.port}/x`);
    expect(said).toBe(`POST /x 5 https\n${version}`);
  });

  it('says so in the record', async () => {
    const record = (await edge.at.records(2)).find(({ alpn }) => String(alpn).includes('h2'));
    expect(record).toMatchObject({ protocol: 'h2', sni: 'shop.test', path: '/x', status: 200 });
  });

  it('carries large bodies both ways', async () => {
    const session = connect(`https://127.0.0.1:${edge.port}`, { ca: readFileSync(authority.ca), servername: 'shop.test' });
    const stream = session.request({ ':path': '/large', ':method': 'POST' });
    stream.end(Buffer.alloc(5_000_000, 'x'));
    let text = '';
    for await (const chunk of stream) text += chunk;
    expect(text).toBe('POST /large 5000000 https\n');
    session.close();
  });

  it('reaches servers that agree on h2', async () => {
    const secure = createSecureServer(
      { cert: readFileSync(certificate.certificate), key: readFileSync(certificate.key) },
      (asked, answer) => answer.end(`${asked.httpVersion} ${asked.url}`),
    );
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
    const port = (secure.address() as AddressInfo).port;
    const front = await startEdge({ server: port, pool: `protocol: h2, tls: { verify: ${authority.ca}, sni: shop.test }` });
    const { stdout } = await run('curl', ['-sS', '--max-time', '5', `http://127.0.0.1:${front.port}/secure`]);
    expect(stdout).toBe('2.0 /secure');
    await front.at.stop();
    secure.close();
  });
});

describe('in the clear', () => {
  it('curl needs no upgrade', async () => {
    const front = await startEdge({ server: (server.address() as AddressInfo).port });
    const { stdout } = await run('curl', [
      '-sS',
      '--max-time',
      '5',
      '--http2-prior-knowledge',
      '-w',
      '%{http_version}',
      `http://127.0.0.1:${front.port}/y`,
    ]);
    expect(stdout).toBe('GET /y 0 http\n2');
    await front.at.stop();
  });
});
