import { describe, expect, it } from 'vitest';
import { compile } from '../../policy/compile.ts';
import { explain } from '../../policy/explain.ts';
import { rehearse } from '../../policy/rehearse.ts';
import { documentOf, question } from './documents.ts';

const document = documentOf({
  cluster: ['10.9.0.0/24'],
  segments: { office: { addresses: ['127.0.0.2/32', '198.51.100.0/24'] } },
  pools: { web: ['127.0.0.1:9001'] },
  guardrails: [{ name: 'blocked', from: ['203.0.113.0/24'], action: 'deny' }],
  applications: {
    shop: {
      vips: ['127.0.0.1:8080', '127.0.0.1:8081'],
      mode: 'http',
      rules: [
        { name: 'no-admin-from-outside', except: ['office'], http: { paths: ['/admin/*'] }, action: 'deny' },
        { name: 'only-8081', ports: [[8081, 8081]], http: { methods: ['DELETE'] }, action: 'allow' },
        { name: 'customers', ports: [[8080, 8080]], protocols: ['http'], http: { methods: ['GET', 'POST'] }, action: 'allow' },
      ],
    },
    db: { vips: ['127.0.0.1:6432'], rules: [{ name: 'web-tier', from: ['web'], protocols: ['postgres'], action: 'allow' }] },
    watched: { vips: ['0.0.0.0:7000', '[::]:7001'], observe: true },
  },
});
const image = compile(document);
const ask = (from: string, to: string, more = {}) => explain(image, question(from, to, more));
const placeOf = (name: string) => {
  const rule = [...document.guardrails, ...document.applications.flatMap((application) => application.rules)].find(
    (candidate) => candidate.name === name,
  )!;
  return `test.yaml:${rule.place.line}:5`;
};

describe('the verdict', () => {
  it.each([
    ['127.0.0.2', '127.0.0.1:8080', { protocol: 'http', path: '/admin/x' }, 'allow', 'shop', 'customers', 'application'],
    ['127.0.0.7', '127.0.0.1:8080', { protocol: 'http', path: '/admin/x' }, 'deny', 'shop', 'no-admin-from-outside', 'application'],
    ['127.0.0.7', '127.0.0.1:8080', { path: '/x/../ADMIN?q' }, 'deny', 'shop', 'no-admin-from-outside', 'application'],
    ['127.0.0.7', '127.0.0.1:8080', {}, 'allow', 'shop', 'customers', 'application'],
    ['127.0.0.7', '127.0.0.1:8080', { protocol: 'websocket' }, 'allow', 'shop', 'customers', 'application'],
    ['127.0.0.7', '127.0.0.1:6432', { protocol: 'postgres' }, 'deny', 'db', 'default', 'default'],
    ['127.0.0.1', '127.0.0.1:6432', { protocol: 'postgres' }, 'allow', 'db', 'web-tier', 'application'],
    ['203.0.113.9', '127.0.0.1:6432', {}, 'deny', 'db', 'blocked', 'guardrail'],
    ['10.9.0.1', '127.0.0.1:6432', {}, 'allow', 'db', 'cluster', 'cluster'],
    ['127.0.0.7', '127.0.0.1:1', {}, 'deny', null, 'default', 'default'],
    ['127.0.0.7', '192.0.2.1:7000', {}, 'deny', 'watched', 'default', 'default'],
    ['::1', '[2001:db8::1]:7001', {}, 'deny', 'watched', 'default', 'default'],
    ['127.0.0.7', '192.0.2.1:7001', {}, 'deny', null, 'default', 'default'],
    ['::1', '[::1]:7000', {}, 'deny', null, 'default', 'default'],
  ])('%s to %s %o: %s by %s/%s', (from, to, more, verdict, application, rule, tier) => {
    const { at, ...explained } = ask(from, to, more);
    expect(explained).toMatchObject({ verdict, application, rule, tier });
    expect(at).toBe(rule === 'default' || rule === 'cluster' ? null : placeOf(rule));
  });

  it('is judged as unknown, and says so, where the protocol matters and was not said', () => {
    const explained = ask('127.0.0.1', '127.0.0.1:6432');
    expect(explained).toMatchObject({ verdict: 'deny', rule: 'default', needs: 'protocol' });
    expect(explained.reason).toContain('judged as unknown');
    expect(ask('127.0.0.7', '127.0.0.1:6432')).not.toHaveProperty('needs');
  });

  it('says where nothing listens, and where a denial is only observed', () => {
    expect(ask('127.0.0.7', '127.0.0.1:1').reason).toContain('127.0.0.1:1');
    expect(ask('127.0.0.7', '192.0.2.1:7000').reason).toContain('only observes');
  });

  it('is plain data with every part', () => {
    expect(Object.keys(JSON.parse(JSON.stringify(ask('127.0.0.7', '127.0.0.1:6432', { protocol: 'postgres' }))))).toEqual([
      'verdict',
      'application',
      'rule',
      'tier',
      'at',
      'reason',
      'considered',
      'nearest',
    ]);
  });
});

