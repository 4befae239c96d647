/**
 * Series of servers. Labels come from the file: a server by name is one series, whatever addresses the name has had, so that their number is
 * bounded by what was written. Its addresses one by one are in the status.
 */
import type { MetricFamily, Sample } from './metric-family.ts';
import { DIAL_RESULTS, type NodeView, type ServerNameState, type ServerState } from './view.ts';

interface Shown {
  readonly labels: { readonly pool: string; readonly server: string };
  readonly states: readonly ServerState[];
  readonly name: ServerNameState | undefined;
}

export function serverFamilies(view: Pick<NodeView, 'servers' | 'serverNames'>, now = Date.now()): MetricFamily[] {
  const names = view.serverNames();
  const shown = gathered(view.servers(), names);
  const family = (name: string, help: string, type: 'gauge' | 'counter', values: readonly Sample[]): MetricFamily => ({
    name,
    help,
    type,
    values,
  });
  const each = (read: (one: Shown) => number) => shown.map((one) => ({ labels: one.labels, value: read(one) }));
  return [
    family(
      'bulkhead_server_up',
      'What the active checks say: 1 up, 0 down; of a server by name whether any of its addresses is.',
      'gauge',
      each(({ states }) => (states.some(({ up }) => up) ? 1 : 0)),
    ),
    family(
      'bulkhead_server_ejected',
      'Taken out after failures in a row: 1 while out; of a server by name while all its addresses are.',
      'gauge',
      each(({ states }) => (states.every(({ ejectedUntil }) => ejectedUntil > now) ? 1 : 0)),
    ),
    family(
      'bulkhead_server_flows_active',
      'Flows that a server carries now.',
      'gauge',
      each(({ states }) => states.reduce((sum, { flowsActive }) => sum + flowsActive, 0)),
    ),
    family(
      'bulkhead_server_dials_total',
      'Dials to a server, by result.',
      'counter',
      shown.flatMap(({ labels, states, name }) =>
        DIAL_RESULTS.map((result) => ({
          labels: { ...labels, result },
          value: states.reduce((sum, { dials }) => sum + dials[result], name?.goneDials[result] ?? 0),
        })),
      ),
    ),
    family(
      'bulkhead_server_resolved',
      'Of a server by name: 1 while its name has an address, 0 until then.',
      'gauge',
      names.map(({ pool, server, inUse, refused }) => ({ labels: { pool, server }, value: inUse + refused > 0 ? 1 : 0 })),
    ),
    family(
      'bulkhead_server_addresses',
      'Addresses of a server by name: in use, leaving (no new flows), and refused because they may not be dialled.',
      'gauge',
      names.flatMap(({ pool, server, inUse, leaving, refused }) =>
        Object.entries({ 'in-use': inUse, leaving, refused }).map(([state, value]) => ({ labels: { pool, server, state }, value })),
      ),
    ),
  ];
}

/** In the order of the states; those of one name together. */
function gathered(servers: readonly ServerState[], names: readonly ServerNameState[]): Shown[] {
  const groups = Map.groupBy(servers, ({ pool, server, name }) => `${pool} ${name ?? server}`);
  return [...groups.values()].map((states) => {
    const { pool, server, name } = states[0]!;
    const named = name === undefined ? undefined : names.find((one) => one.pool === pool && one.server === name);
    return { labels: { pool, server: name ?? server }, states, name: named };
  });
}
