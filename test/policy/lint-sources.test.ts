import { describe, expect, it } from 'vitest';
import { lint } from '../../policy/lint.ts';
import { type DocumentWords, documentOf } from './documents.ts';

const allow = { action: 'allow' } as const;
const deny = { action: 'deny' } as const;
const CODES = new Set(['allow-any', 'rule-redundant', 'half-of-any', 'segment-empty', 'address-mapped']);

function findings(words: DocumentWords): string[] {
  return lint(documentOf(words)).flatMap(({ code, path }) => (CODES.has(code) ? [`${code} ${path}`] : []));
}

function tcp(...rules: NonNullable<DocumentWords['guardrails']>): DocumentWords {
  return { applications: { a: { rules } } };
}

describe('finds', () => {
  it.each<[string, DocumentWords, string[]]>([
    ['an allowance for everyone in tcp', tcp(allow), ['allow-any /applications/a/rules/0']],
    ['not one of a public site', { applications: { a: { mode: 'http', rules: [allow] } } }, []],
    ['one for all applications', { baseline: [allow], applications: { a: { mode: 'http' } } }, ['allow-any /baseline/0']],
    ['not one with an exception', tcp({ from: ['any'], except: ['10.0.0.0/8'], ...allow }), []],
    [
      'a rule that the next one covers',
      tcp({ from: ['10.1.0.0/16'], ...allow }, { from: ['10.0.0.0/8'], ...allow }),
      ['rule-redundant /applications/a/rules/0'],
    ],
    [
      'not one that stands before a denial',
      tcp({ from: ['10.1.0.0/16'], ...allow }, { from: ['10.0.0.0/9'], ...deny }, { from: ['10.0.0.0/8'], ...allow }),
      [],
    ],
    [
      'a denial that the default makes too',
      tcp({ from: ['10.1.0.0/16'], ...deny }, { from: ['11.0.0.0/8'], ...allow }),
      ['rule-redundant /applications/a/rules/0'],
    ],
    ['not a last denial of everything', tcp({ from: ['11.0.0.0/8'], ...allow }, deny), []],
    ['not a rule whose double is idle behind it', tcp({ from: ['11.0.0.0/8'], ...allow }, { from: ['11.0.0.0/8'], ...allow }), []],
    [
      'a path within another',
      {
        applications: {
          a: {
            mode: 'http',
            rules: [
              { http: { paths: ['/a/b'] }, ...allow },
              { http: { paths: ['/a/*'] }, ...allow },
            ],
          },
        },
      },
      ['rule-redundant /applications/a/rules/0'],
    ],
    [
      'a pass that nothing would have stopped',
      { guardrails: [{ from: ['10.0.0.1'], action: 'pass' }], ...tcp({ from: ['10.0.0.0/8'], ...allow }) },
      ['rule-redundant /guardrails/0'],
    ],
    [
      'not a pass around a denial',
      {
        guardrails: [
          { from: ['10.0.0.1'], action: 'pass' },
          { from: ['10.0.0.0/24'], ...deny },
        ],
        ...tcp({ from: ['10.0.0.0/8'], ...allow }),
      },
      [],
    ],
    ['half of everyone', tcp({ from: ['0.0.0.0/0'], ...allow }), ['half-of-any /applications/a/rules/0/from/0']],
    ['not both halves', tcp({ from: ['0.0.0.0/0', '::/0'], ...allow }), []],
    ['a mapped address', tcp({ from: ['::ffff:10.0.0.1'], ...allow }), ['address-mapped /applications/a/rules/0/from/0']],
    [
      'a segment that takes all away again',
      { segments: { s: { addresses: ['10.0.0.0/24'], except: ['10.0.0.0/8'] } }, ...tcp({ from: ['s'], ...allow }) },
      ['segment-empty /segments/s'],
    ],
  ])('%s', (_, words, expected) => {
    expect(findings(words)).toEqual(expected);
  });

  it('rules that have ended, or soon will', () => {
    const now = Date.UTC(2026, 0, 10);
    const document = documentOf(
      tcp(
        { name: 'over', from: ['10.0.0.1'], ...allow },
        { name: 'soon', from: ['10.0.0.2'], ...allow },
        { name: 'later', from: ['10.0.0.3'], ...allow },
      ),
    );
    const [application] = document.applications;
    const until = [now, now + 86_400_000, now + 100 * 86_400_000];
    const rules = application!.rules.map((rule, i) => ({ ...rule, until: until[i]! }));
    const found = lint({ ...document, applications: [{ ...application!, rules }] }, { now });
    expect(found.filter(({ code }) => code.startsWith('rule-exp')).map(({ code, message }) => `${code}: ${message}`)).toEqual([
      'rule-expired: Rule "over" ended at 2026-01-10T00:00:00Z and no longer matches. Remove it, or move until:.',
      'rule-expires-soon: Rule "soon" ends at 2026-01-11T00:00:00Z, within two weeks. Move until: if it is still needed.',
    ]);
  });
});
