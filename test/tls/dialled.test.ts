/** Sessions with servers: resumed with whoever was believed, and with nobody else. */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ClientMaterial } from '../../proxy/tls/material.ts';
import { dial } from '../../proxy/wire/dial.ts';
import type { Wire, WireOwner } from '../../proxy/wire/wire.ts';
import { Authority, type Issued } from './authority.ts';

const NOBODY: WireOwner = { wireData() {}, wireEnd() {}, wireError() {}, wireDrained() {} };
const DAY_MS = 24 * 3_600_000;

let authority: Authority;
let strangers: Authority;
let own: Issued;
let theirs: Issued;
let server: Server;
/** Of each handshake that the server saw the end of. */
const resumed: boolean[] = [];
const wires: Wire[] = [];

beforeAll(() => {
  authority = new Authority();
  strangers = new Authority('Strangers');
  own = authority.issue({ names: ['IP:127.0.0.1'] });
  theirs = strangers.issue({ names: ['IP:127.0.0.1'] });
});

afterEach(() => {
  for (const wire of wires.splice(0)) wire.close();
  server.close();
  resumed.length = 0;
});

afterAll(() => {
  authority.remove();
  strangers.remove();
});

const shown = ({ certificate, key }: Issued) => ({ cert: readFileSync(certificate), key: readFileSync(key) });

async function serve(issued: Issued): Promise<number> {
  // Under TLS 1.2 a session comes with the handshake.
  server = createServer({ ...shown(issued), maxVersion: 'TLSv1.2' }, (socket) => {
    resumed.push(socket.isSessionReused());
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const wanted = (id: string, more: Partial<ClientMaterial> = {}): ClientMaterial => ({
  ...{ id, ca: readFileSync(authority.ca, 'latin1'), verifies: true, sni: null, certificate: null, key: null, alpn: [] },
  ...more,
});

/** What comes of a connection to the server. */
function reached(port: number, tls: ClientMaterial): Promise<string> {
  return new Promise((resolve) => {
    dial({ kind: 'tcp4', host: '127.0.0.1', port, tls }, NOBODY, (wire, result) => {
      if (wire !== null) wires.push(wire);
      resolve(result);
    });
  });
}

describe('a session with a server', () => {
  it('is resumed while its certificate holds, and not after', async () => {
    const port = await serve(own);
    for (let i = 0; i < 2; i++) expect(await reached(port, wanted('ends'))).toBe('connected');
    const later = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 31 * DAY_MS);
    expect(await reached(port, wanted('ends'))).toBe('connected');
    later.mockRestore();
    await vi.waitUntil(() => resumed.length === 3);
    expect(resumed).toEqual([false, true, false]);
  });

  it('that was not believed is none, however often it is tried', async () => {
    const port = await serve(theirs);
    for (let i = 0; i < 3; i++) expect(await reached(port, wanted('unbelieved'))).toBe('tls');
    expect(resumed).not.toContain(true);
  });

  it('whom nobody was to verify is none where that is asked for', async () => {
    const port = await serve(theirs);
    for (let i = 0; i < 2; i++) expect(await reached(port, wanted('anybody', { verifies: false }))).toBe('connected');
    expect(await reached(port, wanted('somebody'))).toBe('tls');
    await vi.waitUntil(() => resumed.length === 3);
    expect(resumed).toEqual([false, true, false]);
  });

  it('is forgotten once another one is found in its place', async () => {
    const port = await serve(own);
    expect(await reached(port, wanted('replaced'))).toBe('connected');
    const keys = server.getTicketKeys();
    server.setSecureContext({ ...shown(theirs), maxVersion: 'TLSv1.2' });
    expect(await reached(port, wanted('replaced'))).toBe('tls');
    server.setSecureContext({ ...shown(own), maxVersion: 'TLSv1.2' });
    server.setTicketKeys(keys);
    expect(await reached(port, wanted('replaced'))).toBe('connected');
    await vi.waitUntil(() => resumed.length === 3);
    expect(resumed).toEqual([false, false, false]);
  });
});
