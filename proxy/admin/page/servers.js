/** The servers, pool by pool: may they take flows, how many do they carry, how did dialling them go. */
import { compact, span, whole } from './format.js';
import { Cell, Piece, Table } from './panels.js';
import { h } from './preact.js';

const STATES = {
  up: ['●', 'Up'],
  down: ['✕', 'Down'],
  ejected: ['▲', 'Ejected'],
  draining: ['◐', 'Draining'],
};

export function Pools({ pools }) {
  return h('section', { 'aria-labelledby': 'servers' }, [
    h('div', { class: 'heading' }, h('h2', { id: 'servers' }, 'Servers')),
    pools.length === 0
      ? h(
          'p',
          { class: 'empty' },
          'No pool yet. A pool is a set of servers that answer for an application: pools: { web: { servers: [127.0.0.1:9001] } }',
        )
      : h(
          'div',
          { class: 'pools' },
          pools.map((pool) => h(Pool, { key: pool.pool, pool })),
        ),
  ]);
}

function Pool({ pool }) {
  const busiest = Math.max(1, ...pool.servers.map((server) => server.flows_active));
  const taking = pool.servers.filter((server) => server.state === 'up').length;
  const none = pool.servers.length > 0 && taking === 0;
  return h('article', null, [
    h('h3', null, pool.pool, ' ', h('span', { class: 'quiet' }, pool.balance ?? 'removed')),
    pool.servers.length > 0 &&
      h(
        'p',
        { class: none ? 'taking deny' : 'taking quiet' },
        none ? '▲ no server takes flows' : `${taking} of ${pool.servers.length} ${pool.servers.length === 1 ? 'takes' : 'take'} flows`,
      ),
    pool.servers.length === 0
      ? h('p', { class: 'empty' }, 'This pool has no server: no flow gets through to it.')
      : h(
          Table,
          { class: 'servers', columns: ['Server', 'State', 'Live flows', '#Weight', '#Dials', 'Failed dials'] },
          pool.servers.map((server) => h(ServerRow, { key: server.server, server, busiest })),
        ),
  ]);
}

function ServerRow({ server, busiest }) {
  const [glyph, word] = STATES[server.state];
  const failed = Object.entries(server.dials).filter(([result, n]) => result !== 'connected' && n > 0);
  const failures = failed.reduce((sum, [, n]) => sum + n, 0);
  const detail = server.state === 'ejected' ? `for ${span(server.ejected_for_seconds)} more` : server.detail;
  return h('tr', { role: 'row' }, [
    h(
      'th',
      { scope: 'row', role: 'rowheader', class: 'mono pieces' },
      h(Piece, { text: server.server }),
      server.name !== null &&
        server.name !== server.server &&
        h('span', { class: 'detail', title: server.name }, h(Piece, { text: server.name })),
    ),
    h(
      Cell,
      { label: 'State', class: `health ${server.state}` },
      h('span', { class: 'word' }, h('span', { 'aria-hidden': 'true' }, glyph), ` ${word}`),
      detail !== '' && h('span', { class: 'detail', title: detail }, detail),
    ),
    h(
      Cell,
      { label: 'Live flows', class: 'load' },
      h('span', { class: 'amount' }, compact(server.flows_active)),
      h('span', { class: 'meter', 'aria-hidden': 'true' }, h('span', { style: { width: `${(100 * server.flows_active) / busiest}%` } })),
    ),
    h(Cell, { label: 'Weight', number: true }, whole(server.weight)),
    h(Cell, { label: 'Dials', number: true }, compact(server.dials.connected + failures)),
    h(
      Cell,
      { label: 'Failed dials', class: failures > 0 ? '' : 'quiet' },
      failures === 0 ? 'none' : failed.map(([result, n]) => `${compact(n)} ${result}`).join(', '),
    ),
  ]);
}
