import { describe, expect, it } from 'vitest';
import { diffDocuments } from '../../policy/diff.ts';
import { describeDifference, differenceAsJson } from '../../policy/diff-text.ts';
import { type DocumentWords, documentOf, type RuleWords } from './documents.ts';

const allow = { action: 'allow' } as const;
const deny = { action: 'deny' } as const;

/** Each group as `change source > VIP speaking … path …: old > new`, from what people read. */
function told(old: DocumentWords, next: DocumentWords): string[] {
  const lines = describeDifference(diffDocuments(documentOf(old), documentOf(next)));
  const groups: string[][] = [[]];
  for (const line of lines) {
    if (line === '') groups.push([]);
    else groups[groups.length - 1]!.push(line);
  }
  return groups
    .filter((group) => group.length > 1)
    .map(([head, ...rest]) => {
      const fields = new Map(rest.map((line) => [line.slice(2, 12).trim(), line.slice(12)] as const));
      const asked = ['method', 'host', 'path', 'while'].flatMap((key) => (fields.has(key) ? [`${key} ${fields.get(key)}`] : []));
      return [`${head!.split(' ')[0]} ${fields.get('from')} > ${fields.get('to')}`, fields.get('speaking')!, ...asked].join('; ');
    });
}

function tcp(...rules: RuleWords[]): DocumentWords {
  return { applications: { a: { rules } } };
}

function http(...rules: RuleWords[]): DocumentWords {
  return { applications: { a: { mode: 'http', rules } } };
}

const TO = '10.0.0.1:80';

