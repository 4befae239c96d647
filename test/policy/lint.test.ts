import { describe, expect, it } from 'vitest';
import type { Document, Rule } from '../../config/document.ts';
import { PROTOCOLS, protocolBit } from '../../config/protocols.ts';
import { lint } from '../../policy/lint.ts';
import { rulesOf } from '../../policy/schedule.ts';
import { type DocumentWords, documentOf } from './documents.ts';
import { liveFlows, oracle } from './oracle.ts';
import { CLIENTS, edgeSources, HELLOS, HOSTS, METHODS, PATHS, randomDocument, randomFrom, randomQuery } from './randomDocument.ts';

const SEED = Number(process.env.BULKHEAD_SEED ?? Date.now() % 2 ** 31);

const APART = new Set(['allow-any', 'rule-redundant', 'half-of-any', 'segment-empty', 'address-mapped']);

/** `code path`. That a rule is for everyone, or could be left out, is told apart below. */
function findings(words: DocumentWords): string[] {
  return lint(documentOf(words)).flatMap(({ code, path }) => (APART.has(code) ? [] : [`${code} ${path}`]));
}

describe('finds', () => {
  const allow = { action: 'allow' } as const;
  const deny = { action: 'deny' } as const;
  it.each<[string, DocumentWords, string[]]>([
    [
      'nothing in a sound document',
      { segments: { s: { addresses: ['10.0.0.0/8'] } }, applications: { a: { rules: [{ from: ['s'], ...allow }] } } },
      [],
    ],
    [
      'rules for what no request speaks, and not where bytes are carried',
      {
        applications: {
          a: {
            mode: 'http',
            rules: [
              { protocols: ['ssh', 'tls'], ...allow },
              { protocols: ['http'], ...allow },
            ],
          },
          b: { vips: ['10.0.0.2:22'], rules: [{ protocols: ['ssh', 'tls'], ...allow }] },
        },
      },
      ['rule-never-matches /applications/a/rules/0'],
    ],
    [
      'a rule for HTTP/2 behind one for http, and not where bytes are carried',
      {
        applications: {
          a: {
            mode: 'http',
            rules: [
              { protocols: ['http'], ...allow },
              { protocols: ['h2'], ...deny },
            ],
          },
          b: {
            vips: ['10.0.0.2:22'],
            rules: [
              { protocols: ['http'], ...allow },
              { protocols: ['h2'], ...allow },
            ],
          },
        },
      },
      ['rule-shadowed /applications/a/rules/1'],
    ],
    [
      'a rule behind one for everyone',
      { applications: { a: { rules: [allow, { from: ['10.0.0.0/8'], ...deny }] } } },
      ['rule-shadowed /applications/a/rules/1'],
    ],
    [
      'a rule that two others cover together',
      {
        applications: {
          a: {
            rules: [
              { from: ['10.0.0.0/9'], ...allow },
              { from: ['10.128.0.0/9'], ...allow },
              { from: ['10.0.0.0/8'], ...deny },
            ],
          },
        },
      },
      ['rule-shadowed /applications/a/rules/2'],
    ],
    [
      'not a rule that keeps one address',
      {
        applications: {
          a: {
            rules: [
              { from: ['10.0.0.0/8'], except: ['10.0.0.1'], ...allow },
              { from: ['10.0.0.0/8'], ...deny },
            ],
          },
        },
      },
      [],
    ],
    [
      'protocols covered one by one',
      {
        applications: {
          a: {
            rules: [
              { protocols: ['tls'], ...allow },
              { protocols: ['http'], ...deny },
              { protocols: ['http', 'tls'], ...deny },
              { protocols: ['tls', 'ssh'], ...deny },
            ],
          },
        },
      },
      ['rule-shadowed /applications/a/rules/2'],
    ],
    [
      'a rule behind a guardrail, and not one that a guardrail passes',
      {
        guardrails: [
          { from: ['10.0.0.1'], action: 'pass' },
          { from: ['10.0.0.0/8'], ...deny },
        ],
        applications: {
          a: {
            rules: [
              { from: ['10.0.0.1'], ...allow },
              { from: ['10.0.0.2'], ...allow },
            ],
          },
        },
      },
      ['rule-shadowed /applications/a/rules/1'],
    ],
    [
      'a rule for the cluster lane',
      { cluster: ['10.9.0.0/24'], applications: { a: { rules: [{ from: ['10.9.0.7'], ...deny }] } } },
      ['rule-shadowed /applications/a/rules/0'],
    ],
    [
      'the same condition twice',
      {
        applications: {
          a: {
            mode: 'http',
            rules: [
              { http: { paths: ['/x'] }, ...allow },
              { http: { paths: ['/x'] }, ...deny },
              { http: { paths: ['/y'] }, ...deny },
            ],
          },
        },
      },
      ['rule-shadowed /applications/a/rules/1'],
    ],
    [
      'rules that nothing can match',
      {
        segments: { none: { addresses: ['10.0.0.0/8'], except: ['10.0.0.0/7'] } },
        guardrails: [{ http: { paths: ['/x'] }, ...deny }],
        applications: { 'a/b': { rules: [{ from: ['none'], ...allow }, { ports: [[81, 99]], ...allow }, allow] } },
      },
      [
        'rule-never-matches /guardrails/0',
        'rule-never-matches /applications/a~1b/rules/0',
        'rule-never-matches /applications/a~1b/rules/1',
      ],
    ],
    [
      'what is used nowhere',
      {
        segments: {
          used: { segments: ['inner'] },
          inner: { addresses: ['10.0.0.0/8'] },
          alone: { segments: ['deep'] },
          deep: { pools: ['p'] },
        },
        pools: { p: [], q: [], r: ['192.0.2.1:80'] },
        applications: {
          a: {
            rules: [
              { from: ['used'], ...allow },
              { from: ['r'], ...allow },
            ],
          },
        },
      },
      ['segment-unused /segments/alone', 'segment-unused /segments/deep', 'pool-unused /pools/q'],
    ],
    [
      'not a rule for anyone, where prefixes that only requests ask for leave no address over',
      {
        guardrails: [{ from: ['0.0.0.0/0', '::/0'], http: { paths: ['/x'] }, ...deny }],
        applications: { a: { rules: [allow] } },
      },
      ['rule-never-matches /guardrails/0'],
    ],
    ['an application without rules', { applications: { a: {} } }, ['application-without-rules /applications/a']],
  ])('%s', (_, words, expected) => {
    expect(findings(words)).toEqual(expected);
  });
});

