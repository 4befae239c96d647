/**
 * The policy once more, as slowly and plainly as possible: rules are walked one by one, ipaddr.js knows containment, and paths are
 * matched as people would read the patterns. Shares no code with policy/.
 */
import ipaddr from 'ipaddr.js';
import type { Prefix } from '../../config/address.ts';
import type { Application, Document, Rule, SourceTerm } from '../../config/document.ts';
import type { DatabaseMatch, HttpMatch, TlsMatch } from '../../config/match.ts';

export interface OracleFlow {
  /** Address as text; null over a unix socket. */
  readonly source: string | null;
  /** null on a unix socket. */
  readonly port: number | null;
  readonly protocols: number;
  readonly request: { method: string; host: string; path: string };
  readonly headers?: readonly (readonly [string, string])[];
  readonly tls?: OracleTls;
  readonly identities?: readonly string[];
  /** Of a flow to a database; null is what cannot be told. */
  readonly query?: OracleQuery | null;
}

/**
 * What is found on live flows in an application of a mode, written out: each with the protocol that the flow is named by, and for a WebSocket
 * over HTTP/2 what carries it. In mode http every request is `http`; in mode tcp first bytes are all that is seen, and HTTP/2 begins otherwise.
 */
export function liveFlows(mode: 'http' | 'tcp'): readonly { named: readonly string[]; found: readonly string[] }[] {
  if (mode === 'http') {
    return [
      { named: ['http'], found: ['http'] },
      { named: ['h2'], found: ['http', 'h2'] },
      { named: ['grpc'], found: ['http', 'h2', 'grpc'] },
      { named: ['websocket'], found: ['http', 'websocket'] },
      { named: ['websocket', 'h2'], found: ['http', 'h2', 'websocket'] },
    ];
  }
  const alone = ['unknown', 'http', 'h2', 'tls', 'postgres', 'mysql', 'redis', 'ssh', 'amqp'];
  return [
    ...alone.map((name) => ({ named: [name], found: [name] })),
    { named: ['grpc'], found: ['h2', 'grpc'] },
    { named: ['websocket'], found: ['http', 'websocket'] },
    { named: ['websocket', 'h2'], found: ['h2'] },
  ];
}

export interface OracleTls {
  readonly sni: string | null;
  readonly alpn: readonly string[];
  readonly ja4: string | null;
}

export type OracleQuery =
  | { readonly kind: 'postgres'; readonly user: string | null; readonly database: string | null }
  | { readonly kind: 'mysql'; readonly user: string | null; readonly schema: string | null }
  | { readonly kind: 'redis'; readonly user: string | null; readonly command: string | null; readonly keys: readonly string[] | null };

/** Prefixes by country; one that is missing is not known. */
export type Countries = ReadonlyMap<string, readonly Prefix[]>;

export interface OracleAnswer {
  /** The verdict and the rule's name with its tier. */
  readonly verdict: string;
  /** Shadow rules that were met and matched, in the order of tiers. */
  readonly shadows: readonly string[];
}

export function oracle(
  document: Document,
  application: Application,
  flow: OracleFlow,
  now: number | null = null,
  countries: Countries = new Map(),
): string {
  return oracleAnswer(document, application, flow, now, countries).verdict;
}

export function oracleAnswer(
  document: Document,
  application: Application,
  flow: OracleFlow,
  now: number | null,
  countries: Countries = new Map(),
): OracleAnswer {
  const inSource = memberships(document, flow.source, flow.identities ?? [], countries);
  if (flow.source !== null && document.networks.cluster.some((prefix) => contains(prefix, flow.source!)))
    return { verdict: 'allow cluster/cluster', shadows: [] };
  const matches = (rule: Rule) => {
    if (!holdsNow(rule, now)) return false;
    // Who denies speaks of all who may be meant, who allows of those who are; with exceptions it is the other way round.
    const [wide, narrow] = rule.action === 'deny' ? [true, false] : [false, true];
    if (!rule.from.some((term) => inSource(term, wide)) || rule.except.some((term) => inSource(term, narrow))) return false;
    if (rule.ports !== null && !rule.ports.some(([a, b]) => flow.port !== null && flow.port >= a && flow.port <= b)) return false;
    if (rule.protocols !== null && (rule.protocols & flow.protocols) === 0) return false;
    if (rule.tls !== null && !matchesHello(rule.tls, flow.tls ?? { sni: null, alpn: [], ja4: null })) return false;
    if (rule.identities !== null && !(flow.identities ?? []).some((identity) => isOneOf(rule.identities!, identity))) return false;
    if (rule.database !== null && (application.mode !== 'tcp' || !matchesQuery(rule, rule.database, flow.query ?? null))) return false;
    return rule.http === null || (application.mode === 'http' && matchesHttp(rule, rule.http, flow));
  };
  const shadows: string[] = [];
  for (const [tier, rules] of [
    ['guardrail', document.guardrails],
    ['application', application.rules],
    ['baseline', document.baseline],
  ] as const) {
    for (const rule of rules) {
      if (!matches(rule)) continue;
      if (rule.shadow) {
        shadows.push(`${tier}/${rule.name}`);
        continue;
      }
      if (rule.action === 'pass') break;
      return { verdict: `${rule.action} ${tier}/${rule.name}`, shadows };
    }
  }
  return { verdict: 'deny default/default', shadows };
}

