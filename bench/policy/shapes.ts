/** Every shape of rule that people write, as lists of any length: each rule of one source, one thing asked, one treatment. */

import type { Document } from '../../config/document.ts';
import { PROTOCOLS } from '../../config/protocols.ts';
import { NO_TLS, type TlsFacts } from '../../policy/connection.ts';
import type { Knowledge } from '../../policy/knowledge.ts';
import type { RequestFacts } from '../../policy/request.ts';
import { type DocumentWords, documentOf, type RuleWords } from '../../test/policy/documents.ts';
import { headWith } from './head.ts';

/** What a flow is, all told. */
export interface ShapeFlow {
  readonly source: string;
  readonly protocol: string;
  readonly request: RequestFacts | null;
  /** Where the request's fields stand. */
  readonly head?: Buffer;
  readonly tls: TlsFacts;
  readonly identities: readonly string[];
}

export interface Shape {
  readonly name: string;
  readonly document: (rules: number) => Document;
  readonly knowledge: (rules: number) => Knowledge | undefined;
  /** The flow that meets rule i; one that meets none for i < 0. */
  readonly flow: (i: number) => ShapeFlow;
}

type Words = Omit<RuleWords, 'action'> & Partial<Pick<RuleWords, 'action'>>;
type Segments = NonNullable<DocumentWords['segments']>;

interface Parts {
  readonly rule: (i: number) => Words;
  readonly flow?: (i: number) => Partial<ShapeFlow>;
  readonly segment?: (i: number) => Segments[string];
  /** For all rules together. */
  readonly office?: Segments[string];
  readonly pools?: (i: number) => string[];
  readonly knowledge?: (rules: number) => Knowledge;
  readonly tier?: 'guardrails' | 'baseline';
}

const OUTSIDE = '192.0.2.1';
const MINUTES_OF_DAY = 1_440;

const net = (i: number) => `10.${(i >>> 8) & 255}.${i & 255}`;
const prefix = (i: number) => `${net(i)}.0/24`;
const id = (i: number) => `spiffe://x/service-${i}`;
const path = (i: number) => `/service-${i}/cart`;
const http = (i: number, more: Partial<Extract<RequestFacts, { kind: 'http' }>> = {}): Partial<ShapeFlow> => ({
  protocol: 'http',
  request: { kind: 'http', method: 'GET', host: 'shop.example', path: path(i), ...more },
});
const hello = (more: Partial<TlsFacts>): Partial<ShapeFlow> => ({ protocol: 'tls', tls: { ...NO_TLS, ...more } });
const from = (i: number): Partial<ShapeFlow> => (i < 0 ? {} : { source: `${net(i)}.7` });
const known = (i: number): Partial<ShapeFlow> => ({ protocol: 'tls', identities: [id(i), `cn:service-${i}`, 'issuer:CN=Example'] });
/** Every other flow comes from the address, every other one from the identity. */
const either = (i: number): Partial<ShapeFlow> => (i % 2 === 0 ? from(i) : known(i));
const digit = (i: number, place: number) => Math.floor(Math.max(0, i) / 10 ** place) % 10;
const paths = (i: number) => ({ paths: [`/service-${i}/*`] });

function shape(name: string, mode: 'tcp' | 'http', parts: Parts): Shape {
  const ruleOf = (i: number): RuleWords => ({ name: `rule-${i}`, action: 'allow', ...parts.rule(i) });
  return {
    name,
    document(rules) {
      const list = Array.from({ length: rules }, (_, i) => ruleOf(i));
      const segments: Segments = parts.office === undefined ? {} : { office: parts.office };
      const pools: Record<string, string[]> = {};
      for (let i = 0; i < rules; i++) {
        if (parts.segment !== undefined) segments[`s${i}`] = parts.segment(i);
        if (parts.pools !== undefined) pools[`p${i}`] = parts.pools(i);
      }
      const own = parts.tier === undefined ? list : parts.tier === 'guardrails' ? [{ name: 'own', action: 'allow' as const }] : [];
      return documentOf({
        segments,
        pools,
        applications: { a: { mode, rules: own } },
        ...(parts.tier === undefined ? {} : { [parts.tier]: list }),
      });
    },
    knowledge: (rules) => parts.knowledge?.(rules),
    flow: (i) => ({
      source: OUTSIDE,
      protocol: mode === 'http' ? 'http' : 'ssh',
      request: null,
      tls: NO_TLS,
      identities: [],
      ...parts.flow?.(i),
    }),
  };
}