it('names who shadows a rule, and whether that changes anything', () => {
  const messages = (second: 'allow' | 'deny') =>
    lint(
      documentOf({
        applications: {
          a: {
            rules: [
              { name: 'wide', action: 'allow' },
              { name: 'narrow', from: ['10.0.0.1'], action: second },
            ],
          },
        },
      }),
    ).map(({ message }) => message);
  expect(messages('deny')[0]).toMatch(/"narrow" never decides.*"wide" \(test.yaml:\d+:5\).*deny never takes effect/);
  expect(messages('allow')[0]).toMatch(/can be removed without any change/);
});

/** Without schedules, ends and shadows, so that the search is complete. */
function timeless(document: Document): Document {
  const plain = (rules: readonly Rule[]) => rules.map((rule) => ({ ...rule, until: null, schedule: null, shadow: false }));
  const applications = document.applications.map((application) => ({ ...application, rules: plain(application.rules) }));
  return { ...document, applications, guardrails: plain(document.guardrails), baseline: plain(document.baseline) };
}

/** Nor with demands on the hello, the identity or the database, so that a few flows tell which rules decide. */
function plain(document: Document): Document {
  const without = (rules: readonly Rule[]) => rules.map((rule) => ({ ...rule, tls: null, identities: null, database: null }));
  const applications = document.applications.map((application) => ({ ...application, rules: without(application.rules) }));
  const segments = document.segments.map((segment) => ({ ...segment, identities: [] }));
  const { guardrails, baseline } = document;
  return timeless({ ...document, segments, applications, guardrails: without(guardrails), baseline: without(baseline) });
}

/** Where rules ask for facts of the connection or of a database, eight flows are too few to tell that a rule never decides. */
function asksForMore(document: Document): boolean {
  const asks = ({ tls, identities, database }: Rule) => tls !== null || identities !== null || database !== null;
  return [...rulesOf(document)].some(asks) || document.segments.some(({ identities }) => identities.length > 0);
}