describe('a change', () => {
  it.each<[string, DocumentWords, DocumentWords, string[]]>([
    ['of a name', tcp({ name: 'x', ...allow }), tcp({ name: 'y', ...allow }), []],
    [
      'of order among allows',
      tcp({ from: ['10.0.0.0/9'], ...allow }, { from: ['10.0.0.0/8'], ...allow }),
      tcp({ from: ['10.0.0.0/8'], ...allow }),
      [],
    ],
    ['from a prefix to its halves', tcp({ from: ['10.0.0.0/8'], ...allow }), tcp({ from: ['10.0.0.0/9', '10.128.0.0/9'], ...allow }), []],
    ['to the mapped form', tcp({ from: ['10.0.0.0/8'], ...allow }), tcp({ from: ['::ffff:10.0.0.0/104'], ...allow }), []],
    [
      'of a segment to its members',
      { segments: { s: { addresses: ['10.0.0.0/8'], except: ['10.1.0.0/16'] } }, ...tcp({ from: ['s'], ...allow }) },
      tcp({ from: ['10.0.0.0/8'], except: ['10.1.0.0/16'], ...allow }),
      [],
    ],
    ['that makes the default explicit', tcp({ from: ['10.0.0.0/8'], ...allow }), tcp({ from: ['10.0.0.0/8'], ...allow }, deny), []],
    [
      'to requests, where a rule for all flows to a database stood before',
      tcp({ database: { kind: 'mysql', users: null, schemas: ['*'] }, ...deny }, allow),
      http({ http: { paths: ['/a'] }, identities: ['cn:a'], ...allow }),
      [
        `loses any > ${TO}; any protocol but http, h2, mysql, websocket, grpc (no requests)`,
        `loses any > ${TO}; http, h2, websocket, grpc; path /a; while not identity cn:a`,
        `loses any > ${TO}; http, h2, websocket, grpc; path any but not /a`,
      ],
    ],
    [
      'of one address',
      tcp({ from: ['10.0.0.0/8'], ...allow }),
      tcp({ from: ['10.0.0.0/8'], except: ['10.0.0.9'], ...allow }),
      [`loses 10.0.0.9 > ${TO}; any protocol`],
    ],
    [
      'to all but one address',
      tcp({ from: ['10.0.0.9'], ...allow }),
      tcp({ from: ['10.0.0.0/8'], ...allow }),
      [`gains 10.0.0.0/8 except 10.0.0.9 > ${TO}; any protocol`],
    ],
    ['to everyone', tcp(), tcp(allow), [`gains any > ${TO}; any protocol`]],
    [
      'of protocols',
      tcp({ protocols: ['tls', 'ssh'], ...allow }),
      tcp({ protocols: ['ssh', 'http'], ...allow }),
      [`gains any > ${TO}; http, websocket`, `loses any > ${TO}; tls`],
    ],
    [
      'of order between http and websocket',
      http({ protocols: ['http'], ...allow }, { protocols: ['websocket'], ...deny }),
      http({ protocols: ['websocket'], ...deny }, { protocols: ['http'], ...allow }),
      [`loses any > ${TO}; websocket`],
    ],
    [
      'of paths',
      http({ http: { paths: ['/admin/*'] }, ...deny }, allow),
      http({ http: { paths: ['/admin/*', '/api/*'] }, ...deny }, allow),
      [`loses any > ${TO}; any protocol; path /api/*`],
    ],
    [
      'of a path within another',
      http({ http: { paths: ['/a/*'] }, ...allow }),
      http({ http: { paths: ['/a/b/*'] }, ...deny }, { http: { paths: ['/a/*'] }, ...allow }),
      [`loses any > ${TO}; any protocol; path /a/b/*`],
    ],
    ['of the case of a path', http({ http: { paths: ['/Admin'] }, ...allow }), http({ http: { paths: ['/admin'] }, ...allow }), []],
    [
      'of methods and hosts',
      http({ http: { methods: ['GET'], hosts: ['*.example.com'] }, ...allow }),
      http({ http: { methods: ['GET', 'HEAD'], hosts: ['*.example.com'] }, ...allow }),
      [`gains any > ${TO}; any protocol; method HEAD; host *.example.com`],
    ],
    [
      'of what carries WebSockets',
      http({ protocols: ['websocket'], ...allow }),
      http({ protocols: ['h2'], ...deny }, { protocols: ['websocket'], ...allow }),
      [`loses any > ${TO}; websocket over h2`],
    ],
    [
      'of HTTP/2, which is http to rules where requests are seen',
      http({ protocols: ['http'], ...allow }),
      http({ protocols: ['h2'], ...deny }, { protocols: ['http'], ...allow }),
      [`loses any > ${TO}; h2, grpc, websocket over h2`],
    ],
    [
      'of HTTP/2, which is another protocol where bytes are',
      tcp({ protocols: ['http'], ...allow }),
      tcp({ protocols: ['h2'], ...deny }, { protocols: ['http'], ...allow }),
      [],
    ],
    [
      'of protocols that no request has',
      http({ protocols: ['http'], ...allow }),
      http({ protocols: ['http', 'ssh', 'unknown'], ...allow }, allow),
      [],
    ],
    [
      'for all requests and flows of bytes together',
      { applications: { a: { mode: 'http', vips: ['10.0.0.1:80'] }, b: { vips: ['10.0.0.2:80'] } } },
      { guardrails: [allow], applications: { a: { mode: 'http', vips: ['10.0.0.1:80'] }, b: { vips: ['10.0.0.2:80'] } } },
      ['gains any > 10.0.0.1:80, 10.0.0.2:80; any protocol'],
    ],
    [
      'by a guardrail, in all applications at once',
      { applications: { a: { vips: ['10.0.0.1:80'], rules: [allow] }, b: { vips: ['10.0.0.2:80'], rules: [allow] } } },
      {
        guardrails: [{ from: ['10.6.0.0/16'], ...deny }],
        applications: { a: { vips: ['10.0.0.1:80'], rules: [allow] }, b: { vips: ['10.0.0.2:80'], rules: [allow] } },
      },
      ['loses 10.6.0.0/16 > 10.0.0.1:80, 10.0.0.2:80; any protocol'],
    ],
    ['of the cluster lane', tcp(), { cluster: ['10.9.0.0/24'], ...tcp() }, [`gains 10.9.0.0/24 > ${TO}; any protocol`]],
    [
      'of VIPs',
      { applications: { a: { vips: [TO], rules: [allow] } } },
      { applications: { a: { vips: ['10.0.0.1:81'], rules: [allow] } } },
      [`loses any > ${TO}; any protocol`, 'gains any > 10.0.0.1:81; any protocol'],
    ],
    ['to a VIP that nobody may use', { applications: {} }, tcp(), []],
    ['of mode', http({ http: { paths: ['/x'] }, ...deny }, allow), tcp(allow), [`gains any > ${TO}; http, h2, websocket, grpc; path /x`]],
    [
      'of a unix socket',
      { applications: { a: { vips: ['unix:/s'], rules: [] } } },
      { applications: { a: { vips: ['unix:/s'], rules: [allow] } } },
      ['gains whoever can open the socket > unix:/s; any protocol'],
    ],
  ])('%s', (_, old, next, expected) => {
    expect(told(old, next).sort()).toEqual([...expected].sort());
  });

  it('of enforcement is a difference although every verdict stays', () => {
    const difference = diffDocuments(documentOf(tcp()), documentOf({ applications: { a: { observe: true } } }));
    expect(difference).toMatchObject({ differs: true, groups: [], enforcement: [{ application: 'a', old: 'enforce', new: 'observe' }] });
  });

  it('names rules at their places on both sides, and a witness', () => {
    const [group] = (
      differenceAsJson(
        diffDocuments(documentOf(tcp({ name: 'all', ...allow })), documentOf(tcp({ name: 'some', from: ['10.0.0.0/8'], ...allow }))),
      ) as { groups: object[] }
    ).groups;
    expect(group).toEqual({
      change: 'lose',
      sources: [{ prefix: '0.0.0.0/0', except: ['10.0.0.0/8'] }, { prefix: '::/0' }],
      vips: [TO],
      protocols: null,
      request: null,
      when: [],
      old: { verdict: 'allow', applications: ['a'], rules: [{ rule: 'all', at: expect.stringMatching(/^test\.yaml:\d+:5$/) }] },
      new: { verdict: 'deny', applications: ['a'], rules: [{ rule: 'default', at: null }] },
      witness: { from: '0.0.0.1', to: TO, protocol: 'http' },
    });
  });

  it('of the deciding rule alone is no difference, and told when asked for', () => {
    const [old, next] = [documentOf(tcp({ name: 'a', ...allow })), documentOf(tcp({ name: 'b', ...allow }))];
    expect(diffDocuments(old, next).groups).toEqual([]);
    expect(diffDocuments(old, next, { rules: true })).toMatchObject({
      differs: false,
      groups: [{ change: 'rule', old: { verdict: 'allow' }, new: { verdict: 'allow' } }],
    });
  });

  it('of a schedule is told with the time, and its witness holds then', () => {
    const schedule = { days: ['mon', 'tue'], hours: [[480, 1080]], timeZone: 'UTC' } as const;
    const old = documentOf(tcp(allow));
    const always = old.applications[0]!.rules[0]!;
    const next = { ...old, applications: [{ ...old.applications[0]!, rules: [{ ...always, schedule }] }] };
    const { groups } = diffDocuments(old, next, { now: Date.UTC(2026, 0, 5, 12) });
    expect(groups).toMatchObject([{ change: 'lose', region: { when: [{ holding: [], failing: [expect.stringContaining('mon, tue')] }] } }]);
    expect(new Date(groups[0]!.witness!.at!).toISOString()).toBe('2026-01-05T18:00:00.000Z');
  });

  it('of limits is a difference of treatment', () => {
    const old = documentOf(tcp(allow));
    const limits = { per: 'source', flows: 3, newFlows: null, requests: null, bytes: null, bytesTotal: null, durationMs: null } as const;
    const next = { ...old, applications: [{ ...old.applications[0]!, rules: [{ ...old.applications[0]!.rules[0]!, limits }] }] };
    expect(diffDocuments(old, next)).toMatchObject({ differs: true, groups: [{ change: 'treatment' }] });
  });

  it('of a field that this code does not know is never taken for nothing', () => {
    const old = documentOf(tcp(allow));
    const rule = { ...old.applications[0]!.rules[0]!, mood: ['cheerful'] };
    const next = { ...old, applications: [{ ...old.applications[0]!, rules: [rule] }] };
    expect(diffDocuments(old, next)).toMatchObject({ differs: true, groups: [{ change: 'lose', witness: null }] });
  });
});

