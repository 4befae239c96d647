/** Which families a node exports and the series of each: names and labels of the public contract, then bounded extras. */
import type { Application, Document } from '../../config/document.ts';
import { keyFamilies } from './key-families.ts';
import type { MetricFamily, Sample } from './metric-family.ts';
import { serverFamilies } from './server-families.ts';
import { possibleVerdicts, ruleCountersByName } from './verdicts.ts';
import { type ApplicationCounters, type Counters, DURATION_BOUNDS_SECONDS, type Histogram, type NodeView } from './view.ts';

const CODES = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const;
const BOUND_LABELS = [...DURATION_BOUNDS_SECONDS.map(String), '+Inf'];

/** What the admin endpoint counts of itself. */
export interface AdminCounts {
  readonly wrong_tokens: number;
  readonly failed_handshakes: number;
  /** ISO 8601; null without TLS. */
  readonly certificate_ends: string | null;
}

/** What waits for a disk that takes it. */
export interface UnwrittenCounts {
  readonly audit: number;
  readonly versions: number;
}

/** Every family of one scrape, in the order in which they are printed. */
export function metricFamilies(view: NodeView, admin: AdminCounts | null = null, unwritten: UnwrittenCounts | null = null): MetricFamily[] {
  const counters = view.counters();
  const policy = view.policy();
  return [
    ...flowFamilies(counters, policy.document),
    ...httpFamilies(counters, policy.document),
    proxyFamily(counters),
    ...tlsFamilies(view, counters),
    ...serverFamilies(view),
    ...keyFamilies(view.tokenKeys()),
    ...nodeFamilies(view, counters, policy.generation),
    ...problemFamilies(view, unwritten),
    ...(admin === null ? [] : adminFamilies(admin)),
    ...processFamilies(view.startedAt),
  ];
}

function flowFamilies(counters: Counters, document: Document): MetricFamily[] {
  const applications = counters.applications;
  return [
    counter('bulkhead_flows_total', 'Flows decided, by the rule that decided and its verdict.', verdictSamples(counters, document)),
    gauge(
      'bulkhead_flows_active',
      'Flows that are live now.',
      perApplication(applications, (a) => a.flowsActive),
    ),
    counter(
      'bulkhead_flows_revoked_total',
      'Live flows ended because a newer policy no longer allows them.',
      perApplication(applications, (a) => a.flowsRevoked),
    ),
    histogram(
      'bulkhead_flow_duration_seconds',
      'Life of a flow, from its verdict to its end.',
      applications.map((a) => [a.application, a.flowDuration]),
    ),
    counter(
      'bulkhead_bytes_total',
      'Bytes carried: in from clients, out to clients.',
      applications.flatMap((a) => [
        { labels: { application: a.application, direction: 'in' }, value: a.bytesIn },
        { labels: { application: a.application, direction: 'out' }, value: a.bytesOut },
      ]),
    ),
    gauge(
      'bulkhead_connections_active',
      'Client connections that are open now.',
      perApplication(applications, (a) => a.connectionsActive),
    ),
    counter(
      'bulkhead_limit_hits_total',
      'Times that a limit was hit.',
      counters.limits.map((l) => ({ labels: { application: l.application, limit: l.limit }, value: l.hits })),
    ),
  ];
}

/** Only series that can occur: those that the document can produce, and those that an earlier document did. */
function verdictSamples(counters: Counters, document: Document): Sample[] {
  const verdicts = possibleVerdicts(document);
  const samples: Sample[] = [];
  for (const counts of ruleCountersByName(counters.rules)) {
    const { application, rule } = counts;
    const possible = verdicts(application, rule);
    if (possible.allow || counts.allow > 0) samples.push({ labels: { application, rule, verdict: 'allow' }, value: counts.allow });
    if (possible.deny || counts.deny > 0) samples.push({ labels: { application, rule, verdict: 'deny' }, value: counts.deny });
    if (possible.wouldDeny || counts.wouldDeny > 0)
      samples.push({ labels: { application, rule, verdict: 'would_deny' }, value: counts.wouldDeny });
    if (possible.wouldAllow || counts.wouldAllow > 0)
      samples.push({ labels: { application, rule, verdict: 'would_allow' }, value: counts.wouldAllow });
  }
  return samples;
}

