// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the variables of the file under test.
/** Wrong files: each text holds a § where the problem must be reported. */
import { describe, expect, it } from 'vitest';
import type { Problem } from '../../config/document.ts';
import { parseDocument } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';

interface Wrong {
  readonly text: string;
  readonly code: string;
  /** What the message must say, remedy included. */
  readonly says: RegExp;
  readonly suggestion?: string;
  readonly severity?: 'warning';
}

const POOL = 'version: 1\npools: { p: { servers: [127.0.0.1:9001] } }\n';
const app = (fields: string) => `${POOL}applications:\n  shop: { pool: p, ${fields} }\n`;
const TCP = 'mode: tcp, vips: [127.0.0.1:80]';
const HTTP = 'mode: http, vips: [127.0.0.1:80]';
const PEM = 'certificates: [{ certificate: c.pem, key: k.pem }]';
const ISSUER = 'issuer: x, audiences: [a], keys: k.json';
const tls = (fields: string) => app(`${HTTP}, tls: { ${fields} }`);
const route = (fields: string, mode = 'http') => app(`mode: ${mode}, vips: [127.0.0.1:80], routes: [ { name: a, ${fields} } ]`);
const rule = (fields: string, mode = 'tcp') =>
  `${POOL}segments: { office: { addresses: [10.0.0.0/8] } }\napplications:\n  shop: { pool: p, mode: ${mode}, vips: [127.0.0.1:80], rules: [ { name: a, action: allow, ${fields} } ] }\n`;
const segment = (fields: string) => `${POOL}segments:\n  office: ${fields}\n`;
const pool = (fields: string) => `version: 1\npools:\n  web: ${fields}\n`;
const test = (fields: string) => `${app(`${TCP}, rules: [ { name: customers, action: allow } ]`)}tests:\n  - ${fields}\n`;

