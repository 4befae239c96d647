/** What an order to change the policy answers of connections that had no verdict yet. */
import { afterEach, expect, it } from 'vitest';
import { freePort, startNode, startServer, until } from '../node/harness.ts';
import { client } from './client.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

it.each(['reset', 'close', 'reply', 'tarpit'])(
  'one that the new policy denies is counted as cut, however it is denied: %s',
  async (way) => {
    const server = await startServer(() => undefined);
    stops.push(() => server.close());
    const port = await freePort();
    const yaml = (rule: string) => `
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${server.port}] } }
applications: { app: { vips: [127.0.0.1:${port}], mode: tcp, pool: p, rules: [${rule}] } }
`;
    const running = await startNode(yaml('{ name: web, protocols: [http], action: allow }'));
    stops.push(() => running.stop());
    const one = client(port);
    stops.push(() => one.socket.destroy());
    await until(() => running.application('app').connectionsActive === 1);
    expect(await running.apply(yaml(`{ name: none, action: deny, deny-with: ${way} }`))).toMatchObject({ ok: true, revoked: 1, kept: 0 });
  },
);
