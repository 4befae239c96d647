/** What was changed last and by whom, who is cut off beside the file, and which limits were hit. */
import { clock, compact, moment, span, whole } from './format.js';
import { Cell, Piece, Table } from './panels.js';
import { h } from './preact.js';

export function Versions({ versions, now }) {
  return h('section', { 'aria-labelledby': 'versions' }, [
    h('div', { class: 'heading' }, h('h2', { id: 'versions' }, 'Versions'), h('p', { class: 'quiet' }, 'the newest is in force')),
    h(
      Table,
      { class: 'versions', columns: ['Version', 'When', 'Cause', 'By', 'Note or change'] },
      versions.map((version) =>
        h('tr', { key: version.version, role: 'row' }, [
          h(Cell, { label: 'Version' }, h('a', { href: `/api/v1/versions/${version.version}` }, whole(version.version))),
          h(
            Cell,
            { label: 'When', class: 'whole', title: clock(new Date(version.time)) },
            `${span((now - Date.parse(version.time)) / 1000)} ago`,
          ),
          h(
            Cell,
            { label: 'Cause' },
            version.cause,
            version.confirm_by !== null &&
              h('span', { class: 'tag would' }, `taken back at ${moment(new Date(version.confirm_by), new Date(now))}`),
          ),
          h(Cell, { label: 'By', class: 'pieces' }, h(Piece, { text: version.author })),
          h(Cell, { label: 'Note or change', class: 'why' }, version.note ?? version.summary),
        ]),
      ),
    ),
  ]);
}

export function Quarantines({ quarantines, now }) {
  return h('section', { 'aria-labelledby': 'quarantines' }, [
    h('div', { class: 'heading' }, h('h2', { id: 'quarantines' }, 'Quarantines')),
    h(
      Table,
      { class: 'quarantines', columns: ['Source', 'Until', 'By', 'Reason', 'Name'] },
      quarantines.map((one) =>
        h('tr', { key: one.name, role: 'row' }, [
          h(
            'th',
            { scope: 'row', role: 'rowheader', class: 'mono pieces' },
            h('span', { class: 'deny' }, '✕\u00a0'),
            h(Piece, { text: one.source }),
          ),
          h(
            Cell,
            { label: 'Until', class: 'whole' },
            moment(new Date(one.until), new Date(now)),
            h('span', { class: 'under' }, `for ${span((Date.parse(one.until) - now) / 1000)} more`),
          ),
          h(Cell, { label: 'By', class: 'pieces' }, h(Piece, { text: one.author })),
          h(Cell, { label: 'Reason', class: 'why' }, one.reason),
          h(Cell, { label: 'Name', class: 'mono whole' }, one.name),
        ]),
      ),
    ),
  ]);
}

export function Limits({ limits, nodeLimits }) {
  const hit = [
    ...limits.map(({ application, limit, hits }) => [application, limit, hits]),
    ...nodeLimits.map(({ limit, hits }) => ['the node', limit, hits]),
  ].sort((a, b) => b[2] - a[2]);
  return h('section', { 'aria-labelledby': 'limits' }, [
    h('div', { class: 'heading' }, h('h2', { id: 'limits' }, 'Limits hit'), h('p', { class: 'quiet' }, 'since the start')),
    h(
      'ul',
      { class: 'limits' },
      hit.map(([where, limit, hits]) =>
        h(
          'li',
          { key: `${where} ${limit}` },
          h('b', { title: whole(hits) }, compact(hits)),
          ` ${limit} `,
          h('span', { class: 'quiet' }, where),
        ),
      ),
    ),
  ]);
}
