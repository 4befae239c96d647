import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { parseAddress } from '../../config/address.ts';
import type { Endpoint } from '../../config/document.ts';
import { listen } from '../../proxy/wire/listen.ts';
import type { StreamHandle } from '../../proxy/wire/native.ts';
import { Wire, type WireOwner } from '../../proxy/wire/wire.ts';
import { freePort } from '../node/harness.ts';

/** Counts what a wire tells it. */
export class Owner implements WireOwner {
  read = 0;
  ends = 0;
  drained = 0;
  readonly errors: number[] = [];
  wireData(_wire: Wire, _bytes: Buffer, length: number): void {
    this.read += length;
  }
  wireEnd(): void {
    this.ends++;
  }
  wireError(_wire: Wire, errno: number): void {
    this.errors.push(errno);
  }
  wireDrained(): void {
    this.drained++;
  }
}

/** A wire and the plain socket at its other end. */
export async function pair(): Promise<{ wire: Wire; owner: Owner; peer: Socket; done: () => void }> {
  const port = await freePort();
  const endpoint: Endpoint = { kind: 'tcp', address: parseAddress('127.0.0.1')!, port, text: `127.0.0.1:${port}` };
  const accepted = Promise.withResolvers<StreamHandle>();
  const result = listen(endpoint, false, { accept: (handle) => accepted.resolve(handle), acceptFailed: () => undefined });
  if (!result.ok) throw new Error(result.code);
  const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  peer.on('error', () => undefined);
  const owner = new Owner();
  const [handle] = await Promise.all([accepted.promise, once(peer, 'connect')]);
  const wire = new Wire(handle, owner);
  return {
    wire,
    owner,
    peer,
    done: () => {
      wire.close();
      peer.destroy();
      result.listener.close();
    },
  };
}

/** Writes until the kernel takes no more. */
export function fill(wire: Wire): void {
  while (wire.pending === 0) wire.writeBytes(Buffer.alloc(64 * 1024, 'x'));
}
