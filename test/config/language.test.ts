/** The keys of rules, segments and tests that say when, which fields, and who is where: what they come to. */
import { describe, expect, it } from 'vitest';
import type { Document } from '../../config/document.ts';
import { parseDocument } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
import { protocolBit } from '../../config/protocols.ts';
import { parseQuestion } from '../../config/question.ts';
import { ruleLimits } from '../../config/schema-limits.ts';
import { parseTimestamp } from '../../config/schema-when.ts';

function load(text: string): Document {
  const loaded = parseDocument([{ file: 'test.yaml', text }], {});
  if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
  return loaded.document;
}

const rule = (words: string, mode = 'http') =>
  load(`version: 1
pools: { p: { servers: [127.0.0.1:9001] } }
applications: { a: { vips: [127.0.0.1:80], mode: ${mode}, pool: p, rules: [{ name: r, action: deny${words} }] } }
`).applications[0]!.rules[0]!;

describe('rules', () => {
  it('say nothing of all this where nothing is written', () => {
    const nothing = {
      until: null,
      schedule: null,
      shadow: false,
      log: false,
      denyWith: null,
      limits: null,
      http: null,
      tls: null,
      identities: null,
      database: null,
      onRevoke: null,
    };
    expect(rule('')).toMatchObject(nothing);
  });

  it.each([
    ['until: 2026-12-31T00:00:00Z', { until: Date.UTC(2026, 11, 31) }],
    ['until: 2026-12-31T01:30:00+01:30', { until: Date.UTC(2026, 11, 31) }],
    ['shadow: true, log: true, deny-with: tarpit', { shadow: true, log: true, denyWith: 'tarpit' }],
    [
      'schedule: { days: [tue, mon], hours: 08:00-18:00, time-zone: Europe/Berlin }',
      { schedule: { days: ['mon', 'tue'], hours: [[480, 1080]], timeZone: 'Europe/Berlin' } },
    ],
    [
      'schedule: { hours: [22:00-06:00, 12:30-24:00] }',
      {
        schedule: {
          days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'],
          hours: [
            [1320, 360],
            [750, 1440],
          ],
          timeZone: 'UTC',
        },
      },
    ],
    ['schedule: { days: [sun] }', { schedule: { days: ['sun'], hours: [[0, 1440]], timeZone: 'UTC' } }],
    [
      'http: { headers: { X-Team: blue, user_agent: [ "curl/*", "*" ] } }',
      {
        http: {
          methods: null,
          headers: [
            { name: 'x-team', values: ['blue'] },
            { name: 'user-agent', values: ['curl/*', '*'] },
          ],
        },
      },
    ],
    [
      'tls: { sni: ["*.Shop.example.", a.example], alpn: [h2], ja4: ["t13d*", "*"] }',
      { tls: { sni: ['*.shop.example', 'a.example'], alpn: ['h2'], ja4: ['t13d*', '*'] } },
    ],
    ['tls: { alpn: [http/1.1] }', { tls: { sni: null, alpn: ['http/1.1'], ja4: null } }],
    [
      'identities: ["spiffe://x.example/*", "subject:CN=ana,O=Shop", "dns:Web.Example", "*"]',
      { identities: ['spiffe://x.example/*', 'subject:CN=ana,O=Shop', 'dns:web.example', '*'] },
    ],
    ['on-revoke: cut', { onRevoke: { kind: 'cut' } }],
    ['on-revoke: finish', { onRevoke: { kind: 'finish' } }],
    ['on-revoke: drain', { onRevoke: { kind: 'drain', withinMs: 30_000 } }],
    ['on-revoke: { drain: 5m }', { onRevoke: { kind: 'drain', withinMs: 300_000 } }],
  ])('%s', (words, expected) => {
    expect(rule(`, ${words}`)).toMatchObject(expected);
  });

  it.each([
    ['postgres: { users: [ana, "app_*"] }', 'postgres', { kind: 'postgres', users: ['ana', 'app_*'], databases: null }],
    ['postgres: { databases: [Orders] }, protocols: [postgres]', 'postgres', { kind: 'postgres', users: null, databases: ['Orders'] }],
    ['mysql: { schemas: [Orders, "SHOP_*"] }', 'mysql', { kind: 'mysql', users: null, schemas: ['orders', 'shop_*'] }],
    [
      'redis: { users: [default], commands: [GET, "config SET", "z*"], keys: ["Session:*"] }',
      'redis',
      { kind: 'redis', users: ['default'], commands: ['get', 'config|set', 'z*'], keys: ['Session:*'] },
    ],
    ['redis: {}', 'redis', null],
  ])('%s is for its protocol alone', (words, protocol, database) => {
    expect(rule(`, ${words}`, 'tcp')).toMatchObject({ database, protocols: protocolBit(protocol) });
  });

  it.each([
    ['guardrails', 'pass', 'on-revoke: cut', /neither admits a flow nor ends one/],
    ['guardrails', 'deny', 'postgres: {}, http: {}', /has no requests/],
  ])('%s that %s may not say %s', (list, action, words, message) => {
    const loaded = parseDocument([{ file: 'test.yaml', text: `version: 1\n${list}: [{ name: g, action: ${action}, ${words} }]\n` }], {});
    expect(loaded.ok ? [] : loaded.problems.map((problem) => problem.message)).toEqual([expect.stringMatching(message)]);
  });
});

