import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { EVENT_KINDS, EventHub } from '../../proxy/admin/events.ts';
import type { ControlEvent, Orders } from '../../proxy/versions/orders.ts';
import { until } from '../node/harness.ts';
import { flow } from './fake-node.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const EVENT: ControlEvent = {
  time: '2026-11-22T06:00:00.000Z',
  kind: 'refused',
  cause: 'apply',
  author: 'ana',
  from: 'test',
  version: null,
  generation: null,
  revoked: 0,
  draining: 0,
  kept: 0,
  detail: 'x'.repeat(2_000),
};

/** A hub behind an HTTP server, with what it listens to in the test's hands. */
async function opened() {
  let order: (event: ControlEvent) => void = () => undefined;
  const record = new Set<(lines: Uint8Array) => void>();
  const orders = {
    onEvent: (listener: typeof order) => {
      order = listener;
      return () => undefined;
    },
    onRecords: (listener: (lines: Uint8Array) => void) => {
      record.add(listener);
      return () => void record.delete(listener);
    },
  } as unknown as Orders;
  const hub = new EventHub(orders);
  const server = createServer((_, response) =>
    hub.join(response, { kinds: new Set(EVENT_KINDS), application: null, source: null, rule: null }, {}),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  closing.push(() => {
    hub.close();
    server.close();
  });
  const client = () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    closing.push(() => socket.destroy());
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    return socket;
  };
  const records = (lines: string) => {
    for (const listener of record) listener(Buffer.from(lines));
  };
  return { hub, client, order: () => order(EVENT), records, watched: () => record.size };
}

describe('the hub of events', () => {
  it('lets a client go that does not keep up, counts it, and goes on for the others', async () => {
    const { hub, client, order } = await opened();
    const slow = client();
    const quick = client();
    await until(() => hub.clients === 2);
    let heard = 0;
    quick.on('data', (bytes: Buffer) => (heard += bytes.length));
    slow.pause();
    for (let round = 0; round < 2_000 && hub.dropped === 0; round++) {
      for (let i = 0; i < 20; i++) order();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect([hub.dropped, hub.clients]).toEqual([1, 1]);
    const before = heard;
    order();
    await until(() => heard > before);
  });

  it('samples flows where there are more than anybody reads, and says how many it left out', async () => {
    const { hub, client, records } = await opened();
    let text = '';
    client().on('data', (bytes: Buffer) => (text += bytes.toString()));
    await until(() => hub.clients === 1);
    records(Array.from({ length: 1_000 }, (_, i) => `${JSON.stringify(flow(`r${i}`))}\n`).join(''));
    await until(() => text.includes('event: skipped'));
    expect(text.match(/event: flow/g)?.length).toBe(50);
    expect(text).toContain('data: {"flows":950}');
  });

  it('looks at no record while nobody listens', async () => {
    const { hub, client, watched } = await opened();
    expect(watched()).toBe(0);
    const socket = client();
    await until(() => hub.clients === 1);
    expect(watched()).toBe(1);
    socket.destroy();
    await until(() => watched() === 0);
  });
});