function httpFamilies(counters: Counters, document: Document): MetricFamily[] {
  const modes = new Map<string, Application['mode']>(document.applications.map((a) => [a.name, a.mode]));
  const speaking = counters.applications.filter((a) => modes.get(a.application) === 'http' || a.responses.some((n) => n > 0));
  return [
    counter(
      'bulkhead_http_requests_total',
      'Requests answered, by class of status code.',
      speaking.flatMap((a) => CODES.map((code, i) => ({ labels: { application: a.application, code }, value: a.responses[i] ?? 0 }))),
    ),
    histogram(
      'bulkhead_http_request_duration_seconds',
      'From the first byte of a request to the last byte of its response.',
      speaking.map((a) => [a.application, a.requestDuration]),
    ),
  ];
}

/** Applications to which no listed proxy has come have no series. */
function proxyFamily({ applications }: Counters): MetricFamily {
  const fronted = applications.filter((a) => a.proxyHeaders.some(({ count }) => count > 0));
  return counter(
    'bulkhead_proxy_headers_total',
    'Connections of proxies that have to send a PROXY header, by what came: one that names a client or nobody, none, or what is no good.',
    fronted.flatMap((a) => a.proxyHeaders.map(({ result, count }) => ({ labels: { application: a.application, result }, value: count }))),
  );
}

/**
 * One series of each name: an application may have a certificate of either kind for it, and the one that ends first is what has to be renewed. What
 * has no end has none.
 */
function soonest(samples: readonly Sample[]): Sample[] {
  const first = new Map<string, Sample>();
  for (const sample of samples) {
    const key = JSON.stringify(sample.labels);
    if (sample.value < (first.get(key)?.value ?? Number.POSITIVE_INFINITY)) first.set(key, sample);
  }
  return [...first.values()];
}

/** Applications that have never spoken TLS have no series. */
function tlsFamilies(view: NodeView, counters: Counters): MetricFamily[] {
  const speaking = counters.applications.filter((a) => a.handshakes.some(({ count }) => count > 0));
  const { inUse, revocations, failures } = view.certificates();
  return [
    counter(
      'bulkhead_tls_handshakes_total',
      'TLS of clients, by how it went: full and resumed ones by version, hellos passed on, and failures.',
      speaking.flatMap((a) => a.handshakes.map(({ result, count }) => ({ labels: { application: a.application, result }, value: count }))),
    ),
    gauge(
      'bulkhead_certificate_expiry_seconds',
      'End of a certificate in use, in seconds since the epoch.',
      soonest(inUse.map(({ application, name, notAfter }) => ({ labels: { application, name }, value: notAfter / 1000 }))),
    ),
    gauge(
      'bulkhead_revocation_list_expiry_seconds',
      'End of a list of revoked client certificates in use, in seconds since the epoch; then every client of its issuer is refused.',
      soonest(revocations.map(({ application, issuer, nextUpdate }) => ({ labels: { application, issuer }, value: nextUpdate / 1000 }))),
    ),
    counter(
      'bulkhead_certificate_reload_failures_total',
      'Changed files of TLS that were no good; what was read before stayed.',
      single(failures),
    ),
  ];
}

function nodeFamilies(view: NodeView, counters: Counters, generation: number): MetricFamily[] {
  const applies = view.applies();
  const byResult = (result: string, value: number): Sample => ({ labels: { result }, value });
  return [
    gauge('bulkhead_policy_generation', 'Generation of the policy in force.', single(generation)),
    counter('bulkhead_policy_applies_total', 'Policies offered to the node, by result.', [
      byResult('applied', applies.applied),
      byResult('refused', applies.refused),
    ]),
    counter('bulkhead_journal_records_total', 'Flow records, by what the journal did with them.', [
      byResult('written', counters.journal.written),
      byResult('dropped', counters.journal.dropped),
    ]),
    counter(
      'bulkhead_node_limit_hits_total',
      'Times that a limit was hit that belongs to no application.',
      counters.nodeLimits.map(({ limit, hits }) => ({ labels: { limit }, value: hits })),
    ),
    counter('bulkhead_worker_restarts_total', 'Workers that died and were replaced.', single(counters.workerRestarts)),
    gauge('bulkhead_build_info', 'Always 1; the labels say what runs.', [
      { labels: { version: view.version, runtime: process.version, node: view.node }, value: 1 },
    ]),
  ];
}