it('exceptions of exceptions of identities are bounded', () => {
  const segments = Array.from({ length: 9 }, (_, i) => `  s${i}: { identities: ["cn:${i}"], except: [e] }`).join('\n');
  const text = (except: string) => `version: 1
segments:
  e: { identities: ["cn:e"] }
${segments}
guardrails: [{ name: g, from: [any], except: [${except}], action: deny }]
`;
  expect(parseDocument([{ file: 'test.yaml', text: text('s0, s1') }], {}).ok).toBe(true);
  const loaded = parseDocument([{ file: 'test.yaml', text: text('s0, s1, s2, s3, s4, s5, s6, s7, s8') }], {});
  expect(loaded).toMatchObject({ ok: false, problems: [{ code: 'too-many', path: '/guardrails/0' }] });
});

it.each([
  ['2026-12-31T00:00:00Z', Date.UTC(2026, 11, 31)],
  ['2024-02-29T23:59:59.5Z', Date.UTC(2024, 1, 29, 23, 59, 59, 500)],
  ['2026-02-29T00:00:00Z', null],
  ['2026-12-31T24:00:01Z', null],
  ['2026-12-31', null],
  ['2026-12-31 00:00:00Z', null],
  ['tomorrow', null],
])('the moment %s is %s', (text, expected) => {
  expect(parseTimestamp(text)).toBe(expected);
});

it('limits of rules are read, though they are refused until they are obeyed', () => {
  expect(
    ruleLimits.parse({ flows: 10, 'new-flows': '100/s', requests: '20/m', bytes: '1MiB/s', 'bytes-total': '1GiB', duration: '12h' }),
  ).toEqual({
    per: 'source',
    flows: 10,
    newFlows: { amount: 100, perMs: 1_000 },
    requests: { amount: 20, perMs: 60_000 },
    bytes: { amount: 1_048_576, perMs: 1_000 },
    bytesTotal: 1_073_741_824,
    durationMs: 43_200_000,
  });
  for (const wrong of [{ requests: '0/s' }, { requests: '100' }, { bytes: '1MB/s' }, { flows: 0 }, { per: 'country' }])
    expect(ruleLimits.safeParse(wrong).success, JSON.stringify(wrong)).toBe(false);
});