const CASES: Record<string, Wrong[]> = {
  'text and YAML': [
    { text: '§', code: 'empty-file', says: /Begin with "version: 1"/ },
    { text: '§# only a comment\n', code: 'empty-file', says: /says nothing/ },
    { text: 'version: 1\nnode: §\u0000\n', code: 'not-text', says: /U\+0000.*Remove it/ },
    { text: '§- 1\n', code: 'wrong-type', says: /begins with keys/ },
    { text: 'version: 1\nprocess:\n§\tnode: x\n', code: 'yaml-syntax', says: /Indent with spaces/ },
    { text: 'version: 1\n§---\nversion: 1\n', code: 'yaml-syntax', says: /Remove the line ---/ },
    { text: `${POOL}networks: { inbound: [ §[::1]:80 ] }\n`, code: 'wrong-type', says: /in quotes: "\[::1\]:80"/ },
    { text: 'version: 1\nprocess: { workers: $§{N:-2} }\n', code: 'yaml-syntax', says: /put a value with a variable in quotes/ },
    { text: 'version: 1\nprocess:\n  node: §!mine x\n', code: 'yaml-syntax', says: /Remove the tag/ },
    { text: 'version: 1\nprocess:\n  node: §!!binary x\n', code: 'yaml-syntax', says: /Remove the tag/ },
    { text: 'version: 1\nprocess:\n  node: §*x\n', code: 'dangling-name', says: /No anchor &x stands before/ },
    { text: 'version: 1\ntests: &t [ §*t ]\n', code: 'name-cycle', says: /Write the value out/ },
    { text: 'version: 1\nprocess: {}\n§process: {}\n', code: 'duplicate-key', says: /already at test.yaml:2:1\. Remove one of the two/ },
    {
      text: `${POOL}segments:\n  a: { addresses: [] }\n  §a: { addresses: [] }\n`,
      code: 'duplicate-key',
      says: /already at test.yaml:4:3/,
    },
    { text: 'version: 1\nprocess:\n  §<<: {}\n', code: 'unknown-key', says: /Merge keys/ },
    { text: 'version: 1\n§__proto__: {}\n', code: 'unknown-key', says: /not a name/ },
  ],
  'keys and types': [
    { text: '§process: {}\n', code: 'missing-key', says: /"version" is missing.*the number 1/ },
    { text: 'version: §2\n', code: 'wrong-value', says: /must be the number 1/ },
    { text: 'version: 1\n§proces: {}\n', code: 'unknown-key', says: /Correct or remove it/, suggestion: 'process' },
    { text: 'version: 1\n§constructor: {}\n', code: 'unknown-key', says: /Correct or remove it/ },
    { text: 'version: 1\n§guardrails:\n', code: 'wrong-type', says: /not empty\. Give it a value, or remove the key/ },
    { text: 'version: 1\nprocess:\n  workers: §"2"\n', code: 'wrong-type', says: /from 1 to 256, not "2"\. Remove the quotes/ },
    { text: 'version: 1\nprocess:\n  workers: §257\n', code: 'out-of-range', says: /from 1 to 256/ },
    { text: 'version: 1\nprocess:\n  workers: §1.5\n', code: 'wrong-type', says: /whole number/ },
    { text: 'version: 1\nprocess: { node: §7 }\n', code: 'wrong-type', says: /in quotes/ },
    { text: pool('{ servers: [127.0.0.1:1], protocol: §http2 }'), code: 'wrong-value', says: /one of http, h2/, suggestion: 'h2' },
    {
      text: pool('{ servers: [127.0.0.1:1], protocol: §https }'),
      code: 'wrong-value',
      says: /not "https"\. That servers speak TLS is said by tls:/,
    },
    {
      text: rule('protocols: [§HTTP/2]'),
      code: 'wrong-value',
      says: /An entry of "protocols"/,
      suggestion: 'h2',
    },
    {
      text: rule('protocols: [§https]'),
      code: 'wrong-value',
      says: /it is http or h2; TLS that passes through is tls/,
    },
    { text: rule('protocols: [§postgresql]'), code: 'wrong-value', says: /one of/, suggestion: 'postgres' },
    {
      text: app(`${HTTP}, jwt: [{ issuer: a, audiences: [b], keys: ./k.json, algorithms: [§HS256] }]`),
      code: 'wrong-value',
      says: /a shared secret could have made it as well\. Have the issuer sign with a key pair/,
    },
    { text: 'version: 1\nprocess: { log: { level: §warning } }\n', code: 'wrong-value', says: /one of debug, info/, suggestion: 'warn' },
    { text: 'version: 1\nprocess: { admin: §false }\n', code: 'wrong-type', says: /or "off"/, suggestion: 'off' },
    {
      text: 'version: 1\nprocess: { admin: { listen: §localhost:9900 } }\n',
      code: 'unsupported',
      says: /address itself/,
      suggestion: '127.0.0.1:9900',
    },
    { text: 'version: 1\nprocess: { journal: { size: §64MB } }\n', code: 'wrong-value', says: /64KiB or 1MiB/, suggestion: '64MiB' },
    { text: 'version: 1\nprocess: { journal: { size: §1KiB } }\n', code: 'out-of-range', says: /from 1MiB/ },
    { text: 'version: 1\nprocess: { §journal: { size: 1MiB, segment: 2MiB } }\n', code: 'out-of-range', says: /smaller than size/ },
  ],
  variables: [
    { text: 'version: 1\nprocess:\n  node: §${NOT_SET}\n', code: 'unset-variable', says: /no variable NOT_SET.*\$\{NOT_SET:-default\}/ },
    { text: 'version: 1\nprocess:\n  node: §"${1X}"\n', code: 'bad-variable', says: /no name of a variable/ },
    { text: 'version: 1\nprocess:\n  node: §"${X"\n', code: 'bad-variable', says: /no closing/ },
    { text: 'version: 1\nprocess:\n  workers: §${WORD}\n', code: 'wrong-type', says: /not "many"/ },
  ],
  addresses: [
    { text: segment('{ addresses: [§010.0.0.1] }'), code: 'bad-address', says: /must not begin with 0/, suggestion: '10.0.0.1' },
    { text: segment('{ addresses: [§+1.2.3.4] }'), code: 'bad-address', says: /no sign/, suggestion: '1.2.3.4' },
    { text: segment('{ addresses: [§10.0.0] }'), code: 'bad-address', says: /four numbers/ },
    { text: segment('{ addresses: [§10.0] }'), code: 'wrong-type', says: /an address or prefix such as/ },
    { text: segment('{ addresses: [§10.0.0.256] }'), code: 'bad-address', says: /at most 255/ },
    { text: segment('{ addresses: [§10.0.0.0/33] }'), code: 'bad-address', says: /at most 32 bits/ },
    { text: segment('{ addresses: [§10.0.0.0/08] }'), code: 'bad-address', says: /must not begin with 0/, suggestion: '10.0.0.0/8' },
    { text: segment('{ addresses: [§10.0.0.0/-8] }'), code: 'bad-address', says: /digits only/ },
    { text: segment('{ addresses: [§10.0.0.0/255.240.0.0] }'), code: 'bad-address', says: /not with a mask/, suggestion: '10.0.0.0/12' },
    { text: segment('{ addresses: [§10.0.0.1-10.0.0.9] }'), code: 'bad-address', says: /as prefixes/ },
    { text: segment('{ addresses: [§10.0.*.*] }'), code: 'bad-address', says: /as prefixes/ },
    { text: segment('{ addresses: [§"fe80::1%eth0"] }'), code: 'bad-address', says: /zone/, suggestion: 'fe80::1' },
    { text: segment('{ addresses: [§"2001:db8::1::2"] }'), code: 'bad-address', says: /"::" at most once/ },
    { text: segment('{ addresses: [§10.0.0.1:80] }'), code: 'bad-address', says: /no port/, suggestion: '10.0.0.1' },
    { text: segment('{ addresses: [§partner.example.com] }'), code: 'unsupported', says: /Write the addresses/ },
    {
      text: `${segment('{ addresses: [§10.0.0.1/8] }')}applications: { shop: { pool: p, ${TCP} } }\n`,
      code: 'host-bits',
      says: /stands for all of 10.0.0.0\/8/,
      suggestion: '10.0.0.0/8',
      severity: 'warning',
    },
    { text: rule('from: [§10.0.0.1/8]'), code: 'host-bits', says: /Write 10.0.0.0\/8/, suggestion: '10.0.0.0/8', severity: 'warning' },
  ],
  segments: [
    {
      text: `${POOL}segments:\n  §office: { except: [10.0.0.1] }\n`,
      code: 'missing-key',
      says: /Add addresses:, identities:, pool: or segments:/,
    },
    { text: segment('{ addresses: [], §countries: [DE] }'), code: 'missing-database', says: /process.geo.country/ },
    { text: segment('{ §asns: [3320] }'), code: 'missing-database', says: /process.geo.asn/ },
    { text: segment('{ addresses: [], countries: [§de] }'), code: 'wrong-value', says: /upper-case/, suggestion: 'DE' },
    { text: segment('{ countries: [§no] }'), code: 'wrong-value', says: /ISO 3166-1/, suggestion: 'NO' },
    { text: segment('{ asns: [§AS3320] }'), code: 'wrong-type', says: /a whole number from 1/ },
    { text: segment('{ dns: [§partner.example.com:443] }'), code: 'wrong-value', says: /without scheme, port/ },
    { text: segment('{ dns: [§10.0.0.1] }'), code: 'wrong-value', says: /host name/ },
    {
      text: 'version: 1\npools: { p: { servers: [127.0.0.1:9001] } }\nsegments:\n  §office: { unknown: deny }\n',
      code: 'missing-key',
      says: /who belongs/,
    },
    { text: segment('{ identities: [§x] }'), code: 'wrong-value', says: /begin with its kind, one of spiffe:/ },
    { text: segment('{ identities: ["§cn:*a"] }').replace('"§', '§"'), code: 'wrong-value', says: /only at its end/ },
    { text: segment('{ pool: §q }'), code: 'dangling-name', says: /Add it under pools/ },
    { text: segment('{ segments: [§p] }'), code: 'dangling-name', says: /There is a pool of that name/ },
    { text: segment('{ addresses: [], except: [§offcie] }'), code: 'dangling-name', says: /No segment or pool/, suggestion: 'office' },
    {
      text: `${POOL}segments:\n  §a: { segments: [b] }\n  b: { addresses: [], except: [a] }\n`,
      code: 'name-cycle',
      says: /a → b → a.*Remove one/,
    },
    { text: `${POOL}segments:\n  §any: { addresses: [] }\n`, code: 'reserved-name', says: /Choose another/ },
    { text: `${POOL}segments:\n  §10.0.0.1: { addresses: [] }\n`, code: 'bad-name', says: /reads as an address/ },
    { text: `${POOL}segments:\n  §"a b": { addresses: [] }\n`, code: 'bad-name', says: /letters, digits/ },
    { text: `${POOL}segments:\n  §p: { addresses: [10.0.0.1] }\n`, code: 'ambiguous-name', says: /test.yaml:2:10.*Rename one/ },
  ],
  pools: [
    { text: 'version: 1\npools:\n  §web: {}\n', code: 'missing-key', says: /"servers" is missing/ },
    { text: pool('{ servers: [], balance: §roundrobin }'), code: 'wrong-value', says: /one of round-robin/, suggestion: 'round-robin' },
    { text: pool('{ servers: [127.0.0.1:80, §127.0.0.1:80] }'), code: 'duplicate-server', says: /already in this pool at test.yaml:3:20/ },
    {
      text: pool('{ servers: [§10.0.0.1:80] }'),
      code: 'outside-lane',
      says: /networks.outbound, which is not written and so holds loopback only.*Put its network into/,
    },
    {
      text: `networks: { outbound: [10.0.0.0/8] }\n${pool('{ servers: [§127.0.0.1:80] }')}`,
      code: 'outside-lane',
      says: /which holds 10.0.0.0\/8/,
    },
    { text: pool('{ servers: [§localhost:5432] }'), code: 'unsupported', says: /not looked up/, suggestion: '127.0.0.1:5432' },
    { text: pool('{ servers: [§10.0.0.256:80] }'), code: 'bad-address', says: /at most 255/ },
    { text: pool('{ servers: [§web..internal:80] }'), code: 'bad-address', says: /neither an address nor a host name/ },
    { text: pool('{ servers: [§web.internal:0] }'), code: 'bad-address', says: /1 to 65535/ },
    { text: pool('{ servers: [§web.internal:80-90] }'), code: 'bad-address', says: /range of ports/, suggestion: 'web.internal:80' },
    { text: pool('{ servers: [§web.internal] }'), code: 'bad-address', says: /no port/ },
    { text: pool('{ servers: [Web.Internal.:80, §web.internal:80] }'), code: 'duplicate-server', says: /already in this pool/ },
    {
      text: pool(`{ servers: [${Array.from({ length: 1_025 }, (_, i) => `n${i}.example:80`).join(', ')}] }`).replace(
        'servers: [',
        'servers: §[',
      ),
      code: 'too-many',
      says: /more than 1024 servers by name/,
    },
    { text: pool('{ servers: [§0.0.0.0:80] }'), code: 'bad-address', says: /cannot be dialled/ },
    { text: pool('{ servers: [§127.0.0.1] }'), code: 'bad-address', says: /no port/ },
    { text: pool('{ servers: [§127.0.0.1:0] }'), code: 'bad-address', says: /1 to 65535/ },
    { text: pool('{ servers: [{ address: 127.0.0.1:80, weight: §257 }] }'), code: 'out-of-range', says: /0 to 256/ },
    { text: pool('{ servers: [], health: { type: tcp, §path: /x } }'), code: 'mode-mismatch', says: /type: http/ },
    { text: pool('{ servers: [], health: { type: http, interval: §2 } }'), code: 'wrong-type', says: /a whole number and its unit/ },
    {
      text: pool('{ servers: [], health: { type: http, timeout: §1 sec } }'),
      code: 'wrong-value',
      says: /such as 250ms/,
      suggestion: '1s',
    },
    { text: pool('{ servers: [], health: { type: http, expect: [§99] } }'), code: 'out-of-range', says: /100 to 599/ },
    { text: pool('{ servers: [], health: { type: http, expect: [§299-200] } }'), code: 'wrong-value', says: /200-299/ },
    { text: pool('{ servers: [], retries: { budget: §20 } }'), code: 'wrong-type', says: /percentage/ },
    { text: pool('{ servers: [], retries: { budget: §120% } }'), code: 'wrong-value', says: /0% to 100%/ },
    { text: pool('{ servers: [], ejection: §on }'), code: 'wrong-type', says: /failures: 5/ },
  ],
  applications: [
    { text: app('mode: §tpc, vips: [127.0.0.1:80]'), code: 'wrong-value', says: /one of http, tcp/, suggestion: 'tcp' },
    { text: `${POOL}applications:\n  §shop: { pool: p, vips: [127.0.0.1:80] }\n`, code: 'missing-key', says: /"mode" is missing/ },
    {
      text: `${POOL}applications:\n  shop: { mode: tcp, pool: §q, vips: [127.0.0.1:80] }\n`,
      code: 'dangling-name',
      says: /No pool is named "q"/,
    },
    { text: app('mode: tcp, vips: §[]'), code: 'out-of-range', says: /at least one entry/ },
    { text: app('mode: tcp, vips: §127.0.0.1:80'), code: 'wrong-type', says: /Put it in brackets: \[127.0.0.1:80\]/ },
    { text: app('mode: tcp, vips: [§10.0.0.1:80]'), code: 'outside-lane', says: /networks.inbound.*Put its network/ },
    { text: app('mode: tcp, vips: [§0.0.0.0:80]'), code: 'outside-lane', says: /wildcard.*0.0.0.0\/0/ },
    { text: `networks: { inbound: [0.0.0.0/1] }\n${app('mode: tcp, vips: [§0.0.0.0:80]')}`, code: 'outside-lane', says: /one by one/ },
    { text: app('mode: tcp, vips: [§"[::]:80"]'), code: 'outside-lane', says: /::\/0/ },
    { text: app('mode: tcp, vips: [§"::1:80"]'), code: 'bad-address', says: /needs brackets/, suggestion: '[::1]:80' },
    { text: app('mode: tcp, vips: [§"*:80"]'), code: 'bad-address', says: /which address/, suggestion: '0.0.0.0:80' },
    { text: app('mode: tcp, vips: [§127.0.0.1:90-80]'), code: 'bad-address', says: /lower port first/, suggestion: '80-90' },
    { text: app('mode: tcp, vips: [§127.0.0.1:1-5000]'), code: 'too-many', says: /4096 VIPs/ },
    { text: app('mode: tcp, vips: [§unix:x.sock]'), code: 'bad-address', says: /whole path/ },
    { text: app('mode: tcp, vips: [127.0.0.1:80, §127.0.0.1:79-81]'), code: 'vip-conflict', says: /127.0.0.1:80 twice/ },
    {
      text: `${app(TCP)}  two: { pool: p, mode: tcp, vips: [§127.0.0.1:80] }\n`,
      code: 'vip-conflict',
      says: /"two" and the application "shop" \(at test.yaml:4:\d+\)/,
    },
    {
      text: `networks: { inbound: [0.0.0.0/0] }\n${app(TCP)}  two: { pool: p, mode: tcp, vips: [§0.0.0.0:80] }\n`,
      code: 'vip-overlap',
      says: /one by one/,
    },
    { text: app('mode: tcp, vips: [§127.0.0.1:9900]'), code: 'vip-conflict', says: /admin endpoint/ },
    { text: app(`${TCP}, timeouts: { idle: §off }`), code: 'wrong-value', says: /cannot be switched off/ },
    { text: app(`${TCP}, timeouts: { idle: §0s }`), code: 'out-of-range', says: /from 1ms/ },
    { text: app(`${TCP}, limits: { head-size: §10 }`), code: 'out-of-range', says: /from 1KiB to 1MiB/ },
    { text: app(`${TCP}, §enforcment: observe`), code: 'unknown-key', says: /Known here: vips/, suggestion: 'enforcement' },
  ],
  rules: [
    { text: app(`${TCP}, rules: [ §{ action: allow } ]`), code: 'missing-key', says: /"name" is missing/ },
    { text: app(`${TCP}, rules: [ { name: a, action: §pass } ]`), code: 'wrong-value', says: /Only a rule of guardrails/ },
    { text: app(`${TCP}, rules: [ { name: §default, action: deny } ]`), code: 'reserved-name', says: /Choose another name/ },
    { text: app(`${TCP}, rules: [ { name: §a b, action: deny } ]`), code: 'wrong-value', says: /1 to 64 letters/ },
    {
      text: app(`${TCP}, rules: [ { name: a, action: deny }, { name: §a, action: deny } ]`),
      code: 'duplicate-name',
      says: /test.yaml:4:\d+ is named "a" too/,
    },
    { text: rule('from: [§offcie]'), code: 'dangling-name', says: /Add it under segments/, suggestion: 'office' },
    { text: rule('from: [§a.example.com]'), code: 'dangling-name', says: /host name cannot be a source/ },
    { text: rule('from: §[]'), code: 'out-of-range', says: /without the key, any source matches/ },
    { text: rule('from: §office'), code: 'wrong-type', says: /in brackets: \[office\]/ },
    { text: rule('§http: { paths: [/a] }'), code: 'mode-mismatch', says: /mode: tcp.*would never match/ },
    { text: rule('protocols: [§postgres]', 'http'), code: 'mode-mismatch', says: /never carries postgres/ },
    { text: rule('protocols: [§HTTP]'), code: 'wrong-value', says: /one of/, suggestion: 'http' },
    { text: rule('http: { methods: [§get] }', 'http'), code: 'wrong-value', says: /case-sensitive/, suggestion: 'GET' },
    {
      text: rule('http: { hosts: [§shop.example.com:80] }', 'http'),
      code: 'wrong-value',
      says: /without scheme, port/,
      suggestion: 'shop.example.com',
    },
    { text: rule('http: { paths: [§admin/*] }', 'http'), code: 'wrong-value', says: /begin with "\/"/, suggestion: '/admin/*' },
    { text: rule('http: { paths: [§/a/*/b] }', 'http'), code: 'wrong-value', says: /only at its end/ },
    { text: rule('http: { paths: [§/a/../b] }', 'http'), code: 'wrong-value', says: /would never match/ },
    { text: rule('ports: [§70000]'), code: 'out-of-range', says: /1 to 65535/ },
    { text: rule('ports: [80, §81-99]'), code: 'port-never-matches', says: /no VIP with a port from 81 to 99/, severity: 'warning' },
    { text: rule('limits: { §requests: 10/s }'), code: 'mode-mismatch', says: /never sees a request.*new-flows/ },
    { text: rule('limits: { §per: segment, flows: 1 }'), code: 'mode-mismatch', says: /names no segment in from/ },
    { text: rule('§limits: { per: all }'), code: 'mode-mismatch', says: /bound nothing/ },
    { text: rule('shadow: true, §limits: { flows: 1 }'), code: 'mode-mismatch', says: /shadow rule/ },
    { text: rule('until: §2026-12-31'), code: 'wrong-value', says: /a moment such as/, suggestion: '2026-12-31T00:00:00Z' },
    { text: rule('until: §2026-12-31T00:00:00'), code: 'wrong-value', says: /"Z" or an offset/, suggestion: '2026-12-31T00:00:00Z' },
    { text: rule('until: §2026-02-30T00:00:00Z'), code: 'wrong-value', says: /a moment such as/ },
    { text: rule('schedule: { days: [§monday] }'), code: 'wrong-value', says: /one of mon/, suggestion: 'mon' },
    { text: rule('schedule: { hours: §8:00-18:00 }'), code: 'wrong-value', says: /two digits/ },
    { text: rule('schedule: { hours: §08:00-08:00 }'), code: 'wrong-value', says: /leave hours: out/ },
    { text: rule('schedule: { time-zone: §Europe/Berlim }'), code: 'wrong-value', says: /Europe\/Berlin/ },
    { text: rule('schedule: { time-zone: §CET }'), code: 'wrong-value', says: /Europe\/Berlin/ },
    { text: rule('shadow: §yes'), code: 'wrong-type', says: /true or false/ },
    { text: rule('deny-with: §drop'), code: 'wrong-value', says: /one of reset, close, reply, tarpit/ },
    { text: rule('§deny-with: reset'), code: 'mode-mismatch', says: /denies nobody/ },
    { text: rule('http: { headers: { host: §x } }', 'http'), code: 'wrong-value', says: /matched by hosts/ },
    { text: rule('http: { headers: { x-forwarded-for: §x } }', 'http'), code: 'wrong-value', says: /never reaches a server/ },
    { text: rule('http: { headers: { x-team: §a*b } }', 'http'), code: 'wrong-value', says: /a beginning such as/ },
    { text: rule('identities: [§ana]'), code: 'wrong-value', says: /begin with its kind/ },
    { text: rule('tls: §{}'), code: 'wrong-value', says: /at least one of sni, alpn and ja4/ },
    { text: rule('tls: { ja4: [§771,4865] }').replace('771,4865', '771-4865'), code: 'wrong-value', says: /a fingerprint such as/ },
    { text: rule('tls: { sni: [§https://a.example] }'), code: 'wrong-value', says: /without scheme/, suggestion: 'a.example' },
    { text: rule('on-revoke: §later'), code: 'wrong-type', says: /cut, finish, drain, or a mapping/ },
    { text: rule('on-revoke: { drain: §30 }'), code: 'wrong-type', says: /a duration/ },
    { text: rule('§postgres: { users: [ana] }', 'http'), code: 'mode-mismatch', says: /carries requests and never postgres/ },
    { text: rule('postgres: {}, §mysql: {}'), code: 'mode-mismatch', says: /postgres and mysql at once/ },
    { text: rule('redis: {}, protocols: [redis, §mysql]'), code: 'mode-mismatch', says: /for the protocol redis alone/ },
    { text: rule('redis: { keys: ["§a*b"] }').replace('"§', '§"'), code: 'wrong-value', says: /only at its end/ },
  ],
  'TLS of clients': [
    { text: app(`${HTTP}, tls: §true`), code: 'wrong-type', says: /certificates: \[.*or "passthrough" in mode tcp/ },
    { text: app(`${HTTP}, §tls: {}`), code: 'missing-key', says: /"certificates" is missing.*a list such as/ },
    {
      text: app(`${HTTP}, tls: §passthrough`),
      code: 'mode-mismatch',
      says: /cannot be read as requests. Write mode: tcp, or give certificates:/,
    },
    { text: tls('certificates: §[]'), code: 'out-of-range', says: /at least one entry/ },
    { text: tls('certificates: [§{ certificate: c.pem }]'), code: 'missing-key', says: /"key" is missing.*path of a file/ },
    { text: tls(`${PEM}, minimum: §1.1`), code: 'wrong-value', says: /one of 1.2, 1.3/ },
    { text: tls(`${PEM}, curves: [§P-256]`), code: 'wrong-value', says: /one of X25519MLKEM768/ },
    { text: tls(`${PEM}, ciphers: [§RC4]`), code: 'wrong-value', says: /by OpenSSL, such as/ },
    { text: tls(`${PEM}, §clients: {}`), code: 'missing-key', says: /"ca" is missing/ },
    { text: tls(`${PEM}, tickets: §on`), code: 'wrong-type', says: /\{ rotate: 12h \}, or "off"/ },
  ],
  'TLS to servers': [
    { text: pool('{ servers: [127.0.0.1:1], tls: §true }'), code: 'wrong-type', says: /a mapping with verify/ },
    {
      text: pool('{ servers: [127.0.0.1:1], tls: { sni: §https://a.example } }'),
      code: 'wrong-value',
      says: /without scheme/,
      suggestion: 'a.example',
    },
    {
      text: pool('{ servers: [127.0.0.1:1], tls: { §vrify: true } }'),
      code: 'unknown-key',
      says: /Known here: verify/,
      suggestion: 'verify',
    },
  ],
  routes: [
    { text: app(`${HTTP}, routes: [ §{ pool: p } ]`), code: 'missing-key', says: /"name" is missing/ },
    { text: app(`${HTTP}, routes: [ { name: a }, { name: §a } ]`), code: 'duplicate-name', says: /named "a" too/ },
    { text: route('pool: §q'), code: 'dangling-name', says: /No pool is named "q". Add it under pools:/ },
    { text: route('split: { p: 1, q: §1 }'), code: 'dangling-name', says: /No pool is named "q"/ },
    { text: route('split: §{ p: 0 }'), code: 'wrong-value', says: /Every share is 0.*a number above 0/ },
    { text: route('split: { p: §50% }'), code: 'wrong-type', says: /a whole number/ },
    { text: route('pool: p, §split: { p: 1 }'), code: 'mode-mismatch', says: /both say where flows go/ },
    { text: route('redirect: §http'), code: 'wrong-type', says: /"https", or a mapping such as/ },
    { text: route('redirect: { status: §200 }'), code: 'wrong-value', says: /one of 301, 302/ },
    { text: route('redirect: https, §pool: p'), code: 'mode-mismatch', says: /goes to no server/ },
    { text: route('redirect: { path: §/v2/* }'), code: 'wrong-value', says: /Write http: \{ paths: \[\/api\/\*\] \}/ },
    { text: route('rewrite: { path: §new }'), code: 'wrong-value', says: /a path such as \/new/ },
    {
      text: route('request-headers: { set: { content-length: §"1" } }'),
      code: 'wrong-value',
      says: /writes the field "content-length" itself/,
    },
    { text: route('request-headers: { remove: [§Host] }'), code: 'wrong-value', says: /Write rewrite: \{ host: … \}/ },
    { text: route('request-headers: { remove: [§a b] }'), code: 'wrong-value', says: /no name of a field/ },
    { text: route('mirror: §p'), code: 'wrong-type', says: /a mapping with pool, share/ },
    { text: route('mirror: { pool: p, share: §0.5 }'), code: 'wrong-type', says: /from 0% to 100%/ },
    { text: route('http: { §quary: {} }'), code: 'unknown-key', says: /Known here: methods/, suggestion: 'query' },
    { text: route('http: { query: { v: §a*b } }'), code: 'wrong-value', says: /a beginning such as "beta\*"/ },
    { text: route('§tls: { sni: [a.example] }'), code: 'mode-mismatch', says: /reads no TLS hello.*tls: passthrough/ },
    { text: route('§http: { paths: [/x] }', 'tcp'), code: 'mode-mismatch', says: /never sees a request/ },
    { text: app(`${HTTP}, forwarded: { trust: [§proxy.local] }`), code: 'unsupported', says: /Write the addresses/ },
    { text: app(`${TCP}, §forwarded: { trust: [10.0.0.0/8] }`), code: 'mode-mismatch', says: /use proxy-protocol:/ },
  ],
  tokens: [
    { text: app(`${HTTP}, jwt: §{ issuer: x }`), code: 'wrong-type', says: /a list of issuers/ },
    { text: app(`${TCP}, §jwt: [ { ${ISSUER} } ]`), code: 'mode-mismatch', says: /so no token|and so no token/ },
    { text: app(`${HTTP}, jwt: [ §{ issuer: x, audiences: [a] } ]`), code: 'missing-key', says: /"keys" is missing.*https:/ },
    { text: app(`${HTTP}, jwt: [ { issuer: x, audiences: §shop, keys: k.json } ]`), code: 'wrong-type', says: /in brackets: \[shop\]/ },
    { text: app(`${HTTP}, jwt: [ { issuer: x, audiences: [a], keys: §ftp://x/k } ]`), code: 'wrong-value', says: /https:.*or a file/ },
    { text: app(`${HTTP}, jwt: [ { ${ISSUER}, algorithms: [§none] } ]`), code: 'wrong-value', says: /one of RS256/ },
    { text: app(`${HTTP}, jwt: [ { ${ISSUER}, from: §cookie } ]`), code: 'wrong-type', says: /\{ header: x-token \} or/ },
    { text: app(`${HTTP}, jwt: [ { ${ISSUER}, clock-skew: §30 } ]`), code: 'wrong-type', says: /a duration such as/ },
  ],
  'PROXY protocol': [
    { text: app(`${TCP}, proxy-protocol: §true`), code: 'wrong-type', says: /a mapping with from/ },
    { text: app(`${TCP}, §proxy-protocol: {}`), code: 'missing-key', says: /"from" is missing.*10.0.0.0\/8/ },
    { text: app(`${TCP}, proxy-protocol: { from: [§office] }`), code: 'unsupported', says: /Write the addresses/ },
    { text: app(`${TCP}, proxy-protocol: { from: [§unix] }`), code: 'mode-mismatch', says: /No VIP of the application is a unix socket/ },
    { text: pool('{ servers: [127.0.0.1:1], proxy-protocol: §v3 }'), code: 'wrong-type', says: /v1, v2, or a mapping/ },
    {
      text: pool('{ servers: [127.0.0.1:1], proxy-protocol: { version: §1, tlvs: [alpn] } }'),
      code: 'wrong-value',
      says: /the version that has TLVs/,
    },
  ],
  'limits, revocation, identities and databases': [
    { text: rule('limits: { new-flows: §100 }'), code: 'wrong-type', says: /a rate such as 100\/s/ },
    { text: rule('limits: { bytes: §10MB/s }'), code: 'wrong-value', says: /a size per time such as 1MiB\/s/ },
    { text: rule('limits: { bytes-total: §10 }'), code: 'wrong-type', says: /a size such as 64KiB/ },
    { text: rule('limits: { duration: §1 hour }'), code: 'wrong-value', says: /a duration such as/, suggestion: '1h' },
    { text: rule('limits: { per: §client, flows: 1 }'), code: 'wrong-value', says: /one of source, segment, all/, suggestion: 'source' },
    { text: rule('limits: { §rate: 1/s }'), code: 'unknown-key', says: /Known here: per, flows, new-flows/ },
    { text: rule('on-revoke: §Drain'), code: 'wrong-type', says: /cut, finish, drain, or a mapping/ },
    { text: rule('identities: [§claim:groups]'), code: 'wrong-value', says: /such as claim:groups=admins/ },
    { text: rule('identities: §cn:ana'), code: 'wrong-type', says: /in brackets: \[cn:ana\]/ },
    { text: rule('postgres: { §user: [ana] }'), code: 'unknown-key', says: /Known here: users, databases/, suggestion: 'users' },
    { text: rule('postgres: { users: §[] }'), code: 'out-of-range', says: /without the key, everything matches/ },
    { text: rule('mysql: { §databases: [x] }'), code: 'unknown-key', says: /Known here: users, schemas/ },
  ],
  tests: [
    {
      text: test('{ from: 10.0.0.1, to: 127.0.0.1:80, expect: allow, by: §custmers }'),
      code: 'dangling-name',
      says: /"default" where no rule/,
      suggestion: 'customers',
    },
    { text: test('{ from: §office, to: 127.0.0.1:80, expect: allow }'), code: 'unsupported', says: /Write the addresses/ },
    {
      text: test('{ from: §10.0.0.0/8, to: 127.0.0.1:80, expect: allow }'),
      code: 'bad-address',
      says: /single address/,
      suggestion: '10.0.0.0',
    },
    { text: test('{ from: 10.0.0.1, to: §shop, expect: allow }'), code: 'bad-address', says: /ADDRESS:PORT/ },
    {
      text: test('{ from: 10.0.0.1, to: 127.0.0.1:80, protocol: §ssh, path: /, expect: allow }'),
      code: 'mode-mismatch',
      says: /no requests/,
    },
    { text: test('§{ from: 10.0.0.1, to: 127.0.0.1:80 }'), code: 'missing-key', says: /"expect" is missing/ },
  ],
};

function problemsOf(text: string): readonly Problem[] {
  const result = parseDocument([{ file: 'test.yaml', text }], { WORD: 'many' });
  return result.ok ? result.warnings : result.problems;
}

describe.each(Object.entries(CASES))('wrong files: %s', (_, cases) => {
  it.each(cases.map((wrong) => [wrong.text, wrong] as const))('%j', (marked, wrong) => {
    const before = marked.slice(0, marked.indexOf('§')).split('\n');
    const problems = problemsOf(marked.replace('§', ''));
    expect(problems.map(formatProblem)).toHaveLength(1);
    const [problem] = problems as [Problem];
    expect({ ...problem.place, code: problem.code, severity: problem.severity, suggestion: problem.suggestion }).toEqual({
      file: 'test.yaml',
      line: before.length,
      column: before.at(-1)!.length + 1,
      code: wrong.code,
      severity: wrong.severity ?? 'error',
      suggestion: wrong.suggestion,
    });
    expect(problem.message).toMatch(wrong.says);
  });
});

describe('many problems', () => {
  it('are all reported in one round, in the order of their places', () => {
    const text = `${POOL}segments: { a: { segments: [b], pool: q } }\napplications:\n  shop: { pool: r, mode: x, vips: [1], rules: [ { name: a, from: [c], wehn: 1 }, { name: a, action: deny } ] }\n`;
    expect(problemsOf(text).map((problem) => [problem.code, problem.path])).toEqual([
      ['dangling-name', '/segments/a/segments/0'],
      ['dangling-name', '/segments/a/pool'],
      ['dangling-name', '/applications/shop/pool'],
      ['wrong-value', '/applications/shop/mode'],
      ['wrong-type', '/applications/shop/vips/0'],
      ['missing-key', '/applications/shop/rules/0/action'],
      ['dangling-name', '/applications/shop/rules/0/from/0'],
      ['unknown-key', '/applications/shop/rules/0/wehn'],
      ['duplicate-name', '/applications/shop/rules/1/name'],
    ]);
  });

  it('keep the numbers of the text for entries after a wrong one', () => {
    const problems = problemsOf(`${POOL}segments: { a: { addresses: [1.2.3, 10.0.0.1/8], segments: ["\${NOT_SET}", b] } }\n`);
    expect(problems.map((problem) => problem.path)).toEqual([
      '/segments/a/addresses/0',
      '/segments/a/addresses/1',
      '/segments/a/segments/0',
      '/segments/a/segments/1',
    ]);
  });

  it('are bounded in number', () => {
    const problems = problemsOf(segment(`{ addresses: [${Array(1000).fill('1.2.3').join(', ')}] }`));
    expect(problems).toHaveLength(201);
    expect(problems.at(-1)).toMatchObject({ code: 'more-problems', message: expect.stringMatching(/^800 more/) });
  });

  it('say nothing of lanes while a lane itself is wrong', () => {
    const codes = problemsOf(`networks: { outbound: [10.0.0.0/33] }\n${pool('{ servers: [10.0.0.1:80] }')}`).map((problem) => problem.code);
    expect(codes).toEqual(['bad-address']);
  });

  it('say nothing of names that may stand in a part that could not be read', () => {
    const tests = 'tests: [{ from: 1.1.1.1, to: 127.0.0.1:80, expect: deny, by: r }]\n';
    const codes = (text: string) => problemsOf(text).map((problem) => `${problem.code} ${problem.path}`);
    expect(codes(`${app(`${TCP}, rules: [ "\${NOT_SET}" ]`)}${tests}`)).toEqual(['unset-variable /applications/shop/rules/0']);
    expect(codes(`${app(`${TCP}, rules: text`)}${tests}`)).toEqual(['wrong-type /applications/shop/rules']);
    expect(codes(`version: 1\npools: []\nsegments: { a: { pool: p, segments: [b] } }\n`)).toEqual(['wrong-type /pools']);
    expect(codes(`${POOL}segments: { a: { segments: [b] }, b: "\${NOT_SET}" }\n`)).toEqual(['unset-variable /segments/b']);
  });

  it('are printed in one line, whatever the file holds', () => {
    const [problem] = problemsOf(`version: 1\n"x\\n\\u202e\\e[31m~/": 1\n`);
    expect(formatProblem(problem!)).toBe(
      'test.yaml:2:1: error[unknown-key]: The key "x\\n\\u202e\\u001b[31m~/" is not known here. Correct or remove it. Known here: version, process, networks, segments, pools, applications, guardrails, baseline, silence, tests. (at /x\\u000a\\u202e\\u001b[31m~0~1)',
    );
    const [near] = problemsOf('version: 1\nproces: {}\n');
    expect(formatProblem(near!)).toMatch(/^test\.yaml:2:1: error\[unknown-key\]: .* \(at \/proces\); did you mean "process"\?$/);
  });
});
