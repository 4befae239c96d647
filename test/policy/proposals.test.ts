/** How many of a thousand rules are looked at, whatever they ask for and however little is known: a few. */

import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import { parseAddress } from '../../config/address.ts';
import { protocolBit } from '../../config/protocols.ts';
import { compile } from '../../policy/compile.ts';
import { type ConnectionFacts, NO_TLS, UNKNOWN_CONNECTION } from '../../policy/connection.ts';
import { ALLOW, DENY, decide, kindOf, NEED_IDENTITY, NEED_REQUEST, ruleOf } from '../../policy/decide.ts';
import { fieldsOf } from '../../policy/header-lookup.ts';
import type { Image } from '../../policy/image.ts';
import { atomOf } from '../../policy/lookup.ts';
import { Proposals } from '../../policy/proposals.ts';
import type { HttpFacts, RequestFacts } from '../../policy/request.ts';
import { shadowRules } from '../../policy/shadow.ts';
import { type DocumentWords, documentOf, type RuleWords } from './documents.ts';

const RULES = 1_000;
/** Proposals of one decision; each list ends with one that there is no more. */
const LOOKED_AT_MAX = 6;

let next: MockInstance<Proposals['next']>;
beforeEach(() => {
  next = vi.spyOn(Proposals.prototype, 'next');
});
afterEach(() => {
  next.mockRestore();
});

type Words = Omit<RuleWords, 'name' | 'action'> & Partial<Pick<RuleWords, 'action'>>;
type Segments = NonNullable<DocumentWords['segments']>;

function listOf(mode: 'tcp' | 'http', rule: (i: number) => Words, segment?: (i: number) => Segments[string]): Image {
  const rules = Array.from({ length: RULES }, (_, i): RuleWords => ({ name: `rule-${i}`, action: 'allow', ...rule(i) }));
  const segments = Object.fromEntries(rules.map((_, i) => [`s${i}`, segment?.(i) ?? {}]));
  return compile(documentOf({ segments: segment === undefined ? {} : segments, applications: { a: { mode, rules } } }));
}

const net = (i: number) => `10.${i >>> 8}.${i & 255}`;
const id = (i: number) => `spiffe://x/${i}`;
const from = (i: number) => ({ from: [`s${i}`] });
const paths = (i: number) => ({ paths: [`/s-${i}/*`] });
const mixed = (i: number) => ({ addresses: [`${net(i)}.0/24`], identities: [id(i)] });
const http = (i: number, more: Partial<HttpFacts> = {}): HttpFacts => ({
  kind: 'http',
  method: 'GET',
  host: 'a',
  path: `/s-${i}/x`,
  ...more,
});
const known = (...identities: string[]): ConnectionFacts => ({ tls: NO_TLS, identities });
const anybody: ConnectionFacts = { tls: NO_TLS, identities: null };

const byMixed = listOf('tcp', from, mixed);
const byMixedPath = listOf('http', (i) => ({ ...from(i), http: paths(i) }), mixed);
const byMixedOnePath = listOf('http', (i) => ({ ...from(i), http: paths(0) }), mixed);
const byOneMixed = listOf(
  'http',
  (i) => ({ from: ['s0'], http: paths(i) }),
  () => ({ addresses: ['10.0.0.0/8'], identities: [id(1)] }),
);
const byMixedButGuests = listOf(
  'tcp',
  (i) => ({ ...from(i), except: ['s0'] }),
  (i) => (i === 0 ? { addresses: ['10.200.0.0/16'], identities: ['cn:guest'] } : mixed(i)),
);
const byAlternating = listOf('tcp', (i) => ({ ...from(i), action: i % 2 === 0 ? 'allow' : 'deny' }), mixed);
const byOneIdentity = listOf('http', (i) => ({ identities: ['cn:web'], http: paths(i) }));
const byLacking = listOf(
  'http',
  (i) => ({ except: [`s${i}`], http: paths(i) }),
  (i) => ({ identities: [id(i)] }),
);
const byHostAndPath = listOf('http', (i) => ({ http: { hosts: [`h${i % 32}`], ...paths(i >>> 5) } }));
const byTensOfMixed = listOf('http', (i) => ({ from: [`s${i % 32}`], http: paths(i >>> 5) }), mixed);
const byMethod = listOf('http', (i) => ({ http: { methods: [`M${i}`] } }));
const byField = listOf('http', (i) => ({ http: { headers: [{ name: 'x-tenant', values: [`t${i}`] }] } }));

// A field that most rules ask for is looked up, whichever others stand before it in the file.
const byFields = compile(
  documentOf({
    baseline: Array.from({ length: 100 }, (_, i) => ({ http: { headers: [{ name: `x-${i}`, values: ['a'] }] }, action: 'allow' as const })),
    applications: {
      a: {
        mode: 'http',
        rules: Array.from({ length: RULES }, (_, i): RuleWords => {
          return { name: `rule-${i}`, http: { headers: [{ name: 'x-tenant', values: [`t${i}`] }] }, action: 'allow' };
        }),
      },
    },
  }),
);

const tenant = (value: string) => ({ headers: fieldsOf([['x-tenant', value]]) });
const OUTSIDE = '192.0.2.1';