it(`agrees with flows tried one by one about which rules decide (seed ${SEED})`, { timeout: 60_000 }, () => {
  const random = randomFrom(SEED);
  const requests = METHODS.concat('PUT').flatMap((method) => HOSTS.flatMap((host) => PATHS.map((path) => ({ method, host, path }))));
  const counts = { found: 0, deciding: 0 };
  for (let number = 0; number < 90; number++) {
    const shape = [(one: Document) => one, timeless, plain][number % 3]!;
    const document = shape(randomDocument(random));
    const [application] = document.applications;
    const whole = { ...document, applications: [application!] };
    const sources = edgeSources(document, random);
    const demands = asksForMore(whole);
    // The oracle takes every rule to hold at once, which may be at no moment at all.
    const timed = [...rulesOf(whole)].some(({ until, schedule }) => until !== null || schedule !== null);
    const deciding = new Set<string>();
    const decidingReal = new Set<string>();
    const live = application!.mode === 'http' ? liveFlows('http').map(({ found }) => found) : PROTOCOLS.slice(0, 8).map((name) => [name]);
    const spoken = live.map((names) => names.reduce((set, name) => set | protocolBit(name)!, 0));
    const usesRequests = application!.mode === 'http' && JSON.stringify(whole).includes('"paths"');
    for (const source of sources) {
      for (const { endpoint } of application!.vips) {
        const port = endpoint.kind === 'tcp' ? endpoint.port : null;
        if (port !== null && source === null) continue;
        for (let i = 0; i < 8; i++) {
          for (let again = usesRequests ? 1 : 4; again > 0; again--) {
            const request = requests[random(requests.length)]!;
            const tls = HELLOS[random(HELLOS.length)]!;
            const identities = CLIENTS[random(CLIENTS.length)]!;
            const said = randomQuery(random);
            // Who tells Redis no name is `default`.
            const query = said.kind === 'redis' && said.user === null ? { ...said, user: 'default' } : said;
            // What a flow asks of a database is in that database's words.
            const isDatabase = ['postgres', 'mysql', 'redis'].some((name) => protocolBit(name) === 1 << i);
            const database = demands && (isDatabase || again % 2 === 0) && application!.mode === 'tcp';
            const protocols = database ? protocolBit(query.kind)! : spoken[i % spoken.length]!;
            const flow = { source, port, protocols, request, tls, identities, query };
            const decider = oracle(whole, application!, flow).split(' ')[1]!;
            deciding.add(decider);
            // A flow over a unix socket has no address.
            if (port !== null || source === null) decidingReal.add(decider);
          }
        }
      }
    }
    const found = new Set(
      lint(whole).flatMap(({ code, path }) => (code === 'rule-shadowed' || code === 'rule-never-matches' ? [path] : [])),
    );
    const rules = [
      ...whole.guardrails.map((rule, i) => ({ rule, tier: 'guardrail', path: `/guardrails/${i}` })),
      ...application!.rules.map((rule, i) => ({ rule, tier: 'application', path: `/applications/${application!.name}/rules/${i}` })),
      ...whole.baseline.map((rule, i) => ({ rule, tier: 'baseline', path: `/baseline/${i}` })),
    ];
    // With schedules and shadows the search for idle rules is careful, not complete.
    const careful = [...rulesOf(whole)].some(
      ({ action, until, schedule, shadow }) => action === 'pass' || until !== null || schedule !== null || shadow,
    );

    for (const { rule, tier, path } of rules) {
      const decides = deciding.has(`${tier}/${rule.name}`);
      const why = `seed ${SEED}, document ${number}, ${path}\n${JSON.stringify(whole)}`;
      if (decidingReal.has(`${tier}/${rule.name}`)) {
        if (!timed) expect(found.has(path), why).toBe(false);
        counts.deciding++;
      } else if (!decides && !usesRequests && !careful && !demands) {
        expect(found.has(path), why).toBe(true);
        counts.found++;
      }
    }
  }
  expect(counts.found).toBeGreaterThan(10);
  expect(counts.deciding).toBeGreaterThan(100);
});
