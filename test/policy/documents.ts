/** Documents in a few words, for tests: names, prefixes and endpoints as text, everything else with a plain default. */
import { formatHostPort, parseAddress, parsePrefix } from '../../config/address.ts';
import type {
  Action,
  Application,
  DenyWith,
  Document,
  Endpoint,
  FlowQuestion,
  Pool,
  Rule,
  Schedule,
  Segment,
  SourceTerm,
} from '../../config/document.ts';
import type { DatabaseMatch, HttpMatch, OnRevoke, TlsMatch } from '../../config/match.ts';
import { PLAIN_QUESTION } from '../../config/match.ts';
import { protocolBit } from '../../config/protocols.ts';

/** Each rule a line of its own, so that a place tells which one it is. */
let line = 0;

export interface RuleWords {
  name?: string;
  from?: string[];
  except?: string[];
  ports?: [number, number][];
  protocols?: string[];
  http?: Partial<HttpMatch>;
  until?: number;
  schedule?: Schedule;
  shadow?: boolean;
  log?: boolean;
  denyWith?: DenyWith;
  tls?: Partial<TlsMatch>;
  identities?: string[];
  database?: DatabaseMatch;
  onRevoke?: OnRevoke;
  action: Action;
}

export interface ApplicationWords {
  vips?: string[];
  mode?: 'http' | 'tcp';
  observe?: boolean;
  rules?: RuleWords[];
}

export interface DocumentWords {
  segments?: Record<
    string,
    {
      addresses?: string[];
      pools?: string[];
      segments?: string[];
      countries?: string[];
      asns?: number[];
      dns?: string[];
      identities?: string[];
      unknown?: 'deny' | 'ignore';
      except?: string[];
    }
  >;
  pools?: Record<string, string[]>;
  cluster?: string[];
  applications?: Record<string, ApplicationWords>;
  guardrails?: RuleWords[];
  baseline?: RuleWords[];
}

/** A term is `any`, a prefix, or the name of a segment or else of a pool. */
export function documentOf(words: DocumentWords): Document {
  line = 0;
  const segments = words.segments ?? {};
  const pools: Record<string, string[]> = { servers: ['127.0.0.1:9000'], ...words.pools };
  const termOf = (text: string): SourceTerm => {
    if (text === 'any') return { kind: 'any' };
    if (text in segments) return { kind: 'segment', name: text };
    if (text in pools) return { kind: 'pool', name: text };
    return { kind: 'prefix', prefix: prefixOf(text) };
  };
  const ruleOf = (rule: RuleWords, index: number): Rule => ({
    name: rule.name ?? `r${index}`,
    action: rule.action,
    from: (rule.from ?? ['any']).map(termOf),
    except: (rule.except ?? []).map(termOf),
    ports: rule.ports ?? null,
    protocols:
      rule.database !== undefined ? protocolBit(rule.database.kind)! : rule.protocols === undefined ? null : protocolsOf(rule.protocols),
    http: rule.http === undefined ? null : { methods: null, hosts: null, paths: null, headers: null, ...rule.http },
    until: rule.until ?? null,
    schedule: rule.schedule ?? null,
    shadow: rule.shadow ?? false,
    log: rule.log ?? false,
    denyWith: rule.denyWith ?? null,
    tls: rule.tls === undefined ? null : { sni: null, alpn: null, ja4: null, ...rule.tls },
    identities: rule.identities ?? null,
    database: rule.database ?? null,
    onRevoke: rule.onRevoke ?? null,
    limits: null,
    place: place(),
  });
  return {
    version: 1,
    process: {
      node: 'test',
      workers: 1,
      admin: null,
      state: null,
      journal: { sizeBytes: 0, segmentBytes: 0, ageMs: null },
      log: { level: 'silent' },
      answers: 'brief',
      connections: 1000,
      geo: { country: null, asn: null },
      resolvers: [],
      adminTokens: [],
      adminTls: null,
    },
    networks: { inbound: [], outbound: [], cluster: (words.cluster ?? []).map(prefixOf) },
    segments: Object.entries(segments).map(
      ([name, segment]): Segment => ({
        name,
        addresses: (segment.addresses ?? []).map(prefixOf),
        pools: segment.pools ?? [],
        segments: segment.segments ?? [],
        countries: segment.countries ?? [],
        asns: segment.asns ?? [],
        dns: segment.dns ?? [],
        identities: segment.identities ?? [],
        unknown: segment.unknown ?? 'deny',
        except: (segment.except ?? []).map(termOf),
        place: place(),
      }),
    ),
    pools: Object.entries(pools).map(([name, servers]) => poolOf(name, servers)),
    applications: Object.entries(words.applications ?? {}).map(
      ([name, application]): Application => ({
        name,
        vips: (application.vips ?? ['10.0.0.1:80']).map((text) => ({ endpoint: endpointOf(text), place: place() })),
        mode: application.mode ?? 'tcp',
        pool: 'servers',
        routes: [],
        trusted: [],
        tokens: [],
        enforcement: application.observe ? 'observe' : 'enforce',
        rules: (application.rules ?? []).map(ruleOf),
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
        place: place(),
      }),
    ),
    guardrails: (words.guardrails ?? []).map((rule, index) => ruleOf({ name: `g${index}`, ...rule }, index)),
    baseline: (words.baseline ?? []).map((rule, index) => ruleOf({ name: `b${index}`, ...rule }, index)),
    tests: [],
    source: null,
  };
}

export function question(
  from: string,
  to: string,
  more: { protocol?: string; method?: string; host?: string; path?: string; headers?: [string, string][]; at?: number } & Partial<
    Pick<FlowQuestion, keyof typeof PLAIN_QUESTION>
  > = {},
): FlowQuestion {
  return {
    from: parseAddress(from)!,
    to: endpointOf(to),
    protocols: more.protocol === undefined ? 0 : protocolBit(more.protocol)!,
    method: more.method ?? null,
    host: more.host ?? null,
    path: more.path ?? null,
    headers: more.headers ?? [],
    ...PLAIN_QUESTION,
    ...Object.fromEntries(Object.keys(PLAIN_QUESTION).flatMap((key) => (key in more ? [[key, more[key as 'user']]] : []))),
    at: more.at ?? null,
  };
}

export function protocolsOf(names: readonly string[]): number {
  return names.reduce((set, name) => set | protocolBit(name)!, 0);
}

export function endpointOf(text: string): Endpoint {
  if (text.startsWith('unix:')) return { kind: 'unix', path: text.slice(5), text };
  const colon = text.lastIndexOf(':');
  const address = parseAddress(text.slice(0, colon).replace(/^\[(.*)\]$/, '$1'))!;
  const port = Number(text.slice(colon + 1));
  return { kind: 'tcp', address, port, text: formatHostPort(address, port) };
}

function prefixOf(text: string) {
  const prefix = parsePrefix(text);
  if (prefix === null) throw new Error(`neither a name nor a prefix: ${text}`);
  return prefix;
}

function poolOf(name: string, servers: readonly string[]): Pool {
  return {
    name,
    balance: 'round-robin',
    servers: servers.map((text) => ({ endpoint: endpointOf(text), weight: 1, drain: false, place: place() })),
    health: { type: 'tcp', path: '/', host: null, expect: [], intervalMs: 1, timeoutMs: 1, rise: 1, fall: 1 },
    ejection: null,
    retries: { attempts: 0, budget: 0 },
    idleConnections: 0,
    idleTimeoutMs: 1,
    protocol: 'http',
    place: place(),
  };
}

function place() {
  return { file: 'test.yaml', line: ++line, column: 5 };
}
