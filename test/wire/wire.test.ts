import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../config/address.ts';
import type { Endpoint } from '../../config/document.ts';
import { listen } from '../../proxy/wire/listen.ts';
import { type StreamHandle, stream, type WriteRequest } from '../../proxy/wire/native.ts';
import { Wire } from '../../proxy/wire/wire.ts';
import { freePort, until } from '../node/harness.ts';
import { fill, Owner, pair } from './pair.ts';

/** How the stream ends for who reads it: `end`, or the code of the error. */
function endOf(socket: Socket): Promise<string> {
  socket.resume();
  return once(socket, 'end').then(
    () => 'end',
    (error: NodeJS.ErrnoException) => error.code ?? '',
  );
}

describe('a wire', () => {
  it('that is reset while its end waits behind writes is reset, not ended in the middle of the stream', async () => {
    const { wire, peer, done } = await pair();
    fill(wire);
    wire.end();
    wire.reset();
    expect(await endOf(peer)).toBe('ECONNRESET');
    done();
  });

  it('that is reset in the same turn as its end frees its socket, and takes nothing any more', async () => {
    const { wire, peer, done } = await pair();
    wire.end();
    wire.reset();
    const failed = once(peer, 'error');
    peer.resume();
    const writing = setInterval(() => peer.write('x'), 5);
    expect(['EPIPE', 'ECONNRESET']).toContain(((await failed)[0] as { code: string }).code);
    clearInterval(writing);
    done();
  });

  it('sends its end after everything written before it', async () => {
    const { wire, owner, peer, done } = await pair();
    fill(wire);
    wire.writeBytes(Buffer.from('last'));
    wire.end();
    let tail = '';
    peer.on('data', (data: Buffer) => (tail = (tail + data.toString('latin1')).slice(-4)));
    await once(peer, 'end');
    expect(tail).toBe('last');
    expect(owner.drained).toBeGreaterThan(0);
    expect(owner.errors).toEqual([]);
    done();
  });

  it('still reads after its own end, and tells the other end once', async () => {
    const { wire, owner, peer, done } = await pair();
    wire.end();
    wire.resume();
    peer.resume();
    await once(peer, 'end');
    peer.end('after your end');
    await until(() => owner.ends === 1);
    expect(owner.read).toBe(14);
    done();
  });

  it('tells a reset once, and neither data nor an end after it', async () => {
    const { wire, owner, peer, done } = await pair();
    wire.resume();
    peer.resetAndDestroy();
    await until(() => owner.errors.length > 0);
    wire.writeBytes(Buffer.from('x'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(owner.errors).toEqual([-104]);
    expect(owner.ends).toBe(0);
    done();
  });

  it.each([1, 100_000, 4_000_000])(
    'that is paused is told of a reset once it is read on, after what came before: %i bytes',
    async (size) => {
      const { wire, owner, peer, done } = await pair();
      wire.resume();
      wire.pause();
      peer.write(Buffer.alloc(size));
      // Bulk that nobody reads: some of it is still the peer's, and goes with it.
      await until(() => peer.writableLength === 0 || peer.writableNeedDrain);
      peer.resetAndDestroy();
      await once(peer, 'close');
      expect([owner.read, owner.errors]).toEqual([0, []]);
      wire.resume();
      await until(() => owner.errors.length > 0);
      expect(owner.errors).toEqual([-104]);
      expect(owner.ends).toBe(0);
      expect(owner.read).toBeGreaterThan(0);
      if (size === 1) expect(owner.read).toBe(1);
      done();
    },
  );

  it('reads nothing while it is paused: the kernel holds the peer back', async () => {
    const { wire, owner, peer, done } = await pair();
    peer.write(Buffer.alloc(1024));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(owner.read).toBe(0);
    wire.resume();
    await until(() => owner.read === 1024);
    done();
  });
});

/** A handle whose writes wait until the test says how they went. */
class Waiting {
  wire: Wire | undefined;
  onread: (() => Uint8Array | undefined) | undefined;
  readonly requests: WriteRequest[] = [];
  readonly writeQueueSize = 0;
  readonly fd = -1;
  readStart = () => 0;
  readStop = () => 0;
  useUserBuffer = () => 0;
  shutdown = () => 0;
  close = () => undefined;
  writeBuffer(request: WriteRequest): number {
    stream.streamBaseState[stream.kLastWriteWasAsync] = 1;
    this.requests.push(request);
    return 0;
  }
  /** What the kernel says to the next read. */
  read(count: number): void {
    stream.streamBaseState[stream.kReadBytesOrError] = count;
    this.onread!();
  }
}

describe('an end that is read while a write waits', () => {
  const EOF = -4095;
  const turns = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(() => setImmediate(resolve))));
  it.each([
    ['is the reset that the write has met', -104, [0, [-104]]],
    ['is one in order where the write goes well', 0, [1, []]],
  ] as const)('%s', async (_, status, expected) => {
    const handle = new Waiting();
    const owner = new Owner();
    const wire = new Wire(handle as unknown as StreamHandle, owner);
    wire.resume();
    wire.writeBytes(Buffer.from('x'));
    handle.read(EOF);
    // Nobody is told yet; the write is over with the next turn of the loop.
    expect([owner.ends, owner.errors]).toEqual([0, []]);
    wire.resume();
    handle.requests[0]!.oncomplete!.call(handle.requests[0]!, status);
    await turns();
    expect([owner.ends, owner.errors]).toEqual(expected);
  });

  it('is told after a turn where the write goes on waiting: a peer may have said its last word and still read', async () => {
    const handle = new Waiting();
    const owner = new Owner();
    const wire = new Wire(handle as unknown as StreamHandle, owner);
    wire.resume();
    wire.writeBytes(Buffer.from('x'));
    handle.read(EOF);
    await turns();
    expect([owner.ends, owner.errors]).toEqual([1, []]);
  });
});

it('a listener frees its port at once', async () => {
  const port = await freePort();
  const endpoint: Endpoint = { kind: 'tcp', address: parseAddress('127.0.0.1')!, port, text: '' };
  const nobody = { accept: () => undefined, acceptFailed: () => undefined };
  const first = listen(endpoint, false, nobody);
  expect(first.ok).toBe(true);
  expect(listen(endpoint, false, nobody)).toEqual({ ok: false, code: 'EADDRINUSE' });
  if (first.ok) first.listener.close();
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.close();
});
