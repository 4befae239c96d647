import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../config/address.ts';
import { compile } from '../../policy/compile.ts';
import { type ConnectionFacts, PLAIN_CONNECTION } from '../../policy/connection.ts';
import {
  ALLOW,
  DENY,
  decide,
  kindOf,
  NEED_IDENTITY,
  NEED_PROTOCOL,
  NEED_REQUEST,
  NEED_TLS,
  possibleProtocols,
  ruleOf,
} from '../../policy/decide.ts';
import type { Image } from '../../policy/image.ts';
import { atomOf, NO_ADDRESS_ATOM } from '../../policy/lookup.ts';
import type { HttpFacts, RequestFacts } from '../../policy/request.ts';
import { type DocumentWords, documentOf, protocolsOf, type RuleWords } from './documents.ts';

const KINDS = {
  [ALLOW]: 'allow',
  [DENY]: 'deny',
  [NEED_TLS]: 'need tls',
  [NEED_PROTOCOL]: 'need protocol',
  [NEED_IDENTITY]: 'need identity',
  [NEED_REQUEST]: 'need request',
};
const request = (path: string, method = 'GET', host = 'shop.example'): HttpFacts => ({ kind: 'http', method, host, path });

/** `allow customers`, `need protocol`; the source null is a unix socket. */
function answer(
  image: Image,
  source: string | null,
  protocols: string[],
  facts: RequestFacts | null = null,
  vip = 0,
  connection: ConnectionFacts = PLAIN_CONNECTION,
): string {
  const atom = source === null ? NO_ADDRESS_ATOM : atomOf(image, ...parseAddress(source)!.words);
  const decision = decide(image, vip, atom, protocolsOf(protocols), facts, connection);
  const kind = kindOf(decision);
  return kind === ALLOW || kind === DENY ? `${KINDS[kind]} ${image.ruleName(ruleOf(decision))}` : KINDS[kind];
}

type Row = readonly [source: string | null, protocols: string[], facts: HttpFacts | null, expected: string];

function table(words: DocumentWords, rows: readonly Row[]): void {
  const image = compile(documentOf(words));
  for (const [source, protocols, facts, expected] of rows) {
    it(`${source ?? 'unix socket'} ${protocols.join('+') || '(protocol unknown)'} ${facts === null ? '' : `${facts.method} ${facts.path}`}: ${expected}`, () => {
      expect(answer(image, source, protocols, facts)).toBe(expected);
    });
  }
}

describe('without rules', () => {
  table({ applications: { a: {} } }, [
    ['10.0.0.1', [], null, 'deny default'],
    [null, [], null, 'deny default'],
    ['::1', ['http'], null, 'deny default'],
  ]);
});

describe('the first rule that matches decides', () => {
  table(
    {
      segments: {
        office: { addresses: ['198.51.100.0/24', '2001:db8:1::/48'], except: ['198.51.100.9/32'] },
        all: { segments: ['office'], pools: ['web'] },
      },
      pools: { web: ['10.1.1.1:80', '[::ffff:10.1.1.2]:80', 'unix:/run/web'] },
      applications: {
        a: {
          rules: [
            { name: 'banned', from: ['198.51.100.66'], action: 'deny' },
            { name: 'office', from: ['office'], protocols: ['postgres', 'tls'], action: 'allow' },
            { name: 'web', from: ['web'], action: 'allow' },
            { name: 'rest', from: ['all'], except: ['web'], protocols: ['http'], action: 'allow' },
          ],
        },
      },
    },
    [
      ['198.51.100.66', [], null, 'deny banned'],
      ['::ffff:198.51.100.66', [], null, 'deny banned'],
      ['198.51.100.1', [], null, 'need protocol'],
      ['198.51.100.1', ['postgres'], null, 'allow office'],
      ['198.51.100.1', ['http'], null, 'allow rest'],
      ['198.51.100.1', ['redis'], null, 'deny default'],
      ['198.51.100.1', ['http', 'tls'], null, 'allow office'],
      ['198.51.100.9', [], null, 'deny default'],
      ['198.51.99.255', [], null, 'deny default'],
      ['198.51.101.0', [], null, 'deny default'],
      ['2001:db8:1::', ['tls'], null, 'allow office'],
      ['2001:db8:1:ffff:ffff:ffff:ffff:ffff', ['tls'], null, 'allow office'],
      ['2001:db8:2::', ['tls'], null, 'deny default'],
      ['10.1.1.1', [], null, 'allow web'],
      ['10.1.1.2', ['ssh'], null, 'allow web'],
      [null, ['postgres'], null, 'deny default'],
    ],
  );
});

