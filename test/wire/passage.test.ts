import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type SocketHandle, stream, tcp } from '../../proxy/wire/native.ts';
import { listenForPassages, openPassage, type Passage } from '../../proxy/wire/passage.ts';

/** Both ends of a passage, and where it is. */
async function pair(): Promise<{ near: Passage; far: Passage; path: string; next: () => Promise<Passage> }> {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-passage-'));
  const path = join(folder, 'p.sock');
  const arrivals: Passage[] = [];
  let wake: (() => void) | null = null;
  const listener = listenForPassages(path, (passage) => {
    arrivals.push(passage);
    wake?.();
  });
  if (typeof listener === 'number') throw new Error(`errno ${listener}`);
  const next = async () => {
    while (arrivals.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return arrivals.shift()!;
  };
  const near = (await openPassage(path))!;
  const far = await next();
  onTestFinished(() => {
    near.close();
    far.close();
    listener.close();
    rmSync(folder, { recursive: true });
  });
  return { near, far, path, next };
}

function listening(): { socket: SocketHandle; port: number } {
  const socket: SocketHandle = new tcp.TCP(tcp.constants.SERVER);
  expect(socket.bind('127.0.0.1', 0, 0)).toBe(0);
  expect(socket.listen(8)).toBe(0);
  const name = { address: '', family: '', port: 0 };
  socket.getsockname!(name);
  return { socket, port: name.port };
}

/** A connection that waits in the queue of a socket from which nobody accepts yet. */
async function waitIn(port: number): Promise<{ over: Promise<string> }> {
  const client = connect(port, '127.0.0.1');
  const over = new Promise<string>((resolve) => {
    client.once('data', (bytes: Buffer) => resolve(bytes.toString()));
    client.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    client.once('close', () => resolve('closed'));
  });
  await new Promise((resolve) => client.once('connect', resolve));
  onTestFinished(() => void client.destroy());
  return { over };
}

describe('a passage', () => {
  it('carries lines both ways, and the socket that belongs to a line with that line', async () => {
    const { near, far } = await pair();
    const given = listening();
    void far.send({ n: 1 });
    void far.send({ n: 2 }, given.socket);
    void far.send({ n: 3 });
    for (const [n, hasSocket] of [
      [1, false],
      [2, true],
      [3, false],
    ]) {
      const parcel = await near.next();
      expect([parcel?.message.n, parcel?.socket !== null]).toEqual([n, hasSocket]);
      parcel?.socket?.close();
    }
    expect(await near.send({ back: true })).toBe(true);
    expect((await far.next())?.message).toMatchObject({ back: true });
    given.socket.close();
  });

  it('keeps a socket alive with what waits in its queue, after its first owner has closed it', async () => {
    const { near, far } = await pair();
    const { socket, port } = listening();
    await far.send({}, socket);
    const parcel = await near.next();
    socket.close();
    const { over } = await waitIn(port);
    parcel!.socket!.onconnection = (_, client) => {
      client!.writeBuffer(new stream.WriteWrap(), Buffer.from('served'));
    };
    expect(parcel!.socket!.listen(8)).toBe(0);
    expect(await over).toBe('served');
    parcel!.socket!.close();
  });

  it('ends when the other side goes, and says so to whoever waits or sends', async () => {
    const { near, far } = await pair();
    const waiting = near.next();
    far.close();
    expect(await waiting).toBeNull();
    expect(await near.next()).toBeNull();
    expect(await near.send({})).toBe(false);
    expect(await openPassage('/nowhere/at/all.sock')).toBeNull();
  });

  it.each([
    ['no JSON', 'hello\n'],
    ['no object', '[1]\n'],
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x0a])],
    ['a line without an end', 'x'.repeat(70_000)],
    ['more lines than anybody asked for', '{}\n'.repeat(5_000)],
  ])('is closed to %s', async (_, bytes) => {
    const { path, next } = await pair();
    const client = connect(path);
    client.on('error', () => undefined);
    client.write(bytes);
    const passage = await next();
    await new Promise((resolve) => client.once('close', resolve));
    expect(await passage.send({})).toBe(false);
  });

  it('gives null for a socket that was announced and did not come', async () => {
    const { path, next } = await pair();
    const client = connect(path);
    onTestFinished(() => void client.destroy());
    client.write('{"withSocket":true}\n');
    expect(await (await next()).next()).toEqual({ message: { withSocket: true }, socket: null });
  });
});
