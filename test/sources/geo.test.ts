import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CountryResponse, Reader } from 'mmdb-lib';
import { afterAll, describe, expect, it } from 'vitest';
import { formatAddress, formatPrefix, prefixContains } from '../../config/address.ts';
import { readGeo } from '../../proxy/sources/geo.ts';
import { GeoFiles } from '../../proxy/sources/geo-files.ts';
import { until } from '../node/harness.ts';
import { withUnreadable } from '../node/unreadable.ts';
import { bitsOf, type Network, writeMmdb } from './mmdb-writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulkhead-geo-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, bytes: Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const country = (prefix: string, code: string): Network => ({ bits: bitsOf(prefix), record: { country: { iso_code: code } } });
const IPV4 = [country('10.0.0.0/8', 'DE'), country('10.1.0.0/16', 'FR'), country('10.1.2.0/24', 'DE'), country('192.0.2.128/25', 'DE')];
const mixed = [
  ...IPV4.map(({ bits, record }) => ({ bits: '0'.repeat(96) + bits, record })),
  country('2001:db8:0:0:0:0:0:0/32', 'DE'),
  country('2001:db8:1:0:0:0:0:0/48', 'FR'),
];

describe.each([24, 28, 32] as const)('with records of %i bits', (size) => {
  it.each([
    ['a tree of IPv4', IPV4, 4],
    ['a tree of both families', mixed, 6],
  ] as const)('%s gives the prefixes that looking addresses up one by one gives', async (name, networks, version) => {
    const bytes = writeMmdb(networks, version, size);
    const answer = await readGeo(file(`${name}-${size}.mmdb`, bytes), 'country', new Set(['DE', 'FR', 'ZZ']));
    const reader = new Reader<CountryResponse>(bytes);
    for (let i = 0; i < 4_096; i++) {
      const value = i % 2 === 0 ? (0x0a000000 + i * 0x1037) >>> 0 : (0xc0000200 + (i & 255)) >>> 0;
      const address =
        version === 6 && i % 3 === 0
          ? ({ family: 6, words: [0x20010db8, ((i * 0x35) << 12) >>> 0, 0, i] } as const)
          : ({ family: 4, words: [0, 0, 0xffff, value] } as const);
      const record = reader.get(formatAddress(address));
      for (const code of ['DE', 'FR']) {
        const inside = answer.get(code)!.some((prefix) => prefixContains(prefix, address));
        expect(inside, `${formatAddress(address)} in ${code}`).toBe(record?.country?.iso_code === code);
      }
    }
    expect(answer.get('ZZ')).toEqual([]);
    expect(answer.get('DE')!.some((prefix) => formatPrefix(prefix) === '192.0.2.128/25')).toBe(true);
    expect(answer.get('DE')!.some(({ family }) => family === 6)).toBe(version === 6);
  });
});

it('meets IPv4 addresses once, where a tree leads to them by several ways', async () => {
  // ::ffff:0:0/96 and 2002::/16 (6to4), as in the databases of MaxMind.
  const aliases = [`${'0'.repeat(80)}${'1'.repeat(16)}`, bitsOf('2002:0:0:0:0:0:0:0/16')];
  const answer = await readGeo(file('alias.mmdb', writeMmdb(mixed, 6, 24, aliases)), 'country', new Set(['FR', 'DE']));
  expect(answer.get('FR')!.map(formatPrefix).sort()).toContain('2001:db8:1::/48');
  const ipv6 = [...answer.values()].flat().filter(({ family }) => family === 6);
  expect(ipv6.every((prefix) => formatPrefix(prefix).startsWith('2001:db8'))).toBe(true);
  const ipv4 = answer
    .get('DE')!
    .filter(({ family }) => family === 4)
    .map(formatPrefix);
  expect(new Set(ipv4).size).toBe(ipv4.length);
});

it.each([
  ['MaxMind', { autonomous_system_number: 3320 }],
  ['others', { asn: 'AS3320' }],
  ['others, as a number', { asn: 3320 }],
])('knows systems as %s write them', async (name, record) => {
  const path = file(`asn-${name}.mmdb`, writeMmdb([{ bits: bitsOf('10.0.0.0/8'), record }], 4, 24));
  expect((await readGeo(path, 'asn', new Set([3320]))).get(3320)!.map(formatPrefix)).toEqual(['10.0.0.0/8']);
});