function knowledge(part: keyof Knowledge): (rules: number) => Knowledge {
  const document = (rules: number) => documentOf({ segments: { s: { addresses: Array.from({ length: rules }, (_, i) => prefix(i)) } } });
  return (rules) => {
    const { addresses } = document(rules).segments[0]!;
    const nothing = { countries: new Map(), asns: new Map(), names: new Map() };
    const entries = addresses.map(
      (one, i) =>
        [part === 'asns' ? i : `x${i}`, part === 'names' ? [{ family: 4, words: [0, 0, 0xffff, one.words[3] + 7] }] : [one]] as const,
    );
    return { ...nothing, [part]: new Map(entries as never) };
  };
}

const segment = (i: number) => ({ from: [`s${i}`] });
const both = (i: number) => ({ addresses: [prefix(i)], identities: [id(i)] });

const SOURCES: readonly Shape[] = [
  shape('prefix', 'tcp', { rule: (i) => ({ from: [prefix(i)] }), flow: from }),
  shape('prefix, one protocol of three', 'tcp', {
    rule: (i) => ({ from: [prefix(i)], protocols: [['ssh', 'mysql', 'tls'][i % 3]!] }),
    flow: from,
  }),
  shape('pool', 'tcp', { rule: (i) => ({ from: [`p${i}`] }), pools: (i) => [`${net(i)}.7:1`], flow: from }),
  shape('country', 'tcp', { rule: segment, segment: (i) => ({ countries: [`x${i}`] }), knowledge: knowledge('countries'), flow: from }),
  shape('country, not known', 'tcp', { rule: segment, segment: (i) => ({ countries: [`x${i}`] }), flow: from }),
  shape('ASN', 'tcp', { rule: segment, segment: (i) => ({ asns: [i] }), knowledge: knowledge('asns'), flow: from }),
  shape('name', 'tcp', { rule: segment, segment: (i) => ({ dns: [`x${i}`] }), knowledge: knowledge('names'), flow: from }),
  shape('prefix, except one', 'tcp', { rule: (i) => ({ from: [prefix(i)], except: [`${net(i)}.9/32`] }), flow: from }),
  shape('identity segment', 'tcp', { rule: segment, segment: (i) => ({ identities: [id(i)] }), flow: known }),
  shape('identity', 'tcp', { rule: (i) => ({ identities: [id(i)] }), flow: known }),
  shape('mixed segment', 'tcp', { rule: segment, segment: both, flow: either }),
  shape('mixed segment, allow and deny', 'tcp', {
    rule: (i) => ({ ...segment(i), action: i % 2 === 0 ? 'allow' : 'deny' }),
    segment: both,
    flow: either,
  }),
  shape('mixed segment, addresses of all', 'tcp', {
    rule: segment,
    segment: (i) => ({ addresses: ['10.0.0.0/8'], identities: [id(i)] }),
    flow: either,
  }),
  shape('mixed segment and protocol', 'tcp', {
    rule: (i) => ({ ...segment(i), protocols: [['ssh', 'mysql', 'tls'][i % 3]!] }),
    segment: both,
    flow: either,
  }),
  shape('mixed segment and path', 'http', {
    rule: (i) => ({ ...segment(i), http: paths(i) }),
    segment: both,
    flow: (i) => ({ ...http(i), ...from(i) }),
  }),
  shape('mixed segment and one path', 'http', {
    rule: (i) => ({ ...segment(i), http: paths(0) }),
    segment: both,
    flow: (i) => ({ ...known(i), ...http(0) }),
  }),
  shape('one mixed segment and path', 'http', {
    rule: (i) => ({ from: ['office'], http: paths(i) }),
    office: { addresses: ['10.0.0.0/8'], identities: [id(1)] },
    flow: (i) => ({ ...http(i), ...(i % 2 === 0 ? from(i) : { identities: [id(1)] }) }),
  }),
  shape('mixed segment in a segment, except', 'tcp', {
    rule: (i) => ({ from: [`s${i}`], except: ['office'] }),
    office: { addresses: ['10.200.0.0/16'], identities: ['cn:guest'] },
    segment: both,
    flow: either,
  }),
  shape('prefix and identity', 'tcp', {
    rule: (i) => ({ from: [prefix(i)], identities: [id(i)] }),
    flow: (i) => ({ ...known(i), ...from(i) }),
  }),
  shape('any except identity, and path', 'http', {
    rule: (i) => ({ except: [`s${i}`], http: paths(i) }),
    segment: (i) => ({ identities: [id(i)] }),
    flow: http,
  }),
  shape('any except prefix, and path', 'http', { rule: (i) => ({ except: [prefix(i)], http: paths(i) }), flow: http }),
];

