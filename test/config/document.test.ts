// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the variables of the file under test.
/** Right files: what they come to, defaults included. */
import { readFileSync } from 'node:fs';
import { availableParallelism, hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import type { Document } from '../../config/document.ts';
import { parseDocument } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
import { HTTP, protocolBit, WEBSOCKET } from '../../config/protocols.ts';

function load(text: string, env: Record<string, string> = {}): Document {
  const result = parseDocument([{ file: 'test.yaml', text }], env);
  expect(result.ok ? [] : result.problems.map(formatProblem)).toEqual([]);
  return (result as { document: Document }).document;
}

const POOLS = 'version: 1\npools: { p: { servers: [127.0.0.1:9001] } }\n';
const EXAMPLE = readFileSync(new URL('../../config/bulkhead.yaml', import.meta.url), 'utf8');

describe('a file that says little', () => {
  const document = load(`${POOLS}applications: { a: { vips: [127.0.0.1:80], mode: tcp, pool: p } }\n`);

  it('has the defaults of the process', () => {
    expect(document.process).toMatchObject({
      node: hostname(),
      workers: availableParallelism(),
      admin: { text: '127.0.0.1:9900' },
      state: './state',
      journal: { sizeBytes: 268_435_456, segmentBytes: 16_777_216 },
      log: { level: 'info' },
      answers: 'brief',
      connections: 100_000,
    });
  });

  it('has lanes that hold loopback only', () => {
    const texts = (lane: readonly { text: string }[]) => lane.map((prefix) => prefix.text);
    expect(texts(document.networks.inbound)).toEqual(['127.0.0.0/8', '::1/128']);
    expect(texts(document.networks.outbound)).toEqual(['127.0.0.0/8', '::1/128']);
    expect(document.networks.cluster).toEqual([]);
  });

  it('has the defaults of pools', () => {
    expect(document.pools[0]).toMatchObject({
      balance: 'round-robin',
      servers: [{ endpoint: { text: '127.0.0.1:9001' }, weight: 1, drain: false, place: { line: 2, column: 25 } }],
      health: null,
      ejection: { failures: 5, forMs: 10_000 },
      retries: { attempts: 2, budget: 0.2 },
      idleConnections: 64,
      idleTimeoutMs: 4_000,
    });
  });

  it('has the defaults of applications', () => {
    expect(document.applications[0]).toMatchObject({
      enforcement: 'enforce',
      rules: [],
      timeouts: {
        connect: 4_000,
        idle: 300_000,
        total: null,
        halfClosed: 10_000,
        detect: 2_000,
        requestHead: 10_000,
        requestBody: 30_000,
        response: 60_000,
        keepAlive: 60_000,
      },
      limits: { connections: null, connectionsPerSource: null, headBytes: 16_384, headFields: 100, targetBytes: 8_192, streams: 100 },
    });
  });
});

describe('values', () => {
  it('are read in the units of the code', () => {
    const document = load(`version: 1
process: { workers: 3, admin: off, state: off, journal: { size: 1048576, segment: 64KiB }, limits: { connections: 7 } }
pools:
  p:
    balance: maglev
    servers: [{ address: "[::1]:90", weight: 0, drain: true }, unix:/run/x.sock, "[::ffff:127.0.0.1]:91"]
    health: { type: http, path: "/h?x=1", host: Shop.Example., expect: [204, 300-399], interval: 250ms, timeout: 5m, rise: 1, fall: 9 }
    ejection: off
    retries: { attempts: 0, budget: 100% }
    idle: { connections: 0, timeout: 12h }
applications:
  a:
    vips: [127.0.0.1:8000-8002, "[0:0::1]:80", unix:/run/y.sock]
    mode: http
    pool: p
    timeouts: { total: 7d }
    limits: { connections: 5, connections-per-source: 2, head-size: 64KiB }
`);
    expect(document.process).toMatchObject({
      workers: 3,
      admin: null,
      state: null,
      journal: { sizeBytes: 1_048_576, segmentBytes: 65_536 },
      connections: 7,
    });
    const [pool] = document.pools;
    expect(pool!.servers.map(({ endpoint, weight, drain }) => [endpoint.text, weight, drain])).toEqual([
      ['[::1]:90', 0, true],
      ['unix:/run/x.sock', 1, false],
      ['127.0.0.1:91', 1, false],
    ]);
    expect(pool!.health).toEqual({
      type: 'http',
      path: '/h?x=1',
      host: 'shop.example',
      expect: [
        [204, 204],
        [300, 399],
      ],
      intervalMs: 250,
      timeoutMs: 300_000,
      rise: 1,
      fall: 9,
    });
    expect(pool).toMatchObject({ ejection: null, retries: { attempts: 0, budget: 1 }, idleConnections: 0, idleTimeoutMs: 43_200_000 });
    const [application] = document.applications;
    expect(application!.vips.map((vip) => vip.endpoint.text)).toEqual([
      '127.0.0.1:8000',
      '127.0.0.1:8001',
      '127.0.0.1:8002',
      '[::1]:80',
      'unix:/run/y.sock',
    ]);
    expect(application).toMatchObject({
      timeouts: { total: 604_800_000 },
      limits: { connections: 5, connectionsPerSource: 2, headBytes: 65_536 },
    });
  });

  it('allow a wildcard VIP where the lane holds the whole family', () => {
    const text = `${POOLS}networks: { inbound: [0.0.0.0/0, "::/0"] }\napplications: { a: { vips: [0.0.0.0:80, "[::]:80"], mode: tcp, pool: p } }\n`;
    expect(load(text).applications[0]!.vips).toHaveLength(2);
  });
});

describe('rules', () => {
  const text = `${POOLS}segments:
  office: { addresses: [10.0.0.0/8] }
  p: { pool: p }
applications:
  a:
    vips: [127.0.0.1:80-90]
    mode: http
    pool: p
    rules:
      - { name: all, action: deny }
      - name: some
        from: [office, p, 10.1.0.0/16, any]
        except: ["::1"]
        ports: [80, 82-84]
        protocols: [http, websocket]
        http: { methods: [GET], hosts: ["*.Example.com"], paths: [/admin/*] }
        action: allow
guardrails: [{ name: g, action: pass, protocols: [ssh], http: { methods: [GET] } }]
baseline: [{ name: b, action: deny }]
`;
  const document = load(text);

  it('match every source where from is absent', () => {
    expect(document.applications[0]!.rules[0]).toMatchObject({
      from: [{ kind: 'any' }],
      except: [],
      ports: null,
      protocols: null,
      http: null,
    });
  });

  it('know segments, pools, prefixes and their own place', () => {
    expect(document.applications[0]!.rules[1]).toMatchObject({
      from: [
        { kind: 'segment', name: 'office' },
        { kind: 'segment', name: 'p' },
        { kind: 'prefix', prefix: { bits: 16 } },
        { kind: 'any' },
      ],
      except: [{ kind: 'prefix', prefix: { family: 6, bits: 128 } }],
      ports: [
        [80, 80],
        [82, 84],
      ],
      protocols: HTTP | WEBSOCKET,
      http: { methods: ['GET'], hosts: ['*.example.com'], paths: ['/admin/*'] },
      place: { file: 'test.yaml', line: 13, column: 9 },
    });
  });

  it('may speak of every protocol in guardrails and baseline', () => {
    expect(document.guardrails[0]).toMatchObject({ action: 'pass', protocols: protocolBit('ssh'), http: { methods: ['GET'] } });
    expect(document.baseline).toHaveLength(1);
  });

  it('name a pool where no segment has the name', () => {
    const [application] = load(
      `${POOLS}applications: { a: { vips: [127.0.0.1:80], mode: tcp, pool: p, rules: [{ name: r, from: [p], action: allow }] } }\n`,
    ).applications;
    expect(application!.rules[0]!.from).toEqual([{ kind: 'pool', name: 'p' }]);
  });
});

describe('tests of a file', () => {
  const flow = (fields: string) => load(`${POOLS}tests: [{ from: 10.0.0.1, to: 127.0.0.1:80, expect: deny, ${fields} }]\n`).tests[0]!;
  it.each([
    ['by: default', 0],
    ['by: cluster', 0],
    ['path: /', HTTP],
    ['method: GET', HTTP],
    ['host: a.b', HTTP],
    ['protocol: ssh', protocolBit('ssh')],
    ['protocol: http, path: /', HTTP],
    ['protocol: websocket', WEBSOCKET],
  ])('%s', (fields, protocols) => {
    expect(flow(fields).flow.protocols).toBe(protocols);
  });
});

describe('variables', () => {
  const node = (value: string, env: Record<string, string> = {}) => load(`version: 1\nprocess:\n  node: ${value}\n`, env).process.node;
  it.each([
    ['${A}', { A: 'x' }, 'x'],
    ['a-${A}-${B:-c}', { A: 'x' }, 'a-x-c'],
    ['${A:-d}', { A: '' }, 'd'],
    ['"${A}"', { A: '007' }, '007'],
    ['${A}', { A: 'x.${B}'.replace('${B}', 'y') }, 'x.y'],
  ])('%s', (value, env, expected) => {
    expect(node(value, env)).toBe(expected);
  });

  it('take the type of what they hold unless they are quoted', () => {
    expect(load('version: 1\nprocess:\n  workers: ${N:-2}\n').process.workers).toBe(2);
    expect(load('version: 1\nprocess:\n  workers: ${N:-2}\n', { N: '0x10' }).process.workers).toBe(16);
    expect(load('version: ${V}\n', { V: '1' }).version).toBe(1);
  });

  it('are not read where the dollar is doubled, and never as structure', () => {
    expect(load('version: 1\nprocess:\n  state: $${A}/${B}\n', { B: '{x: [1]}' }).process.state).toBe('${A}/{x: [1]}');
  });
});

describe('aliases', () => {
  it('repeat a value, and are checked like it', () => {
    const document = load('version: 1\nsegments:\n  a: { addresses: &list [10.0.0.0/8] }\n  b: { addresses: *list }\n');
    expect(document.segments.map((segment) => segment.addresses.map((prefix) => prefix.text))).toEqual([['10.0.0.0/8'], ['10.0.0.0/8']]);
  });
});

describe('the source of a document', () => {
  it('is what was written, without defaults, as JSON can carry it', () => {
    const document = load(EXAMPLE);
    const again = load(JSON.stringify(document.source));
    expect(JSON.stringify(again.source)).toBe(JSON.stringify(document.source));
    expect(document.source).toMatchObject({ version: 1, process: { admin: { listen: '127.0.0.1:9900' } } });
    expect(again.applications.map((application) => application.name)).toEqual(['shop', 'echo-tcp']);
  });
});
