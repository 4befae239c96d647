/** Servers by name take orders: by their name, or one address of it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../node/harness.ts';
import { type NameServer, startNameServer } from '../sources/dns-server.ts';
import { ANA, type Controlled, startControlled } from './controlled.ts';

let names: NameServer;
let running: Controlled;

beforeEach(async () => {
  names = await startNameServer();
  names.zone.set('web.internal', { addresses: ['127.0.0.2', '127.0.0.3'], ttl: 300 });
  running = await startControlled(`
version: 1
process: { workers: 1, resolvers: ["${names.text}"] }
pools: { web: { servers: [web.internal:9001], health: { type: tcp, interval: 20ms, timeout: 100ms } } }
`);
});
afterEach(async () => {
  await running.stop();
  await names.close();
});

const set = (server: string, state: 'up' | 'drain' | 'maintenance') =>
  running.control.setServer({ pool: 'web', server, state, actor: ANA });
const states = () => running.node.servers().map(({ server, draining, checkDetail }) => [server, draining, checkDetail]);
const CLOSED = 'ECONNREFUSED';

describe('an order to a server by name', () => {
  it('is for all its addresses, and is taken back as a whole', async () => {
    await until(() => running.node.servers().every(({ checkDetail }) => checkDetail === CLOSED));
    expect(await set('web.internal:9001', 'maintenance')).toMatchObject({ ok: true });
    expect(states()).toEqual([
      ['127.0.0.2:9001', true, 'no check'],
      ['127.0.0.3:9001', true, 'no check'],
    ]);
    expect(await set('web.internal:9001', 'up')).toMatchObject({ ok: true });
    expect(running.node.servers().map(({ draining }) => draining)).toEqual([false, false]);
  });

  it('can be for one of them', async () => {
    expect(await set('127.0.0.3:9001', 'drain')).toMatchObject({ ok: true });
    expect(running.node.servers().map(({ draining }) => draining)).toEqual([false, true]);
    expect(running.control.overlay().servers).toMatchObject([{ pool: 'web', server: '127.0.0.3:9001', state: 'drain' }]);
    expect(await set('127.0.0.3:9001', 'up')).toMatchObject({ ok: true });
    expect(running.node.servers().map(({ draining }) => draining)).toEqual([false, false]);
  });

  it('is refused for what the pool does not have, with the nearest that it has', async () => {
    expect(await set('web.internal:9002', 'drain')).toMatchObject({ ok: false, message: expect.stringContaining('web/web.internal:9001') });
  });
});
