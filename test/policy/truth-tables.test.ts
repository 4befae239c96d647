/**
 * Truth tables that others wrote, as policies of ours. Kubernetes: the end-to-end tests of NetworkPolicy (test/e2e/network/netpol in
 * kubernetes/kubernetes, titles as there), as far as they speak of who may come in over TCP. Access-control lists: what manuals of Cisco
 * routers say of wildcards, order and the end of a list. Packet filters: matches of nft(8) and iptables(8).
 */
import { describe, expect, it } from 'vitest';
import { compile } from '../../policy/compile.ts';
import { explain } from '../../policy/explain.ts';
import { type DocumentWords, documentOf, question, type RuleWords } from './documents.ts';

const VIP = '10.9.0.1';
const PORTS = [80, 81, 82, 8000, 8090];

/** Sources, of `all`, that are let in at a port. */
function letIn(words: DocumentWords, port: number, all: readonly (readonly [name: string, address: string])[]): string[] {
  const image = compile(documentOf(words));
  return all.filter(([, from]) => explain(image, question(from, `${VIP}:${port}`)).verdict === 'allow').map(([name]) => name);
}

const vips = PORTS.map((port) => `${VIP}:${port}`);

describe('Kubernetes NetworkPolicy, ingress of pod x/a', () => {
  // Namespaces are networks, pods addresses in them; a selector is a segment.
  const pods = ['x', 'y', 'z'].flatMap((namespace, i) =>
    ['a', 'b', 'c'].map((pod, j) => [`${namespace}/${pod}`, `10.${i + 1}.0.${j + 1}`] as const),
  );
  const address = new Map<string, string>(pods);
  const pod = (...names: string[]) => ({ addresses: names.map((name) => address.get(name)!) });
  const segments: NonNullable<DocumentWords['segments']> = {
    'ns-x': { addresses: ['10.1.0.0/16'] },
    'ns-y': { addresses: ['10.2.0.0/16'] },
    'ns-z': { addresses: ['10.3.0.0/16'] },
    'x-b': pod('x/b'),
    'x-b-or-c': pod('x/b', 'x/c'),
    'y-a': pod('y/a'),
    'b-not-in-x': { ...pod('x/b', 'y/b', 'z/b'), except: ['ns-x'] },
    'b-or-c-not-in-x': { ...pod('x/b', 'x/c', 'y/b', 'y/c', 'z/b', 'z/c'), except: ['ns-x'] },
    'not-x': { addresses: ['10.0.0.0/8'], except: ['ns-x'] },
  };
  const allow = (words: Omit<RuleWords, 'action'> = {}): RuleWords => ({ ...words, action: 'allow' });
  const everyone = pods.map(([name]) => name);
  const of = (...namespaces: string[]) => everyone.filter((name) => namespaces.includes(name[0]!));
  const nobody: string[] = [];

  it.each<[string, RuleWords[], Record<number, readonly string[]>]>([
    ["should support a 'default-deny-ingress' policy", [], { 80: nobody }],
    ["should support a 'default-deny-all' policy", [], { 80: nobody }],
    [
      'should enforce policy to allow traffic from pods within server namespace based on PodSelector',
      [allow({ from: ['x-b'] })],
      { 80: ['x/b'] },
    ],
    ['should enforce policy to allow ingress traffic for a target', [allow()], { 80: everyone }],
    [
      'should enforce policy to allow ingress traffic from pods in all namespaces',
      [allow({ from: ['ns-x', 'ns-y', 'ns-z'] })],
      { 80: everyone },
    ],
    [
      'should enforce policy to allow traffic only from a different namespace, based on NamespaceSelector',
      [allow({ from: ['ns-y'] })],
      { 80: of('y') },
    ],
    ['should enforce policy based on NamespaceSelector with MatchExpressions', [allow({ from: ['ns-y'] })], { 80: of('y') }],
    [
      'should enforce policy based on PodSelector or NamespaceSelector',
      [allow({ from: ['not-x', 'x-b'] })],
      { 80: ['x/b', ...of('y', 'z')] },
    ],
    ['should enforce policy based on PodSelector and NamespaceSelector', [allow({ from: ['b-not-in-x'] })], { 80: ['y/b', 'z/b'] }],
    [
      'should enforce policy based on Multiple PodSelectors and NamespaceSelectors',
      [allow({ from: ['b-or-c-not-in-x'] })],
      { 80: ['y/b', 'y/c', 'z/b', 'z/c'] },
    ],
    ['should enforce policy based on any PodSelectors', [allow({ from: ['x-b-or-c'] })], { 80: ['x/b', 'x/c'] }],
    [
      'should enforce policy to allow traffic only from a pod in a different namespace based on PodSelector and NamespaceSelector',
      [allow({ from: ['y-a'] })],
      { 80: ['y/a'] },
    ],
    ['should enforce policy based on Ports', [allow({ from: ['ns-y'], ports: [[81, 81]] })], { 81: of('y') }],
    [
      'should enforce multiple, stacked policies with overlapping podSelectors, before the second',
      [allow({ from: ['ns-y'], ports: [[81, 81]] })],
      { 80: nobody, 81: of('y') },
    ],
    [
      'should enforce multiple, stacked policies with overlapping podSelectors, after the second',
      [allow({ from: ['ns-y'], ports: [[81, 81]] }), allow({ from: ['ns-y'], ports: [[80, 80]] })],
      { 80: of('y'), 81: of('y') },
    ],
    ['should support allow-all policy', [allow()], { 80: everyone, 81: everyone }],
    ['should allow ingress access on one named port', [allow({ ports: [[81, 81]] })], { 80: nobody, 81: everyone }],
    [
      'should allow ingress access from namespace on one named port',
      [allow({ from: ['ns-y'], ports: [[80, 80]] })],
      { 80: of('y'), 81: nobody },
    ],
    ['should enforce updated policy, before', [allow()], { 81: everyone }],
    ['should enforce updated policy, after', [], { 81: nobody }],
    ['should deny ingress from pods on other namespaces', [allow({ from: ['ns-x'] })], { 80: of('x') }],
    [
      'should enforce multiple ingress policies with ingress allow-all policy taking precedence',
      [allow({ ports: [[80, 80]] }), allow()],
      { 80: everyone, 81: everyone },
    ],
    // Ranges of ports and blocks of addresses are tested there on their way out; here they come in.
    [
      'a range of ports, its ends included',
      [allow({ from: ['ns-y'], ports: [[81, 8000]] })],
      { 80: nobody, 81: of('y'), 82: of('y'), 8000: of('y'), 8090: nobody },
    ],
    [
      'a block, except what is taken out of it',
      [allow({ from: ['10.2.0.0/16', '10.3.0.0/16'], except: ['10.2.0.2/32', '10.3.0.0/31'] })],
      { 80: ['y/a', 'y/c', 'z/b', 'z/c'] },
    ],
    [
      'what one policy takes out of a block, another one may let in',
      [allow({ from: ['10.2.0.0/24'], except: ['10.2.0.2/32'] }), allow({ from: ['10.2.0.2/32'] })],
      { 80: of('y') },
    ],
  ])('%s', (_, rules, expected) => {
    const words = { segments, applications: { a: { vips, rules } } };
    for (const [port, names] of Object.entries(expected)) expect(letIn(words, Number(port), pods), `port ${port}`).toEqual(names);
  });
});

