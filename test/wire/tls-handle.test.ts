/** A wire over TLS behaves as one over a bare connection: order, backpressure, pauses and ends. The peer is Node's own TLS. */
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { connect, createSecureContext, type TLSSocket } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseEndpoint } from '../../config/endpoint.ts';
import { type Listener, listen } from '../../proxy/wire/listen.ts';
import { checkNative, type NativeSecureContext, type StreamHandle } from '../../proxy/wire/native.ts';
import { TlsHandle } from '../../proxy/wire/tls-handle.ts';
import { Wire, type WireOwner } from '../../proxy/wire/wire.ts';
import { freePort, until } from '../node/harness.ts';
import { Authority, type Issued } from '../tls/authority.ts';

let authority: Authority;
let issued: Issued;
let native: NativeSecureContext;
const open: { close(): void }[] = [];

beforeAll(() => {
  authority = new Authority();
  issued = authority.issue({ names: ['DNS:a.test'] });
  const { context } = createSecureContext({ cert: readFileSync(issued.certificate), key: readFileSync(issued.key) }) as unknown as {
    context: NativeSecureContext;
  };
  native = context;
});

afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

afterAll(() => authority.remove());

interface Ends {
  readonly wire: Wire;
  readonly handle: TlsHandle;
  readonly peer: TLSSocket;
  readonly owner: Recorder;
}

class Recorder implements WireOwner {
  readonly got: Buffer[] = [];
  ended = false;
  error = 0;
  drained = 0;
  onData: (wire: Wire) => void = () => undefined;
  wireData(wire: Wire, bytes: Buffer, length: number): void {
    expect(wire.paused, 'data while paused').toBe(false);
    this.got.push(Buffer.from(bytes.subarray(0, length)));
    this.onData(wire);
  }
  wireEnd(): void {
    this.ended = true;
  }
  wireError(_wire: Wire, errno: number): void {
    this.error = errno;
  }
  wireDrained(): void {
    this.drained++;
  }
  get bytes(): Buffer {
    return Buffer.concat(this.got);
  }
}

/** Apart, so that nothing else of a scope holds the wire. */
const resetOf = (wire: Wire) => ({ close: () => wire.reset() });

/** Both ends of a connection that is through its handshake; nothing is read on ours yet. */
async function ends(kept = true): Promise<Ends> {
  const port = await freePort();
  const reading = parseEndpoint(`127.0.0.1:${port}`, 1);
  if (!reading.ok) throw new Error('no endpoint');
  const accepted = new Promise<StreamHandle>((resolve) => {
    const result = listen(reading.endpoint, false, { accept: resolve, acceptFailed: () => undefined });
    if (!result.ok) throw new Error(result.code);
    open.push(result.listener as Listener);
  });
  const peer = connect({ port, host: '127.0.0.1', ca: readFileSync(authority.ca), servername: 'a.test' });
  peer.on('error', () => undefined);
  open.push({ close: () => peer.destroy() });
  const parent = await accepted;
  const handle = await new Promise<TlsHandle>((resolve, reject) => {
    new TlsHandle(parent, native, true, { secured: resolve, unsecured: (_handle, code) => reject(new Error(code)) }).begin(Buffer.alloc(0));
  });
  const owner = new Recorder();
  const wire = new Wire(handle, owner);
  if (kept) open.push(resetOf(wire));
  return { wire, handle, peer, owner };
}

const collect = (peer: TLSSocket) => {
  const parts: Buffer[] = [];
  peer.on('data', (part: Buffer) => void parts.push(part));
  return () => Buffer.concat(parts);
};