describe('tiers', () => {
  table(
    {
      cluster: ['10.9.0.0/24'],
      segments: { bad: { addresses: ['10.9.0.0/16', '192.0.2.0/24'] }, ops: { addresses: ['192.0.2.1/32'] } },
      guardrails: [
        { name: 'ops-pass', from: ['ops'], protocols: ['ssh'], action: 'pass' },
        { name: 'no-bad', from: ['bad'], action: 'deny' },
        { name: 'monitor', from: ['203.0.113.1'], action: 'allow' },
      ],
      applications: { a: { rules: [{ name: 'own', from: ['192.0.2.0/24', '203.0.113.0/24'], except: ['203.0.113.7'], action: 'allow' }] } },
      baseline: [{ name: 'last', from: ['203.0.113.0/24'], action: 'allow' }],
    },
    [
      ['10.9.0.5', [], null, 'allow cluster'],
      ['10.9.1.5', [], null, 'deny no-bad'],
      ['192.0.2.2', [], null, 'deny no-bad'],
      ['192.0.2.1', [], null, 'need protocol'],
      ['192.0.2.1', ['ssh'], null, 'allow own'],
      ['192.0.2.1', ['http'], null, 'deny no-bad'],
      ['203.0.113.1', [], null, 'allow monitor'],
      ['203.0.113.2', [], null, 'allow own'],
      ['203.0.113.7', [], null, 'allow last'],
    ],
  );
});

describe('needs only what the verdict still depends on', () => {
  table(
    {
      applications: {
        a: {
          mode: 'http',
          rules: [
            { name: 'either', from: ['10.0.0.1'], protocols: ['http'], action: 'allow' },
            { name: 'way', from: ['10.0.0.1'], action: 'allow' },
            { name: 'no-admin', except: ['10.0.0.9'], http: { paths: ['/admin/*'] }, action: 'deny' },
            { name: 'read', from: ['10.0.0.0/8'], http: { methods: ['GET', 'HEAD'] }, action: 'allow' },
            { name: 'sockets', from: ['10.0.0.2'], protocols: ['websocket'], action: 'allow' },
          ],
        },
      },
    },
    [
      ['10.0.0.1', [], null, 'allow way'],
      ['10.0.0.1', ['http'], null, 'allow either'],
      ['192.0.2.1', [], null, 'deny default'],
      ['10.0.0.3', [], null, 'need request'],
      ['10.0.0.3', ['http'], null, 'need request'],
      ['10.0.0.3', ['http'], request('/x'), 'allow read'],
      ['10.0.0.3', ['http'], request('/admin'), 'deny no-admin'],
      ['10.0.0.3', ['http'], request('/admin/'), 'deny no-admin'],
      ['10.0.0.3', ['http'], request('/administrator'), 'allow read'],
      ['10.0.0.9', ['http'], request('/admin'), 'allow read'],
      ['10.0.0.3', ['http'], request('/x', 'POST'), 'deny default'],
      ['10.0.0.2', ['http', 'websocket'], request('/x', 'POST'), 'allow sockets'],
    ],
  );
});

describe('two protocols at once', () => {
  // One protocol passes the guardrails, the other is allowed behind them: only together they come through.
  const words: DocumentWords = {
    guardrails: [
      { name: 'pass', protocols: ['http'], action: 'pass' },
      { name: 'cut', action: 'deny' },
    ],
    applications: { a: { rules: [{ name: 'sockets', protocols: ['websocket'], action: 'allow' }] } },
  };
  table(words, [
    ['10.0.0.1', ['http'], null, 'deny default'],
    ['10.0.0.1', ['websocket'], null, 'deny cut'],
    ['10.0.0.1', ['http', 'websocket'], null, 'allow sockets'],
    ['10.0.0.1', [], null, 'need protocol'],
  ]);
  it('counts as possible', () => {
    expect(possibleProtocols(compile(documentOf(words)), 0, 0)).toBe(protocolsOf(['http', 'websocket']));
  });
});

describe('ports', () => {
  const vips = ['10.0.0.1:79', '10.0.0.1:80', '10.0.0.1:90', '10.0.0.1:91', 'unix:/run/a'];
  const image = compile(
    documentOf({
      applications: { a: { vips, rules: [{ name: 'range', ports: [[80, 90]], action: 'allow' }] } },
      baseline: [
        { name: 'not-80', ports: [[80, 80]], action: 'deny' },
        { name: 'low', ports: [[0, 79]], action: 'allow' },
      ],
    }),
  );
  it.each([
    [vips[0]!, 'allow low'],
    [vips[1]!, 'allow range'],
    [vips[2]!, 'allow range'],
    [vips[3]!, 'deny default'],
    [vips[4]!, 'deny default'],
  ])('%s: %s', (vip, expected) => {
    expect(answer(image, '10.0.0.1', [], null, image.vipIndex(vip))).toBe(expected);
  });
});

