/** The figures that Bulkhead is to reach. All are upper bounds. */
export type Target =
  /** Cost of Bulkhead against the better of HAProxy and nginx. */
  | { readonly key: string; readonly kind: 'ratio-to-better'; readonly most: number }
  /** Cost of Bulkhead against one peer. */
  | { readonly key: string; readonly kind: 'ratio-to'; readonly peer: string; readonly most: number }
  /** One series of a measure against its baseline. */
  | { readonly key: string; readonly kind: 'ratio-to-baseline'; readonly series: string; readonly most: number }
  /** What a series of a measure costs beyond its baseline, in the measure's unit. */
  | { readonly key: string; readonly kind: 'beyond-baseline'; readonly series: string; readonly most: number }
  /** The figure itself, in the measure's unit. */
  | { readonly key: string; readonly kind: 'value'; readonly most: number };

export const TARGETS: readonly Target[] = [
  { key: 'http-autocannon', kind: 'ratio-to-better', most: 1.1 },
  { key: 'http-wrk', kind: 'ratio-to-better', most: 1.1 },
  { key: 'bulk', kind: 'ratio-to-better', most: 0.9 },
  { key: 'pingpong', kind: 'ratio-to-better', most: 1.15 },
  { key: 'connect', kind: 'ratio-to-better', most: 1.4 },
  { key: 'tls-requests', kind: 'ratio-to-better', most: 1.2 },
  { key: 'tls-full', kind: 'ratio-to-better', most: 1.3 },
  { key: 'tls-resumed', kind: 'ratio-to-better', most: 1.3 },
  { key: 'h2-streams', kind: 'ratio-to', peer: 'nginx', most: 1.2 },
  { key: 'h2-connections', kind: 'ratio-to', peer: 'nginx', most: 1.2 },
  { key: 'memory-10000', kind: 'value', most: 16 },
  { key: 'rules-http', kind: 'ratio-to-baseline', series: '10,000 rules, 100,000 prefixes', most: 1.05 },
  { key: 'rules-connect', kind: 'ratio-to-baseline', series: '10,000 rules, 100,000 prefixes', most: 1.05 },
  { key: 'identity-requests', kind: 'beyond-baseline', series: 'a rule asks', most: 1 },
  { key: 'workers-bulkhead', kind: 'ratio-to-baseline', series: '2 workers', most: 1.1 },
];
