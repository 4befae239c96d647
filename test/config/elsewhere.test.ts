/** Files written by people who know other proxies: one error tells what is meant here. Each text holds a § where it must be reported. */
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import type { Problem } from '../../config/document.ts';
import { parseDocument } from '../../config/load.ts';
import { fileSchema, noteOf } from '../../config/schema.ts';

const POOL = 'version: 1\npools: { p: { servers: [127.0.0.1:9001] } }\n';
const pool = (fields: string) => `version: 1\npools: { p: { ${fields} } }\n`;
const server = (fields: string) => pool(`servers: [${fields}]`);
const app = (fields: string) => `${POOL}applications: { shop: { ${fields} } }\n`;
const http = (fields: string) => app(`pool: p, mode: http, vips: [127.0.0.1:80], ${fields}`);
const rule = (fields: string) => http(`rules: [ { name: a, ${fields} } ]`);
const allowing = (fields: string) => rule(`action: allow, ${fields}`);
const segment = (fields: string) => `${POOL}segments: { office: { ${fields} } }\n`;

type Row = readonly [text: string, says: RegExp | null, suggestion?: string];

const KEYS: Record<string, readonly Row[]> = {
  'of the file': [
    [
      'version: 1\n§backends: { web: { servers: [127.0.0.1:1] } }\napplications: { a: { pool: web, mode: tcp, vips: [127.0.0.1:80] } }\n',
      null,
      'pools',
    ],
    ['version: 1\n§upstream: { web: {} }\nsegments: { a: { pool: web } }\n', null, 'pools'],
    [`${POOL}§frontends: {}\ntests: [{ from: 1.1.1.1, to: 127.0.0.1:80, expect: deny, by: r }]\n`, null, 'applications'],
    [`${POOL}§Services: {}\n`, null, 'applications'],
    [`${POOL}§quarantine: [10.0.0.1]\n`, /bulkhead quarantine 198\.51\.100\.7 --for 1h/],
    [`${POOL}§udp: true\n`, /UDP is not served/],
    [`${POOL}§rules: []\n`, /Rules stand in their application/],
    [`${POOL}§global: { maxconn: 1 }\n`, /under process:/],
  ],
  'of pools and servers': [
    [pool('servers: [127.0.0.1:1], §check: { type: tcp }'), null, 'health'],
    [pool('§hosts: [127.0.0.1:1]'), null, 'servers'],
    [pool('§server: 127.0.0.1:1'), /servers: \[127\.0\.0\.1:9001\]/],
    [pool('servers: [127.0.0.1:1], §timeout: 5s'), /timeouts: in it/],
    [pool('servers: [127.0.0.1:1], §session_affinity: ClientIP'), /balance: source-hash/],
    [server('{ address: 127.0.0.1:1, §backup: true }'), /There are no backup servers/],
    [server('{ address: 127.0.0.1, §port: 9201 }'), /address: 127\.0\.0\.1:9201\./],
    [server('{ §host: web.internal, port: 80 }'), /address: web\.internal:80\./],
    [server('§server web1 127.0.0.1:9201 check'), /Write 127\.0\.0\.1:9201 in place of the line/],
    [server('§server 127.0.0.1:9201 weight=3;'), /Write \{ address: 127\.0\.0\.1:9201, weight: 3 \}/],
    [pool('servers: [127.0.0.1:1], tls: { §ca: ./ca.pem }'), /verify: \.\/ca\.pem/],
  ],
  'of applications': [
    [app('§backend: p, mode: http, vips: [127.0.0.1:80]'), null, 'pool'],
    [app('pool: p, mode: http, §listen: 127.0.0.1:80'), /vips: \[127\.0\.0\.1:80\]/],
    [app('pool: p, mode: http, §bind: "*:80"'), /vips: \["\*:80"\]/],
    [app('pool: p, mode: http, §vip: 127.0.0.1:80'), /vips: \[127\.0\.0\.1:80\]/],
    [app('pool: p, mode: http, §frontend: [x]'), /vips: \[127\.0\.0\.1:8080\]/],
    [app('pool: p, §protocol: http, vips: [127.0.0.1:80]'), null, 'mode'],
    [http('§timeout: { idle: 5s }'), null, 'timeouts'],
    [http('§rate-limit: 5/s'), /limits: \{ requests: 100\/s \}/],
    [http('§udp: true'), /UDP is not served/],
    [http('tls: { §cert: a.pem, key: a.key }'), /certificates: \[\{ certificate: \.\/a\.pem, key: \.\/a\.key \}\]/],
    [http('§certs: [a.pem]'), /tls: \{ certificates: \[/],
  ],
  'of rules, limits and segments': [
    [allowing('§source: [any]'), null, 'from'],
    [allowing('§src: [any]'), null, 'from'],
    [allowing('§rate_limit: 5/s'), /limits: \{ requests: 100\/s \}/],
    [rule('§allow: true'), /Write action: allow/],
    [rule('§deny: true'), /Write action: deny/],
    [allowing('§path: /x'), /http: \{ paths: \[\/admin\/\*\] \}/],
    [allowing('limits: { §rps: 100 }'), /requests: 100\/s/],
    [segment('§cidrs: [10.0.0.0/8]'), null, 'addresses'],
    [segment('§ips: [10.0.0.1]'), null, 'addresses'],
  ],
};

const VALUES: readonly Row[] = [
  [app('pool: p, mode: tcp, vips: [§udp://127.0.0.1:53]'), /UDP is not served here/],
  [app('pool: p, mode: tcp, vips: [§127.0.0.1:53/udp]'), /UDP is not served here/],
  [POOL.replace('1', '§"1"'), /the number 1, not "1"\. Remove the quotes\./],
  [pool('servers: [127.0.0.1:1], balance: §leastconn'), null, 'least-connections'],
  [pool('servers: [127.0.0.1:1], balance: §ip_hash'), null, 'source-hash'],
  [allowing('protocols: [§udp]'), /UDP is not served here/],
  [rule('action: §accept'), null, 'allow'],
  [rule('action: §permit'), null, 'allow'],
  [rule('action: §ALLOW'), null, 'allow'],
  [rule('action: §drop'), null, 'deny'],
  [rule('action: §reject'), null, 'deny'],
  [rule('action: §block'), null, 'deny'],
  [rule('action: §redirect'), /by routes: of the application/],
  [app('pool: p, mode: §tls, vips: [127.0.0.1:80]'), /mode: tcp with tls: passthrough.*or mode: http with certificates under tls:/],
  [app('pool: p, mode: §https, vips: [127.0.0.1:80]'), /mode: http with certificates under tls:/],
  [allowing('limits: { flows: 1, per: §ip }'), null, 'source'],
  [allowing('http: { paths: [§^/admin/.*$] }').replace('§^/admin/.*$', '§"^/admin/.*$"'), /a regular expression/, '/admin/*'],
  [allowing('http: { paths: [§"~ ^/admin"] }'), /a regular expression/, '/admin'],
  [allowing('http: { paths: [§"/a/(.*)/b$"] }'), /a regular expression/],
  [allowing('http: { paths: [§/a/*/b] }'), /"\*" only at its end/],
  [allowing('identities: [§"dns:*.partner.example"]'), /no pattern for all names below a domain/],
  [segment('§countries: [DE]'), /\.mmdb.*country: \.\/GeoLite2-Country\.mmdb/],
];

function problemsOf(text: string): readonly Problem[] {
  const result = parseDocument([{ file: 'test.yaml', text }], {});
  return result.ok ? result.warnings : result.problems;
}

function check(marked: string, says: RegExp | null, suggestion: string | undefined): void {
  const before = marked.slice(0, marked.indexOf('§')).split('\n');
  const problems = problemsOf(marked.replace('§', ''));
  expect(problems).toEqual([
    expect.objectContaining({
      severity: 'error',
      place: { file: 'test.yaml', line: before.length, column: before.at(-1)!.length + 1 },
      message: expect.stringMatching(says ?? /./),
    }),
  ]);
  expect(problems[0]!.suggestion).toBe(suggestion);
}

describe.each(Object.entries(KEYS))('keys %s that are right elsewhere', (_, rows) => {
  it.each(rows.map(([text, says, suggestion]) => ({ text, says, suggestion })))('$text', ({ text, says, suggestion }) =>
    check(text, says, suggestion),
  );
});

describe('values that are right elsewhere', () => {
  it.each(VALUES.map(([text, says, suggestion]) => ({ text, says, suggestion })))('$text', ({ text, says, suggestion }) =>
    check(text, says, suggestion),
  );
});

describe('what is written under another key', () => {
  it('is named where a slip of the pen made it unknown, and not missed as well', () => {
    expect(problemsOf(app('pool: p, mdoe: http, vips: [127.0.0.1:80]'))).toMatchObject([{ code: 'unknown-key', suggestion: 'mode' }]);
  });

  it('is missed where nothing like it is there', () => {
    const codes = problemsOf(app('pool: p, certs: [a], vips: [127.0.0.1:80]')).map(({ code }) => code);
    expect(codes).toEqual(['missing-key', 'unknown-key']);
  });

  it('leaves what is wrong elsewhere to be told in the same round', () => {
    const problems = problemsOf(
      `${server('{ address: 127.0.0.1, port: 80 }')}applications: { a: { backend: p, mode: x, vips: [127.0.0.1:80] } }\n`,
    );
    expect(problems.map(({ path }) => path)).toEqual(['/pools/p/servers/0/port', '/applications/a/backend', '/applications/a/mode']);
  });

  it('is no key of the language, and what is meant is one', () => {
    const containers: string[][] = [];
    z.toJSONSchema(fileSchema, {
      io: 'input',
      override: ({ zodSchema, jsonSchema }) => {
        const { keys } = noteOf(zodSchema);
        if (keys === undefined) return;
        const known = Object.keys(jsonSchema.properties ?? {});
        containers.push(known);
        expect(Object.keys(keys).filter((key) => known.includes(key))).toEqual([]);
        expect(Object.values(keys).flatMap(({ means }) => (means === undefined || known.includes(means) ? [] : [means]))).toEqual([]);
      },
    });
    expect(containers.length).toBeGreaterThan(8);
  });
});

describe('a file that does nothing, or late', () => {
  it.each([
    [POOL, 'no-applications'],
    [http('rules: []').replace('9001]', '9001], health: { type: tcp, interval: 2s, timeout: 5s }'), 'slow-checks'],
    [http('rules: []').replace('9001]', '9001], health: { type: tcp, interval: 500ms }'), undefined],
    [http('rules: []').replace('9001]', '9001], health: { type: tcp, interval: 5s, timeout: 5s }'), undefined],
  ])('%j is warned of', (text, code) => {
    const result = parseDocument([{ file: 'test.yaml', text }], {});
    expect([result.ok, result.ok ? result.warnings.map((problem) => problem.code) : null]).toEqual([
      true,
      code === undefined ? [] : [code],
    ]);
  });
});
