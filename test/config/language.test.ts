/** The keys of rules, segments and tests that say when, which fields, and who is where: what they come to. */
import { describe, expect, it } from 'vitest';
import type { Document } from '../../config/document.ts';
import { parseDocument } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
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
    const nothing = { until: null, schedule: null, shadow: false, log: false, denyWith: null, limits: null, http: null };
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
  ])('%s', (words, expected) => {
    expect(rule(`, ${words}`)).toMatchObject(expected);
  });
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