describe('the rules before', () => {
  it('says of each why it did not match', () => {
    const why = Object.fromEntries(ask('127.0.0.7', '127.0.0.1:8080', { path: '/x' }).considered.map((entry) => [entry.rule, entry.why]));
    expect(why).toEqual({
      cluster: 'The source is not in the cluster lane.',
      blocked: 'The source is not in 203.0.113.0/24.',
      'no-admin-from-outside': 'It is for path /admin/*, and this is /x.',
      'only-8081': 'It is for port 8081.',
    });
    const db = ask('127.0.0.1', '127.0.0.1:6432', { protocol: 'redis' }).considered;
    expect(db.at(-1)).toEqual({
      rule: 'web-tier',
      tier: 'application',
      at: placeOf('web-tier'),
      why: 'It is for protocol postgres, and this is redis.',
    });
  });
});

describe('the nearest rule that would have allowed', () => {
  it.each([
    ['127.0.0.1', '127.0.0.1:6432', { protocol: 'redis' }, 'web-tier', 'protocol postgres instead of redis'],
    ['127.0.0.7', '127.0.0.1:6432', { protocol: 'postgres' }, 'web-tier', 'a source in web'],
    ['127.0.0.7', '127.0.0.1:6432', { protocol: 'redis' }, 'web-tier', 'a source in web and protocol postgres instead of redis'],
    ['127.0.0.7', '127.0.0.1:8080', { method: 'PUT' }, 'customers', 'method GET instead of PUT'],
    ['127.0.0.7', '127.0.0.1:8080', { method: 'DELETE' }, 'only-8081', 'VIP 127.0.0.1:8081 instead of 127.0.0.1:8080'],
    ['127.0.0.7', '127.0.0.1:8080', { path: '/admin' }, 'customers', 'path / instead of /admin'],
  ])('%s to %s %o: %s by %s', (from, to, more, rule, change) => {
    expect(ask(from, to, more).nearest).toEqual({ rule, at: placeOf(rule), change });
  });

  it.each([
    [['ssh', 'grpc'], 'protocol grpc instead of http'],
    [['ssh'], null],
  ])('of requests, by a rule for %j, is one that a request can be: %s', (protocols, change) => {
    const rules = [{ name: 'it', protocols, action: 'allow' as const }];
    const requests = compile(documentOf({ applications: { a: { mode: 'http', rules } } }));
    expect(explain(requests, question('10.0.0.9', '10.0.0.1:80', { path: '/' })).nearest?.change ?? null).toBe(change);
  });

  it('is null for an allowed flow, and where no rule allows anything', () => {
    expect(ask('127.0.0.1', '127.0.0.1:6432', { protocol: 'postgres' }).nearest).toBeNull();
    expect(ask('127.0.0.1', '127.0.0.1:7000').nearest).toBeNull();
  });
});

it('rehearses tests: verdict and deciding rule', () => {
  const place = { file: 'test.yaml', line: 90, column: 5 };
  const flow = question('127.0.0.7', '127.0.0.1:6432', { protocol: 'postgres' });
  const tests = (['deny', 'allow'] as const).flatMap((expectation) =>
    [null, 'default', 'web-tier'].map((by) => ({ flow, expect: expectation, by, place })),
  );
  const results = rehearse(image, tests);
  expect(results.map(({ passed }) => passed)).toEqual([true, true, false, false, false, false]);
  expect(results[0]!.message).toBe('deny by default');
  expect(results[2]!.message).toContain('test.yaml:90:5: expected deny by web-tier, but the policy answers deny by default');
});

it('tells where to mend a test that fails: the rule that decides, or the test', () => {
  const place = { file: 'test.yaml', line: 90, column: 5 };
  const message = (from: string, to: string, expectation: 'allow' | 'deny') =>
    rehearse(image, [{ flow: question(from, to, { protocol: 'postgres' }), expect: expectation, by: null, place }])[0]!.message;
  expect(message('127.0.0.7', '127.0.0.1:6432', 'allow')).toMatch(/ Change the rules of \S+ or the test at test\.yaml:90:5\.$/);
  expect(message('127.0.0.1', '127.0.0.1:6432', 'deny')).toMatch(/ Change the rule at \S+:\d+:\d+ or the test at test\.yaml:90:5\.$/);
  expect(message('127.0.0.7', '127.0.0.1:1', 'allow')).toMatch(
    / Change the test at test\.yaml:90:5, or give an application the VIP 127\.0\.0\.1:1\.$/,
  );
});