function problemFamilies(view: NodeView, unwritten: UnwrittenCounts | null): MetricFamily[] {
  const counts = [...view.problems.counts()];
  return [
    gauge(
      'bulkhead_problems',
      'What is wrong now, by kind; bulkhead status says it in words.',
      counts.map(([kind, value]) => ({ labels: { kind }, value })),
    ),
    ...(unwritten === null
      ? []
      : [
          gauge(
            'bulkhead_audit_unwritten',
            'Entries of the audit that wait for the disk, or were given up meanwhile.',
            single(unwritten.audit),
          ),
          gauge(
            'bulkhead_versions_unwritten',
            'Versions that wait for the disk: a restart would not know them.',
            single(unwritten.versions),
          ),
        ]),
  ];
}

function adminFamilies({ wrong_tokens, failed_handshakes, certificate_ends }: AdminCounts): MetricFamily[] {
  const byReason = (reason: string, value: number): Sample => ({ labels: { reason }, value });
  return [
    counter(
      'bulkhead_admin_refusals_total',
      'Whom the admin endpoint turned away: with a token that nobody has, or in the TLS handshake.',
      [byReason('wrong-token', wrong_tokens), byReason('handshake', failed_handshakes)],
    ),
    ...(certificate_ends === null
      ? []
      : [
          gauge(
            'bulkhead_admin_certificate_end_seconds',
            'End of its certificate, in seconds since the epoch.',
            single(Date.parse(certificate_ends) / 1000),
          ),
        ]),
  ];
}

/** Of the whole process, all threads together. The library's own set has names that `promtool check metrics` rejects. */
function processFamilies(startedAtMs: number): MetricFamily[] {
  const cpu = process.cpuUsage();
  const memory = process.memoryUsage();
  return [
    counter('process_cpu_seconds_total', 'User and system CPU time of all threads.', single((cpu.user + cpu.system) / 1e6)),
    counter('process_cpu_user_seconds_total', 'User CPU time of all threads.', single(cpu.user / 1e6)),
    counter('process_cpu_system_seconds_total', 'System CPU time of all threads.', single(cpu.system / 1e6)),
    gauge('process_resident_memory_bytes', 'Resident memory.', single(memory.rss)),
    gauge('process_heap_bytes', 'JavaScript heap of the main thread.', single(memory.heapTotal)),
    gauge('process_start_time_seconds', 'Start of the node, in seconds since the epoch.', single(startedAtMs / 1000)),
  ];
}

function histogram(name: string, help: string, series: readonly (readonly [string, Histogram])[]): MetricFamily {
  const values: Sample[] = [];
  for (const [application, { counts, sumSeconds }] of series) {
    let cumulative = 0;
    for (const [i, le] of BOUND_LABELS.entries()) {
      cumulative += counts[i] ?? 0;
      values.push({ metricName: `${name}_bucket`, labels: { application, le }, value: cumulative });
    }
    values.push({ metricName: `${name}_sum`, labels: { application }, value: sumSeconds });
    values.push({ metricName: `${name}_count`, labels: { application }, value: cumulative });
  }
  return { name, help, type: 'histogram', values };
}

function counter(name: string, help: string, values: readonly Sample[]): MetricFamily {
  return { name, help, type: 'counter', values };
}

function gauge(name: string, help: string, values: readonly Sample[]): MetricFamily {
  return { name, help, type: 'gauge', values };
}

function single(value: number): Sample[] {
  return [{ labels: {}, value }];
}

function perApplication(applications: readonly ApplicationCounters[], read: (a: ApplicationCounters) => number): Sample[] {
  return applications.map((a) => ({ labels: { application: a.application }, value: read(a) }));
}