const CONNECTIONS: readonly Shape[] = [
  shape('SNI', 'tcp', { rule: (i) => ({ tls: { sni: [`shop-${i}.example`] } }), flow: (i) => hello({ sni: `shop-${i}.example` }) }),
  shape('SNI below', 'tcp', {
    rule: (i) => ({ tls: { sni: [`*.shop-${i}.example`] } }),
    flow: (i) => hello({ sni: `www.shop-${i}.example` }),
  }),
  shape('ALPN', 'tcp', { rule: (i) => ({ tls: { alpn: [`p${i}`] } }), flow: (i) => hello({ alpn: ['h2', `p${i}`] }) }),
  shape('JA4', 'tcp', { rule: (i) => ({ tls: { ja4: [`t13d${i}_*`] } }), flow: (i) => hello({ ja4: `t13d${i}_a` }) }),
  shape('one SNI, identity', 'tcp', {
    rule: (i) => ({ tls: { sni: ['shop.example'] }, identities: [id(i)] }),
    flow: (i) => ({ ...hello({ sni: 'shop.example' }), identities: [id(i)] }),
  }),
  shape('SNI, one identity', 'tcp', {
    rule: (i) => ({ tls: { sni: [`shop-${i}.example`] }, identities: [id(1)] }),
    flow: (i) => ({ ...hello({ sni: `shop-${i}.example` }), identities: [id(1)] }),
  }),
  shape('protocol', 'tcp', {
    rule: (i) => ({ protocols: [['ssh', 'mysql', 'tls', 'redis', 'nats'][i % 5]!] }),
    flow: (i) => (i < 0 ? { protocol: 'ftp' } : {}),
  }),
  shape('identity, any of all protocols', 'tcp', {
    rule: (i) => ({ identities: [id(i)], protocols: [PROTOCOLS[i % PROTOCOLS.length]!] }),
    flow: (i) => ({ ...known(i), protocol: PROTOCOLS[Math.max(0, i) % PROTOCOLS.length]! }),
  }),
  shape('port', 'tcp', { rule: (i) => ({ ports: [[i, i]] }) }),
];