/**
 * What well-known recipes for Kubernetes NetworkPolicy and for access-control lists say, as rules over sources, each against the empty
 * policy: what the recipe opens is what is gained.
 */
describe('a recipe', () => {
  const segments = {
    web: { addresses: ['10.1.0.0/24'] },
    monitoring: { addresses: ['10.2.0.0/24'] },
    'namespace-default': { segments: ['web'], addresses: ['10.1.1.0/24'] },
    'namespace-other': { segments: ['monitoring'], addresses: ['10.2.1.0/24'] },
  };
  it.each<[string, RuleWords[], string[]]>([
    ['denies all traffic to an application', [], []],
    ['limits traffic to an application', [{ from: ['web'], ...allow }], ['gains 10.1.0.0/24']],
    ['allows all traffic to an application', [allow], ['gains any']],
    ['denies all traffic from other namespaces', [{ from: ['namespace-default'], ...allow }], ['gains 10.1.0.0/23']],
    ['allows all namespaces', [{ from: ['namespace-default', 'namespace-other'], ...allow }], ['gains 10.1.0.0/23, 10.2.0.0/23']],
    ['allows some pods of another namespace', [{ from: ['monitoring'], ...allow }], ['gains 10.2.0.0/24']],
    [
      'allows traffic from outside',
      [{ from: ['any'], except: ['10.0.0.0/8'], ...allow }],
      ['gains 0.0.0.0/0 except 10.0.0.0/8, any IPv6 address'],
    ],
    ['allows a port of several only', [{ from: ['web'], ports: [[81, 90]], ...allow }], []],
    [
      'permits a network except one host, first match wins',
      [
        { from: ['10.1.0.5'], ...deny },
        { from: ['10.1.0.0/24'], ...allow },
      ],
      ['gains 10.1.0.0/24 except 10.1.0.5'],
    ],
    [
      'permits a host too late, behind its network',
      [
        { from: ['10.1.0.0/24'], ...deny },
        { from: ['10.1.0.5'], ...allow },
      ],
      [],
    ],
    ['ends in an implicit deny', [{ from: ['10.1.0.0/24'], ...allow }, deny], ['gains 10.1.0.0/24']],
  ])('%s', (_, rules, expected) => {
    const groups = told({ segments, ...tcp() }, { segments, ...tcp(...rules) });
    expect(groups.map((group) => group.split(' > ')[0])).toEqual(expected);
  });
});
