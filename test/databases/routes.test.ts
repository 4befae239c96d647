/** Flows to a database whose words are judged, where routes choose the pool by the hello. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { afterAll, expect, it } from 'vitest';
import { freePort, startNode, startServer, until } from '../node/harness.ts';
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
