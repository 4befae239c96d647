import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { Doorkeeper, FAILURES_MAX } from '../../proxy/admin/access.ts';

const SECRET = 'bh_right';
const token = (name: string, secret: string, role: 'viewer' | 'operator' | 'admin') => ({
  name,
  role,
  sha256: createHash('sha256').update(secret).digest('hex'),
});

function from(remoteAddress: string | undefined, authorization?: string): IncomingMessage {
  return { socket: { remoteAddress, remotePort: 4 }, headers: { authorization } } as unknown as IncomingMessage;
}

const TOKENS = [token('ana', SECRET, 'admin'), token('eve', 'bh_other', 'viewer')];

function keeper() {
  return new Doorkeeper(TOKENS, false);
}

describe('who asks', () => {
  it.each([
    ['a token', `Bearer ${SECRET}`, { name: 'ana', role: 'admin', from: '127.0.0.1:4' }],
    ['a scheme in small letters', `bearer ${SECRET}`, { name: 'ana' }],
    ['another token', 'Bearer bh_other', { name: 'eve', role: 'viewer' }],
  ])('is told by %s', (_, field, actor) => {
    expect(keeper().identify(from('127.0.0.1', field), 0)).toMatchObject({ ok: true, actor });
  });

  it.each([
    ['no token', undefined, 'token-missing'],
    ['another scheme', `Basic ${SECRET}`, 'token-missing'],
    ['a wrong token', 'Bearer bh_wrong', 'token-unknown'],
    ['a token cut short', `Bearer ${SECRET.slice(0, -1)}`, 'token-unknown'],
    ['the hash in the place of the token', `Bearer ${createHash('sha256').update(SECRET).digest('hex')}`, 'token-unknown'],
    ['a token beyond any length', `Bearer ${'x'.repeat(600)}`, 'token-missing'],
  ])('is nobody with %s', (_, field, code) => {
    expect(keeper().identify(from('127.0.0.1', field), 0)).toMatchObject({ ok: false, status: 401, code });
  });

  it('is the owner of the file over a unix socket, with or without tokens', () => {
    for (const door of [new Doorkeeper(TOKENS, true), new Doorkeeper([], true)])
      expect(door.identify(from(undefined), 0)).toEqual({ ok: true, actor: { name: 'local', role: 'admin', from: 'unix' } });
  });

  it('is nobody over the network where the client has gone, and with it its address', () => {
    expect(keeper().identify(from(undefined), 0)).toMatchObject({ ok: false, status: 401 });
    expect(new Doorkeeper([], false).identify(from(undefined), 0)).toMatchObject({ ok: false, status: 403 });
  });

  it('cannot write over the network where there is no token', () => {
    expect(new Doorkeeper([], false).identify(from('127.0.0.1', `Bearer ${SECRET}`), 0)).toMatchObject({ status: 403, code: 'no-token' });
  });

  it('has to wait after wrong tokens, even with the right one, and only there', () => {
    const door = keeper();
    const wrong = () => door.identify(from('127.0.0.1', 'Bearer bh_wrong'), 0);
    for (let i = 0; i < FAILURES_MAX; i++) expect(wrong()).toMatchObject({ status: 401 });
    expect(wrong()).toMatchObject({ status: 429, retryAfterSeconds: 6 });
    expect(door.identify(from('127.0.0.1', `Bearer ${SECRET}`), 0)).toMatchObject({ status: 429 });
    expect(door.identify(from('127.0.0.2', `Bearer ${SECRET}`), 0)).toMatchObject({ ok: true });
    expect([door.refused, door.limited]).toEqual([FAILURES_MAX, 2]);
    expect(door.identify(from('127.0.0.1', `Bearer ${SECRET}`), 6_000)).toMatchObject({ ok: true });
  });
});

describe('reading from another machine', () => {
  const basic = (secret: string) => `Basic ${Buffer.from(`anyone:${secret}`).toString('base64')}`;
  it.each<[string, string, string | undefined, string | null]>([
    ['/api/v1/flows', '127.0.0.1', undefined, null],
    ['/api/v1/flows', '::1', undefined, null],
    ['/api/v1/flows', '::ffff:127.0.0.9', undefined, null],
    ['/api/v1/flows', '192.0.2.1', undefined, 'token-missing'],
    ['/api/v1/events', '2001:db8::1', undefined, 'token-missing'],
    ['/api/v1/policy', '127.0.0.1.example', undefined, 'token-missing'],
    ['/api/v1/policy', '192.0.2.1', 'Bearer bh_wrong', 'token-unknown'],
    ['/api/v1/policy', '192.0.2.1', 'Bearer bh_other', null],
    // A browser asks for a name and a password, and sends them by itself from then on.
    ['/api/v1/status', '192.0.2.1', basic('bh_other'), null],
    ['/api/v1/status', '192.0.2.1', basic('bh_wrong'), 'token-unknown'],
    ['/api/v1/openapi.json', '192.0.2.1', undefined, null],
    ['/metrics', '192.0.2.1', undefined, null],
    ['/readyz', '192.0.2.1', undefined, null],
    ['/', '192.0.2.1', undefined, null],
  ])('%s from %s with %s: %s', (path, address, field, code) => {
    expect(keeper().refusesReading(from(address, field), path, 0)?.code ?? null).toBe(code);
  });

  it('takes a token of the file, so that there has to be one', () => {
    const refusal = new Doorkeeper([], false).refusesReading(from('192.0.2.1'), '/api/v1/flows', 0);
    expect(refusal).toMatchObject({ status: 403, code: 'no-token', message: expect.stringMatching(/bulkhead token/) });
  });

  it('is not what orders go by: what browsers send by themselves is no token there', () => {
    expect(keeper().identify(from('127.0.0.1', basic('bh_right')), 0)).toMatchObject({ ok: false, code: 'token-missing' });
  });
});
