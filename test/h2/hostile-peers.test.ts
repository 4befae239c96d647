import { createServer as createHttp2Server, type Http2Server } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort, startServer, until } from '../node/harness.ts';
import { block, FLAG, frame, PREFACE, RawClient, request, TYPE } from './frames.ts';
import { at, front, type Setup } from './front.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function begin(server: number, protocol = 'http'): Promise<Setup> {
  const setup = await front(server, protocol);
  closing.push(() => setup.stop());
  return setup;
}

async function startHttp2(answer: NonNullable<Parameters<typeof createHttp2Server>[1]>): Promise<number> {
  const server: Http2Server = createHttp2Server({ maxSessionMemory: 1_000 }, answer);
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  closing.push(() => server.close());
  return port;
}

/** A server that does as it likes with each connection. */
async function startRaw(serve: (socket: Socket) => void): Promise<number> {
  const server = await startServer(serve);
  closing.push(() => server.close());
  return server.port;
}

async function openHttp2(port: number): Promise<RawClient> {
  const client = await RawClient.open(port);
  closing.push(() => client.close());
  return client;
}

/** A client of HTTP/1.1 that says all of this at once. */
function say(port: number, text: string) {
  const socket = connect({ port, host: '127.0.0.1' }, () => socket.write(text, 'latin1'));
  const client = { text: '', closed: false, socket };
  socket.on('data', (part) => (client.text += part.toString('latin1')));
  socket.on('close', () => (client.closed = true));
  socket.on('error', () => undefined);
  closing.push(() => socket.destroy());
  return client;
}

const asking = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe('a client of HTTP/1.1 that does not wait', () => {
  it.each([
    ['with its head', (answer: string) => answer],
    ['behind its body', (answer: string) => answer.repeat(40_000)],
  ])('is answered everything by a server of HTTP/2 whose streams end %s', async (_how, bodyOf) => {
    const server = await startHttp2((asked, answer) => {
      if (asked.headers['x-empty'] === undefined) answer.end(bodyOf(asked.url));
      else answer.writeHead(204).end();
    });
    const { port } = await begin(server, 'h2');
    const paths = ['/one', '/two', '/three', '/four'];
    const client = say(port, paths.map((path) => asking(path)).join(''));
    await until(() => paths.every((path) => client.text.includes(path)) && client.text.endsWith('0\r\n\r\n'));
    const none = say(port, asking('/').replace('Host', 'X-Empty: 1\r\nHost').repeat(20));
    await until(() => none.text.split('HTTP/1.1 204').length === 21);
  });
});

describe('bytes behind an extended CONNECT', () => {
  const connecting = [
    [':method', 'CONNECT'],
    [':protocol', 'websocket'],
    [':scheme', 'http'],
    [':path', '/ws'],
    [':authority', 'a'],
  ] as const;

  it.each(['at once', 'behind the head'])('are no request where the server refuses it (%s)', async (when) => {
    let seen = '';
    const server = await startRaw((socket) => {
      socket.on('data', (part) => {
        seen += part.toString('latin1');
        // The answer comes when all that the client has said is there.
        setTimeout(() => socket.write('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'), 50);
      });
    });
    const { port, node } = await begin(server);
    const client = await openHttp2(port);
    const hidden = frame(TYPE.data, 0, 1, 'GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n');
    if (when === 'at once') client.send(request(1, connecting, false), hidden);
    else {
      client.send(request(1, connecting, false));
      await until(() => seen.includes('/ws'));
      client.send(hidden);
    }
    expect(await client.answer(1)).toBe('404');
    client.send(request(3, at('/next')));
    await client.answer(3);
    expect([seen.includes('/next'), seen.includes('/hidden')]).toEqual([true, false]);
    await until(() => node.application('shop').flowsActive === 0);
  });

  it('are no body, so that none may be announced', async () => {
    const server = await startRaw(() => undefined);
    const { port } = await begin(server);
    const client = await openHttp2(port);
    client.send(request(1, [...connecting, ['content-length', '5']], false));
    await until(() => client.codes(1).length > 0);
    expect(client.codes(1)).toEqual([1]);
  });
});

describe('interim answers without end', () => {
  const FLOOD = Buffer.from(`HTTP/1.1 103 Early Hints\r\nLink: <${'x'.repeat(8_000)}>\r\n\r\n`.repeat(8));
  /** More than sockets on the way can hold: two of the kernel's buffers a connection, of 6 MiB at most each. */
  const MORE_THAN_KERNELS_HOLD = 32 * 1024 * 1024;

  it.each([
    ['a client of HTTP/2', true],
    ['a client of HTTP/1.1', false],
  ])('hold their server back where %s does not read', async (_who, speaksHttp2) => {
    let sent = 0;
    const server = await startRaw((socket) => {
      const flood = () => {
        while (sent < MORE_THAN_KERNELS_HOLD && socket.write(FLOOD)) sent += FLOOD.length;
      };
      socket.on('drain', flood);
      socket.once('data', flood);
    });
    const { port, node } = await begin(server);
    if (speaksHttp2) {
      const client = await openHttp2(port);
      client.pause();
      client.send(request(1));
    } else say(port, asking('/')).socket.pause();
    await until(() => sent > 0);
    // Standing still for longer than a turn of anybody's loop.
    let before = -1;
    await until(async () => {
      const stands = before === sent;
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return stands;
    }, 20_000);
    expect(sent).toBeLessThan(MORE_THAN_KERNELS_HOLD);
    expect(node.application('shop').flowsActive).toBe(1);
  });

  it('end their stream where they come by HTTP/2', async () => {
    const head = block([
      [':status', '103'],
      ['link', 'x'.repeat(8_000)],
    ]);
    let frames = 0;
    const server = await startRaw((socket) => {
      let reset = false;
      const flood = () => {
        while (!reset && frames < 20_000 && socket.write(frame(TYPE.headers, FLAG.endHeaders, 1, head))) frames++;
      };
      socket.write(frame(TYPE.settings, 0, 0));
      socket.on('drain', flood);
      socket.on('data', (bytes: Buffer) => {
        if (bytes.includes(Buffer.from([0, 0, 4, TYPE.reset, 0, 0, 0, 0, 1]))) reset = true;
        else if (bytes.includes(PREFACE)) setTimeout(flood, 50);
      });
    });
    const { port, node } = await begin(server, 'h2');
    const client = say(port, asking('/'));
    client.socket.pause();
    await until(() => node.application('shop').flowsActive === 0 && frames > 0, 20_000);
    expect(frames).toBeLessThan(20_000);
  });
});

describe('clients that do not read', () => {
  it('leave the others what they need of the connection that they share to a server of HTTP/2', async () => {
    const server = await startHttp2((asked, answer) => {
      if (asked.url === '/large') answer.end(Buffer.alloc(16 * 1024 * 1024));
      else answer.end('small');
    });
    const { port, node } = await begin(server, 'h2');
    for (let i = 0; i < 12; i++) say(port, asking('/large')).socket.pause();
    await until(() => node.application('shop').flowsActive === 12);
    // Until the server has sent them all that it may.
    let before = -1;
    await until(async () => {
      const bytes = node.application('shop').bytesOut;
      const stands = bytes === before && bytes > 0;
      before = bytes;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return stands;
    });
    const client = say(port, asking('/small'));
    await until(() => client.text.includes('small'), 3_000);
  });
});