/** The prefixes of an address and a wildcard, whose ones stand for bits that don't matter: one for each run of other bits. */
function wildcardPrefixes(base: string, wildcard: string): string[] {
  const number = (text: string) => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const mask = number(wildcard);
  let free = 0;
  while (free < 32 && (mask / 2 ** free) % 2 >= 1) free++;
  let networks = [(number(base) & ~mask) >>> 0];
  for (let bit = free; bit < 32; bit++)
    if ((mask >>> bit) & 1) networks = networks.flatMap((network) => [network, (network | (1 << bit)) >>> 0]);
  return networks.map((network) => `${[24, 16, 8, 0].map((shift) => (network >>> shift) & 255).join('.')}/${32 - free}`);
}

/** `permit host 10.1.1.1`, `deny 10.1.1.0 0.0.0.255`, `permit any eq 80`, `permit any range 80 90`. */
function entry(text: string): RuleWords {
  const [verb, ...words] = text.split(' ') as [string, ...string[]];
  const action = verb === 'permit' ? 'allow' : 'deny';
  const first = words.shift()!;
  const from =
    first === 'any'
      ? ['any']
      : first === 'host'
        ? [words.shift()!]
        : wildcardPrefixes(first, /^\d/.test(words[0] ?? '') ? words.shift()! : '0.0.0.0');
  const [operator, low, high = low] = words;
  if (operator === undefined) return { from, action };
  const [a, b] = [Number(low), Number(high)];
  const ports: [number, number][] =
    operator === 'gt'
      ? [[a + 1, 65535]]
      : operator === 'lt'
        ? [[0, a - 1]]
        : operator === 'neq'
          ? [
              [0, a - 1],
              [a + 1, 65535],
            ]
          : [[a, b]];
  return { from, ports, action };
}

