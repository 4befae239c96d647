/** A database as it is published, of a million networks: what it says of addresses that everybody knows, and what reading it holds up. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type CountryResponse, Reader } from 'mmdb-lib';
import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress, prefixContains } from '../../config/address.ts';
import { compile } from '../../policy/compile.ts';
import { PLAIN_CONNECTION } from '../../policy/connection.ts';
import { ALLOW, decide, kindOf } from '../../policy/decide.ts';
import { atomOf } from '../../policy/lookup.ts';
import { type GeoAnswer, readGeo } from '../../proxy/sources/geo.ts';
import { documentOf } from '../policy/documents.ts';

const FOLDER = dirname(createRequire(import.meta.url).resolve('@ip-location-db/geo-whois-asn-country-mmdb/package.json'));
const WHOLE = join(FOLDER, 'geo-whois-asn-country.mmdb');
const EVERY_TWO_LETTERS = new Set(Array.from({ length: 26 * 26 }, (_, i) => String.fromCharCode(65 + Math.floor(i / 26), 65 + (i % 26))));

/** Whose address it is: name servers of registries and universities, which stay where they are. */
const KNOWN: readonly (readonly [string, string])[] = [
  ['8.8.8.8', 'US'],
  ['194.0.0.53', 'DE'], // a.nic.de
  ['2001:678:2::53', 'DE'],
  ['193.0.14.129', 'NL'], // k.root-servers.net, held by RIPE NCC
  ['202.12.27.33', 'JP'], // m.root-servers.net
  ['192.36.148.17', 'SE'], // i.root-servers.net
  ['129.132.98.12', 'CH'], // ETH Zürich
  ['2001:67c:10ec::1', 'CH'],
  ['131.111.8.42', 'GB'], // Cambridge
  ['200.160.0.10', 'BR'], // a.dns.br
  ['2001:12ff::10', 'BR'],
];

function countriesOf(answer: GeoAnswer, text: string): (string | number)[] {
  const address = parseAddress(text)!;
  return [...answer].filter(([, prefixes]) => prefixes.some((prefix) => prefixContains(prefix, address))).map(([country]) => country);
}

describe('the countries of the world', async () => {
  // By the thread's own time: how long others of the machine held it up is not its doing.
  const turnsMs: number[] = [];
  let last = process.threadCpuUsage();
  const timer = setInterval(() => {
    const { user, system } = process.threadCpuUsage(last);
    turnsMs.push((user + system) / 1_000);
    last = process.threadCpuUsage();
  }, 1);
  const answer = await readGeo(WHOLE, 'country', EVERY_TWO_LETTERS);
  clearInterval(timer);

  it.each(KNOWN)('%s is in %s', (address, country) => expect(countriesOf(answer, address)).toEqual([country]));

  it.each(['10.0.0.1', '127.0.0.1', '192.0.2.1', '224.0.0.1', '::1', 'fe80::1', 'fc00::1', '3fff::1'])('%s is in none', (address) =>
    expect(countriesOf(answer, address)).toEqual([]),
  );

  it('are what looking addresses up one by one gives', () => {
    const reader = new Reader<CountryResponse>(readFileSync(WHOLE));
    let state = 7;
    const word = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
    for (let i = 0; i < 24; i++) {
      const address =
        i % 2 === 0
          ? ({ family: 4, words: [0, 0, 0xffff, word()] } as const)
          : ({ family: 6, words: [(0x20010000 | (word() >>> 16)) >>> 0, word(), 0, 1] } as const);
      const text = formatAddress(address);
      const record = reader.get(text) as { country_code?: string } | null;
      expect(countriesOf(answer, text), text).toEqual(record?.country_code === undefined ? [] : [record.country_code]);
    }
  });

  it('were read in slices, between which everything else had its turn', () => {
    expect(turnsMs.length).toBeGreaterThan(5);
    expect(Math.max(...turnsMs)).toBeLessThan(50);
  });
});

it('makes segments by countries', async () => {
  const countries = await readGeo(WHOLE, 'country', new Set(['CH', 'JP']));
  const segments = { alps: { countries: ['CH'] } };
  const document = documentOf({
    segments,
    applications: { app: { vips: ['10.0.0.1:80'], rules: [{ name: 'alps', from: ['alps'], action: 'allow' }] } },
  });
  const image = compile(document, { knowledge: { countries: countries as ReadonlyMap<string, never>, asns: new Map(), names: new Map() } });
  const vip = image.vipIndex('10.0.0.1:80');
  for (const [text, country] of KNOWN) {
    const decision = decide(image, vip, atomOf(image, ...parseAddress(text)!.words), 1, null, PLAIN_CONNECTION);
    expect(kindOf(decision) === ALLOW, text).toBe(country === 'CH');
  }
});
