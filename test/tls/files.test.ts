/** What is wrong with the files of TLS, as `check` says it. */
import { X509Certificate } from 'node:crypto';
import { appendFileSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatProblem } from '../../config/problem.ts';
import { alternativeNames, IDENTITIES_MAX, identitiesOf } from '../../proxy/tls/identities.ts';
import { inspectTls } from '../../proxy/tls/tls-files.ts';
import { documentOf } from '../node/harness.ts';
import { Authority, type Issued } from './authority.ts';
import { yamlOf } from './edge.ts';

const DAY_MS = 24 * 3_600_000;

let authority: Authority;
let strangers: Authority;
let good: Issued;
let other: Issued;

beforeAll(() => {
  authority = new Authority();
  strangers = new Authority('Strangers');
  good = authority.issue({ names: ['DNS:shop.example.com'] });
  other = authority.issue();
  writeFileSync(authority.path('noise.pem'), 'noise');
});

afterAll(() => {
  authority.remove();
  strangers.remove();
});

const pair = (certificate: string, key: string, more = '') => `{ certificates: [{ certificate: ${certificate}, key: ${key}${more} }] }`;

const clients = (ca: string, crl: string) =>
  `{ certificates: [{ certificate: ${good.certificate}, key: ${good.key} }], clients: { ca: ${ca}, crl: ${crl} } }`;

