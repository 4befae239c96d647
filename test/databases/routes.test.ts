/** Flows to a database whose words are judged, where routes choose the pool by the hello. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { afterAll, expect, it } from 'vitest';
import { freePort, startNode, startServer, until } from '../node/harness.ts';
import { client } from '../relay/client.ts';
import { Authority } from '../tls/authority.ts';

const authority = new Authority();
afterAll(() => authority.remove());

it('go to the pool of their route', async () => {
  const issued = authority.issue({ names: ['DNS:*.db.test'] });
  const reached: string[] = [];
  const [one, rest] = await Promise.all(
    ['one', 'rest'].map((name) =>
      startServer((socket) => {
        reached.push(name);
        socket.on('data', () => socket.end('+OK\r\n'));
      }),
    ),
  );
  const port = await freePort();
  const running = await startNode(`
version: 1
process: { workers: 1 }
pools:
  one: { servers: [127.0.0.1:${one!.port}] }
  rest: { servers: [127.0.0.1:${rest!.port}] }
applications:
  cache:
    vips: [127.0.0.1:${port}]
    mode: tcp
    tls: { certificates: [{ certificate: ${issued.certificate}, key: ${issued.key} }] }
    pool: rest
    routes: [{ name: one, tls: { sni: [one.db.test] }, pool: one }]
    rules: [{ name: read, redis: { commands: [get] }, action: allow }]
`);
  try {
    for (const [count, servername, pool] of [
      [1, 'one.db.test', 'one'],
      [2, 'two.db.test', 'rest'],
    ] as const) {
      const socket = connect({ port, host: '127.0.0.1', servername, ca: readFileSync(authority.ca) });
      socket.on('error', () => undefined).resume();
      socket.write('*2\r\n$3\r\nGET\r\n$1\r\na\r\n');
      await until(() => reached.length === count);
      expect(reached.at(-1)).toBe(pool);
      socket.destroy();
    }
  } finally {
    await running.stop();
    await Promise.all([one!.close(), rest!.close()]);
  }
});

it('a request to cancel goes to the server of its session, whichever pool that is of', async () => {
  const reached: string[] = [];
  // AuthenticationOk, and BackendKeyData of process 42 with secret 43.
  const hello = Buffer.from('5200000008000000004b0000000c0000002a0000002b', 'hex');
  const servers = await Promise.all(
    ['one', 'two'].map((name) =>
      startServer((socket) => {
        socket.on('data', (data: Buffer) => {
          const cancels = data.readUInt32BE(4) === 80_877_102;
          reached.push(`${cancels ? 'cancel' : 'startup'} ${name}`);
          if (!cancels) socket.write(hello);
        });
      }),
    ),
  );
  const port = await freePort();
  const running = await startNode(`
version: 1
process: { workers: 1 }
pools:
  one: { servers: [127.0.0.1:${servers[0]!.port}] }
  two: { servers: [127.0.0.1:${servers[1]!.port}] }
applications:
  db:
    vips: [127.0.0.1:${port}]
    mode: tcp
    pool: one
    routes: [{ name: canary, split: { one: 1, two: 1 } }]
    rules: [{ name: ana, postgres: { users: [ana] }, action: allow }]
`);
  const startup = Buffer.concat([Buffer.from('0000001200030000', 'hex'), Buffer.from('user\0ana\0\0')]);
  const session = client(port);
  try {
    session.socket.write(startup);
    await session.bytes(hello.length);
    const home = reached[0]!.split(' ')[1];
    for (let i = 0; i < 8; i++) {
      const one = client(port);
      one.socket.write(Buffer.from('0000001004d2162e0000002a0000002b', 'hex'));
      await until(() => reached.length === i + 2 || one.socket.destroyed);
      expect(reached[i + 1]).toBe(`cancel ${home}`);
      one.socket.destroy();
    }
  } finally {
    session.socket.destroy();
    await running.stop();
    await Promise.all(servers.map((server) => server.close()));
  }
});