describe('of a thousand rules few are looked at', () => {
  it.each<[string, Image, string, RequestFacts | null, ConnectionFacts, string | number]>([
    ['addresses or identities: the address', byMixed, `${net(700)}.1`, null, known('cn:none'), 'rule-700'],
    ['addresses or identities: the identity', byMixed, OUTSIDE, null, known('cn:none', id(700)), 'rule-700'],
    ['addresses or identities: both, of two rules', byMixed, `${net(700)}.1`, null, known(id(300)), 'rule-300'],
    ['addresses or identities: neither', byMixed, OUTSIDE, null, known('cn:none'), 'default'],
    ['addresses or identities: not known who', byMixed, `${net(700)}.1`, null, anybody, 'rule-700'],
    ['addresses or identities: nothing known', byMixed, OUTSIDE, null, UNKNOWN_CONNECTION, NEED_IDENTITY],
    ['addresses or identities, alternating, not known who', byAlternating, `${net(701)}.1`, null, anybody, NEED_IDENTITY],
    ['addresses or identities, and a path', byMixedPath, `${net(700)}.1`, http(700), known(), 'rule-700'],
    ['addresses or identities, and a path not known', byMixedPath, `${net(700)}.1`, null, known(), NEED_REQUEST],
    ['addresses or identities, and who and path not known', byMixedPath, OUTSIDE, null, anybody, NEED_IDENTITY],
    ['addresses or identities, and one path', byMixedOnePath, `${net(700)}.1`, http(0), known(), 'rule-700'],
    ['addresses or identities, and one path, by who', byMixedOnePath, OUTSIDE, http(0), known(id(700)), 'rule-700'],
    ['one segment of both, and a path', byOneMixed, '10.1.1.1', http(700), known(), 'rule-700'],
    ['one segment of both, and a path not known', byOneMixed, '10.1.1.1', null, known(), NEED_REQUEST],
    ['one segment of both, and who and path not known', byOneMixed, '10.1.1.1', null, anybody, NEED_REQUEST],
    ['addresses or identities but guests', byMixedButGuests, `${net(700)}.1`, null, known(), 'rule-700'],
    ['addresses or identities but guests: not known who', byMixedButGuests, `${net(700)}.1`, null, anybody, NEED_IDENTITY],
    ['one identity, and a path not known', byOneIdentity, OUTSIDE, null, known('cn:web'), NEED_REQUEST],
    ['an identity that is not there, and a path not known', byLacking, OUTSIDE, null, known(id(3)), NEED_REQUEST],
    ['a host and a path', byHostAndPath, OUTSIDE, http(20, { host: 'h7' }), known(), 'rule-647'],
    ['addresses or identities of few, and a path of few', byTensOfMixed, `${net(7)}.1`, http(20), known(), 'rule-647'],
    ['addresses or identities of few, and a path of few, by who', byTensOfMixed, OUTSIDE, http(20), known(id(7)), 'rule-647'],
    ['a method', byMethod, OUTSIDE, http(0, { method: 'M700' }), known(), 'rule-700'],
    ['a value of a field', byField, OUTSIDE, http(0, tenant('t700')), known(), 'rule-700'],
    ['a value of a field beside a hundred others', byFields, OUTSIDE, http(0, tenant('t700')), known(), 'rule-700'],
    ['no field', byField, OUTSIDE, http(0), known(), 'default'],
  ])('%s', (_, image, source, request, connection, expected) => {
    const decision = decide(image, 0, atomOf(image, ...parseAddress(source)!.words), protocolBit('http')!, request, connection);
    const kind = kindOf(decision);
    expect(kind === ALLOW || kind === DENY ? image.ruleName(ruleOf(decision)) : kind).toBe(expected);
    expect(next).toHaveBeenCalled();
    expect(next.mock.calls.length).toBeLessThan(LOOKED_AT_MAX);
  });

  it.each<[string, Image, string, RequestFacts | null, ConnectionFacts, string[]]>([
    ['a path', listOf('http', (i) => ({ shadow: true, http: paths(i) })), OUTSIDE, http(700), known(), ['rule-700']],
    ['a path that is not known', listOf('http', (i) => ({ shadow: true, http: paths(i) })), OUTSIDE, null, known(), []],
    ['an identity', listOf('tcp', (i) => ({ shadow: true, identities: [id(i)] })), OUTSIDE, null, known(id(7)), ['rule-7']],
    [
      'addresses or identities',
      listOf('tcp', (i) => ({ shadow: true, ...from(i) }), mixed),
      `${net(5)}.1`,
      null,
      known(id(7)),
      ['rule-5', 'rule-7'],
    ],
    [
      'addresses or identities, not known who',
      listOf('tcp', (i) => ({ shadow: true, ...from(i) }), mixed),
      `${net(5)}.1`,
      null,
      anybody,
      ['rule-5'],
    ],
  ])('in the shadow: %s', (_, image, source, request, connection, expected) => {
    const found: number[] = [];
    shadowRules(
      image,
      0,
      atomOf(image, ...parseAddress(source)!.words),
      protocolBit('http')!,
      request,
      connection,
      image.ruleCount - 1,
      found,
    );
    expect(found.map((rule) => image.ruleName(rule))).toEqual(expected);
    expect(next.mock.calls.length).toBeLessThan(LOOKED_AT_MAX);
  });
});
