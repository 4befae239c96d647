import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatAddress } from '../../config/address.ts';
import { ADDRESSES_PER_NAME_MAX, Names, type NameTimes } from '../../proxy/sources/names.ts';
import { until } from '../node/harness.ts';
import { type NameServer, startNameServer } from './dns-server.ts';

const NAME = 'partner.example';
const TIMES: NameTimes = { leastMs: 10, mostMs: 60_000, retryMs: 10, timeoutMs: 100, waitMs: 1_000 };

let server: NameServer;
let names: Names;
let changes = 0;
let troubles: (string | null)[] = [];

function start(times: Partial<NameTimes> = {}): Names {
  changes = 0;
  troubles = [];
  names = new Names([server.text], { changed: () => changes++, trouble: (_, message) => troubles.push(message) }, { ...TIMES, ...times });
  return names;
}

const known = () => names.known().get(NAME)?.map(formatAddress) ?? null;

beforeEach(async () => {
  server = await startNameServer();
});
afterEach(async () => {
  names.stop();
  await server.close();
});

describe('names', () => {
  it('are looked up in both families before anyone goes on', async () => {
    server.zone.set(NAME, { addresses: ['192.0.2.7', '2001:db8::7', '192.0.2.1'], ttl: 300 });
    await start().want(new Set([NAME]));
    expect(known()).toEqual(['192.0.2.1', '192.0.2.7', '2001:db8::7']);
    expect(changes).toBe(0);
  });

  it('are looked up again when their answer runs out, and a change is told', async () => {
    server.zone.set(NAME, { addresses: ['192.0.2.1'], ttl: 0 });
    await start().want(new Set([NAME]));
    const before = server.asked();
    await until(() => server.asked() > before + 4);
    expect(changes).toBe(0);
    server.zone.set(NAME, { addresses: ['192.0.2.2'], ttl: 300 });
    await until(() => changes === 1);
    expect(known()).toEqual(['192.0.2.2']);
    const after = server.asked();
    await new Promise((resolve) => setTimeout(resolve, 60));
    // Five minutes have not passed.
    expect(server.asked()).toBe(after);
  });

  it('keep their last good answer while lookups fail, and say so once', async () => {
    server.zone.set(NAME, { addresses: ['192.0.2.1'], ttl: 0 });
    await start().want(new Set([NAME]));
    server.zone.set(NAME, 'fail');
    await until(() => troubles.length === 1);
    const before = server.asked();
    await until(() => server.asked() > before + 4);
    expect(known()).toEqual(['192.0.2.1']);
    expect(troubles).toHaveLength(1);
    server.zone.set(NAME, { addresses: ['192.0.2.1'], ttl: 300 });
    await until(() => troubles.length === 2);
    expect(troubles[1]).toBeNull();
    expect(changes).toBe(0);
  });

  it('are unknown, not empty, where no answer was ever had', async () => {
    server.zone.set(NAME, 'fail');
    await start().want(new Set([NAME]));
    expect(names.known().has(NAME)).toBe(false);
    server.zone.set(NAME, { addresses: ['192.0.2.1'], ttl: 300 });
    await until(() => changes === 1);
    expect(known()).toEqual(['192.0.2.1']);
  });

  it('have no address, which is an answer, where there is no such name', async () => {
    await start().want(new Set([NAME]));
    expect(known()).toEqual([]);
  });

  it('tell why they have no address, and when that changes', async () => {
    server.zone.set(NAME, { addresses: ['192.0.2.1'], ttl: 0 });
    await start().want(new Set([NAME]));
    expect(names.faultOf(NAME)).toBeNull();
    server.zone.set(NAME, 'fail');
    await until(() => names.faultOf(NAME) === 'ESERVFAIL');
    server.zone.delete(NAME);
    await until(() => names.faultOf(NAME) === 'ENOTFOUND');
    expect(known()).toEqual([]);
    expect(troubles).toEqual(['ESERVFAIL', 'ENOTFOUND']);
    expect(names.faultOf('nobody.example')).toBeNull();
  });

  it('that have no record of either kind say so', async () => {
    server.zone.set(NAME, { addresses: [], ttl: 300 });
    await start().want(new Set([NAME]));
    expect([names.faultOf(NAME), troubles]).toEqual(['ENODATA', ['ENODATA']]);
  });

  it('do not hold anyone up who has waited long enough; what comes later is a change', async () => {
    server.zone.set(NAME, 'silent');
    const since = performance.now();
    await start({ waitMs: 50, timeoutMs: 1_000 }).want(new Set([NAME]));
    expect(performance.now() - since).toBeLessThan(900);
    server.zone.set(NAME, { addresses: ['192.0.2.1'], ttl: 300 });
    await until(() => changes === 1);
    expect(known()).toEqual(['192.0.2.1']);
  });

  it('are forgotten when nobody wants them any more', async () => {
    server.zone.set(NAME, { addresses: ['192.0.2.1'], ttl: 0 });
    await start().want(new Set([NAME]));
    names.settle(new Set());
    expect(names.known().size).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 30));
    const asked = server.asked();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(server.asked()).toBe(asked);
  });

  it('keep a bounded number of addresses', async () => {
    const addresses = Array.from({ length: 24 }, (_, i) => `192.0.2.${i + 1}`);
    server.zone.set(NAME, { addresses, ttl: 300 });
    await start().want(new Set([NAME]));
    expect(known()).toHaveLength(24);
    expect(ADDRESSES_PER_NAME_MAX).toBeGreaterThan(24);
  });
});
