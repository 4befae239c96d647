/** Whatever a file says, its printed form says too: random files with every key of applications, rules and routes. BULKHEAD_SEED repeats a run. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { stringify } from 'yaml';
import { parseDocument } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
import { jsonSchema } from '../../config/schema.ts';
import { normalised } from '../../policy/print.ts';

const SEED = Number(process.env.BULKHEAD_SEED ?? Date.now() % 2 ** 31);
const RUNS = 120;

/** A document without the places at which its parts were written, and without its text. */
function understood(data: unknown): string {
  const text = stringify(data, { aliasDuplicateObjects: false });
  const result = parseDocument([{ file: 'printed.yaml', text }], {});
  if (!result.ok) throw new Error(`${result.problems.map(formatProblem).join('\n')}\n${text}`);
  const { source: _, ...document } = result.document;
  return JSON.stringify(document, (key, value) => (key === 'place' ? undefined : value), 1);
}

const one = fc.constantFrom;
/** Entries of which any may match: printed in order, so written in order. */
const set = (...entries: string[]) => fc.subarray(entries, { minLength: 1 }).map((list) => list.sort());
/** Entries whose order counts. */
const list = (...entries: string[]) => fc.shuffledSubarray(entries, { minLength: 1 });
const maybe = <T extends Record<string, fc.Arbitrary<unknown>>>(keys: T) => fc.record(keys, { requiredKeys: [] });
/** With at least one of the keys. */
const some = <T extends Record<string, fc.Arbitrary<unknown>>>(keys: T) => maybe(keys).filter((shape) => Object.keys(shape).length > 0);

const fields = fc.dictionary(one('x-team', 'from', 'accept'), one<unknown>('blue', 'a*', ['any', 'blue'], ['z', 'a']), { minKeys: 1 });
const http = some({
  methods: set('DELETE', 'GET', 'POST'),
  hosts: set('*.b.example', 'a.example'),
  paths: set('/', '/a/*', '/b*'),
  headers: fields,
});
const users = set('ana', 'app_*');
const onRevoke = one<unknown>('cut', 'finish', 'drain', { drain: '30s' });
const limits = some({
  flows: fc.integer({ min: 1, max: 9 }),
  'new-flows': one('100/s', '20/m'),
  bytes: one('1MiB/s', '10GiB/d'),
  'bytes-total': one('64KiB', '1GiB'),
  duration: one('5m', '12h'),
}).chain((bounds) => one('source', 'all').map((per) => ({ per, ...bounds })));
const silence = fc.constant([{ code: 'allow-any', reason: 'known' }]);

const anyRule = {
  from: one<unknown>(['any'], ['office'], ['office', '198.51.100.0/24', '2001:db8::/48']),
  except: one<unknown>(['guests'], ['10.0.0.9/32']),
  ports: one<unknown>([8080], ['8000-8099', 9000]),
  until: one('2030-01-01T00:00:00Z'),
  schedule: fc.constant({ days: ['fri', 'mon'], hours: '08:00-18:00', 'time-zone': 'Europe/Berlin' }),
  log: fc.boolean(),
  identities: set('claim:groups=admins', 'cn:ana', 'spiffe://x/*'),
  tls: some({ sni: set('*.b.example', 'a.example'), alpn: set('h2', 'http/1.1'), ja4: set('t13d*') }),
  'on-revoke': onRevoke,
  silence,
};
const { 'on-revoke': _, ...passing } = anyRule;
const deciding = fc.oneof(
  maybe({ limits }).map((rest) => ({ action: 'allow', ...rest })),
  maybe({ 'deny-with': one('reset', 'close', 'reply', 'tarpit') }).map((rest) => ({ action: 'deny', ...rest })),
  fc.constant({ action: 'allow', shadow: true }),
);
const named = <T extends object>(entries: fc.Arbitrary<T>) =>
  fc.array(entries, { maxLength: 4 }).map((all) => all.map((entry, i) => ({ name: `n${i}`, ...entry })));
const both = <A extends object, B extends object>(a: fc.Arbitrary<A>, b: fc.Arbitrary<B>) =>
  fc.tuple(a, b).map(([first, second]) => ({ ...first, ...second }));
