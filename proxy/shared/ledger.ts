/**
 * Counters. Each worker has a slice of shared memory that it alone writes; the main thread reads them and adds up. A policy in
 * force has its own layout (its applications and rules), so a swap brings new slices, and what the old ones
 * held is carried over by name when every worker has moved on.
 */
import { DURATION_BOUNDS_SECONDS } from '../observe/view.ts';

const BUCKETS = DURATION_BOUNDS_SECONDS.length + 1;

/** Limits and timeouts that can be hit, in the order of their slots. Names are those of the file where it has one. */
export const LIMITS = [
  'process-connections',
  'connections',
  'connections-per-source',
  'source-table',
  'head-size',
  'head-fields',
  'target-size',
  'request-head',
  'request-body',
  'response',
  'keep-alive',
  'connect',
  'idle',
  'total',
  'half-closed',
  'detect',
  'retry-budget',
  'tarpits',
  'flows',
  'new-flows',
  'requests',
  'bytes',
  'bytes-total',
  'duration',
  'limit-table',
  'proxy-required',
  'proxy-header',
  'proxy-header-size',
  'database-message-size',
  'handshake',
  'client-hello-size',
  'h2-streams',
  'h2-resets',
  'h2-control',
] as const;
export type Limit = (typeof LIMITS)[number];
const LIMIT_SLOT = new Map<Limit, number>(LIMITS.map((limit, i) => [limit, i]));

/** How TLS of clients goes, in the order of their slots: handshakes that were through, hellos that passed on, and what went wrong. */
export const TLS_RESULTS = [
  'full-1.2',
  'full-1.3',
  'resumed-1.2',
  'resumed-1.3',
  'passed',
  'not-tls',
  'malformed',
  'closed',
  'timeout',
  'client-certificate',
  'failed',
] as const;
export type TlsResult = (typeof TLS_RESULTS)[number];
const TLS_SLOT = new Map<TlsResult, number>(TLS_RESULTS.map((result, i) => [result, i]));

/**
 * How connections of listed proxies begin, in the order of their slots: with a header that names a client (`accepted`) or nobody (`local`, most often
 * a check of the proxy's own), or with what is no good.
 */
export const PROXY_RESULTS = ['accepted', 'local', 'none', 'malformed', 'too-long', 'checksum', 'timeout', 'closed'] as const;
export type ProxyResult = (typeof PROXY_RESULTS)[number];
const PROXY_SLOT = new Map<ProxyResult, number>(PROXY_RESULTS.map((result, i) => [result, i]));

/** Slots of one application, in float64 words. */
export const FLOWS_OPENED = 0;
export const FLOWS_CLOSED = 1;
export const FLOWS_REVOKED = 2;
export const CONNECTIONS_OPENED = 3;
export const CONNECTIONS_CLOSED = 4;
export const BYTES_IN = 5;
export const BYTES_OUT = 6;
/** 1xx to 5xx. */
export const RESPONSES = 7;
export const FLOW_SUM = 12;
export const FLOW_BUCKETS = 13;
export const REQUEST_SUM = FLOW_BUCKETS + BUCKETS;
export const REQUEST_BUCKETS = REQUEST_SUM + 1;
export const LIMIT_HITS = REQUEST_BUCKETS + BUCKETS;
export const TLS_HANDSHAKES = LIMIT_HITS + LIMITS.length;
export const PROXY_HEADERS = TLS_HANDSHAKES + TLS_RESULTS.length;
export const APPLICATION_WORDS = PROXY_HEADERS + PROXY_RESULTS.length;

/** Slots of one rule. */
export const RULE_ALLOW = 0;
export const RULE_DENY = 1;
/** By a shadow rule, or where the application only observes. */
export const RULE_WOULD_DENY = 2;
/** By a shadow rule. */
export const RULE_WOULD_ALLOW = 3;
export const RULE_WORDS = 4;

export type RuleVerdict = typeof RULE_ALLOW | typeof RULE_DENY | typeof RULE_WOULD_DENY | typeof RULE_WOULD_ALLOW;

/** Words that a policy of this many applications and rules takes. */
export function ledgerWords(applications: number, rules: number): number {
  return applications * APPLICATION_WORDS + rules * RULE_WORDS;
}

export function createLedger(applications: number, rules: number): SharedArrayBuffer {
  return new SharedArrayBuffer(Math.max(1, ledgerWords(applications, rules)) * Float64Array.BYTES_PER_ELEMENT);
}

/** What a worker writes. hot: every method is an addition to a word of its own. */
export class LedgerSlice {
  readonly words: Float64Array;
  private readonly rulesAt: number;

  constructor(buffer: SharedArrayBuffer, applications: number) {
    this.words = new Float64Array(buffer);
    this.rulesAt = applications * APPLICATION_WORDS;
  }

  add(application: number, slot: number, amount: number): void {
    const at = application * APPLICATION_WORDS + slot;
    this.words[at] = this.words[at]! + amount;
  }

  rule(rule: number, verdict: RuleVerdict): void {
    const at = this.rulesAt + rule * RULE_WORDS + verdict;
    this.words[at] = this.words[at]! + 1;
  }

  limit(application: number, limit: Limit): void {
    this.add(application, LIMIT_HITS + LIMIT_SLOT.get(limit)!, 1);
  }

  handshake(application: number, result: TlsResult): void {
    this.add(application, TLS_HANDSHAKES + TLS_SLOT.get(result)!, 1);
  }

  proxyHeader(application: number, result: ProxyResult): void {
    this.add(application, PROXY_HEADERS + PROXY_SLOT.get(result)!, 1);
  }

  /** `sumSlot` is FLOW_SUM or REQUEST_SUM; its buckets follow it. */
  duration(application: number, sumSlot: number, seconds: number): void {
    const at = application * APPLICATION_WORDS + sumSlot;
    const words = this.words;
    words[at] = words[at]! + seconds;
    let bucket = 0;
    while (bucket < BUCKETS - 1 && seconds > DURATION_BOUNDS_SECONDS[bucket]!) bucket++;
    const slot = at + 1 + bucket;
    words[slot] = words[slot]! + 1;
  }
}
