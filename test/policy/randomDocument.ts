/** Random documents that are dense in edges: nested and neighbouring prefixes, segments of segments, exceptions, few ports and paths. */

import { parsePrefix } from '../../config/address.ts';
import { DAYS, type Document } from '../../config/document.ts';
import { checkIdentityCases } from '../../config/identity-cases.ts';
import type { DatabaseMatch, TlsMatch } from '../../config/match.ts';
import { PROTOCOLS } from '../../config/protocols.ts';
import type { Report } from '../../config/tree.ts';
import type { Knowledge } from '../../policy/knowledge.ts';
import { type ApplicationWords, type DocumentWords, documentOf, type RuleWords } from './documents.ts';
import type { OracleQuery, OracleTls } from './oracle.ts';

export type Random = (below: number) => number;

/** mulberry32: small, and the same everywhere. */
export function randomFrom(seed: number): Random {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

export const METHODS = ['GET', 'POST', 'DELETE'];
export const HOSTS = ['a.example', 'b.a.example', 'example', '[::1]', ''];
export const PATHS = ['/', '/admin', '/admin/', '/admin/x', '/administrator', '/api/v1', '/api', '*'];
export const HEADERS: readonly (readonly (readonly [string, string])[])[] = [
  [],
  [['x-team', 'blue']],
  [['x-team', 'blue2']],
  [
    ['x-team', 'red'],
    ['x-team', 'blue'],
  ],
  [
    ['x-team', 'blue'],
    ['x-env', ''],
  ],
];
/** Of three countries that segments name, one is not known. */
export const KNOWLEDGE: Knowledge = {
  countries: new Map([
    ['AA', [parsePrefix('10.1.2.0/24')!, parsePrefix('2001:db8::/48')!]],
    ['BB', [parsePrefix('10.1.2.128/25')!]],
  ]),
  asns: new Map(),
  names: new Map(),
};
/** A Tuesday noon in Berlin; rules end before and after it, and hold on days around it. */
export const NOW = Date.parse('2026-03-31T10:00:00Z');
export const PORTS = [79, 80, 81, 443, 8000, 8001, 8099, 8100];
const HOST_PATTERNS = ['a.example', '*.example', '*.a.example', '*'];
const PATH_PATTERNS = ['/', '/admin', '/admin/*', '/admin*', '/api/*', '/Api/V1', '*', '/*'];
const PROTOCOL_NAMES = PROTOCOLS.slice(0, 6);

export const HELLOS: readonly OracleTls[] = [
  { sni: null, alpn: [], ja4: null },
  { sni: 'a.example', alpn: ['h2'], ja4: 't13d_a' },
  { sni: 'b.a.example', alpn: ['http/1.1'], ja4: 't13d_b' },
  { sni: 'example', alpn: ['h2', 'http/1.1'], ja4: 't12i_a' },
  { sni: null, alpn: ['h3'], ja4: 'q13d_c' },
];
export const CLIENTS: readonly (readonly string[])[] = [
  [],
  ['cn:ana'],
  ['spiffe://x/web', 'cn:web'],
  ['spiffe://x/db'],
  ['user:bob', 'cn:ana'],
  ['jwt:bob'],
];
const KEY_LISTS: readonly (readonly string[] | null)[] = [null, [], ['app:1'], ['app:1', 'other'], ['app:1', 'app:2'], ['other']];
const IDENTITY_PATTERNS = ['cn:ana', 'cn:*', 'spiffe://x/*', 'spiffe://x/web', 'user:*', 'jwt:bob', '*'];
const HELLO_PATTERNS = {
  sni: ['a.example', '*.example', '*.a.example'],
  alpn: ['h2', 'http/1.1', 'h3'],
  ja4: ['t13*', 't12i_a', '*', 't*'],
};
const USERS = ['ana', 'bob', 'app_1', null];
const USER_PATTERNS = ['ana', 'app_*', '*', 'b*'];
const NAMES = ['shop', 'shop_2', '', null];
const NAME_PATTERNS = ['shop', 'shop*', '*', 'other'];
const COMMANDS = ['get', 'set', 'config|get', 'config|set', null];
const COMMAND_PATTERNS = ['get', 'config', 'config|set', 'config|*', 's*', '*'];
const KEY_PATTERNS = ['app:*', 'app:1', '*', 'other'];

export function randomQuery(random: Random): OracleQuery {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  switch (random(3)) {
    case 0:
      return { kind: 'postgres', user: pick(USERS), database: pick(NAMES) };
    case 1:
      return { kind: 'mysql', user: pick(USERS), schema: pick(NAMES) };
    default:
      return { kind: 'redis', user: pick(USERS), command: pick(COMMANDS), keys: pick(KEY_LISTS) };
  }
}

function randomDatabase(random: Random): DatabaseMatch {
  const maybe = (list: readonly string[]): string[] | null =>
    random(2) === 0 ? null : Array.from({ length: 1 + random(2) }, () => list[random(list.length)]!);
  const users = maybe(USER_PATTERNS);
  switch (random(3)) {
    case 0:
      return { kind: 'postgres', users, databases: maybe(NAME_PATTERNS) };
    case 1:
      return { kind: 'mysql', users, schemas: maybe(NAME_PATTERNS) };
    default:
      return { kind: 'redis', users, commands: maybe(COMMAND_PATTERNS), keys: maybe(KEY_PATTERNS) };
  }
}

/** `demands`: whether rules and segments ask for more than addresses, protocols and requests. */
export function randomDocument(random: Random, demands = random(2) === 0): Document {
  for (;;) {
    const document = draw(random, demands);
    if (isRead(document)) return document;
  }
}

/** Whether reading lets it pass: exceptions of exceptions of identities may come to more cases than a document may have. */
function isRead({ segments, applications, guardrails, baseline }: Document): boolean {
  let refused = false;
  const lists = [guardrails, baseline, ...applications.map(({ rules }) => rules)];
  const report = {
    error: () => {
      refused = true;
    },
  } as unknown as Report;
  checkIdentityCases(
    segments,
    lists.map((rules) => [rules, []] as const),
    report,
  );
  return !refused;
}

function draw(random: Random, demands: boolean): Document {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  const some = <T>(list: readonly T[], most: number): T[] => Array.from({ length: 1 + random(most) }, () => pick(list));
  const prefixes = Array.from({ length: 3 + random(20) }, () => randomPrefix(random));
  const pools: Record<string, string[]> = {
    p0: some(['10.1.2.3:1', '10.1.2.4:1', '[2001:db8::1]:1', 'unix:/s'], 3),
    p1: ['[::ffff:10.1.2.5]:1'],
  };
  const segments: NonNullable<DocumentWords['segments']> = {};
  const names: string[] = [];
  for (let i = random(7); i > 0; i--) {
    const segment: NonNullable<DocumentWords['segments']>[string] = {};
    if (random(4) > 0) segment.addresses = some(prefixes, 4);
    if (random(5) === 0) segment.pools = ['p0'];
    if (names.length > 0 && random(2) === 0) segment.segments = some(names, 2);
    if (random(6) === 0) {
      segment.countries = some(['AA', 'BB', 'ZZ'], 2);
      segment.unknown = pick(['deny', 'ignore'] as const);
    }
    if (demands && random(3) === 0) segment.identities = some(IDENTITY_PATTERNS, 2);
    if (random(3) === 0) segment.except = some([...prefixes, ...names, ...(random(9) === 0 ? ['any'] : [])], 2);
    const name = `s${names.length}`;
    segments[name] = segment;
    names.push(name);
  }
  const sources = [...prefixes, ...names, ...names, 'p0', 'p1', 'any', 'any'];
  // Now and then lists long enough, of rules for requests from anyone, that they are found by their patterns.
  const heavy = random(6) === 0;
  const rule = (pass: boolean, http: boolean): RuleWords => {
    const words: RuleWords = { action: pass && random(3) === 0 ? 'pass' : pick(['allow', 'deny'] as const) };
    if (random(heavy ? 3 : 5) > (heavy ? 1 : 0)) words.from = some(sources, 3);
    if (random(4) === 0) words.except = some(sources, 2);
    if (random(4) === 0)
      words.ports = some(
        [
          [80, 80],
          [0, 79],
          [8000, 8099],
          [443, 8000],
          [81, 65535],
        ] as [number, number][],
        2,
      );
    if (random(3) === 0) words.protocols = some(PROTOCOL_NAMES, 3);
    if (http && random(heavy ? 12 : 4) > 0) {
      words.http = {};
      if (random(3) === 0) words.http = { ...words.http, methods: some(METHODS, 2) };
      if (random(3) === 0) words.http = { ...words.http, hosts: some(HOST_PATTERNS, 2) };
      if (random(3) > 0) words.http = { ...words.http, paths: some(PATH_PATTERNS, 3) };
    }
    if (http && words.http !== undefined && random(3) === 0) {
      const values = some(['blue', 'blue*', '*', 'red'], 2);
      words.http = { ...words.http, headers: [{ name: 'x-team', values }, ...(random(3) === 0 ? [{ name: 'x-env', values: ['*'] }] : [])] };
    }
    if (demands && random(heavy ? 16 : 4) === 0) words.identities = some(IDENTITY_PATTERNS, 2);
    if (demands && random(heavy ? 16 : 4) === 0) words.tls = { ja4: ['t*'], ...randomHello(random) };
    if (demands && !http && random(2) === 0) words.database = randomDatabase(random);
    if (random(8) === 0) words.shadow = true;
    if (random(8) === 0) words.until = NOW + (random(3) - 1) * 1000;
    if (random(8) === 0)
      words.schedule = {
        days: some(DAYS, 4),
        hours: [[random(1440), random(1440)]],
        timeZone: pick(['Europe/Berlin', 'UTC', 'Asia/Kolkata']),
      };
    return words;
  };
  const rules = (most: number, pass: boolean, http: boolean) =>
    Array.from({ length: heavy ? random(70) : random(most + 1) }, () => rule(pass, http));
  const applications: Record<string, ApplicationWords> = {};
  for (let i = 0; i <= random(3); i++) {
    const mode = heavy || random(2) === 0 ? 'http' : 'tcp';
    const vips = some(PORTS, 3).map((port) => `10.9.${i}.1:${port}`);
    if (random(3) === 0) vips.push(`unix:/run/${i}`);
    applications[`app${i}`] = { mode, vips, rules: rules(random(5) === 0 ? 80 : 6, false, mode === 'http') };
  }
  return documentOf({
    pools,
    segments,
    applications,
    cluster: random(3) === 0 ? some(prefixes, 1) : [],
    guardrails: rules(4, true, true),
    baseline: rules(3, false, true),
  });
}

function randomHello(random: Random): Partial<TlsMatch> {
  const some = (list: readonly string[]) => Array.from({ length: 1 + random(2) }, () => list[random(list.length)]!);
  const { sni, alpn, ja4 } = HELLO_PATTERNS;
  return {
    ...(random(2) === 0 ? { sni: some(sni) } : {}),
    ...(random(3) === 0 ? { alpn: some(alpn) } : {}),
    ...(random(3) === 0 ? { ja4: some(ja4) } : {}),
  };
}

/** Addresses at and beside the edges of a document's prefixes, and some that it doesn't know; null is a unix socket. */
export function edgeSources(document: Document, random: Random): (string | null)[] {
  const sources: (string | null)[] = [
    null,
    '0.0.0.0',
    '255.255.255.255',
    '::',
    'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '10.1.2.3',
    '10.1.2.4',
    '10.1.2.5',
    '2001:db8::1',
  ];
  const texts = JSON.stringify(document).match(/"text":"[0-9a-f:.]+\/[0-9]+"/g) ?? [];
  for (const text of new Set(texts)) {
    const [base, bits] = text.slice(8, -1).split('/') as [string, string];
    const whole = base.includes(':') ? 128 : 32;
    const value = numberOf(base);
    const size = 1n << BigInt(whole - Number(bits));
    const first = value - (value % size);
    for (const edge of [first - 1n, first, first + size / 2n, first + size - 1n, first + size]) {
      if (edge >= 0n && edge < 1n << BigInt(whole)) sources.push(textOf(edge, whole, random));
    }
  }
  return sources;
}

function randomPrefix(random: Random): string {
  const bits = [0, 1, 7, 8, 15, 16, 17, 20, 23, 24, 25, 30, 31, 32][random(14)]!;
  const value = (0x0a010200 + [0, 1, 2, 3, 4, 128, 255, 256, 65536, 0x1000000, 0x80000000][random(11)]!) % 2 ** 32;
  const kept = bits === 0 ? 0 : (value & (0xffffffff << (32 - bits))) >>> 0;
  if (random(3) === 0) {
    const six = [0, 3, 32, 48, 63, 64, 65, 96, 112, 127, 128][random(11)]!;
    const base = (0x20010db8n << 96n) + [0n, 1n, 2n, 1n << 32n, 1n << 63n, 1n << 64n, 1n << 80n, 1n << 126n][random(8)]!;
    return `${textOf((base >> BigInt(128 - six)) << BigInt(128 - six), 128, random)}/${six}`;
  }
  const dotted = textOf(BigInt(kept), 32, () => 1);
  return random(6) === 0 ? `::ffff:${dotted}/${bits + 96}` : `${dotted}/${bits}`;
}

function numberOf(text: string): bigint {
  if (!text.includes(':')) return text.split('.').reduce((value, part) => value * 256n + BigInt(part), 0n);
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted !== null) return 0xffff00000000n + numberOf(dotted.slice(2).join('.'));
  const [head, tail] = text.split('::') as [string, string | undefined];
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...left, ...new Array(8 - left.length - right.length).fill('0'), ...right];
  return groups.reduce((value, group) => value * 65536n + BigInt(`0x${group}`), 0n);
}

/** IPv4 now and then in its mapped form. */
function textOf(value: bigint, whole: number, random: Random): string {
  const groups: string[] = [];
  if (whole === 32) {
    for (let shift = 24n; shift >= 0n; shift -= 8n) groups.push(String((value >> shift) & 255n));
    return `${random(4) === 0 ? '::ffff:' : ''}${groups.join('.')}`;
  }
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(((value >> shift) & 0xffffn).toString(16));
  return groups.join(':');
}