it('segments and the process speak of databases and names', () => {
  const document = load(`version: 1
process: { geo: { country: ./c.mmdb, asn: ./a.mmdb }, resolvers: [127.0.0.1:53, "[::1]:53"] }
segments:
  home: { countries: [DE, "NO", DE], asns: [3320], dns: [Partner.Example.com.], unknown: ignore }
`);
  expect(document.process).toMatchObject({ geo: { country: './c.mmdb', asn: './a.mmdb' }, resolvers: ['127.0.0.1:53', '[::1]:53'] });
  expect(document.segments[0]).toMatchObject({
    countries: ['DE', 'NO'],
    asns: [3320],
    dns: ['partner.example.com'],
    unknown: 'ignore',
    addresses: [],
  });
  expect(load('version: 1\n').process).toMatchObject({ geo: { country: null, asn: null }, resolvers: [] });
});

it('flows say their moment and their fields', () => {
  const fields = { from: '10.0.0.1', to: '127.0.0.1:80', at: '2026-12-31T00:00:00Z', headers: { X_Team: ' blue ' } };
  expect(parseQuestion(fields)).toMatchObject({
    ok: true,
    question: { at: Date.UTC(2026, 11, 31), headers: [['x-team', 'blue']], protocols: 2 },
  });
  expect(parseQuestion({ from: '10.0.0.1', to: '127.0.0.1:80' })).toMatchObject({ question: { at: null, headers: [] } });
  expect(parseQuestion({ ...fields, at: 'tomorrow' })).toMatchObject({ ok: false, message: expect.stringContaining('a moment such as') });
  expect(parseQuestion({ ...fields, protocol: 'redis' })).toMatchObject({ ok: false, message: expect.stringContaining('headers') });
});

describe('flows say', () => {
  const flow = (more: object) => parseQuestion({ from: '10.0.0.1', to: '127.0.0.1:80', ...more });
  it.each([
    [
      { sni: 'A.example', alpn: 'h2', ja4: 't13d_a' },
      { sni: 'a.example', alpn: ['h2'], ja4: 't13d_a', protocols: 0 },
    ],
    [
      { alpn: ['h2', 'http/1.1'], identities: ['dns:A.example', 'cn:ana'] },
      { sni: null, alpn: ['h2', 'http/1.1'], identities: ['dns:a.example', 'cn:ana'] },
    ],
    [{ identities: [] }, { identities: [] }],
    [{}, { sni: null, alpn: [], ja4: null, identities: null, user: null, keys: null }],
    [
      { database: 'orders', user: 'ana' },
      { protocols: protocolBit('postgres'), database: 'orders', user: 'ana' },
    ],
    [{ schema: 'Orders' }, { protocols: protocolBit('mysql'), schema: 'orders' }],
    [
      { command: 'CONFIG SET', keys: ['a'] },
      { protocols: protocolBit('redis'), command: 'config|set', keys: ['a'] },
    ],
    [
      { protocol: 'mysql', user: 'ana' },
      { protocols: protocolBit('mysql'), user: 'ana' },
    ],
  ])('%j', (fields, expected) => {
    expect(flow(fields)).toMatchObject({ ok: true, question: expected });
  });

  it.each([
    [{ user: 'ana' }, /Say which with protocol/],
    [{ user: 'ana', protocol: 'http' }, /has none: remove user/],
    [{ database: 'a', schema: 'b' }, /Only a flow of protocol mysql has a schema/],
    [{ keys: ['a'], protocol: 'postgres' }, /Only a flow of protocol redis has a list of keys/],
    [{ command: 'get', path: '/x' }, /has no requests/],
    [{ identities: ['ana'] }, /begin with its kind/],
    [{ identities: ['cn:*'] }, null],
    [{ ja4: '*' }, /fingerprint/],
  ])('%j, or are told why not', (fields, message) => {
    const reading = flow(fields);
    if (message === null) expect(reading.ok).toBe(true);
    else expect(reading).toMatchObject({ ok: false, message: expect.stringMatching(message) });
  });
});
