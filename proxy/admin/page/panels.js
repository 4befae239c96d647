/** The applications: what each was asked, what it answered, how fast. */
import { bytes, compact, rate, seconds, share, whole } from './format.js';
import { h } from './preact.js';

/** More than this, and only the busiest are drawn until all are asked for. */
const SHOWN_MAX = 12;

export function Applications({ applications, ui, change }) {
  return h('section', { 'aria-labelledby': 'applications' }, [
    h(
      'div',
      { class: 'heading' },
      h('h2', { id: 'applications' }, 'Applications'),
      applications.length > SHOWN_MAX && h(Chooser, { applications, ui, change }),
    ),
    applications.length === 0 ? h(NoApplications) : h(ApplicationTable, { applications: chosen(applications, ui) }),
  ]);
}

function chosen(applications, ui) {
  const wanted = ui.filter.trim().toLowerCase();
  const named = wanted === '' ? applications : applications.filter((a) => a.application.toLowerCase().includes(wanted));
  if (ui.all || wanted !== '' || named.length <= SHOWN_MAX) return named;
  return [...named].sort((a, b) => (b.rates?.opened ?? 0) - (a.rates?.opened ?? 0) || b.flows_opened - a.flows_opened).slice(0, SHOWN_MAX);
}

function Chooser({ applications, ui, change }) {
  return h('div', { class: 'chooser' }, [
    h('input', {
      type: 'search',
      placeholder: 'Filter by name',
      'aria-label': 'Filter applications by name',
      value: ui.filter,
      onInput: (event) => change({ filter: event.target.value }),
    }),
    h(
      'button',
      { type: 'button', 'aria-pressed': String(ui.all), onClick: () => change({ all: !ui.all }) },
      ui.all ? 'Busiest only' : `Show all ${applications.length}`,
    ),
  ]);
}

function ApplicationTable({ applications }) {
  if (applications.length === 0) return h('p', { class: 'empty' }, 'No application has such a name.');
  return h(
    Table,
    {
      class: 'applications',
      columns: ['Application', 'Verdicts', 'Rules that decided most', '#Live', '#New/s', '#In/s', '#Out/s', '#5xx', '#p50', '#p99'],
    },
    applications.map((a) => h(ApplicationRow, { key: a.application, a })),
  );
}

function ApplicationRow({ a }) {
  const more = a.vip_count - a.vips.length;
  const observing = a.enforcement === 'observe';
  return h('tr', { role: 'row' }, [
    h('th', { scope: 'row', role: 'rowheader' }, [
      h('span', { class: 'title' }, a.application),
      a.mode !== null && h('span', { class: 'tag' }, a.mode),
      observing && h('span', { class: 'tag would' }, 'observe only'),
      a.mode === null && h('span', { class: 'tag' }, 'removed'),
      h('span', { class: 'under mono' }, a.vips.slice(0, 3).join(', '), a.vip_count > 3 ? ` and ${a.vips.length - 3 + more} more` : ''),
    ]),
    h(Cell, { label: 'Verdicts' }, h(Verdicts, { verdicts: a.verdicts })),
    h(Cell, { label: 'Rules' }, h(TopRules, { a })),
    h(
      Cell,
      { label: 'Live', number: true, title: `${whole(a.flows_opened)} opened, ${whole(a.flows_revoked)} revoked` },
      compact(a.flows_active),
      a.flows_revoked > 0 && h('span', { class: 'under' }, `${compact(a.flows_revoked)} revoked`),
    ),
    h(Cell, { label: 'New/s', number: true }, rate(a.rates?.opened)),
    h(Cell, { label: 'In/s', number: true, title: `${bytes(a.bytes_in)} since start` }, bytes(a.rates?.bytes_in)),
    h(Cell, { label: 'Out/s', number: true, title: `${bytes(a.bytes_out)} since start` }, bytes(a.rates?.bytes_out)),
    h(
      Cell,
      { label: '5xx', number: true, class: a.error_share >= 0.01 ? 'deny' : '' },
      a.error_share >= 0.01 ? `▲ ${share(a.error_share)}` : share(a.error_share),
    ),
    h(Cell, { label: 'p50', number: true, title: latencyTitle(a) }, seconds(a.latency?.p50_seconds)),
    h(Cell, { label: 'p99', number: true, title: latencyTitle(a) }, seconds(a.latency?.p99_seconds)),
  ]);
}