describe('a wire over TLS', () => {
  it('has everything in Node that it needs', () => expect(checkNative).not.toThrow());

  it('keeps the order of writes that come at once, large or small', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 12 }), async (sizes) => {
        const { wire, peer } = await ends();
        const got = collect(peer);
        const sent = sizes.map((size, i) => Buffer.alloc(size, i + 1));
        for (const bytes of sent) expect(wire.writeBytes(bytes)).toBe(true);
        const all = Buffer.concat(sent);
        await until(() => got().length >= all.length);
        expect(got().equals(all)).toBe(true);
        await until(() => wire.pending === 0);
      }),
      { numRuns: 12 },
    );
  });

  it('writes from within what it is told, and in any turn of the loop', async () => {
    const { wire, peer, owner } = await ends();
    const got = collect(peer);
    let sent = 0;
    owner.onData = () => {
      for (let i = 0; i < 3; i++) wire.writeBytes(Buffer.from([sent++ & 255]));
      queueMicrotask(() => wire.writeBytes(Buffer.from([sent++ & 255])));
      setImmediate(() => wire.writeBytes(Buffer.from([sent++ & 255])));
    };
    wire.resume();
    for (let i = 0; i < 50; i++) {
      peer.write('x');
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => got().length === sent && owner.bytes.length === 50);
    expect([...got()]).toEqual(Array.from({ length: sent }, (_, i) => i & 255));
  });

  it('is held back by a peer that does not read, and told when it goes on', async () => {
    const { wire, peer, owner } = await ends();
    peer.pause();
    let written = 0;
    while (wire.pending === 0 && written < 64 << 20) {
      wire.writeBytes(Buffer.alloc(60_000, 7));
      written += 60_000;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(wire.pending).toBeGreaterThan(0);
    let read = 0;
    peer.on('data', (part: Buffer) => {
      read += part.length;
    });
    peer.resume();
    await until(() => read === written && wire.pending === 0);
    expect(owner.drained).toBeGreaterThan(0);
  });

  it('gets nothing while it is paused, and everything afterwards, the end included', async () => {
    const { wire, peer, owner } = await ends();
    const sent = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) & 255));
    // Stops after each piece, and goes on a little later.
    owner.onData = () => {
      wire.pause();
      setImmediate(() => wire.resume());
    };
    wire.resume();
    peer.end(sent);
    await until(() => owner.ended);
    expect(owner.bytes.equals(sent)).toBe(true);
  });

  it('takes one read at most while nobody has begun to read', async () => {
    const { wire, handle, peer, owner } = await ends();
    const { inner } = handle;
    const stop = inner.readStop;
    let stops = 0;
    inner.readStop = () => {
      stops++;
      return stop.call(inner);
    };
    peer.write('early');
    await until(() => stops === 1);
    peer.write(' and late');
    expect(owner.got).toEqual([]);
    wire.resume();
    await until(() => owner.bytes.toString() === 'early and late');
    expect(stops).toBe(1);
  });

  it('passes on half an end, and a whole one is told by close_notify', async () => {
    const { wire, peer, owner } = await ends();
    const got = collect(peer);
    wire.resume();
    wire.writeBytes(Buffer.from('last words'));
    wire.end();
    await new Promise<void>((resolve) => peer.once('end', () => resolve()));
    expect(got().toString()).toBe('last words');
    await until(() => owner.ended);
  });

  it('a close after a write loses nothing, and is no reset', async () => {
    for (const size of [1, 4_000, 60_000]) {
      const { wire, peer } = await ends();
      const got = collect(peer);
      let error: Error | null = null;
      peer.on('error', (failure) => {
        error = failure;
      });
      wire.resume();
      wire.writeBytes(Buffer.alloc(size, 1));
      wire.close();
      await new Promise<void>((resolve) => peer.once('close', () => resolve()));
      expect(got().length).toBe(size);
      expect(error).toBe(null);
    }
  });

  it('lives as long as its connection, though nobody else holds it', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const peers: TLSSocket[] = [];
    const held = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const { handle, peer } = await ends(false);
        peers.push(peer);
        return new WeakRef(handle);
      }),
    );
    // A weak reference is a strong one until the job that made it is over.
    await new Promise((resolve) => setTimeout(resolve, 10));
    collect();
    expect(held.filter((one) => one.deref() === undefined).length).toBe(0);
    for (const peer of peers) peer.write('still there');
    for (const one of held) await until(() => one.deref()!.readStop() === 0);
    for (const one of held) one.deref()!.reset();
  });

  it('a reset is one', async () => {
    const { wire, peer } = await ends();
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => peer.once('error', resolve));
    wire.reset();
    expect((await failed).code).toBe('ECONNRESET');
  });

  it('fails on a record that nobody encrypted', async () => {
    const port = await freePort();
    const reading = parseEndpoint(`127.0.0.1:${port}`, 1);
    if (!reading.ok) throw new Error('no endpoint');
    const accepted = new Promise<StreamHandle>((resolve) => {
      const result = listen(reading.endpoint, false, { accept: resolve, acceptFailed: () => undefined });
      if (result.ok) open.push(result.listener);
    });
    const under = connectTcp(port, '127.0.0.1');
    under.on('error', () => undefined);
    const peer = connect({ socket: under, ca: readFileSync(authority.ca), servername: 'a.test' });
    peer.on('error', () => undefined);
    const parent = await accepted;
    const handle = await new Promise<TlsHandle>((resolve, reject) => {
      new TlsHandle(parent, native, true, { secured: resolve, unsecured: (_handle, code) => reject(new Error(code)) }).begin(
        Buffer.alloc(0),
      );
    });
    const owner = new Recorder();
    const wire = new Wire(handle, owner);
    wire.resume();
    under.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 32]), Buffer.alloc(32, 1)]));
    await until(() => owner.error !== 0);
    wire.reset();
    expect((under.address() as AddressInfo).port).toBeGreaterThan(0);
    under.destroy();
  });
});