describe('access-control lists', () => {
  it.each<[string, string, string[]]>([
    // Cisco SCE 1000 Installation and Configuration Guide (OL-7821-05), table 5-2.
    ['10.1.1.0', '0.0.0.255', ['10.1.1.0/24']],
    ['10.1.1.0', '0.0.0.63', ['10.1.1.0/26']],
    ['10.1.1.0', '0.0.0.0', ['10.1.1.0/32']],
    ['0.0.0.0', '255.255.255.255', ['0.0.0.0/0']],
    ['10.1.1.1', '0.0.2.255', ['10.1.1.0/24', '10.1.3.0/24']],
  ])('%s with the wildcard %s is %j', (base, wildcard, expected) => {
    expect(wildcardPrefixes(base, wildcard)).toEqual(expected);
  });

  it.each<[string, string[], number, Record<string, 'permit' | 'deny'>]>([
    [
      'an entry for everyone makes all that follow irrelevant',
      ['permit any', 'deny host 10.1.1.0'],
      80,
      { '10.1.1.0': 'permit', '10.1.1.1': 'permit' },
    ],
    ['the same entries the other way round', ['deny host 10.1.1.0', 'permit any'], 80, { '10.1.1.0': 'deny', '10.1.1.1': 'permit' }],
    [
      'a list ends in an implicit deny',
      ['permit 10.1.1.0 0.0.0.255'],
      80,
      { '10.1.1.9': 'permit', '10.1.2.9': 'deny', '2001:db8::1': 'deny' },
    ],
    ['and says the same with an explicit one', ['permit 10.1.1.0 0.0.0.255', 'deny any'], 80, { '10.1.1.9': 'permit', '10.1.2.9': 'deny' }],
    ['a list of one deny denies everyone', ['deny host 10.1.1.1'], 80, { '10.1.1.1': 'deny', '10.1.1.2': 'deny' }],
    [
      'a subnet is kept out',
      ['deny 172.16.4.0 0.0.0.255', 'permit any'],
      80,
      { '172.16.4.13': 'deny', '172.16.3.13': 'permit', '172.16.5.0': 'permit' },
    ],
    ['a host is kept out', ['deny host 172.16.4.13', 'permit any'], 80, { '172.16.4.13': 'deny', '172.16.4.12': 'permit' }],
    [
      'only one network is let in',
      ['permit 172.16.0.0 0.0.255.255'],
      80,
      { '172.16.255.255': 'permit', '172.17.0.0': 'deny', '172.15.255.255': 'deny' },
    ],
    [
      'the narrower entry stands first',
      ['permit host 192.168.1.9', 'deny 192.168.1.0 0.0.0.255', 'permit 192.168.0.0 0.0.255.255'],
      80,
      { '192.168.1.9': 'permit', '192.168.1.8': 'deny', '192.168.2.8': 'permit', '10.0.0.1': 'deny' },
    ],
    [
      'a wildcard with holes: even hosts',
      ['permit 10.1.1.0 0.0.0.254'],
      80,
      { '10.1.1.0': 'permit', '10.1.1.2': 'permit', '10.1.1.3': 'deny', '10.1.1.254': 'permit' },
    ],
    [
      'a wildcard over the borders of bytes',
      ['permit 172.16.16.0 0.0.15.255'],
      80,
      { '172.16.16.0': 'permit', '172.16.31.255': 'permit', '172.16.32.0': 'deny', '172.16.15.255': 'deny' },
    ],
    ['eq names a port', ['permit any eq 80'], 81, { '10.0.0.1': 'deny' }],
    ['range names both ends', ['permit any range 81 8000'], 8000, { '10.0.0.1': 'permit' }],
    ['range ends there', ['permit any range 81 8000'], 8090, { '10.0.0.1': 'deny' }],
    ['gt leaves out the port itself', ['permit any gt 80'], 80, { '10.0.0.1': 'deny' }],
    ['lt does so too', ['permit any lt 82'], 81, { '10.0.0.1': 'permit' }],
    ['neq is every other port', ['permit any neq 81'], 81, { '10.0.0.1': 'deny' }],
    ['an entry for another port does not match', ['deny any eq 81', 'permit any'], 80, { '10.0.0.1': 'permit' }],
  ])('%s', (_, entries, port, expected) => {
    const image = compile(documentOf({ applications: { a: { vips, rules: entries.map(entry) } } }));
    const found = Object.keys(expected).map((from) => [
      from,
      explain(image, question(from, `${VIP}:${port}`)).verdict === 'allow' ? 'permit' : 'deny',
    ]);
    expect(Object.fromEntries(found)).toEqual(expected);
  });
});