const httpRules = named(both(maybe({ ...anyRule, protocols: set('h2', 'http'), http }), deciding));
const databases = fc.oneof(
  maybe({ protocols: set('mysql', 'postgres', 'tls') }),
  some({ users, databases: set('orders', 'shop_*') }).map((postgres) => ({ postgres })),
  some({ users, schemas: set('orders') }).map((mysql) => ({ mysql })),
  some({ users, commands: set('config get', 'get'), keys: set('a', 'session:*') }).map((redis) => ({ redis })),
);
const tcpRules = named(both(maybe(anyRule), both(databases, deciding)));

const edits = some({
  set: fc.constant({ 'x-team': 'blue' }),
  add: fc.constant({ 'x-way': 'a b', from: 'c' }),
  remove: list('x-old', 'x-powered-by'),
});
const query = fc.dictionary(one('v', 'alpn', 'from'), one<unknown>('2', ['z', 'a*'], ['any', '10.0.0.1']), { minKeys: 1 });
const matched = maybe({ methods: set('GET', 'POST'), hosts: set('a.example'), headers: fields, query });
const target = fc.oneof(
  fc.constant({}),
  fc.constant({ pool: 'api' }),
  fc.constant({ split: { web: 90, api: 10 } }),
  fc.constant({ redirect: 'https' }),
  fc.constant({ redirect: { scheme: 'https', host: 'www.example', port: 8443, path: '/new/*', status: 302 } }),
);
const changes = maybe({
  rewrite: some({ path: one('/v2/*'), host: one('b.example') }),
  'request-headers': edits,
  mirror: one<unknown>({ pool: 'api' }, { pool: 'api', share: '10%' }),
});
const requestRoutes = named(
  fc.tuple(matched, target, changes, maybe({ 'response-headers': edits })).map(([asked, goal, changed, answer]) => ({
    http: { ...asked, paths: ['/old/*'] },
    ...goal,
    ...('redirect' in goal ? {} : changed),
    ...answer,
  })),
);
const helloRoutes = named(
  both(some({ tls: some({ sni: set('a.example'), alpn: set('h2', 'http/1.1') }) }), one({ pool: 'api' }, { split: { web: 1, api: 2 } })),
);

const timeouts = maybe({ connect: one('4s'), idle: one('10m'), total: one('off', '12h'), handshake: one('3s'), detect: one('1s') });
const termination = fc.tuple(
  maybe({
    minimum: one('1.2', '1.3'),
    ciphers: fc.shuffledSubarray(['ECDHE-RSA-AES128-GCM-SHA256', 'TLS_AES_128_GCM_SHA256'], { minLength: 2 }),
    curves: list('X25519', 'prime256v1'),
    alpn: list('h2', 'http/1.1'),
    clients: one<unknown>({ ca: '/ca.pem' }, { ca: '/ca.pem', verify: 'optional', crl: '/crl.pem' }),
    tickets: one<unknown>('off', { rotate: '1h' }),
  }),
  one<unknown>([{ certificate: '/c.pem', key: '/k.pem' }], [{ certificate: '/c.pem', key: '/k.pem', ocsp: '/o.der' }]),
);
const terminated = termination.map(([rest, certificates]) => ({ certificates, ...rest }));
const anyApplication = {
  enforcement: one('enforce', 'observe'),
  timeouts,
  limits: maybe({ connections: one(10), 'connections-per-source': one(5), 'head-size': one('32KiB'), streams: one(50) }),
  'proxy-protocol': one<unknown>({ from: ['10.0.0.0/8'] }, { from: ['10.0.0.0/8'], require: true, 'trust-identity': true, timeout: '2s' }),
};
const issuer = both(
  fc.constant({ issuer: 'https://x', audiences: ['b', 'a'], keys: 'https://x/keys' }),
  maybe({
    from: one<unknown>({ header: 'x-token' }, { cookie: 's' }),
    algorithms: list('RS256', 'ES256'),
    'clock-skew': one('30s'),
    claims: list('z', 'groups'),
  }),
);
const shop = both(
  fc.record({ rules: httpRules, routes: requestRoutes }),
  maybe({
    ...anyApplication,
    tls: terminated,
    forwarded: one({ trust: ['10.0.0.0/8', '192.0.2.0/24'] }),
    jwt: fc.array(issuer, { maxLength: 2 }),
  }),
).map((rest) => ({ vips: ['127.0.0.1:8080'], mode: 'http', pool: 'web', ...rest }));
const orders = both(
  fc.record({ rules: tcpRules, routes: helloRoutes, tls: fc.oneof(fc.constant('passthrough'), terminated) }),
  maybe(anyApplication),
).map((rest) => ({ vips: ['127.0.0.1:9000-9002'], mode: 'tcp', pool: 'api', ...rest }));
const pool = maybe({
  balance: one('maglev', 'random-two'),
  health: one<unknown>({ type: 'tcp' }, { type: 'http', path: '/h', expect: ['200-299', 404], interval: '5s', rise: 3 }),
  ejection: one<unknown>('off', { failures: 3, for: '20s' }),
  retries: one({ attempts: 2, budget: '20%' }),
  protocol: one('h2'),
  idle: one({ connections: 3, timeout: '9s' }),
  tls: one<unknown>({ verify: 'off' }, { verify: '/ca.pem', sni: 'a.example', alpn: ['http/1.1', 'h2'] }),
  'proxy-protocol': one<unknown>('v1', 'v2', { version: 2, tlvs: ['crc32c', 'authority'] }),
});
const file = fc
  .record({
    web: pool,
    api: pool,
    shop,
    orders,
    guardrails: named(both(maybe(passing), one({ action: 'pass' }, { action: 'deny', 'on-revoke': 'finish' }))),
    baseline: named(both(maybe(anyRule), deciding)),
    state: one('off', './state'),
    log: one('debug', 'error'),
    more: maybe({ silence }),
  })
  .map(({ web, api, state, log, more, ...rest }) => ({
    version: 1,
    process: { state, log: { level: log }, journal: { size: '2GiB' }, limits: { connections: 99 } },
    networks: { inbound: ['127.0.0.0/8'], outbound: ['127.0.0.0/8'], cluster: ['10.9.0.0/24'] },
    segments: {
      office: { addresses: ['198.51.100.0/24'], identities: ['cn:*'], except: ['guests'] },
      guests: { addresses: ['198.51.100.128/25'], dns: ['guest.example'], unknown: 'ignore' },
    },
    pools: {
      web: { servers: ['127.0.0.1:1', { address: '127.0.0.1:2', weight: 3, drain: true }], ...web },
      api: { servers: ['127.0.0.1:3'], ...api },
    },
    applications: { shop: rest.shop, orders: rest.orders },
    guardrails: rest.guardrails,
    baseline: rest.baseline,
    ...more,
  }));