it('refuses what is no database, or is broken', async () => {
  await expect(readGeo(join(folder, 'none.mmdb'), 'country', new Set(['DE']))).rejects.toThrow(/ENOENT/);
  await expect(readGeo(file('text.mmdb', Buffer.from('version: 1')), 'country', new Set(['DE']))).rejects.toThrow();
  // A node that leads to itself.
  const circle = writeMmdb([country('10.0.0.0/8', 'DE')], 4, 24);
  circle.writeUIntBE(0, 0, 3);
  circle.writeUIntBE(0, 3, 3);
  await expect(readGeo(file('circle.mmdb', circle), 'country', new Set(['DE']))).rejects.toThrow(/no tree/);
});

describe('files that change', () => {
  const german = writeMmdb([country('10.0.0.0/8', 'DE')], 4, 24);
  const moved = writeMmdb([country('11.0.0.0/8', 'DE'), country('12.0.0.0/8', 'FR')], 4, 24);

  it('are read again, and a bad one leaves what was known', async () => {
    const path = file('live.mmdb', german);
    let changes = 0;
    const troubles: string[] = [];
    const files = new GeoFiles(
      { country: path, asn: null },
      { changed: () => changes++, trouble: (_, message) => troubles.push(message) },
      10,
    );
    const prefixes = () => [...(files.prefixes('country').get('DE') ?? [])].map(formatPrefix);
    expect(await files.want('country', new Set(['DE']))).toEqual([]);
    expect(prefixes()).toEqual(['10.0.0.0/8']);
    writeFileSync(path, moved);
    await until(() => changes === 1);
    expect(prefixes()).toEqual(['11.0.0.0/8']);
    truncateSync(path, 20);
    await until(() => troubles.length === 1);
    expect(prefixes()).toEqual(['11.0.0.0/8']);
    rmSync(path);
    await until(() => troubles.length === 2);
    expect(prefixes()).toEqual(['11.0.0.0/8']);
    writeFileSync(path, german);
    await until(() => changes === 2);
    expect(prefixes()).toEqual(['10.0.0.0/8']);
    files.stop();
  });

  it('are told of, though a document that is only tried out had them read first', async () => {
    const path = file('tried.mmdb', german);
    let changes = 0;
    const files = new GeoFiles({ country: path, asn: null }, { changed: () => changes++, trouble: () => undefined }, null);
    await files.want('country', new Set(['DE']));
    files.settle('country', new Set(['DE']));
    await files.want('country', new Set(['DE', 'FR']));
    expect(changes).toBe(0);
    writeFileSync(path, moved);
    await files.want('country', new Set(['DE', 'ZZ']));
    expect([changes, files.prefixes('country').get('DE')!.map(formatPrefix)]).toEqual([1, ['11.0.0.0/8']]);
  });

  it('to bad ones are told of, though a document that is only tried out met them first', async () => {
    const path = file('met.mmdb', german);
    const troubles: string[] = [];
    const events = { changed: () => undefined, trouble: (_: string, message: string) => void troubles.push(message) };
    const files = new GeoFiles({ country: path, asn: null }, events, 10);
    await files.want('country', new Set(['DE']));
    truncateSync(path, 20);
    expect(await files.want('country', new Set(['FR']))).toHaveLength(1);
    await until(() => troubles.length === 1);
    files.stop();
  });

  it('and cannot be read at first are read as soon as they can be, though they look the same; the trouble is told once', async () => {
    const path = file('shut.mmdb', german);
    let changes = 0;
    const troubles: string[] = [];
    const events = { changed: () => changes++, trouble: (_: string, message: string) => void troubles.push(message) };
    const files = new GeoFiles({ country: path, asn: null }, events, 10);
    await files.want('country', new Set(['DE']));
    writeFileSync(path, moved);
    await withUnreadable(path, async () => {
      await until(() => troubles.length > 0);
      const from = performance.now();
      await until(() => performance.now() - from > 100);
    });
    await until(() => changes === 1);
    expect(troubles).toEqual([expect.stringContaining('EACCES')]);
    files.stop();
  });

  it('know no more than they were asked, and learn what a new document asks', async () => {
    const path = file('more.mmdb', moved);
    const files = new GeoFiles({ country: path, asn: null }, { changed: () => undefined, trouble: () => undefined }, null);
    await files.want('country', new Set(['DE']));
    expect([...files.prefixes('country').keys()]).toEqual(['DE']);
    await files.want('country', new Set(['FR']));
    expect([...files.prefixes('country').keys()]).toEqual(['DE', 'FR']);
  });

  it('say what stands in the way', async () => {
    const files = new GeoFiles({ country: join(folder, 'none'), asn: null }, { changed: () => undefined, trouble: () => undefined }, null);
    expect(await files.want('country', new Set())).toEqual([]);
    expect((await files.want('country', new Set(['DE'])))[0]).toMatch(/^process.geo.country: .*none cannot be used: ENOENT/);
    expect(files.prefixes('country').has('DE')).toBe(false);
  });
});
