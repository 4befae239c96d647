/** Documents of a chosen size, for measuring. */
import { formatAddress, type Prefix, parsePrefix } from '../../config/address.ts';
import { type Application, type Document, PLAIN_RULE, type Rule, type Segment } from '../../config/document.ts';

export interface Size {
  readonly prefixes: number;
  readonly rules: number;
  readonly applications: number;
  readonly segments?: number;
  /** Rules speak of paths, from anyone. */
  readonly http?: boolean;
  /** Rules speak of this instead, from anyone: each of one identity, name in a ClientHello, user, or beginning of keys. */
  readonly by?: By;
  readonly guardrails?: number;
}

/** What rules speak of beside source and path. */
export type By = 'identity' | 'sni' | 'postgres' | 'redis';

const PLACE = { file: 'bench.yaml', line: 1, column: 1 };

/** Scattered prefixes of /16 to /32, three in four of them IPv4, the same at every call. */
export function scatteredPrefixes(count: number): Prefix[] {
  let state = 1;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  const prefixes: Prefix[] = [];
  for (let i = 0; i < count; i++) {
    if (i % 4 === 3) {
      const bits = 32 + (next() >>> 25);
      prefixes.push(
        parsePrefix(
          `2001:db8:${(next() >>> 16).toString(16)}:${(next() >>> 16).toString(16)}::${(next() >>> 16).toString(16)}/${Math.min(bits, 128)}`,
        )!,
      );
    } else prefixes.push(parsePrefix(`${formatAddress({ family: 4, words: [0, 0, 0xffff, next()] })}/${16 + (next() >>> 28)}`)!);
  }
  return prefixes;
}

function demandOf(by: By, i: number): Partial<Rule> {
  switch (by) {
    case 'identity':
      return { identities: [identityAt(i)] };
    case 'sni':
      return { tls: { sni: [`${i % 2 === 0 ? '*.' : ''}shop-${i}.example.com`], alpn: null, ja4: null } };
    case 'postgres':
      return { database: { kind: 'postgres', users: [`service-${i}`], databases: null } };
    case 'redis':
      return { database: { kind: 'redis', users: null, commands: null, keys: [`service-${i}:*`] } };
  }
}

/** One in four identities of rules is a beginning. */
function identityAt(i: number): string {
  return `spiffe://cluster.example/ns/team-${i % 7}/sa/service-${i}${i % 4 === 0 ? '/*' : ''}`;
}

/** Prefixes dealt out to segments, rules dealt out to applications; rule i lets segment i in. */
export function sceneOf(size: Size): Document {
  const prefixes = scatteredPrefixes(size.prefixes);
  const segmentCount = size.segments ?? Math.max(1, Math.min(size.rules, size.prefixes));
  const dealt: Prefix[][] = Array.from({ length: segmentCount }, () => []);
  for (const [i, prefix] of prefixes.entries()) dealt[i % segmentCount]!.push(prefix);
  const segments: Segment[] = dealt.map((addresses, i) => ({
    name: `segment-${i}`,
    addresses,
    pools: [],
    segments: [],
    countries: [],
    asns: [],
    dns: [],
    identities: [],
    unknown: 'deny',
    except: [],
    place: PLACE,
  }));
  const ruleOf = (i: number): Rule => ({
    name: `rule-${i}`,
    action: i % 5 === 4 ? 'deny' : 'allow',
    from: size.http || size.by ? [{ kind: 'any' }] : [{ kind: 'segment', name: `segment-${i % segmentCount}` }],
    except: [],
    ...PLAIN_RULE,
    protocols: size.http || size.by ? null : [null, 2, 16][i % 3]!,
    http: size.http ? { methods: null, hosts: null, paths: [`/service-${i}/*`], headers: null } : null,
    ...(size.by === undefined ? {} : demandOf(size.by, i)),
    place: PLACE,
  });
  const each = Math.ceil(size.rules / size.applications);
  const applications = Array.from({ length: size.applications }, (_, i): Application => {
    const address = formatAddress({ family: 4, words: [0, 0, 0xffff, 0x7f000000 + i + 1] });
    return {
      name: `application-${i}`,
      vips: [
        {
          endpoint: { kind: 'tcp', address: { family: 4, words: [0, 0, 0xffff, 0x7f000000 + i + 1] }, port: 80, text: `${address}:80` },
          place: PLACE,
        },
      ],
      mode: size.http ? 'http' : 'tcp',
      pool: 'servers',
      routes: [],
      trusted: [],
      tokens: [],
      enforcement: 'enforce',
      rules: Array.from({ length: Math.min(each, size.rules - i * each) }, (_, j) => ruleOf(i * each + j)),
      timeouts: {
        connect: 1,
        idle: 1,
        total: null,
        halfClosed: 1,
        handshake: 5_000,
        detect: 1,
        requestHead: 1,
        requestBody: 1,
        response: 1,
        keepAlive: 1,
      },
      limits: { connections: null, connectionsPerSource: null, headBytes: 1, headFields: 1, targetBytes: 1, streams: 1 },
      place: PLACE,
    };
  });
  return {
    version: 1,
    process: {
      node: 'bench',
      workers: 1,
      admin: null,
      state: null,
      journal: { sizeBytes: 0, segmentBytes: 0, ageMs: null },
      log: { level: 'silent' },
      answers: 'brief',
      connections: 1,
      geo: { country: null, asn: null },
      resolvers: [],
      adminTokens: [],
      adminTls: null,
    },
    networks: { inbound: [], outbound: [], cluster: [parsePrefix('10.9.0.0/24')!] },
    segments,
    pools: [],
    applications,
    guardrails: Array.from({ length: size.guardrails ?? 0 }, (_, i) => ({
      ...ruleOf(i),
      name: `guardrail-${i}`,
      action: 'deny',
      protocols: 1 << 5,
      http: null,
    })),
    baseline: [],
    tests: [],
    source: null,
  };
}
