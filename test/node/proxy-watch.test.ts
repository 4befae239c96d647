/** What the list of problems says of proxies in front whose connections all end for want of a PROXY header. */
import { expect, it } from 'vitest';
import { ProxyWatch } from '../../proxy/node/proxy-watch.ts';
import { PROXY_RESULTS, type ProxyResult } from '../../proxy/shared/ledger.ts';
import { documentOf } from './harness.ts';

const { applications } = documentOf(`
version: 1
pools: { web: { servers: [127.0.0.1:1] } }
applications:
  shop: { vips: [127.0.0.1:9], mode: tcp, pool: web, rules: [], proxy-protocol: { from: [10.0.0.0/8] } }
  plain: { vips: [127.0.0.1:10], mode: tcp, pool: web, rules: [] }
`);

/** What came since the last look, after how many seconds, and whether the application is among the problems then. */
const TABLE: readonly { what: string; looks: readonly [after: number, came: readonly ProxyResult[], bad: boolean][] }[] = [
  { what: 'nobody has come', looks: [[1, [], false]] },
  {
    what: 'none of its connections has a header',
    looks: [
      [1, ['none'], true],
      [59, [], true],
      [1, [], false],
      [1, ['none', 'none'], true],
    ],
  },
  {
    what: 'headers are cut short, wrong, too long or late',
    looks: (['malformed', 'checksum', 'too-long', 'timeout'] as const).map((one) => [100, [one], true]),
  },
  {
    what: 'one is refused among those that are good',
    looks: [
      [1, ['accepted'], false],
      [1, ['none'], false],
      [57, ['none', 'accepted'], false],
      [59, ['none'], false],
      [1, ['none'], true],
      [1, ['accepted'], false],
    ],
  },
  {
    what: 'its checks alone have headers, which name nobody',
    looks: [
      [1, ['local', 'none'], true],
      [1, ['local'], true],
    ],
  },
  { what: 'its checks end before a header', looks: [[1, ['closed', 'closed'], false]] },
];

it.each(TABLE)('a proxy in front: $what', ({ looks }) => {
  const counts = PROXY_RESULTS.map(() => 0);
  const watch = new ProxyWatch({ sums: () => [...counts] });
  let now = 5_000_000;
  for (const [after, came, bad] of looks) {
    now += after * 1_000;
    for (const result of came) counts[PROXY_RESULTS.indexOf(result)]!++;
    expect(watch.find({ applications }, now).map(([subject]) => subject)).toEqual(bad ? ['shop'] : []);
  }
});

it('is told of with what it sends in place of a header, and what to do', () => {
  const counts = PROXY_RESULTS.map((result) => (result === 'none' ? 3 : result === 'timeout' ? 1 : 0));
  const [[, message] = []] = new ProxyWatch({ sums: () => counts }).find({ applications }, 0);
  expect(message).toMatch(
    /^Proxies in front of application shop send no PROXY header that is good.*none: 3, timeout: 1.*Have them send it/,
  );
});
