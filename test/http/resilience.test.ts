import type { Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { descriptorCount, untilDescriptors } from '../node/descriptors.ts';
import { freePort, until } from '../node/harness.ts';
import { hits, type NotingServer, type Proxied, settled, startNoting, startPlain, startProxy, WireClient } from './wire-client.ts';

const GET = 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const POST = 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
/** Resident memory after a collection of what is the test's own. */
const resident = () => {
  collect();
  return process.memoryUsage.rss();
};

describe('a kept-alive connection that the server closes', () => {
  /** The first connection answers once and then does as told when the second request comes; every further one answers. */
  async function stale(
    then: (socket: Socket) => void,
    use: (client: WireClient, server: NotingServer, proxy: Proxied) => Promise<void>,
  ): Promise<void> {
    const requests: number[] = [];
    const server = await startNoting((socket, _soFar, connection) => {
      requests[connection] = (requests[connection] ?? 0) + 1;
      if (connection === 0 && requests[0]! > 1) then(socket);
      else socket.write(OK);
    });
    const proxy = await startProxy([server.port], '', 'ejection: off');
    const client = await proxy.open();
    expect((await client.send(GET).answer()).status).toBe(200);
    await use(client, server, proxy);
    client.close();
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  }
  const ways: [string, (socket: Socket) => void][] = [
    ['in order', (socket) => void socket.end()],
    ['with a reset', (socket) => void socket.resetAndDestroy()],
  ];

  it.each(ways)('on the next request, %s, costs a GET nothing', async (_how, then) => {
    await stale(then, async (client, server) => {
      expect((await client.send(GET).answer()).status).toBe(200);
      expect(server.received.length).toBe(2);
    });
  });

  it.each(ways)('on the next request, %s, is a 502 to a POST, which is sent once', async (_how, then) => {
    await stale(then, async (client, server) => {
      const answer = await client.send(`${POST}hello`).answer();
      expect([answer.status, answer.fields['bulkhead-error']]).toEqual([502, expect.stringContaining('server-closed')]);
      expect(server.text().match(/POST/g)?.length).toBe(1);
      expect((await client.send(GET).answer()).status).toBe(200);
    });
  });

  it('after a part of its answer is not asked again', async () => {
    await stale(
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\nCont');
        socket.end();
      },
      async (client, server) => {
        expect((await client.send(GET).answer()).status).toBe(502);
        expect(server.received.length).toBe(1);
      },
    );
  });

  it('is asked again once, and not for ever', async () => {
    const server = await startNoting((socket, soFar) => {
      if (soFar.toString('latin1').split('GET').length > 2 || server.received.length > 1) socket.end();
      else socket.write(OK);
    });
    const proxy = await startProxy([server.port], '', 'ejection: off');
    const client = await proxy.open();
    expect((await client.send(GET).answer()).status).toBe(200);
    expect((await client.send(GET).answer()).status).toBe(502);
    expect(server.received.length).toBe(2);
    client.close();
    await proxy.stop();
    await server.close();
  });

  it('right behind each response costs no client anything', async () => {
    const server = await startNoting((socket) => {
      socket.write(OK);
      socket.end();
    });
    const proxy = await startProxy([server.port]);
    const client = await proxy.open();
    for (let i = 0; i < 100; i++) expect((await client.send(i % 2 === 0 ? GET : `${GET}${GET}`).answer()).status).toBe(200);
    client.close();
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it('by a restart is recovered from', async () => {
    const first = await startPlain();
    const proxy = await startProxy([first.port], '', 'ejection: off');
    const client = await proxy.open();
    expect((await client.send(GET).answer()).status).toBe(200);
    await first.close();
    const down = await client.send(GET).answer();
    expect([down.status, down.fields['bulkhead-error']]).toEqual([502, expect.stringContaining('dial-failed')]);
    const second = await startPlain(first.port);
    expect((await client.send(GET).answer()).status).toBe(200);
    client.close();
    await settled(proxy.running);
    await proxy.stop();
    await second.close();
  });
});

describe('a reset or an end', () => {
  const WS = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n';
  const SWITCHED = 'HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
  /** What the client sends; what the server answers; what the client has got when somebody leaves. */
  const phases: [string, string, string, string][] = [
    ['before a byte', '', '', ''],
    ['within a head', 'GET / HTTP/1.1\r\nHos', '', ''],
    ['within a body', `${POST}he`, '', ''],
    ['within a chunk', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe', '', ''],
    ['while the server thinks', GET, '', ''],
    ['with a request behind that waits', GET + GET + GET, '', ''],
    ['within the head of the response', GET, 'HTTP/1.1 200 OK\r\nCon', ''],
    ['behind an interim response', GET, 'HTTP/1.1 103 Early Hints\r\n\r\n', '103'],
    ['within the response', GET, 'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf', 'half'],
    ['within a chunk of the response', GET, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf', 'half'],
    ['within a response until the end', GET, 'HTTP/1.1 200 OK\r\n\r\nhalf', 'half'],
    ['after a response', GET, OK, 'ok'],
    ['while an upgrade waits', WS, '', ''],
    ['in an upgraded connection', WS, `${SWITCHED}hi`, 'hi'],
    ['after a refusal', 'nonsense\r\n\r\n', '', '400'],
  ];

  it('at every phase, by either side, leaves nothing behind', async () => {
    const server = await startNoting((socket, soFar) => {
      reads++;
      last = socket;
      if (answer !== '' && soFar.length > 0) socket.write(answer);
    });
    let answer = OK;
    let reads = 0;
    let last: Socket | null = null;
    const proxy = await startProxy(
      [server.port],
      'timeouts: { half-closed: 100ms, request-head: 1s, request-body: 1s, response: 1s }',
      'ejection: off\n    idle: { connections: 1 }',
    );
    const warm = (await proxy.open()).send(GET);
    expect((await warm.answer()).status).toBe(200);
    warm.close();
    await settled(proxy.running);
    await until(() => server.sockets.every((socket) => socket.destroyed));
    const before = descriptorCount();
    for (const [phase, request, response, got] of phases)
      for (const who of ['client', 'server'] as const)
        for (const how of ['end', 'reset', 'destroy'] as const) {
          answer = response;
          const seen = reads;
          const reaches = request.includes('\r\n\r\n') && !request.startsWith('nonsense');
          if (who === 'server' && !reaches) continue;
          const client = await proxy.open();
          client.send(request);
          await until(() => (!reaches || reads > seen) && client.text.includes(got)).catch(() => {
            throw new Error(`${phase}, ${who} ${how}: ${JSON.stringify(client.text)}`);
          });
          const target = who === 'client' ? client.socket : last!;
          if (how === 'end') target.end();
          else if (how === 'reset') target.resetAndDestroy();
          else target.destroy();
          await client.end(40).catch(() => undefined);
          client.close();
        }
    await settled(proxy.running);
    await until(() => server.sockets.every((socket) => socket.destroyed));
    await untilDescriptors(before);
    expect(proxy.running.node.counters().workerRestarts).toBe(0);
    expect(proxy.running.node.servers()[0]!.flowsActive).toBe(0);
    // And it still works.
    answer = OK;
    const client = await proxy.open();
    expect((await client.send(GET).answer()).status).toBe(200);
    client.close();
    await proxy.stop();
    await server.close();
  });

  it('of 10,000 requests leaves no descriptor and no memory behind', async () => {
    const server = await startNoting((socket, _soFar, connection) => {
      // The noting is not what is measured.
      server.received[connection] = Buffer.alloc(0);
      if (connection % 2 === 0) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf');
    });
    const proxy = await startProxy([server.port], '', 'ejection: off');
    const round = async (count: number) => {
      const one = async (i: number) => {
        const client = await proxy.open();
        client.send(i % 3 === 0 ? `${POST}he` : GET);
        if (i % 4 !== 0) await new Promise((resolve) => setImmediate(resolve));
        client.socket.resetAndDestroy();
      };
      for (let done = 0; done < count; done += 100) await Promise.all(Array.from({ length: 100 }, (_, i) => one(done + i)));
      await until(() => proxy.running.application('web').connectionsActive === 0);
      await settled(proxy.running);
      await until(() => server.sockets.every((socket) => socket.destroyed));
      server.sockets.length = 0;
    };
    // Until heaps and pools have their size.
    await round(10_000);
    const [files, memory] = [descriptorCount(), resident()];
    await round(10_000);
    await untilDescriptors(files + 5);
    // Heaps of two threads still grow by a few ten megabytes here, and then no more; a chunk lost each time would be 40 MB on top.
    expect(resident() - memory).toBeLessThan(56 * 1024 * 1024);
    expect(proxy.running.node.counters().workerRestarts).toBe(0);
    await proxy.stop();
    await server.close();
  });
});

describe('a slow reader', () => {
  it('gets all of a response that was its last, though it takes longer than the node lingers', async () => {
    const size = 3 * 512 * 1024;
    const server = await startNoting((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      socket.write(Buffer.alloc(size, 'x'));
    });
    const proxy = await startProxy([server.port]);
    const clients = await Promise.all([proxy.open(), proxy.open()]);
    for (const client of clients) client.socket.pause();
    clients[0]!.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    clients[1]!.send(GET);
    await until(() => proxy.running.application('web').flowsClosed === 2);
    clients[1]!.socket.end();
    // Longer than what a client is given that is done and only has to close.
    await until(() => proxy.running.application('web').connectionsActive === 0, 4_000);
    for (const client of clients) {
      client.socket.resume();
      expect((await client.answer()).body.length).toBe(size);
      expect(await client.end()).toBe('end');
      client.close();
    }
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it('that goes on asking without taking its answers is not asked for more', async () => {
    const body = 16 * 1024;
    const answer = Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body}\r\n\r\n`), Buffer.alloc(body, 'x')]);
    const server = await startNoting((socket, soFar) => {
      if (soFar.toString('latin1').endsWith('\r\n\r\n')) socket.write(answer);
    });
    const proxy = await startProxy([server.port], 'timeouts: { keep-alive: 1s, response: 1s }');
    const client = await proxy.open();
    client.socket.pause();
    const closed = () => proxy.running.application('web').flowsClosed;
    let still = 0;
    for (let i = 0; i < 2_000 && still < 20; i++) {
      const before = closed();
      client.send(GET);
      await until(() => closed() > before, 40).catch(() => undefined);
      still = closed() === before ? still + 1 : 0;
    }
    // What the kernel takes, and one read more.
    expect(still).toBe(20);
    const answered = closed();
    for (let i = 0; i < 50; i++) client.send(GET);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(closed()).toBe(answered);
    // It is given up in the end.
    await until(() => proxy.running.application('web').connectionsActive === 0);
    expect(hits(proxy.running, 'response') + hits(proxy.running, 'keep-alive')).toBe(1);
    client.close();
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it('does not have a server that sends interim responses without end fill memory', async () => {
    const interim = Buffer.from('HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n'.repeat(2_000));
    let sent = 0;
    let blocked = false;
    const server = await startNoting((socket) => {
      const more = () => {
        blocked = false;
        while (sent < 256 * 1024 * 1024) {
          sent += interim.length;
          if (!socket.write(interim)) {
            blocked = true;
            return void socket.once('drain', more);
          }
        }
      };
      more();
    });
    const proxy = await startProxy([server.port]);
    const client = await proxy.open();
    client.socket.pause();
    client.send(GET);
    let before = -1;
    await until(async () => {
      if (before === sent && blocked) return true;
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return false;
    }, 10_000);
    expect(sent).toBeLessThan(32 * 1024 * 1024);
    client.close();
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it('of a response without end holds its server back', async () => {
    let sent = 0;
    const server = await startNoting((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const more = () => {
        while (sent < 512 * 1024 * 1024) {
          sent += 65_536;
          if (!socket.write(Buffer.alloc(65_536, 'x'))) return void socket.once('drain', more);
        }
      };
      more();
    });
    const proxy = await startProxy([server.port]);
    const clients = await Promise.all(Array.from({ length: 4 }, () => proxy.open()));
    for (const client of clients) {
      client.socket.pause();
      client.send(GET);
    }
    let before = -1;
    await until(async () => {
      if (before === sent) return true;
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 150));
      return false;
    });
    expect(sent).toBeLessThan(4 * 24 * 1024 * 1024);
    for (const client of clients) client.close();
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });
});

describe('many clients at once', () => {
  it('share few connections to the server, and the counts come out even', async () => {
    const server = await startPlain();
    const proxy = await startProxy([server.port], '', 'idle: { connections: 4 }');
    const clients = await Promise.all(Array.from({ length: 200 }, () => WireClient.open(proxy.port)));
    for (let round = 0; round < 5; round++)
      await Promise.all(clients.map(async (client) => expect((await client.send(GET).answer()).status).toBe(200)));
    await until(() => server.sockets.filter((socket) => !socket.destroyed).length <= 4);
    for (const client of clients) client.close();
    await settled(proxy.running);
    const counters = proxy.running.application('web');
    expect([counters.flowsOpened, counters.flowsClosed, counters.responses[1]]).toEqual([1_000, 1_000, 1_000]);
    expect(await freePort()).toBeGreaterThan(0);
    await proxy.stop();
    await server.close();
  });
});
