/** What comes by a VIP that a swap has taken away, before the swap has come by its connection: there are enough of others for that to take a while. */
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect as connectTcp, createServer as createTcp, type Socket } from 'node:net';
import { connect } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RawClient, request } from '../h2/frames.ts';
import { Authority, type Issued } from '../tls/authority.ts';
import { freePort, type RunningNode, startNode, until } from './harness.ts';

const OTHERS = 1_500;
const HERE = 30;

const authority = new Authority();
let issued: Issued;
let web: Server;
let server: number;
let vip: number;
let running: RunningNode;
const sockets: Socket[] = [];

beforeAll(async () => {
  issued = authority.issue({ names: ['DNS:a.test'] });
  web = createServer((asked, answer) => {
    if (asked.url !== '/wait') answer.end('web');
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  server = (web.address() as AddressInfo).port;
});

beforeEach(async () => {
  vip = await freePort();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await running.stop();
});

afterAll(() => {
  authority.remove();
  web.closeAllConnections();
  web.close();
});

async function start(here: string): Promise<{ leave: () => Promise<void> }> {
  const others = await freePort();
  const text = (more: string, action: string) => `
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${server}] } }
applications:
  others: { vips: [127.0.0.1:${others}], mode: tcp, pool: p, rules: [{ name: all, action: ${action} }] }
  ${more}
`;
  running = await startNode(text(`here: { vips: [127.0.0.1:${vip}], pool: p, rules: [{ name: all, action: allow }], ${here} }`, 'allow'));
  for (let i = 0; i < OTHERS; i++) sockets.push(connectTcp(others, '127.0.0.1').on('error', () => undefined));
  await until(() => running.application('others').connectionsActive === OTHERS);
  return {
    leave: async () => {
      expect((await running.apply(text('', 'deny'))).ok).toBe(true);
      await until(() => running.node.counters().applications.every(({ connectionsActive }) => connectionsActive === 0));
      expect(running.logged.filter(({ message }) => message.startsWith('a worker has died'))).toEqual([]);
    },
  };
}

describe('ends without harm', () => {
  it.each(['http', 'tcp'])('where it is the rest of a handshake, mode %s', async (mode) => {
    const { leave } = await start(`mode: ${mode}, tls: { certificates: [{ certificate: ${issued.certificate}, key: ${issued.key} }] }`);
    // What clients say behind their hellos waits here until the swap has begun.
    const held: (() => void)[] = [];
    const between = createTcp((near) => {
      const far = connectTcp(vip, '127.0.0.1').on('error', () => undefined);
      let answered = false;
      near.on('error', () => undefined).on('data', (bytes) => (answered ? held.push(() => far.write(bytes)) : far.write(bytes)));
      far.on('data', (bytes) => {
        answered = true;
        near.write(bytes);
      });
      sockets.push(near, far);
    });
    const port = await freePort();
    await new Promise<void>((resolve) => between.listen(port, '127.0.0.1', resolve));
    const ca = readFileSync(authority.ca);
    for (let i = 0; i < HERE; i++)
      sockets.push(connect({ port, host: '127.0.0.1', servername: 'a.test', ca }).on('error', () => undefined));
    await until(() => held.length >= HERE);
    const release = setInterval(() => {
      for (const write of held.splice(0, 3)) write();
    }, 1);
    await leave().finally(() => clearInterval(release));
    between.close();
  });

  it('where it is another stream of HTTP/2', async () => {
    const { leave } = await start('mode: http');
    const clients = await Promise.all(Array.from({ length: HERE }, () => RawClient.open(vip)));
    let stream = 1;
    const next = () => {
      for (const one of clients)
        one.send(
          request(stream, [
            [':method', 'GET'],
            [':scheme', 'http'],
            [':path', '/wait'],
            [':authority', 'a.test'],
          ]),
        );
      stream += 2;
    };
    next();
    await until(() => running.application('here').flowsActive === HERE);
    const more = setInterval(next, 1);
    await leave().finally(() => clearInterval(more));
    for (const one of clients) one.close();
  });
});
