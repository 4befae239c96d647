import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress, parsePrefix } from '../../config/address.ts';
import { PLAIN_QUESTION } from '../../config/match.ts';
import { PROTOCOLS, protocolBit } from '../../config/protocols.ts';
import { compile } from '../../policy/compile.ts';
import { explain } from '../../policy/explain.ts';
import { exportable } from '../../policy/export.ts';
import { toKubernetes } from '../../policy/export-kubernetes.ts';
import { toNftables } from '../../policy/export-nftables.ts';
import { coverOf, sourceTermText } from '../../policy/space/cover.ts';
import { type DocumentWords, documentOf, type RuleWords } from './documents.ts';
import { liveFlows } from './oracle.ts';
import { edgeSources, HOSTS, METHODS, PATHS, randomDocument, randomFrom } from './randomDocument.ts';

const SEED = Number(process.env.BULKHEAD_SEED ?? Date.now() % 2 ** 31);

function openFor(words: DocumentWords): string[] {
  return exportable(documentOf(words)).vips.map(({ endpoint, sources }) => {
    return `${endpoint.text}: ${[...coverOf(sources, 4), ...coverOf(sources, 6)].map(sourceTermText).join(', ')}`;
  });
}

describe('the sources of a VIP', () => {
  it.each<[string, DocumentWords, string[]]>([
    ['nobody without rules', { applications: { a: {} } }, ['10.0.0.1:80: ']],
    ['everyone of its family', { applications: { a: { rules: [{ action: 'allow' }] } } }, ['10.0.0.1:80: 0.0.0.0/0']],
    [
      'what is left of a prefix',
      {
        applications: {
          a: {
            rules: [
              { from: ['10.0.0.9'], action: 'deny' },
              { from: ['10.0.0.0/8'], action: 'allow' },
            ],
          },
        },
      },
      ['10.0.0.1:80: 10.0.0.0/8 except 10.0.0.9'],
    ],
    ['nobody by protocol', { applications: { a: { rules: [{ protocols: ['tls'], action: 'allow' }] } } }, ['10.0.0.1:80: ']],
    [
      'nobody behind a deny by protocol',
      { applications: { a: { rules: [{ protocols: ['tls'], action: 'deny' }, { action: 'allow' }] } } },
      ['10.0.0.1:80: '],
    ],
    [
      'everyone where protocols together are all',
      {
        applications: {
          a: {
            rules: [
              { protocols: PROTOCOLS.slice(0, 9), action: 'allow' },
              { protocols: PROTOCOLS.slice(9), action: 'allow' },
            ],
          },
        },
      },
      ['10.0.0.1:80: 0.0.0.0/0'],
    ],
    [
      'those without a condition on requests',
      {
        applications: {
          a: {
            mode: 'http',
            rules: [
              { from: ['10.0.0.0/8'], action: 'allow' },
              { http: { paths: ['/a'] }, action: 'allow' },
            ],
          },
        },
      },
      ['10.0.0.1:80: 10.0.0.0/8'],
    ],
    [
      'by port',
      { applications: { a: { vips: ['10.0.0.1:80', '10.0.0.1:81', '[::1]:80'], rules: [{ ports: [[80, 80]], action: 'allow' }] } } },
      ['10.0.0.1:80: 0.0.0.0/0', '10.0.0.1:81: ', '[::1]:80: ::/0'],
    ],
  ])('are %s', (_, words, expected) => {
    expect(openFor(words)).toEqual(expected);
  });
});

function protocolSet(names: readonly string[]): number {
  return names.reduce((set, name) => set | protocolBit(name)!, 0);
}

function modeAt({ applications }: ReturnType<typeof documentOf>, vip: string): 'http' | 'tcp' {
  return applications.find(({ vips }) => vips.some(({ endpoint }) => endpoint.text === vip))!.mode;
}

it(`is never wider than the policy (seed ${SEED})`, { timeout: 60_000 }, () => {
  const random = randomFrom(SEED);
  let open = 0;
  for (let number = 0; number < 20; number++) {
    const document = randomDocument(random);
    const { vips } = exportable(document);
    const image = compile(document, { now: 0 });
    for (const source of edgeSources(document, random)) {
      if (source === null) continue;
      const from = parseAddress(source)!;
      const [a, b, c, d] = from.words;
      const value = from.family === 4 ? BigInt(d) : (BigInt(a) << 96n) | (BigInt(b) << 64n) | (BigInt(c) << 32n) | BigInt(d);
      for (const { endpoint, sources } of vips) {
        if (!sources.some(({ family, first, last }) => family === from.family && first <= value && value <= last)) continue;
        open++;
        const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
        const flow = {
          from,
          to: endpoint,
          protocols: protocolSet(pick(liveFlows(modeAt(document, endpoint.text)).map(({ named }) => named))),
          method: pick(METHODS),
          host: pick(HOSTS),
          path: pick(PATHS),
          headers: [],
          ...PLAIN_QUESTION,
          at: 0,
        };
        expect(explain(image, flow).verdict, `seed ${SEED}, document ${number}: ${JSON.stringify(flow)}`).toBe('allow');
      }
    }
  }
  expect(open).toBeGreaterThan(20);
});