const clocks = new Map<string, string>();

function clock(timeZone: string, options: Intl.DateTimeFormatOptions, moment: number): string {
  const key = `${timeZone} ${moment} ${JSON.stringify(options)}`;
  let text = clocks.get(key);
  if (text === undefined) {
    text = new Intl.DateTimeFormat('en-GB', { timeZone, ...options }).format(moment);
    clocks.set(key, text);
  }
  return text;
}

/** By the day and the minute that Intl writes for the zone. */
function holdsNow({ until, schedule }: Rule, now: number | null): boolean {
  if (now === null) return true;
  if (until !== null && until <= now) return false;
  if (schedule === null) return true;
  const shown = (moment: number, options: Intl.DateTimeFormatOptions) => clock(schedule.timeZone, options, moment);
  const [hour, minute] = shown(now, { hour: '2-digit', minute: '2-digit' }).split(':').map(Number) as [number, number];
  const day = (moment: number) => shown(moment, { weekday: 'short' }).toLowerCase() as (typeof schedule.days)[number];
  const time = hour * 60 + minute;
  return schedule.hours.some(([from, to]) => {
    if (from < to) return schedule.days.includes(day(now)) && from <= time && time < to;
    return time >= from ? schedule.days.includes(day(now)) : time < to && schedule.days.includes(day(now - 86_400_000));
  });
}

/** Whether a source is meant by a term: surely, or (`maybe`) as far as what is not known may tell. */
function memberships(
  document: Document,
  source: string | null,
  identities: readonly string[],
  countries: Countries,
): (term: SourceTerm, maybe: boolean) => boolean {
  const known = new Map<string, boolean>();
  const inPool = (name: string) =>
    source !== null &&
    document.pools
      .find((pool) => pool.name === name)!
      .servers.some(({ endpoint }) => endpoint.kind === 'tcp' && sameAddress(endpoint.text, source));
  const inSegment = (name: string, maybe: boolean): boolean => {
    let answer = known.get(`${name} ${maybe}`);
    if (answer === undefined) {
      const segment = document.segments.find((candidate) => candidate.name === name)!;
      const added =
        (source !== null && segment.addresses.some((prefix) => contains(prefix, source))) ||
        segment.identities.some((pattern) => identities.some((identity) => isOneOf([pattern], identity))) ||
        segment.pools.some(inPool) ||
        segment.segments.some((other) => inSegment(other, maybe)) ||
        segment.countries.some((country) => {
          const prefixes = countries.get(country);
          if (prefixes === undefined) return maybe && segment.unknown === 'deny';
          return source !== null && prefixes.some((prefix) => contains(prefix, source));
        });
      answer = added && !segment.except.some((term) => inTerm(term, !maybe));
      known.set(`${name} ${maybe}`, answer);
    }
    return answer;
  };
  const inTerm = (term: SourceTerm, maybe: boolean): boolean => {
    if (term.kind === 'any') return true;
    if (term.kind === 'prefix') return source !== null && contains(term.prefix, source);
    return term.kind === 'pool' ? inPool(term.name) : inSegment(term.name, maybe);
  };
  return inTerm;
}

const parsed = new Map<string, [ipaddr.IPv4 | ipaddr.IPv6, number]>();
const addresses = new Map<string, ipaddr.IPv4 | ipaddr.IPv6>();

