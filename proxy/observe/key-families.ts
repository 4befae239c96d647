/** Series of the key sets of token issuers. Their label is the location as the file has it. */
import type { MetricFamily } from './metric-family.ts';
import type { TokenKeysState } from './view.ts';

/** Where no application names an issuer there are no series. */
export function keyFamilies(states: readonly TokenKeysState[], now = Date.now()): MetricFamily[] {
  return [
    {
      name: 'bulkhead_token_keys_age_seconds',
      help: 'Time since the key set of a token issuer was last had; no series until it was.',
      type: 'gauge',
      values: states.flatMap(({ location, fetchedAt }) =>
        fetchedAt === null ? [] : [{ labels: { location }, value: Math.max(0, now - fetchedAt) / 1000 }],
      ),
    },
    {
      name: 'bulkhead_token_keys_fetches_total',
      help: 'Times that the key set of a token issuer was asked for, by result.',
      type: 'counter',
      values: states.flatMap(({ location, fetched, failed }) => [
        { labels: { location, result: 'fetched' }, value: fetched },
        { labels: { location, result: 'failed' }, value: failed },
      ]),
    },
  ];
}