describe('families', () => {
  table(
    {
      applications: {
        a: {
          rules: [
            { name: 'six', from: ['::/0'], action: 'allow' },
            { name: 'five', from: ['5::/8'], action: 'allow' },
            { name: 'mapped', from: ['::ffff:10.0.0.0/104'], action: 'allow' },
          ],
        },
      },
    },
    [
      ['::1', [], null, 'allow six'],
      ['5.0.0.1', [], null, 'deny default'],
      ['10.1.2.3', [], null, 'allow mapped'],
      ['::ffff:10.1.2.3', [], null, 'allow mapped'],
      [null, [], null, 'deny default'],
    ],
  );
});

describe('possible protocols', () => {
  const image = compile(
    documentOf({
      applications: {
        a: {
          rules: [
            { from: ['10.0.0.1'], action: 'allow' },
            { from: ['10.0.0.2'], protocols: ['mysql', 'ssh'], action: 'allow' },
            { from: ['10.0.0.3'], protocols: ['mysql'], action: 'deny' },
            { from: ['10.0.0.3'], protocols: ['mysql', 'http'], action: 'allow' },
          ],
        },
      },
    }),
  );
  it.each([
    ['10.0.0.1', 2 ** 28 - 1],
    ['10.0.0.2', protocolsOf(['mysql', 'ssh'])],
    ['10.0.0.3', protocolsOf(['http'])],
    ['10.0.0.4', 0],
  ])('%s: %i', (source, expected) => {
    expect(possibleProtocols(image, 0, atomOf(image, ...parseAddress(source)!.words))).toBe(expected);
  });
});

describe('among many conditions', () => {
  // Beyond sixteen conditions rules are found by their patterns; those without one stand between.
  const rules: RuleWords[] = Array.from({ length: 160 }, (_, i) => ({
    name: `path-${i}`,
    http: { paths: [`/service-${i}/*`] },
    action: 'allow',
  }));
  rules[50] = { name: 'no-delete', http: { methods: ['DELETE'] }, action: 'deny' };
  rules[100] = { name: 'sockets', protocols: ['websocket'], action: 'allow' };
  rules[130] = { name: 'by-host', http: { hosts: ['*.internal'], methods: ['PUT'] }, action: 'allow' };
  rules.push({ name: 'rest', from: ['10.0.0.1'], action: 'allow' });
  table({ applications: { a: { mode: 'http', rules } } }, [
    ['10.0.0.1', ['http'], request('/service-7/x', 'DELETE'), 'allow path-7'],
    ['10.0.0.1', ['http'], request('/service-77/x', 'DELETE'), 'deny no-delete'],
    ['10.0.0.1', ['http'], request('/service-77/x'), 'allow path-77'],
    ['10.0.0.1', ['http'], request('/service-77'), 'allow path-77'],
    ['10.0.0.1', ['http', 'websocket'], request('/service-150/x'), 'allow sockets'],
    ['10.0.0.1', ['http'], request('/service-150/x', 'PUT', 'a.internal'), 'allow by-host'],
    ['10.0.0.1', ['http'], request('/service-120/x', 'PUT', 'a.internal'), 'allow path-120'],
    ['10.0.0.1', ['http'], request('/service-150/x'), 'allow path-150'],
    ['10.0.0.1', ['http'], request('/elsewhere'), 'allow rest'],
    ['10.0.0.2', ['http'], request('/elsewhere'), 'deny default'],
    ['10.0.0.2', ['http'], null, 'need request'],
  ]);
});

it('allocates nothing on the way to a decision', () => {
  // Many conditions, so that recalling is on the way too.
  const many = Array.from({ length: 40 }, (_, i) => ({
    http: { paths: [`/service-${i}/*`], hosts: ['*.example'] },
    action: 'allow' as const,
  }));
  const image = compile(
    documentOf({
      segments: { s: { addresses: ['10.0.0.0/8', '2001:db8::/32'] } },
      guardrails: [{ from: ['192.0.2.0/24'], protocols: ['ssh'], action: 'deny' }],
      applications: {
        a: { mode: 'http', rules: [{ from: ['s'], protocols: ['tls'], http: { methods: ['GET'] }, action: 'deny' }, ...many] },
      },
    }),
  );
  const facts = ['/service-1/a', '/service-39/a', '/elsewhere'].map((path) => request(path, 'GET', 'shop.example'));
  const run = (count: number) => {
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const atom = (i & 1) === 0 ? atomOf(image, 0, 0, 0xffff, (0x0a000000 + i) >>> 0) : atomOf(image, 0x20010db8, 0, 0, i);
      sum += i % 4 === 3 ? decide(image, 0, atom, 0, null, PLAIN_CONNECTION) : decide(image, 0, atom, 2, facts[i % 3]!, PLAIN_CONNECTION);
    }
    return sum;
  };
  run(200_000);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const before = process.memoryUsage().heapUsed;
  expect(run(1_000_000)).toBeGreaterThan(0);
  const bytes = process.memoryUsage().heapUsed - before;
  // One number boxed per decision would be 12 MB or more.
  expect(bytes).toBeLessThan(200_000);
});