describe('files', () => {
  const table: readonly { what: string; tls: () => string; after?: number; says: RegExp | null }[] = [
    { what: 'all is well', tls: () => pair(good.certificate, good.key), says: null },
    {
      what: 'the key of another',
      tls: () => pair(good.certificate, other.key),
      says: /error\[key-mismatch\].* is the key of another certificate .*shop\.example\.com.*certificates\/0\/key/,
    },
    {
      what: 'no such file',
      tls: () => pair(authority.path('none.pem'), good.key),
      says: /error\[file-unreadable\].*none\.pem cannot be read \(ENOENT\)/,
    },
    {
      what: 'no certificate',
      tls: () => pair(authority.path('noise.pem'), good.key),
      says: /error\[certificate-unusable\].*holds no certificate in PEM.* convert DER/,
    },
    {
      what: 'half a certificate',
      tls: () => {
        writeFileSync(authority.path('half.pem'), readFileSync(good.certificate, 'latin1').slice(0, 300));
        return pair(authority.path('half.pem'), good.key);
      },
      says: /error\[certificate-unusable\].*is cut off or damaged/,
    },
    { what: 'no key', tls: () => pair(good.certificate, authority.path('noise.pem')), says: /error\[key-unusable\]/ },
    {
      what: 'no OCSP response',
      tls: () => pair(good.certificate, good.key, `, ocsp: ${authority.path('noise.pem')}`),
      says: /error\[ocsp-unusable\]/,
    },
    {
      what: 'a chain in its order',
      tls: () => {
        const chained = authority.issue({ names: ['DNS:shop.example.com'] });
        appendFileSync(chained.certificate, readFileSync(authority.ca));
        return pair(chained.certificate, chained.key);
      },
      says: null,
    },
    {
      what: 'a chain in another order',
      tls: () => {
        const chained = authority.issue({ names: ['DNS:shop.example.com'] });
        appendFileSync(chained.certificate, Buffer.concat([readFileSync(good.certificate), readFileSync(authority.ca)]));
        return pair(chained.certificate, chained.key);
      },
      says: /warning\[certificate-order\].*shop\.example\.com behind shop\.example\.com, which it has not issued/,
    },
    {
      what: 'one whose end is no time',
      tls: () => {
        const der = Buffer.from(new X509Certificate(readFileSync(good.certificate)).raw);
        der.write('991399999999Z', der.lastIndexOf(Buffer.from([0x17, 0x0d])) + 2, 'latin1');
        const base64 = der.toString('base64').replace(/.{64}/g, '$&\n');
        writeFileSync(authority.path('timeless.pem'), `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`);
        return pair(authority.path('timeless.pem'), good.key);
      },
      says: /error\[certificate-unusable\].*does not say from when to when it is good/,
    },
    {
      what: 'one that has ended',
      tls: () => {
        const late = authority.issue({ days: -1 });
        return pair(late.certificate, late.key);
      },
      says: /warning\[certificate-expired\]/,
    },
    {
      what: 'one that ends soon',
      tls: () => {
        const late = authority.issue({ days: 5 });
        return pair(late.certificate, late.key);
      },
      says: /warning\[certificate-expires\].*read without a restart/,
    },
    {
      what: 'no authorities',
      tls: () =>
        `{ certificates: [{ certificate: ${good.certificate}, key: ${good.key} }], clients: { ca: ${authority.path('noise.pem')} } }`,
      says: /error\[authorities-unusable\].*clients\/ca/,
    },
    {
      what: 'no revocations',
      tls: () =>
        `{ certificates: [{ certificate: ${good.certificate}, key: ${good.key} }], clients: { ca: ${authority.ca}, crl: ${authority.ca} } }`,
      says: /error\[crl-unusable\]/,
    },
    {
      what: 'revocations that have ended',
      tls: () => clients(authority.ca, authority.revoke()),
      after: 31 * DAY_MS,
      says: /warning\[crl-expired\].* The list of Test Authority in .* ended at .*T.*Z, and every client of it is refused\. Renew it/,
    },
    {
      what: 'revocations that end soon',
      tls: () => clients(authority.ca, authority.revoke()),
      after: 24 * DAY_MS,
      says: /warning\[crl-expires\].* ends at /,
    },
    { what: 'revocations as they should be', tls: () => clients(authority.ca, authority.revoke()), after: 5 * DAY_MS, says: null },
    {
      what: 'revocations of one authority, where there are two',
      tls: () => {
        const both = authority.path('both.pem');
        writeFileSync(both, Buffer.concat([authority, strangers].map(({ ca }) => readFileSync(ca))));
        return clients(both, authority.revoke());
      },
      says: /warning\[crl-missing\].* has no list of Strangers, so every client of it is refused/,
    },
  ];
  for (const { what, tls, after = 0, says } of table)
    it(what, () => {
      const document = documentOf(yamlOf(8443, { tls: tls(), server: 9001 }));
      const problems = inspectTls(document, Date.now() + after).map(formatProblem);
      if (says === null) expect(problems).toEqual([]);
      else {
        expect(problems.join('\n')).toMatch(says);
        expect(problems[0]).toMatch(/^test\.yaml:[0-9]+:[0-9]+: /);
      }
    });

  it('that are both missing are told each at its own value', () => {
    const [missing, gone] = [authority.path('none.pem'), authority.path('none.key')];
    const text = yamlOf(8443, { tls: pair(missing, gone), server: 9001 });
    const expected = [missing, gone].map((file) => {
      const before = text.slice(0, text.indexOf(file)).split('\n');
      return { code: 'file-unreadable', place: { file: 'test.yaml', line: before.length, column: before.at(-1)!.length + 1 } };
    });
    expect(inspectTls(documentOf(text))).toMatchObject(expected);
  });

  it('of pools are looked at as well', () => {
    const pool = `tls: { verify: ${authority.path('noise.pem')}, certificate: ${good.certificate}, key: ${other.key} }`;
    const problems = inspectTls(documentOf(yamlOf(8443, { server: 9001, pool }))).map(({ code }) => code);
    expect(problems).toEqual(['authorities-unusable', 'key-mismatch']);
  });

  it('a document that is refused says so at once', () => {
    copyFileSync(good.key, authority.path('copy.key'));
    expect(inspectTls(documentOf(yamlOf(8443, { tls: pair(good.certificate, authority.path('copy.key')), server: 9001 })))).toEqual([]);
  });
});