const REQUESTS: readonly Shape[] = [
  shape('path', 'http', { rule: (i) => ({ http: { paths: [path(i)] } }), flow: http }),
  shape('path below', 'http', { rule: (i) => ({ http: paths(i) }), flow: http }),
  shape('path below, allow and deny', 'http', { rule: (i) => ({ http: paths(i), action: i % 2 === 0 ? 'allow' : 'deny' }), flow: http }),
  shape('path, protocol', 'http', { rule: (i) => ({ http: paths(i), protocols: ['http', 'h2'] }), flow: http }),
  shape('prefix and path', 'http', { rule: (i) => ({ from: [prefix(i)], http: paths(i) }), flow: (i) => ({ ...http(i), ...from(i) }) }),
  shape('prefix and one path', 'http', { rule: (i) => ({ from: [prefix(i)], http: paths(0) }), flow: (i) => ({ ...http(0), ...from(i) }) }),
  shape('host', 'http', { rule: (i) => ({ http: { hosts: [`shop-${i}.example`] } }), flow: (i) => http(0, { host: `shop-${i}.example` }) }),
  shape('host below', 'http', {
    rule: (i) => ({ http: { hosts: [`*.shop-${i}.example`] } }),
    flow: (i) => http(0, { host: `www.shop-${i}.example` }),
  }),
  shape('100 hosts by paths', 'http', {
    rule: (i) => ({ http: { hosts: [`shop-${i % 100}.example`], paths: [`/service-${Math.floor(i / 100)}/*`] } }),
    flow: (i) => http(Math.floor(i / 100), { host: `shop-${i % 100}.example` }),
  }),
  shape('method', 'http', { rule: (i) => ({ http: { methods: [`M${i}`] } }), flow: (i) => http(0, { method: `M${i}` }) }),
  shape('one method and path', 'http', { rule: (i) => ({ http: { methods: ['GET'], ...paths(i) } }), flow: http }),
  shape('value of a field', 'http', {
    rule: (i) => ({ http: { headers: [{ name: 'x-tenant', values: [`tenant-${i}`] }] } }),
    flow: (i) => ({ ...http(0), head: headWith('X-Tenant', `tenant-${i}`) }),
  }),
  shape('22 hosts by 22 paths by 22 identities', 'http', {
    rule: (i) => ({
      identities: [id(i % 22)],
      http: { hosts: [`shop-${Math.floor(i / 22) % 22}.example`], paths: [`/service-${Math.floor(i / 484)}/*`] },
    }),
    flow: (i) => (i < 0 ? {} : { ...known(i % 22), ...http(Math.floor(i / 484), { host: `shop-${Math.floor(i / 22) % 22}.example` }) }),
  }),
  shape('10 SNIs by 10 identities by 10 hosts by 10 paths', 'http', {
    rule: (i) => ({
      tls: { sni: [`sni-${i % 10}.example`] },
      identities: [id(digit(i, 1))],
      http: { hosts: [`shop-${digit(i, 2)}.example`], paths: [`/service-${digit(i, 3)}/*`] },
    }),
    flow: (i) => ({
      ...hello({ sni: `sni-${Math.max(0, i) % 10}.example` }),
      ...http(digit(i, 3), { host: `shop-${digit(i, 2)}.example` }),
      identities: known(digit(i, 1)).identities!,
    }),
  }),
  shape('name of a field', 'http', {
    rule: (i) => ({ http: { headers: [{ name: `x-${i}`, values: ['*'] }] } }),
    flow: (i) => ({ ...http(0), head: headWith(`X-${i}`, 'a') }),
  }),
  shape('one identity and path', 'http', {
    rule: (i) => ({ identities: [id(1)], http: paths(i) }),
    flow: (i) => ({ ...known(1), ...http(i) }),
  }),
  shape('one identity and path, allow and deny', 'http', {
    rule: (i) => ({ identities: [id(1)], http: paths(i), action: i % 2 === 0 ? 'allow' : 'deny' }),
    flow: (i) => ({ ...known(1), ...http(i) }),
  }),
  shape('identity and one path', 'http', {
    rule: (i) => ({ identities: [id(i)], http: paths(0) }),
    flow: (i) => ({ ...known(i), ...http(0) }),
  }),
  shape('100 identities by paths', 'http', {
    rule: (i) => ({ identities: [id(i % 100)], http: paths(Math.floor(i / 100)) }),
    flow: (i) => ({ ...known(i % 100), ...http(Math.floor(i / 100)) }),
  }),
  shape('100 mixed segments by paths', 'http', {
    rule: (i) => ({ from: [`s${i % 100}`], http: paths(Math.floor(i / 100)) }),
    segment: both,
    flow: (i) => ({ ...either(i % 100), ...http(Math.floor(i / 100)) }),
  }),
  shape('hosts by paths by methods', 'http', {
    rule: (i) => ({ http: { hosts: [`h${i % 22}`], paths: [`/p${Math.floor(i / 22) % 22}`], methods: [`M${Math.floor(i / 484)}`] } }),
    flow: (i) => http(0, { host: `h${i % 22}`, path: `/p${Math.floor(i / 22) % 22}`, method: `M${Math.floor(i / 484)}` }),
  }),
  shape('identity and path', 'http', {
    rule: (i) => ({ identities: [id(i)], http: paths(i) }),
    flow: (i) => ({ ...known(i), ...http(i) }),
  }),
];

const postgres = (user: string, database: string): Partial<ShapeFlow> => ({
  protocol: 'postgres',
  request: { kind: 'postgres', user, database },
});
const mysql = (user: string, schema: string): Partial<ShapeFlow> => ({ protocol: 'mysql', request: { kind: 'mysql', user, schema } });
const redis = (command: string, ...keys: string[]): Partial<ShapeFlow> => ({
  protocol: 'redis',
  request: { kind: 'redis', user: 'default', command, keys },
});

