import { createHash, type Hash } from 'node:crypto';
import { createServer, type IncomingMessage, request as open, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../node/harness.ts';
import { type Proxied, settled, startNoting, startProxy, type WireClient } from './wire-client.ts';

describe('large bodies', () => {
  const SIZE = 64 * 1024 * 1024;
  const block = Buffer.alloc(1024 * 1024, 'block of bytes that differ ').map((byte, i) => byte ^ (i * 31));
  let server: Server;
  let proxy: Proxied;
  const taken: { hash: string; length: number }[] = [];

  const sum = (blocks: number) => {
    const hash = createHash('sha1');
    for (let i = 0; i < blocks; i++) hash.update(block);
    return hash.digest('hex');
  };

  async function produce(response: ServerResponse, blocks: number): Promise<void> {
    for (let i = 0; i < blocks; i++) if (!response.write(block)) await new Promise((resolve) => response.once('drain', resolve));
    response.end();
  }

  function consume(request: IncomingMessage, response: ServerResponse): void {
    const hash: Hash = createHash('sha1');
    let length = 0;
    request.on('data', (data: Buffer) => {
      hash.update(data);
      length += data.length;
      if (request.url === '/slow' && length < SIZE / 4) {
        request.pause();
        setTimeout(() => request.resume(), 1);
      }
    });
    request.on('end', () => {
      taken.push({ hash: hash.digest('hex'), length });
      response.end('taken');
    });
  }

  beforeAll(async () => {
    server = createServer((request, response) => {
      if (request.method === 'POST') consume(request, response);
      else {
        if (request.url!.startsWith('/length')) response.setHeader('Content-Length', SIZE);
        void produce(response, SIZE / block.length);
      }
    }).listen(0, '127.0.0.1');
    await until(() => server.listening);
    proxy = await startProxy([(server.address() as AddressInfo).port]);
  });

  afterAll(async () => {
    await proxy.stop();
    server.closeAllConnections();
    server.close();
  });

  it.each([
    ['with a length', '/length', 'HTTP/1.1', false],
    ['with a length to a slow reader', '/length', 'HTTP/1.1', true],
    ['in chunks', '/chunks', 'HTTP/1.1', false],
    ['in chunks to a slow reader of HTTP/1.0', '/chunks', 'HTTP/1.0', true],
  ])('come down %s', async (_what, path, version, slow) => {
    const hash = createHash('sha1');
    let length = 0;
    const note = (data: Buffer) => {
      hash.update(data);
      length += data.length;
    };
    if (version === 'HTTP/1.1')
      await new Promise<void>((resolve, reject) => {
        open({ port: proxy.port, path, agent: false }, (response) => {
          response.on('data', (data: Buffer) => {
            note(data);
            if (!slow || length > SIZE / 4) return;
            response.pause();
            setTimeout(() => response.resume(), 1);
          });
          response.on('end', resolve);
          response.on('error', reject);
        })
          .on('error', reject)
          .end();
      });
    else {
      const client = await proxy.open();
      client.socket.removeAllListeners('data');
      let head = Buffer.alloc(0);
      client.socket.on('data', (data: Buffer) => {
        if (head.includes('\r\n\r\n')) note(data);
        else {
          head = Buffer.concat([head, data]);
          const end = head.indexOf('\r\n\r\n');
          if (end >= 0) note(head.subarray(end + 4));
        }
        if (length > SIZE / 4) return;
        client.socket.pause();
        setTimeout(() => client.socket.resume(), 1);
      });
      client.send(`GET ${path} HTTP/1.0\r\n\r\n`);
      expect(await client.end(20_000)).toBe('end');
      client.close();
    }
    expect({ length, hash: hash.digest('hex') }).toEqual({ length: SIZE, hash: sum(SIZE / block.length) });
  });

  it.each([
    ['with a length', '/length', true],
    ['with a length to a slow server', '/slow', true],
    ['in chunks', '/chunks', false],
  ])('go up %s', async (_what, path, withLength) => {
    const body = await new Promise<string>((resolve, reject) => {
      const upload = open(
        { port: proxy.port, path, method: 'POST', agent: false, headers: withLength ? { 'content-length': SIZE } : {} },
        (response) => {
          let text = '';
          response.on('data', (data) => (text += data));
          response.on('end', () => resolve(text));
        },
      );
      upload.on('error', reject);
      void (async () => {
        for (let i = 0; i < SIZE / block.length; i++)
          if (!upload.write(block)) await new Promise((drained) => upload.once('drain', drained));
        upload.end();
      })();
    });
    expect(body).toBe('taken');
    expect(taken.shift()).toEqual({ length: SIZE, hash: sum(SIZE / block.length) });
  });

  it('go up one right behind the other', async () => {
    const bodies = [5_000_000, 90_000, 250_000, 3_000_000, 10, 700_000].map((size, i) => Buffer.alloc(size, 'abcdef'[i]));
    const client = await proxy.open();
    client.send(
      Buffer.concat(
        bodies.flatMap((body) => [Buffer.from(`POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`), body]),
      ),
    );
    for (const body of bodies) {
      expect((await client.answer()).body.toString()).toBe('taken');
      expect(taken.shift()).toEqual({ length: body.length, hash: createHash('sha1').update(body).digest('hex') });
    }
    client.close();
  });

  it('leave every flow closed', () => settled(proxy.running));
});

describe('bytes of one client', () => {
  it('that wait for a slow reader are never those of the next on the same server connection', async () => {
    // The path says which letter, and how often.
    const server = await startNoting((socket, soFar) => {
      const [letter, length] = soFar.toString('latin1').split('GET /').at(-1)!.split(' ')[0]!.split('/');
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`);
      socket.write(Buffer.alloc(Number(length), letter));
    });
    const proxy = await startProxy([server.port]);
    const unread = async (letter: string, length: number) => {
      const client = await proxy.open();
      client.socket.pause();
      client.send(`GET /${letter}/${length} HTTP/1.1\r\nHost: a\r\n\r\n`);
      return client;
    };
    // How much goes out to a client that reads nothing until the node holds the server back.
    const probe = await unread('x', 64 * 1024 * 1024);
    let out = -1;
    await until(async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const before = out;
      out = proxy.running.application('web').bytesOut;
      return out > 0 && out === before;
    });
    probe.close();
    await settled(proxy.running);
    const ended = () => proxy.running.application('web').flowsClosed;
    // The longest responses of which the server's part is over while the client has read nothing: the last of them wait in the node.
    const slow: { client: WireClient; letter: string; length: number }[] = [];
    const longest = async (letter: string) => {
      for (let length = out; ; length -= 40_000) {
        const before = ended();
        const client = await unread(letter, length);
        await until(() => ended() > before, 60).catch(() => undefined);
        if (ended() > before) return slow.push({ client, letter, length });
        client.close();
        await until(() => ended() > before);
      }
    };
    for (const letter of 'abc') await longest(letter);
    for (const { client, letter, length } of slow) {
      client.socket.resume();
      expect((await client.answer()).body.equals(Buffer.alloc(length, letter))).toBe(true);
      client.close();
    }
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });
});
