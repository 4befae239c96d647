import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { metricsText } from '../../proxy/observe/metrics.ts';
import { DIAL_RESULTS } from '../../proxy/observe/view.ts';
import {
  application,
  applicationCounters,
  countersOf,
  documentOf,
  fakeNode,
  histogramOf,
  pool,
  rule,
  ruleCounters,
  server,
} from '../admin/fake-node.ts';

const PROMTOOL = '/usr/bin/promtool';

function busyNode() {
  return fakeNode({
    document: documentOf({
      pools: [pool('web')],
      guardrails: [rule('known-bad', 'deny'), rule('probes', 'pass')],
      baseline: [rule('monitoring', 'allow')],
      applications: [
        application('shop', { rules: [rule('no-admin-from-outside', 'deny'), rule('customers', 'allow')] }),
        application('orders-db', { mode: 'tcp', enforcement: 'observe', rules: [rule('web-tier', 'allow'), rule('rest', 'deny')] }),
      ],
    }),
    counters: countersOf({
      applications: [
        applicationCounters('shop', {
          flowsOpened: 12,
          flowsClosed: 10,
          flowsActive: 2,
          flowsRevoked: 1,
          connectionsActive: 3,
          bytesIn: 700,
          bytesOut: 9000,
          responses: [0, 7, 1, 2, 0],
          flowDuration: histogramOf([1, 2, 0, 3], 0.5),
          requestDuration: histogramOf([4, ...new Array(15).fill(0), 6], 700.25),
        }),
        applicationCounters('orders-db', { bytesIn: 1 }),
      ],
      rules: [
        ruleCounters('shop', 'known-bad', { deny: 1 }),
        ruleCounters('shop', 'probes'),
        ruleCounters('shop', 'no-admin-from-outside', { deny: 2 }),
        ruleCounters('shop', 'customers', { allow: 9 }),
        ruleCounters('shop', 'monitoring'),
        ruleCounters('shop', 'default'),
        ruleCounters('orders-db', 'web-tier'),
        ruleCounters('orders-db', 'rest', { wouldDeny: 4 }),
        ruleCounters('orders-db', 'default'),
      ],
      limits: [{ application: 'shop', limit: 'head-bytes', hits: 5 }],
      nodeLimits: [
        { limit: 'bulk-memory', hits: 3 },
        { limit: 'farewells', hits: 0 },
      ],
      journal: { written: 11, dropped: 2, bytes: 3000 },
      workerRestarts: 1,
    }),
    servers: [
      server('web', '127.0.0.1:9001', { flowsActive: 2 }),
      server('web', '127.0.0.1:9002', { up: false, ejectedUntil: Date.now() + 60_000 }),
    ],
    refusal: { at: 0, problems: ['no'] },
  });
}

function seriesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