const DATABASES: readonly Shape[] = [
  shape('user', 'tcp', {
    rule: (i) => ({ database: { kind: 'postgres', users: [`u${i}`], databases: null } }),
    flow: (i) => postgres(`u${i}`, 'x'),
  }),
  shape('database', 'tcp', {
    rule: (i) => ({ database: { kind: 'postgres', users: null, databases: [`d${i}`] } }),
    flow: (i) => postgres('u', `d${i}`),
  }),
  shape('schema', 'tcp', {
    rule: (i) => ({ database: { kind: 'mysql', users: null, schemas: [`d${i}*`] } }),
    flow: (i) => mysql('u', `d${i}`),
  }),
  shape('prefix and user', 'tcp', {
    rule: (i) => ({ from: [prefix(i)], database: { kind: 'postgres', users: [`u${i}`], databases: null } }),
    flow: (i) => ({ ...postgres(`u${i}`, 'x'), ...from(i) }),
  }),
  shape('one identity and database', 'tcp', {
    rule: (i) => ({ identities: [id(1)], database: { kind: 'postgres', users: null, databases: [`d${i}`] } }),
    flow: (i) => ({ ...known(1), ...postgres('u', `d${i}`) }),
  }),
  shape('command', 'tcp', {
    rule: (i) => ({ database: { kind: 'redis', users: null, commands: [`c${i}`], keys: null } }),
    flow: (i) => redis(`c${i}`),
  }),
  shape('keys', 'tcp', {
    rule: (i) => ({ database: { kind: 'redis', users: null, commands: null, keys: [`app-${i}:*`] } }),
    flow: (i) => redis('get', `app-${i}:1`),
  }),
  shape('keys, one command', 'tcp', {
    rule: (i) => ({ database: { kind: 'redis', users: null, commands: ['get'], keys: [`app-${i}:*`] } }),
    flow: (i) => redis('get', `app-${i}:1`),
  }),
  shape('keys, denied', 'tcp', {
    rule: (i) => ({ action: 'deny', database: { kind: 'redis', users: null, commands: null, keys: [`app-${i}:*`] } }),
    flow: (i) => redis('mget', `app-${i}:1`, 'other'),
  }),
];

const TREATMENTS: readonly Shape[] = [
  shape('schedule', 'http', {
    rule: (i) => ({ http: paths(i), schedule: { days: i % 2 === 0 ? ['mon'] : ['tue'], hours: [[0, MINUTES_OF_DAY]], timeZone: 'UTC' } }),
    flow: http,
  }),
  shape('until', 'http', { rule: (i) => ({ http: paths(i), until: i % 2 === 0 ? 1 : 2 ** 42 }), flow: http }),
  shape('log', 'http', { rule: (i) => ({ http: paths(i), log: true }), flow: http }),
  shape('deny-with', 'http', { rule: (i) => ({ http: paths(i), action: 'deny', denyWith: 'reply' }), flow: http }),
  shape('shadow, prefix', 'tcp', { rule: (i) => ({ shadow: true, from: [prefix(i)] }), flow: from }),
  shape('shadow, path', 'http', { rule: (i) => ({ shadow: true, http: paths(i) }), flow: http }),
  shape('shadow, identity', 'tcp', { rule: (i) => ({ shadow: true, identities: [id(i)] }), flow: known }),
  shape('shadow, mixed segment', 'tcp', { rule: (i) => ({ shadow: true, ...segment(i) }), segment: both, flow: either }),
  shape('shadow, keys', 'tcp', {
    rule: (i) => ({ shadow: true, database: { kind: 'redis', users: null, commands: null, keys: [`app-${i}:*`] } }),
    flow: (i) => redis('get', `app-${i}:1`),
  }),
  shape('guardrail, pass by path', 'http', { tier: 'guardrails', rule: (i) => ({ action: 'pass', http: paths(i) }), flow: http }),
  shape('guardrail, deny by path', 'http', { tier: 'guardrails', rule: (i) => ({ action: 'deny', http: paths(i) }), flow: http }),
  shape('guardrail, pass by identity', 'tcp', { tier: 'guardrails', rule: (i) => ({ action: 'pass', identities: [id(i)] }), flow: known }),
  shape('guardrail, pass by prefix and protocol', 'tcp', {
    tier: 'guardrails',
    rule: (i) => ({ action: i % 2 === 0 ? 'pass' : 'deny', from: [prefix(i >>> 1)], protocols: [['ssh', 'mysql'][i % 2]!] }),
    flow: (i) => from(i >>> 1),
  }),
  shape('baseline, path', 'http', { tier: 'baseline', rule: (i) => ({ http: paths(i) }), flow: http }),
];

export const SHAPES: readonly Shape[] = [...SOURCES, ...CONNECTIONS, ...REQUESTS, ...DATABASES, ...TREATMENTS];
