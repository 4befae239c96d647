/** A VIP that is bound before its policy is in force: clients wait, and are accepted or turned away together. */
import { afterEach, expect, it } from 'vitest';
import { parseAddress } from '../../config/address.ts';
import type { Listener } from '../../proxy/wire/listen.ts';
import type { StreamHandle } from '../../proxy/wire/native.ts';
import { Opening } from '../../proxy/worker/opening.ts';
import { client } from '../relay/client.ts';
import { freePort } from './harness.ts';

const stops: (() => unknown)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** `waits`: when a first client does. */
async function open(): Promise<{ opening: Opening; port: number; waits: Promise<void> }> {
  const port = await freePort();
  const opening = new Opening({ kind: 'tcp', address: parseAddress('127.0.0.1')!, port, text: `127.0.0.1:${port}` }, () => undefined);
  expect(opening.open(null)).toBeNull();
  const first = Promise.withResolvers<void>();
  const accept = opening.accept.bind(opening);
  opening.accept = (handle) => {
    accept(handle);
    first.resolve();
  };
  return { opening, port, waits: first.promise };
}

it('hands over who has waited, and its listeners', async () => {
  const { opening, port, waits } = await open();
  const early = client(port);
  await waits;
  const accepted: StreamHandle[] = [];
  const arrived = Promise.withResolvers<void>();
  const acceptor = {
    take(listeners: readonly Listener[]) {
      for (const listener of listeners) {
        listener.handTo(acceptor);
        stops.push(() => listener.close());
      }
    },
    accept(handle: StreamHandle) {
      accepted.push(handle);
      stops.push(() => handle.close());
      if (accepted.length === 2) arrived.resolve();
    },
    acceptFailed() {},
  };
  opening.handTo(acceptor);
  expect(accepted).toHaveLength(1);
  const late = client(port);
  await arrived.promise;
  // What is closed now is no longer its own.
  opening.close();
  expect([early.socket.destroyed, late.socket.destroyed]).toEqual([false, false]);
  for (const one of [early, late]) one.socket.destroy();
});

it('resets who has waited in vain, and is closed', async () => {
  const { opening, port, waits } = await open();
  const early = client(port);
  await waits;
  opening.close();
  expect(await early.over).toBe('ECONNRESET');
  expect(await client(port).over).toBe('ECONNREFUSED');
});