describe('packet filters', () => {
  const sources = ['10.0.0.1', '10.255.255.255', '11.0.0.0', '192.168.1.1', '192.168.1.2', '2001:db8::1', '::1'].map(
    (text) => [text, text] as const,
  );
  it.each<[string, RuleWords[], Record<number, string[]>]>([
    ['ip saddr 10.0.0.0/8 accept', [{ from: ['10.0.0.0/8'], action: 'allow' }], { 80: ['10.0.0.1', '10.255.255.255'] }],
    [
      'ip saddr != 10.0.0.0/8 accept: of IPv4 alone',
      [{ from: ['0.0.0.0/0'], except: ['10.0.0.0/8'], action: 'allow' }],
      { 80: ['11.0.0.0', '192.168.1.1', '192.168.1.2'] },
    ],
    [
      'ip saddr { 10.0.0.0/8, 192.168.1.1 } tcp dport { 80, 82-8000 } accept',
      [
        {
          from: ['10.0.0.0/8', '192.168.1.1'],
          ports: [
            [80, 80],
            [82, 8000],
          ],
          action: 'allow',
        },
      ],
      { 80: ['10.0.0.1', '10.255.255.255', '192.168.1.1'], 81: [], 82: ['10.0.0.1', '10.255.255.255', '192.168.1.1'], 8090: [] },
    ],
    ['ip6 saddr ::/0 accept: no IPv4', [{ from: ['::/0'], action: 'allow' }], { 80: ['2001:db8::1', '::1'] }],
    [
      'drop is final: -A INPUT -s 10.0.0.1 -j DROP, then -j ACCEPT',
      [{ from: ['10.0.0.1'], action: 'deny' }, { action: 'allow' }],
      { 80: ['10.255.255.255', '11.0.0.0', '192.168.1.1', '192.168.1.2', '2001:db8::1', '::1'] },
    ],
    ['an empty chain with policy drop', [], { 80: [] }],
  ])('%s', (_, rules, expected) => {
    for (const [port, names] of Object.entries(expected))
      expect(letIn({ applications: { a: { vips, rules } } }, Number(port), sources), `port ${port}`).toEqual(names);
  });
});