function contains(prefix: Prefix, source: string): boolean {
  let range = parsed.get(prefix.text);
  if (range === undefined) {
    const [base, bits] = prefix.text.includes('/') ? ipaddr.parseCIDR(prefix.text) : [ipaddr.parse(prefix.text), -1];
    const whole = base.kind() === 'ipv4' ? 32 : 128;
    const length = bits < 0 ? whole : bits;
    const mapped = base.kind() === 'ipv6' && (base as ipaddr.IPv6).isIPv4MappedAddress() && length >= 96;
    range = mapped ? [(base as ipaddr.IPv6).toIPv4Address(), length - 96] : [base, length];
    parsed.set(prefix.text, range);
  }
  const address = process(source);
  return address.kind() === range[0].kind() && address.match(range[0] as ipaddr.IPv4 & ipaddr.IPv6, range[1]);
}

function process(source: string): ipaddr.IPv4 | ipaddr.IPv6 {
  let address = addresses.get(source);
  if (address === undefined) {
    if (addresses.size > 10_000) addresses.clear();
    address = ipaddr.process(source);
    addresses.set(source, address);
  }
  return address;
}

function sameAddress(endpoint: string, source: string): boolean {
  const host = endpoint.slice(0, endpoint.lastIndexOf(':')).replace(/[[\]]/g, '');
  return ipaddr.process(host).toNormalizedString() === process(source).toNormalizedString();
}

function matchesHttp(rule: Rule, http: HttpMatch, { request: { method, host, path }, headers = [] }: OracleFlow): boolean {
  for (const { name, values } of http.headers ?? []) {
    const lines = headers.filter(([other]) => other === name);
    const right = lines.filter(([, line]) =>
      values.some((value) => (value.endsWith('*') ? line.startsWith(value.slice(0, -1)) : line === value)),
    );
    if (right.length === 0 || (rule.action !== 'deny' && right.length < lines.length)) return false;
  }
  if (http.methods !== null && !http.methods.includes(method)) return false;
  if (http.hosts !== null && !http.hosts.some((pattern) => globOf(pattern).test(host))) return false;
  return (
    http.paths === null ||
    http.paths.some((pattern) => globOf(pattern).test(path) || (pattern.endsWith('/*') && globOf(pattern.slice(0, -2)).test(path)))
  );
}

/** Whether a text is one of those, or begins as one that ends in a star does. */
function isOneOf(patterns: readonly string[], text: string): boolean {
  return patterns.some((pattern) => (pattern.at(-1) === '*' ? text.indexOf(pattern.slice(0, -1)) === 0 : pattern === text));
}

function matchesHello({ sni, alpn, ja4 }: TlsMatch, hello: OracleTls): boolean {
  if (sni !== null && !sni.some((pattern) => hello.sni !== null && globOf(pattern).test(hello.sni))) return false;
  if (alpn !== null && !alpn.some((name) => hello.alpn.some((offered) => offered === name))) return false;
  return ja4 === null || (hello.ja4 !== null && isOneOf(ja4, hello.ja4));
}

/** What cannot be told counts against the client: for a denial it is what it asks for, for everything else it is not. */
function matchesQuery({ action }: Rule, database: DatabaseMatch, query: OracleQuery | null): boolean {
  if (query === null || query.kind !== database.kind) return false;
  const blind = action === 'deny';
  const is = (patterns: readonly string[] | null, text: string | null) =>
    patterns === null || (text === null ? blind : isOneOf(patterns, text));
  if (!is(database.users, query.user)) return false;
  if (database.kind === 'postgres') return is(database.databases, (query as { database: string | null }).database);
  if (database.kind === 'mysql') return is(database.schemas, (query as { schema: string | null }).schema);
  const { command, keys } = query as { command: string | null; keys: readonly string[] | null };
  const meant = (database.commands ?? []).flatMap((name) => (/[*|]/.test(name) ? [name] : [name, `${name}|*`]));
  if (database.commands !== null && !is(meant, command)) return false;
  if (database.keys === null) return true;
  if (keys === null) return blind;
  const right = keys.filter((key) => isOneOf(database.keys!, key)).length;
  return right > 0 && (blind || right === keys.length);
}

const globs = new Map<string, RegExp>();

/** `*` stands for anything; in front of a host for at least one character. */
function globOf(pattern: string): RegExp {
  let glob = globs.get(pattern);
  if (glob === undefined) {
    const escaped = pattern.toLowerCase().replace(/[.+?^${}()|[\]\\]/g, '\\$&');
    glob = new RegExp(`^${escaped.startsWith('*\\.') ? `.+${escaped.slice(1)}` : escaped.replace('*', '.*')}$`, 's');
    globs.set(pattern, glob);
  }
  return glob;
}
