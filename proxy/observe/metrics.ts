/**
 * The metrics of a node as Prometheus text, made at scrape time from the summed counters of a `NodeView`. Nothing is counted here:
 * a scrape reads the ledger once and writes every family from that one reading, so that families agree with each other.
 *
 * Label values come from the document (applications, rules, pools, servers) and from fixed lists, never from traffic.
 */
import { Registry } from 'prom-client';
import { type AdminCounts, metricFamilies, type UnwrittenCounts } from './metric-families.ts';
import type { MetricFamily } from './metric-family.ts';
import type { NodeView } from './view.ts';

/** What `Registry` needs of a metric to print it; the library registers such objects itself when it aggregates. */
interface PrintableMetric extends MetricFamily {
  get(): MetricFamily;
}

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/**
 * The text that `GET /metrics` answers. The library escapes and formats; its own `Counter` and `Histogram` are passed over, because they
 * can only be incremented and observed, and what is known here are sums and ready bucket counts. It throws what the view throws.
 */
export function metricsText(view: NodeView, admin: AdminCounts | null = null, unwritten: UnwrittenCounts | null = null): Promise<string> {
  const registry = new Registry();
  for (const family of metricFamilies(view, admin, unwritten)) {
    const printable: PrintableMetric = { ...family, get: () => family };
    // The declared parameter is one of the library's own classes; printing asks for no more than `name` and `get`.
    registry.registerMetric(printable as unknown as Parameters<Registry['registerMetric']>[0]);
  }
  return registry.metrics();
}