describe('metrics', () => {
  const expected: [string, number][] = [
    ['bulkhead_flows_total{application="shop",rule="customers",verdict="allow"}', 9],
    ['bulkhead_flows_total{application="shop",rule="no-admin-from-outside",verdict="deny"}', 2],
    ['bulkhead_flows_total{application="shop",rule="known-bad",verdict="deny"}', 1],
    ['bulkhead_flows_total{application="shop",rule="default",verdict="deny"}', 0],
    ['bulkhead_flows_total{application="orders-db",rule="rest",verdict="would_deny"}', 4],
    ['bulkhead_flows_total{application="orders-db",rule="default",verdict="would_deny"}', 0],
    ['bulkhead_flows_active{application="shop"}', 2],
    ['bulkhead_flows_revoked_total{application="shop"}', 1],
    ['bulkhead_flow_duration_seconds_bucket{application="shop",le="0.001"}', 3],
    ['bulkhead_flow_duration_seconds_bucket{application="shop",le="600"}', 6],
    ['bulkhead_flow_duration_seconds_bucket{application="shop",le="+Inf"}', 6],
    ['bulkhead_flow_duration_seconds_sum{application="shop"}', 0.5],
    ['bulkhead_bytes_total{application="shop",direction="in"}', 700],
    ['bulkhead_bytes_total{application="shop",direction="out"}', 9000],
    ['bulkhead_http_requests_total{application="shop",code="2xx"}', 7],
    ['bulkhead_http_requests_total{application="shop",code="5xx"}', 0],
    ['bulkhead_http_request_duration_seconds_bucket{application="shop",le="600"}', 4],
    ['bulkhead_http_request_duration_seconds_bucket{application="shop",le="+Inf"}', 10],
    ['bulkhead_http_request_duration_seconds_count{application="shop"}', 10],
    ['bulkhead_http_request_duration_seconds_sum{application="shop"}', 700.25],
    ['bulkhead_server_up{pool="web",server="127.0.0.1:9001"}', 1],
    ['bulkhead_server_up{pool="web",server="127.0.0.1:9002"}', 0],
    ['bulkhead_server_ejected{pool="web",server="127.0.0.1:9002"}', 1],
    ['bulkhead_server_flows_active{pool="web",server="127.0.0.1:9001"}', 2],
    ...DIAL_RESULTS.map((result): [string, number] => [
      `bulkhead_server_dials_total{pool="web",server="127.0.0.1:9001",result="${result}"}`,
      0,
    ]),
    ['bulkhead_policy_generation', 7],
    ['bulkhead_policy_applies_total{result="applied"}', 7],
    ['bulkhead_policy_applies_total{result="refused"}', 1],
    ['bulkhead_limit_hits_total{application="shop",limit="head-bytes"}', 5],
    ['bulkhead_node_limit_hits_total{limit="bulk-memory"}', 3],
    ['bulkhead_node_limit_hits_total{limit="farewells"}', 0],
    ['bulkhead_journal_records_total{result="written"}', 11],
    ['bulkhead_journal_records_total{result="dropped"}', 2],
    ['bulkhead_worker_restarts_total', 1],
    ['bulkhead_connections_active{application="shop"}', 3],
    [`bulkhead_build_info{version="0.1.0",runtime="${process.version}",node="edge-1"}`, 1],
  ];
  it.each(expected)('prints %s %s', async (series, value) => {
    expect(seriesOf(await metricsText(busyNode().view))).toContain(`${series} ${value}`);
  });

  it.each([
    ['an allow rule never denies', /rule="customers",verdict="(deny|would_deny)"/],
    ['a deny rule never allows', /rule="known-bad",verdict="allow"/],
    ['an enforced denial is no would_deny', /application="shop",.*verdict="would_deny"/],
    ['an observed denial is no deny', /application="orders-db",.*verdict="deny"/],
    ['a pass decides nothing', /rule="probes"/],
    ['a tcp application answers no requests', /bulkhead_http_.*application="orders-db"/],
  ])('leaves out what cannot occur: %s', async (_, impossible) => {
    expect(await metricsText(busyNode().view)).not.toMatch(impossible);
  });

  it('keeps what an earlier policy has counted', async () => {
    const { view, state } = busyNode();
    state.counters = {
      ...state.counters,
      rules: [ruleCounters('shop', 'gone', { allow: 3 }), ruleCounters('shop', 'customers', { allow: 1, deny: 2 })],
    };
    const series = seriesOf(await metricsText(view));
    expect(series).toContain('bulkhead_flows_total{application="shop",rule="gone",verdict="allow"} 3');
    expect(series).toContain('bulkhead_flows_total{application="shop",rule="customers",verdict="deny"} 2');
  });

  it('prints one series where two tiers have a rule of the same name', async () => {
    const { view, state } = busyNode();
    state.counters = {
      ...state.counters,
      rules: [ruleCounters('shop', 'customers', { allow: 1 }), ruleCounters('shop', 'customers', { allow: 4 })],
    };
    const series = seriesOf(await metricsText(view)).filter((line) => line.includes('rule="customers"'));
    expect(series).toEqual(['bulkhead_flows_total{application="shop",rule="customers",verdict="allow"} 5']);
  });

  it('prints the end that comes first where two certificates, or two lists, have the same name', async () => {
    const { view } = fakeNode();
    const certificates = () => ({
      inUse: [20_000, 10_000, 30_000].map((notAfter) => ({ application: 'shop', name: 'shop.example.com', notAfter })),
      revocations: [Number.POSITIVE_INFINITY, 9_000, 8_000].map((nextUpdate) => ({ application: 'shop', issuer: 'Clients', nextUpdate })),
      failures: 0,
    });
    const text = await metricsText({ ...view, certificates });
    expect(text.match(/^bulkhead_(?:certificate|revocation_list)_expiry_seconds\{.*$/gm)).toEqual([
      'bulkhead_certificate_expiry_seconds{application="shop",name="shop.example.com"} 10',
      'bulkhead_revocation_list_expiry_seconds{application="shop",issuer="Clients"} 8',
    ]);
  });

  it('escapes what people may write in names', async () => {
    const { view, state } = busyNode();
    state.counters = countersOf({ rules: [ruleCounters('a"b\\c\nd', 'x', { allow: 1 })] });
    expect(await metricsText(view)).toContain('{application="a\\"b\\\\c\\nd",rule="x",verdict="allow"} 1');
  });

  it('prints the same families in the same order at each scrape', async () => {
    const { view } = busyNode();
    const names = async () => seriesOf(await metricsText(view)).map((line) => line.slice(0, line.lastIndexOf(' ')));
    expect(await names()).toEqual(await names());
    expect(new Set(await names()).size).toBe((await names()).length);
  });

  it.skipIf(!existsSync(PROMTOOL) && process.env.CI !== 'true')(
    'leaves promtool nothing to say (skipped without /usr/bin/promtool)',
    async () => {
      const busy = busyNode();
      for (const { view } of [busy, fakeNode()]) {
        const output = execFileSync(PROMTOOL, ['check', 'metrics'], {
          input: await metricsText(view),
          encoding: 'utf8',
          stdio: ['pipe', 'pipe', 'pipe'],
        });
        expect(output).toBe('');
      }
    },
  );

  it('scrapes 10,000 rules in a tenth of a second', async () => {
    const names = Array.from({ length: 10_000 }, (_, i) => `rule-${i}`);
    const { view } = fakeNode({
      document: documentOf({ applications: [application('shop', { rules: names.map((name) => rule(name, 'allow')) })] }),
      counters: countersOf({
        applications: [applicationCounters('shop')],
        rules: names.map((name) => ruleCounters('shop', name, { allow: 1 })),
      }),
    });
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 5; round++) {
      const start = performance.now();
      await metricsText(view);
      best = Math.min(best, performance.now() - start);
    }
    expect(best).toBeLessThan(100);
  });
});
