import { describe, expect, it } from 'vitest';
import { compile } from '../../policy/compile.ts';
import type { FlowRecord } from '../../proxy/observe/view.ts';
import { effectOf } from '../../proxy/versions/effect.ts';
import { flow } from '../admin/fake-node.ts';
import { documentOf } from '../node/harness.ts';

interface Setting {
  readonly mode?: 'tcp' | 'http';
  readonly enforcement?: 'enforce' | 'observe';
  readonly vip?: string;
  readonly application?: string;
}

/** One application with the rules given, in flow style. */
function document(rules: string, { mode = 'tcp', enforcement = 'enforce', vip = '127.0.0.1:8080', application = 'shop' }: Setting = {}) {
  return documentOf(`
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:9001] } }
applications:
  ${application}: { vips: ["${vip}"], mode: ${mode}, pool: p, enforcement: ${enforcement}, rules: [${rules}] }
`);
}

const TCP: Partial<FlowRecord> = { protocol: null, method: null, host: null, path: null, rule: 'all', ended_by: null };
const HTTP: Partial<FlowRecord> = { protocol: 'http', method: 'GET', host: 'shop.example', path: '/admin/x', rule: 'all', ended_by: null };
const ALL = '{ name: all, action: allow }';
const NONE = '{ name: none, action: deny }';
const NO_ADMIN = `{ name: no-admin, http: { paths: [/admin/*] }, action: deny }, ${ALL}`;

/** The flow, what it came under, what it would be under; and what becomes of it. */
const CASES: readonly (readonly [string, Partial<FlowRecord>, [string, Setting?], [string, Setting?], 'kept' | 'cut' | 'undecided'])[] = [
  ['allowed still', TCP, [ALL], [ALL], 'kept'],
  ['denied by a rule', TCP, [ALL], [NONE], 'cut'],
  ['denied by none that allows', TCP, [ALL], ['{ name: other, from: [10.0.0.0/8], action: allow }'], 'cut'],
  ['denied where it is only observed', TCP, [ALL], [NONE, { enforcement: 'observe' }], 'kept'],
  ['a rule for another protocol', { ...TCP, protocol: 'redis' }, [ALL], ['{ name: tls, protocols: [tls], action: allow }'], 'cut'],
  ['a rule for a protocol that it has not told yet', TCP, [ALL], ['{ name: tls, protocols: [tls], action: allow }'], 'undecided'],
  ['its VIP is gone', TCP, [ALL], [ALL, { vip: '127.0.0.1:8081' }], 'cut'],
  ['its VIP is another application’s', TCP, [ALL], [ALL, { application: 'desk' }], 'cut'],
  ['its VIP is another application’s that observes', TCP, [ALL], [ALL, { application: 'desk', enforcement: 'observe' }], 'cut'],
  ['its application speaks of requests now', TCP, [ALL], [ALL, { mode: 'http' }], 'cut'],
  ['a request that a path denies', HTTP, [ALL, { mode: 'http' }], [NO_ADMIN, { mode: 'http' }], 'cut'],
  ['a request elsewhere', { ...HTTP, path: '/shop' }, [ALL, { mode: 'http' }], [NO_ADMIN, { mode: 'http' }], 'kept'],
  [
    'a WebSocket, which began as a request',
    { ...HTTP, protocol: 'websocket' },
    [ALL, { mode: 'http' }],
    ['{ name: h, protocols: [http], action: allow }', { mode: 'http' }],
    'kept',
  ],
  ['an IPv6 source', { ...TCP, source: '[2001:db8::7]:40000' }, [ALL], ['{ name: six, from: ["2001:db8::/32"], action: allow }'], 'kept'],
  ['a source that cannot be read', { ...TCP, source: 'nowhere' }, [ALL], [NONE], 'undecided'],
];

describe('what a document does to a live flow', () => {
  it.each(CASES)('%s', async (_, facts, [before, was], [after, is], outcome) => {
    const [now, next] = [document(before, was), document(after, is)];
    const observed = { live: [flow('r1', facts)], liveTruncated: false, recent: [], recentTruncated: false };
    const { live } = await effectOf(compile(next), now, next, observed);
    expect({ cut: live.cut, undecided: live.undecided }).toEqual({
      cut: outcome === 'cut' ? 1 : 0,
      undecided: outcome === 'undecided' ? 1 : 0,
    });
    expect(live.groups.flatMap(({ receipts }) => receipts)).toEqual(outcome === 'cut' ? ['r1'] : []);
  });

  const FINISH = 'on-revoke: finish';
  const DENY_ALL = (more: string) => `{ name: none, action: deny, ${more} }`;
  it.each([
    ['the rule that denies it drains', TCP, [ALL], [DENY_ALL('on-revoke: drain')], 'draining'],
    ['the rule that denies it cuts', TCP, [`{ name: all, action: allow, ${FINISH} }`], [DENY_ALL('on-revoke: cut')], 'cut'],
    ['the rule that denies it says nothing', TCP, [`{ name: all, action: allow, ${FINISH} }`], [NONE], 'cut'],
    ['none denies it, and the one that admitted it finishes', TCP, [`{ name: all, action: allow, ${FINISH} }`], [''], 'draining'],
    ['no server has it yet', { ...TCP, server: null }, [ALL], [DENY_ALL(FINISH)], 'cut'],
    ['its VIP is gone', TCP, [`{ name: all, action: allow, ${FINISH} }`], ['', { vip: '127.0.0.1:8081' }], 'cut'],
  ] as [string, Partial<FlowRecord>, [string, Setting?], [string, Setting?], 'cut' | 'draining'][])(
    'where %s',
    async (_, facts, [before, was], [after, is], outcome) => {
      const [now, next] = [document(before, was), document(after, is)];
      const live = [flow('r1', { tier: 'application', server: 'p/127.0.0.1:9001', ...facts })];
      const effect = await effectOf(compile(next), now, next, { live, liveTruncated: false, recent: [], recentTruncated: false });
      const { cut, draining, kept, groups, drainingGroups } = effect.live;
      expect({ cut, draining, kept }).toEqual({ cut: outcome === 'cut' ? 1 : 0, draining: outcome === 'cut' ? 0 : 1, kept: 0 });
      expect([...(outcome === 'cut' ? groups : drainingGroups)]).toMatchObject([{ receipts: ['r1'] }]);
    },
  );

  it('is grouped by application, source and rule, the largest group first', async () => {
    const [now, next] = [document(ALL), document(NONE)];
    const live = ['127.0.0.2:1', '127.0.0.3:1', '127.0.0.3:2'].map((source, i) => flow(`r${i}`, { ...TCP, source }));
    const effect = await effectOf(compile(next), now, next, { live, liveTruncated: true, recent: [], recentTruncated: false });
    expect(effect.live.groups).toMatchObject([
      {
        source: '127.0.0.3',
        rule: 'none',
        tier: 'application',
        was: 'all',
        count: 2,
        receipts: ['r1', 'r2'],
        at: expect.stringMatching(/^test\.yaml:6:/),
      },
      { source: '127.0.0.2', count: 1 },
    ]);
    expect(effect.notes).toEqual(['There are more live flows than were looked at.']);
  });
});