function latencyTitle(a) {
  return a.latency === null ? 'Nothing ended in the last minute' : `Of the ${a.latency.of} that ended in the last minute`;
}

/** Three words and a bar; each part of the bar has a texture of its own besides its colour. */
function Verdicts({ verdicts }) {
  const total = verdicts.allow + verdicts.deny + verdicts.would_deny;
  if (total === 0) return h('span', { class: 'quiet' }, 'none yet');
  const parts = [
    ['allow', '✓', 'allowed', verdicts.allow],
    ['deny', '✕', 'denied', verdicts.deny],
    ['would', '◇', 'would be denied', verdicts.would_deny],
  ].filter((part) => part[3] > 0);
  return h('div', { class: 'verdicts' }, [
    h(
      'div',
      { class: 'bar', 'aria-hidden': 'true' },
      parts.map(([kind, , , n]) => h('span', { key: kind, class: kind, style: { flexGrow: n / total } })),
    ),
    h(
      'ul',
      null,
      parts.map(([kind, glyph, word, n]) =>
        h('li', { key: kind, class: kind, title: whole(n) }, h('span', { 'aria-hidden': 'true' }, glyph), ` ${compact(n)} ${word}`),
      ),
    ),
  ]);
}

function TopRules({ a }) {
  if (a.top_rules.length === 0) return h('span', { class: 'quiet' }, a.rule_count === 0 ? 'no rules: all is denied' : 'none yet');
  return h(
    'ol',
    { class: 'rules' },
    a.top_rules.slice(0, 3).map((r) => {
      const main = r.deny > 0 && r.deny >= r.allow ? 'deny' : r.would_deny > r.allow ? 'would' : 'allow';
      const glyph = { allow: '✓', deny: '✕', would: '◇' }[main];
      const word = { allow: 'allow', deny: 'deny', would: 'would deny' }[main];
      const n = r.allow + r.deny + r.would_deny;
      return h(
        'li',
        { key: r.rule },
        h('span', { class: main, role: 'img', 'aria-label': word, title: word }, glyph),
        ' ',
        h('span', { class: 'rule', title: r.rule }, r.rule),
        ' ',
        h('span', { class: 'quiet', title: whole(n) }, compact(n)),
      );
    }),
  );
}

const EXAMPLE = `applications:
  shop:
    vips: [127.0.0.1:8080]
    mode: http
    pool: web
    rules:
      - { name: customers, from: [any], action: allow }`;

function NoApplications() {
  return h('div', { class: 'empty' }, [
    h(
      'p',
      null,
      'No application yet, so nothing is let through. An application is a micro-segment: its VIPs, its rules and its pool. Write one and send SIGHUP:',
    ),
    h('pre', null, EXAMPLE),
  ]);
}

/**
 * A table that becomes a list of cards on a narrow screen. The roles are written out, because a table that CSS lays out as blocks is no
 * table to a screen reader any more. A column whose name starts with # holds numbers.
 */
export function Table({ class: name, columns, children }) {
  const heads = columns.map((column) => {
    const number = column.startsWith('#');
    return h('th', { key: column, scope: 'col', role: 'columnheader', class: number ? 'number' : '' }, number ? column.slice(1) : column);
  });
  return h(
    'table',
    { class: name, role: 'table' },
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, heads)),
    h('tbody', { role: 'rowgroup' }, children),
  );
}

/** The usual addresses with their port fit in. */
const PIECE_CHARACTERS_MAX = 26;

/** An address or a name in one piece; one that is too long for that may break behind its dots, in a cell of the class `pieces`. */
export function Piece({ text }) {
  if (text.length <= PIECE_CHARACTERS_MAX) return h('span', { class: 'piece' }, text);
  return text.split(/(?<=[.:/-])/).flatMap((part, i) => (i === 0 ? [part] : [h('wbr', { key: i }), part]));
}

export function Cell({ label, number, class: name, title, children }) {
  const classes = [number ? 'number' : '', name ?? ''].filter((part) => part !== '').join(' ');
  return h('td', { role: 'cell', 'data-label': label, class: classes, title }, h('div', null, children));
}
