import { describe, expect, it } from 'vitest';
import { compile } from '../../policy/compile.ts';
import { PLAIN_CONNECTION } from '../../policy/connection.ts';
import { decide, kindOf } from '../../policy/decide.ts';
import { attachImage } from '../../policy/image.ts';
import { type DocumentWords, documentOf } from './documents.ts';

const words: DocumentWords = {
  guardrails: [
    { name: 'pass', from: ['10.0.0.1'], action: 'pass' },
    { name: 'cut', from: ['192.0.2.0/24'], action: 'deny' },
  ],
  applications: {
    empty: { vips: ['10.0.0.1:1'] },
    shop: {
      vips: ['10.0.0.2:80', '[2001:db8::1]:80', 'unix:/run/shop'],
      mode: 'http',
      observe: true,
      rules: [
        { name: 'one', action: 'allow' },
        { name: 'two', action: 'deny' },
      ],
    },
  },
  baseline: [{ name: 'last', action: 'allow' }],
};

describe('an image', () => {
  const image = attachImage(compile(documentOf(words)).buffer);

  it('gives every rule of every application an id of its own, in the order of deciding', () => {
    const ids = Array.from({ length: image.ruleCount }, (_, rule) =>
      [image.applicationName(image.ruleApplication(rule)), image.ruleTier(rule), image.ruleName(rule), image.ruleAction(rule)].join(' '),
    );
    expect(ids).toEqual([
      'empty cluster cluster allow',
      'empty guardrail pass pass',
      'empty guardrail cut deny',
      'empty baseline last allow',
      'empty default default deny',
      'shop cluster cluster allow',
      'shop guardrail pass pass',
      'shop guardrail cut deny',
      'shop application one allow',
      'shop application two deny',
      'shop baseline last allow',
      'shop default default deny',
    ]);
    expect([0, 1].map((app) => [image.applicationRuleBase(app), image.applicationRuleCount(app)])).toEqual([
      [0, 5],
      [5, 7],
    ]);
  });

  it('knows the place of what was written, and of nothing else', () => {
    const places = Array.from({ length: image.ruleCount }, (_, rule) => image.rulePlace(rule));
    expect(places.map((place) => place === null)).toEqual([true, false, false, false, true, true, false, false, false, false, false, true]);
    expect(places[8]).toEqual({ file: 'test.yaml', line: expect.any(Number), column: 5 });
    expect(places[1]).toEqual(places[6]);
  });

  it('knows applications and VIPs', () => {
    expect(image.applicationCount).toBe(2);
    expect(['empty', 'shop', 'none'].map((name) => image.applicationIndex(name))).toEqual([0, 1, -1]);
    expect([0, 1].map((app) => [image.applicationMode(app), image.observes(app)])).toEqual([
      ['tcp', false],
      ['http', true],
    ]);
    expect(Array.from({ length: image.vipCount }, (_, vip) => [image.vipEndpoint(vip), image.vipApplication(vip)])).toEqual([
      ['10.0.0.1:1', 0],
      ['10.0.0.2:80', 1],
      ['[2001:db8::1]:80', 1],
      ['unix:/run/shop', 1],
    ]);
    expect(['[2001:db8::1]:80', 'unix:/run/shop', '10.0.0.2:81'].map((text) => image.vipIndex(text))).toEqual([2, 3, -1]);
  });

  it('refuses a buffer that is none', () => {
    expect(() => attachImage(new SharedArrayBuffer(4096))).toThrow('not a policy image');
  });
});

it('takes a pool’s members as they have become', () => {
  const document = documentOf({ pools: { web: ['10.1.1.1:80'] }, applications: { a: { rules: [{ from: ['web'], action: 'allow' }] } } });
  const moved = compile(document, { membership: new Map([['web', [{ family: 4, words: [0, 0, 0xffff, 7] }]]]) });
  expect([compile(document).atomCount, moved.atomCount]).toEqual([2, 2]);
  expect(kindOf(decide(moved, 0, 1, 0, null, PLAIN_CONNECTION))).toBe(1);
});

describe('compiling stays far from quadratic', () => {
  const many = 5_000;
  const address = (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
  const names = Array.from({ length: many }, (_, i) => `s${i}`);
  const each = Object.fromEntries(names.map((name, i) => [name, { addresses: [`${address(i * 4)}/31`] }]));
  const chain = Object.fromEntries(
    names.slice(0, 1_000).map((name, i) => [name, { addresses: [`${address(i * 4)}/31`], segments: i === 0 ? [] : [`s${i - 1}`] }]),
  );
  it.each<[string, DocumentWords]>([
    [
      'one application, a rule a segment',
      { segments: each, applications: { a: { rules: names.map((name) => ({ from: [name], action: 'allow' })) } } },
    ],
    [
      'every rule names a wide prefix too',
      { segments: each, applications: { a: { rules: names.map((name) => ({ from: ['10.0.0.0/8', name], action: 'allow' })) } } },
    ],
    [
      'a segment of all segments, in every application',
      {
        segments: { ...each, all: { segments: names } },
        applications: Object.fromEntries(
          names.slice(0, 1_000).map((name) => [
            name,
            {
              rules: [
                { from: ['all'], protocols: ['http'], action: 'allow' },
                { from: [name], action: 'allow' },
              ],
            },
          ]),
        ),
      },
    ],
    [
      'segments in segments in segments',
      { segments: chain, applications: { a: { rules: Object.keys(chain).map((name) => ({ from: [name], action: 'allow' })) } } },
    ],
    [
      'a path a rule, and a segment a rule',
      {
        segments: each,
        applications: {
          a: {
            mode: 'http',
            rules: names.map((name, i) =>
              i % 2 === 0 ? { from: [name], protocols: ['http'], action: 'allow' } : { http: { paths: [`/p${i}/*`] }, action: 'allow' },
            ),
          },
        },
      },
    ],
    [
      'guardrails of many segments over many applications',
      {
        segments: each,
        guardrails: Array.from({ length: 50 }, (_, i) => ({ from: names.slice(i * 100, i * 100 + 100), action: 'deny' })),
        applications: Object.fromEntries(names.slice(0, 1_000).map((name) => [name, { rules: [{ from: [name], action: 'allow' }] }])),
      },
    ],
  ])('%s', (_, shape) => {
    const document = documentOf(shape);
    const start = performance.now();
    const image = compile(document);
    // Measured at 30 to 300 ms; quadratic shapes take tens of seconds.
    expect(performance.now() - start).toBeLessThan(4_000);
    expect(image.buffer.byteLength).toBeLessThan(80e6);
  });
});