/** Keys of the parts that were written, by part. */
function keysOf(part: object, into: Set<string>): void {
  for (const key of Object.keys(part)) into.add(key);
}

it(`prints what reads as the same, whatever keys there are (seed ${SEED})`, { timeout: 60_000 }, () => {
  const used = { application: new Set<string>(), rule: new Set<string>(), route: new Set<string>() };
  fc.assert(
    fc.property(file, (written) => {
      const printed = normalised(written);
      expect(understood(printed)).toBe(understood(written));
      expect(normalised(printed)).toEqual(printed);
      for (const application of [written.applications.shop, written.applications.orders]) {
        keysOf(application, used.application);
        for (const rule of application.rules) keysOf(rule, used.rule);
        for (const route of application.routes) keysOf(route, used.route);
      }
    }),
    { seed: SEED, numRuns: RUNS },
  );
  // A key that the schema gets later has to be added above.
  const schema = jsonSchema() as { properties: { applications: { additionalProperties: Part } } };
  const application = schema.properties.applications.additionalProperties;
  expect([...used.application].sort()).toEqual(Object.keys(application.properties).sort());
  expect([...used.rule].sort()).toEqual(Object.keys(application.properties.rules!.items!.properties).sort());
  expect([...used.route].sort()).toEqual(Object.keys(application.properties.routes!.items!.properties).sort());
});

interface Part {
  readonly properties: Readonly<Record<string, Part>>;
  readonly items?: Part;
}

it('keeps the order of what is preferred, and values of fields whatever they are called', () => {
  const applications = { shop: { tls: { alpn: ['http/1.1', 'h2'] }, rules: [{ tls: { alpn: ['http/1.1', 'h2'] } }] } };
  const http = { headers: { from: ['bob', 'any'], dns: ['b', 'a'] }, query: { addresses: ['10.0.0.1', '10.0.0.0/8'] } };
  expect(normalised({ applications, guardrails: [{ http }], pools: { p: { tls: { alpn: ['http/1.1', 'h2'] } } } })).toEqual({
    pools: { p: { tls: { alpn: ['http/1.1', 'h2'] } } },
    applications: { shop: { tls: { alpn: ['http/1.1', 'h2'] }, rules: [{ tls: { alpn: ['h2', 'http/1.1'] } }] } },
    guardrails: [{ http }],
  });
});