describe('words of the file', () => {
  const refused: readonly { tls: string; mode?: 'http' | 'tcp'; says: RegExp }[] = [
    { tls: 'passthrough', says: /mode-mismatch.*cannot be read as requests/ },
    { tls: '{ certificates: [] }', says: /out-of-range/ },
    { tls: '{ certificates: [{ certificate: a.pem }] }', says: /missing-key.*key/ },
    { tls: '{ certificates: [{ certificate: a.pem, key: b }], minimum: "1.1" }', says: /wrong-value.*1\.2, 1\.3/ },
    { tls: '{ certificates: [{ certificate: a.pem, key: b }], ciphers: [RC4] }', says: /wrong-value.*cipher suite/ },
    { tls: '{ certificates: [{ certificate: a.pem, key: b }], ciphers: [ECDHE-RSA-AES128-GCM-SHA256] }', says: /tls-without-cipher/ },
    { tls: '{ certificates: [{ certificate: a.pem, key: b }], tickets: { rotate: 1s } }', says: /out-of-range/ },
    { tls: '{ certificates: [{ certificate: a.pem, key: b }], clients: { verify: maybe, ca: c } }', says: /wrong-value/ },
    { tls: '{ certificate: a.pem }', says: /unknown-key/ },
  ];
  for (const { tls, says } of refused) it(tls, () => expect(() => documentOf(yamlOf(8443, { tls, server: 9001 }))).toThrow(says));
});

describe('words of a pool', () => {
  const refused: readonly { pool: string; says: RegExp }[] = [
    { pool: 'tls: { certificate: a.pem }', says: /missing-key.*go together/ },
    { pool: 'tls: { sni: "not a name" }', says: /wrong-value|bad-/ },
  ];
  for (const { pool, says } of refused) it(pool, () => expect(() => documentOf(yamlOf(8443, { pool, server: 9001 }))).toThrow(says));

  it('a unix socket has no address that a certificate could have', () => {
    const yaml = yamlOf(8443, { pool: 'tls: { verify: ca.pem }', server: 9001 }).replace('"127.0.0.1:9001"', '"unix:/tmp/x"');
    expect(() => documentOf(yaml)).toThrow(/missing-key.*Write sni:/);
  });
});

describe('alternative names as Node writes them', () => {
  const table: readonly [string, readonly (readonly [string, string])[]][] = [
    ['', []],
    [
      'DNS:a, URI:spiffe://x/y',
      [
        ['DNS', 'a'],
        ['URI', 'spiffe://x/y'],
      ],
    ],
    [
      'DNS:"a, DNS:admin", email:x@y',
      [
        ['DNS', 'a, DNS:admin'],
        ['email', 'x@y'],
      ],
    ],
    [
      'URI:"http://a/\\"b\\"", DNS:c',
      [
        ['URI', 'http://a/"b"'],
        ['DNS', 'c'],
      ],
    ],
    ['IP Address:0:0:0:0:0:0:0:1', [['IP Address', '0:0:0:0:0:0:0:1']]],
    [
      'DirName:CN=dir, othername:<unsupported>',
      [
        ['DirName', 'CN=dir'],
        ['othername', '<unsupported>'],
      ],
    ],
  ];
  for (const [text, names] of table) it(text, () => expect(alternativeNames(text)).toEqual(names));
});

describe('identities of a certificate', () => {
  const identities = (...names: readonly string[]) =>
    identitiesOf(new X509Certificate(readFileSync(authority.issue({ names, subject: '/CN=ana' }).certificate)));

  it('are said to be URIs where that is what they are, whatever stands in them', () => {
    expect(identities('URI:cn:root?spiffe://x/y', 'URI:spiffe://x/y')).toEqual([
      'uri:cn:root?spiffe://x/y',
      'spiffe://x/y',
      'cn:ana',
      'subject:CN=ana',
      'issuer:CN=Test Authority',
    ]);
  });

  it('are no more than a rule would have to be asked about', () => {
    const names = Array.from({ length: IDENTITIES_MAX + 2 }, (_, i) => `DNS:n${i}.test`);
    expect(identities(...names)).toEqual(names.slice(0, IDENTITIES_MAX).map((name) => name.replace('DNS', 'dns')));
  });
});
