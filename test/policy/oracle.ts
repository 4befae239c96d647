/**
 * The policy once more, as slowly and plainly as possible: rules are walked one by one, ipaddr.js knows containment, and paths are
 * matched as people would read the patterns. Shares no code with policy/.
 */
import ipaddr from 'ipaddr.js';
import type { Prefix } from '../../config/address.ts';
import type { Application, Document, HttpMatch, Rule, SourceTerm } from '../../config/document.ts';

export interface OracleFlow {
  /** Address as text; null over a unix socket. */
  readonly source: string | null;
  /** null on a unix socket. */
  readonly port: number | null;
  readonly protocols: number;
  readonly request: { method: string; host: string; path: string };
}

/** The verdict and the rule's name with its tier. */
export function oracle(document: Document, application: Application, flow: OracleFlow): string {
  const inSource = memberships(document, flow.source);
  if (flow.source !== null && document.networks.cluster.some((prefix) => contains(prefix, flow.source!))) return 'allow cluster/cluster';
  const matches = (rule: Rule) => {
    if (!rule.from.some(inSource) || rule.except.some(inSource)) return false;
    if (rule.ports !== null && !rule.ports.some(([a, b]) => flow.port !== null && flow.port >= a && flow.port <= b)) return false;
    if (rule.protocols !== null && (rule.protocols & flow.protocols) === 0) return false;
    return rule.http === null || (application.mode === 'http' && matchesHttp(rule.http, flow.request));
  };
  const guardrail = document.guardrails.find(matches);
  if (guardrail !== undefined && guardrail.action !== 'pass') return `${guardrail.action} guardrail/${guardrail.name}`;
  const own = application.rules.find(matches);
  if (own !== undefined) return `${own.action} application/${own.name}`;
  const base = document.baseline.find(matches);
  return base === undefined ? 'deny default/default' : `${base.action} baseline/${base.name}`;
}

function memberships(document: Document, source: string | null): (term: SourceTerm) => boolean {
  const known = new Map<string, boolean>();
  const inPool = (name: string) =>
    source !== null &&
    document.pools
      .find((pool) => pool.name === name)!
      .servers.some(({ endpoint }) => endpoint.kind === 'tcp' && sameAddress(endpoint.text, source));
  const inSegment = (name: string): boolean => {
    let answer = known.get(name);
    if (answer === undefined) {
      const segment = document.segments.find((candidate) => candidate.name === name)!;
      const added =
        (source !== null && segment.addresses.some((prefix) => contains(prefix, source))) ||
        segment.pools.some(inPool) ||
        segment.segments.some(inSegment);
      answer = added && !segment.except.some(inTerm);
      known.set(name, answer);
    }
    return answer;
  };
  const inTerm = (term: SourceTerm): boolean => {
    if (term.kind === 'any') return true;
    if (term.kind === 'prefix') return source !== null && contains(term.prefix, source);
    return term.kind === 'pool' ? inPool(term.name) : inSegment(term.name);
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

function matchesHttp(http: HttpMatch, { method, host, path }: OracleFlow['request']): boolean {
  if (http.methods !== null && !http.methods.includes(method)) return false;
  if (http.hosts !== null && !http.hosts.some((pattern) => globOf(pattern).test(host))) return false;
  return (
    http.paths === null ||
    http.paths.some((pattern) => globOf(pattern).test(path) || (pattern.endsWith('/*') && globOf(pattern.slice(0, -2)).test(path)))
  );
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
