/** What is not known is its own case: it lets nobody in, and no denial is passed for want of it. */
import { describe, expect, it } from 'vitest';
import { parseAddress, parsePrefix } from '../../config/address.ts';
import { compile } from '../../policy/compile.ts';
import { explain } from '../../policy/explain.ts';
import { type Knowledge, NOTHING_KNOWN, unresolvedOf } from '../../policy/knowledge.ts';
import { type DocumentWords, documentOf, question } from './documents.ts';

const known: Knowledge = {
  countries: new Map([['DE', [parsePrefix('85.0.0.0/8')!, parsePrefix('2a00::/16')!]]]),
  asns: new Map([[3320, [parsePrefix('80.128.0.0/11')!]]]),
  names: new Map([['partner.example', [parseAddress('192.0.2.7')!, parseAddress('2001:db8::7')!]]]),
};

const words = (unknown: 'deny' | 'ignore'): DocumentWords => ({
  segments: {
    germany: { countries: ['DE'], unknown },
    telekom: { asns: [3320], unknown },
    partner: { dns: ['partner.example'], unknown },
    friends: { segments: ['germany', 'telekom', 'partner'], addresses: ['10.0.0.1/32'] },
    strangers: { addresses: ['0.0.0.0/0'], except: ['germany'] },
  },
  applications: {
    from: { vips: ['10.9.0.1:1'], rules: [{ name: 'friends', from: ['friends'], action: 'allow' }] },
    except: { vips: ['10.9.0.1:2'], rules: [{ name: 'others', from: ['any'], except: ['germany'], action: 'allow' }] },
    ban: {
      vips: ['10.9.0.1:3'],
      rules: [
        { name: 'ban', from: ['germany'], action: 'deny' },
        { name: 'rest', action: 'allow' },
      ],
    },
    spare: {
      vips: ['10.9.0.1:4'],
      rules: [
        { name: 'ban', from: ['10.0.0.0/8'], except: ['germany'], action: 'deny' },
        { name: 'rest', action: 'allow' },
      ],
    },
    nested: { vips: ['10.9.0.1:5'], rules: [{ name: 'strangers', from: ['strangers'], action: 'allow' }] },
    banned: {
      vips: ['10.9.0.1:6'],
      rules: [
        { name: 'ban', from: ['strangers'], action: 'deny' },
        { name: 'rest', action: 'allow' },
      ],
    },
  },
});

type Row = readonly [from: string, port: number, known: string, closed: string, ignored: string];
const rows: readonly Row[] = [
  // [source, VIP's port, with everything known, unknown: deny, unknown: ignore]
  ['85.1.2.3', 1, 'allow friends', 'deny default', 'deny default'],
  ['2a00::1', 1, 'allow friends', 'deny default', 'deny default'],
  ['80.130.0.1', 1, 'allow friends', 'deny default', 'deny default'],
  ['192.0.2.7', 1, 'allow friends', 'deny default', 'deny default'],
  ['2001:db8::7', 1, 'allow friends', 'deny default', 'deny default'],
  ['10.0.0.1', 1, 'allow friends', 'allow friends', 'allow friends'],
  ['9.9.9.9', 1, 'deny default', 'deny default', 'deny default'],
  ['85.1.2.3', 2, 'deny default', 'deny default', 'allow others'],
  ['9.9.9.9', 2, 'allow others', 'deny default', 'allow others'],
  ['85.1.2.3', 3, 'deny ban', 'deny ban', 'allow rest'],
  ['9.9.9.9', 3, 'allow rest', 'deny ban', 'allow rest'],
  ['10.0.0.2', 4, 'deny ban', 'deny ban', 'deny ban'],
  ['9.9.9.9', 4, 'allow rest', 'allow rest', 'allow rest'],
  ['9.9.9.9', 5, 'allow strangers', 'deny default', 'allow strangers'],
  ['85.1.2.3', 5, 'deny default', 'deny default', 'allow strangers'],
  ['85.1.2.3', 6, 'allow rest', 'deny ban', 'deny ban'],
  ['9.9.9.9', 6, 'deny ban', 'deny ban', 'deny ban'],
  ['2001:db8::1', 6, 'allow rest', 'allow rest', 'allow rest'],
];

describe.each([
  ['everything known', known, 'deny', 2],
  ['nothing known, unknown: deny', NOTHING_KNOWN, 'deny', 3],
  ['nothing known, unknown: ignore', NOTHING_KNOWN, 'ignore', 4],
] as const)('%s', (_, knowledge, unknown, column) => {
  const image = compile(documentOf(words(unknown)), { knowledge });
  it.each(rows.map((row) => [row[0], row[1], row[column]] as const))('%s to port %i: %s', (from, port, expected) => {
    const { verdict, rule } = explain(image, question(from, `10.9.0.1:${port}`));
    expect(`${verdict} ${rule}`).toBe(expected);
  });
});

it('is named, in findings and in explanations', () => {
  const document = documentOf(words('deny'));
  expect(unresolvedOf(document, NOTHING_KNOWN).map(({ segment, what, closes }) => [segment, what, closes])).toEqual([
    ['germany', 'country DE', true],
    ['telekom', 'AS3320', true],
    ['partner', 'partner.example', true],
  ]);
  expect(unresolvedOf(document, known)).toEqual([]);
  const image = compile(document, { knowledge: NOTHING_KNOWN });
  expect(explain(image, question('9.9.9.9', '10.9.0.1:3')).reason).toContain('country DE');
  const [, before] = explain(image, question('9.9.9.9', '10.9.0.1:1')).considered;
  expect(before!.why).toContain('of which country DE, AS3320, partner.example is not known');
});

it('is not the same as empty', () => {
  const empty: Knowledge = { countries: new Map([['DE', []]]), asns: new Map([[3320, []]]), names: new Map([['partner.example', []]]) };
  const image = compile(documentOf(words('deny')), { knowledge: empty });
  expect(explain(image, question('9.9.9.9', '10.9.0.1:3'))).toMatchObject({ verdict: 'allow', rule: 'rest' });
  expect(unresolvedOf(documentOf(words('deny')), empty)).toEqual([]);
});