describe('an application that nobody could reach any more', () => {
  const tls: RuleWords = { protocols: ['tls'], action: 'allow' };
  const office: RuleWords = { from: ['10.0.0.0/8'], action: 'allow' };
  it.each<[string, DocumentWords, string[]]>([
    ['where a protocol is asked for', { applications: { a: { rules: [tls] } } }, ['a']],
    [
      'where requests are asked for',
      { applications: { a: { mode: 'http', rules: [{ http: { paths: ['/'] }, action: 'allow' }] } } },
      ['a'],
    ],
    ['though the cluster lane still does', { cluster: ['10.9.0.0/24'], applications: { a: { rules: [tls] } } }, ['a']],
    ['where denials are only observed', { applications: { a: { observe: true } } }, ['a']],
    [
      'at any of its VIPs',
      { applications: { a: { vips: ['10.0.0.1:80', '10.0.0.1:81'], rules: [{ ...tls, ports: [[80, 80]] }] } } },
      ['a'],
    ],
    ['not one that somebody still does', { applications: { a: { rules: [office, tls] } } }, []],
    [
      'not where a rule for every kind of request opens it',
      { applications: { a: { mode: 'http', rules: [{ ...tls, protocols: ['http'] }] } } },
      [],
    ],
    ['not one that nobody could before', { applications: { a: { rules: [{ ...tls, action: 'deny' }] } } }, []],
    [
      'not by a family that no rule lets in',
      { applications: { a: { vips: ['[::1]:80'], rules: [{ ...tls, from: ['10.0.0.0/8'] }] } } },
      [],
    ],
    ['not one on a unix socket alone', { applications: { a: { vips: ['unix:/s'], rules: [tls] } } }, []],
  ])('%s', (_, words, expected) => {
    expect(exportable(documentOf(words)).cutOff).toEqual(expected);
  });
});

describe('the text', () => {
  const policy = exportable(
    documentOf({
      cluster: ['10.9.0.0/24'],
      applications: {
        Shop: {
          vips: ['10.0.0.1:80', 'unix:/run/s'],
          rules: [
            { name: 'web', from: ['10.0.0.0/8'], except: ['10.1.0.0/16'], action: 'allow' },
            { name: 'tls-only', protocols: ['tls'], action: 'allow' },
          ],
        },
        shop: { vips: ['10.0.0.2:443'], observe: true, rules: [] },
      },
    }),
  );

  it('says what is left out', () => {
    expect(policy.left).toEqual([
      expect.stringMatching(/^Rule "tls-only" \(test.yaml:\d+:5\) depends on the protocol/),
      expect.stringMatching(/^unix:\/run\/s of application "Shop"/),
      expect.stringMatching(/^Application "shop" only observes/),
    ]);
    for (const sentence of policy.left) expect(toNftables(policy)).toContain(`# not expressed: ${sentence}`);
  });

  it('accepts the lane and VRRP first, and denies at the end of each VIP', () => {
    const rules = toNftables(policy)
      .split('\n')
      .map((line) => line.trim());
    const at = (text: string) => rules.findIndex((line) => line.startsWith(text));
    expect(at('meta l4proto 112 accept')).toBeGreaterThan(0);
    expect(at('ip saddr @sources_')).toBeGreaterThan(at('meta l4proto 112'));
    expect(at('ip daddr 10.0.0.1 tcp dport 80 ip saddr')).toBeGreaterThan(at('ip saddr @sources_'));
    expect(at('ip daddr 10.0.0.1 tcp dport 80 reject')).toBe(at('ip daddr 10.0.0.1 tcp dport 80 ip saddr') + 1);
  });

  it('is one NetworkPolicy an application, each with a label of its own', () => {
    const lane = { from: [{ ipBlock: { cidr: '10.9.0.0/24' } }] };
    expect(toKubernetes(policy).policies).toMatchObject([
      {
        metadata: { name: 'shop' },
        spec: {
          podSelector: { matchLabels: { 'app.kubernetes.io/name': 'shop' } },
          policyTypes: ['Ingress'],
          ingress: [
            { from: [{ ipBlock: { cidr: '10.9.0.0/24' } }] },
            { from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }], ports: [{ protocol: 'TCP', port: 80 }] },
          ],
        },
      },
      // The cluster lane alone reaches what no rule opens.
      { metadata: { name: 'shop-2' }, spec: { ingress: [lane, { ...lane, ports: [{ protocol: 'TCP', port: 443 }] }] } },
    ]);
  });
});

describe('an application behind proxies that speak the PROXY protocol', () => {
  const behind = (required: boolean) => {
    const document = documentOf({ applications: { a: { rules: [{ from: ['10.0.0.0/8', '192.0.2.0/24'], action: 'allow' }] } } });
    const from = [parsePrefix('10.1.0.0/16')!, parsePrefix('2001:db8::/32')!];
    const proxyProtocol = { from, unix: false, required, trustIdentity: false, timeoutMs: 1, headerBytes: 256 };
    return exportable({ ...document, applications: document.applications.map((application) => ({ ...application, proxyProtocol })) });
  };
  it.each<[boolean, string[], RegExp]>([
    [false, ['10.0.0.0-10.0.255.255', '10.2.0.0-10.255.255.255', '192.0.2.0-192.0.2.255'], /the proxies are kept out/],
    [true, [], /everybody is kept out/],
  ])('required: %s', (required, expected, said) => {
    const { vips, left } = behind(required);
    const text = (address: bigint) => formatAddress({ family: 4, words: [0, 0, 0xffff, Number(address)] });
    expect(vips[0]!.sources.map(({ first, last }) => `${text(first)}-${text(last)}`)).toEqual(expected);
    expect(left.join(' ')).toMatch(said);
  });
});
