/** What travels now, and what was turned away last. */
import { bytes, clock, seconds, span, whole } from './format.js';
import { Cell, Piece, Table } from './panels.js';
import { h } from './preact.js';

/** Rows drawn until all that the answer holds are asked for: fewer where each is a card of its own. */
const NARROW = matchMedia('(max-width: 1080px)');
const liveShown = () => (NARROW.matches ? 4 : 15);
const deniedShown = () => (NARROW.matches ? 4 : 10);

export function LiveFlows({ flows, total, applications, ui, change }) {
  const held = flows.live.length;
  const rows = ui.allLive ? flows.live : flows.live.slice(0, liveShown());
  const shown = rows.length;
  return h('section', { 'aria-labelledby': 'live' }, [
    h(
      'div',
      { class: 'heading' },
      h('h2', { id: 'live' }, 'Live flows'),
      shown > 0 && total > shown && h('p', { class: 'quiet' }, `the newest ${shown} of ${whole(total)}`),
      held > liveShown() && h(MoreButton, { all: ui.allLive, held, toggle: () => change({ allLive: !ui.allLive }) }),
    ),
    flows.error !== null && h('p', { class: 'empty' }, `The flows are missing: ${flows.error}.`),
    flows.error === null && shown === 0 && h(NothingLive, { applications }),
    shown > 0 &&
      h(
        Table,
        { class: 'flows', columns: ['#Age', 'Source', 'Application', 'What', 'Rule', 'Server', '#In', '#Out', 'Receipt'] },
        rows.map((flow) =>
          h('tr', { key: flow.receipt, role: 'row' }, [
            h(Cell, { label: 'Age', number: true }, seconds(flow.duration_ms / 1000)),
            h(Cell, { label: 'Source', class: 'mono pieces' }, h(Piece, { text: flow.source })),
            h(Cell, { label: 'Application', class: 'pieces' }, h(Piece, { text: flow.application })),
            h(Cell, { label: 'What', class: 'what' }, h(What, { flow })),
            h(Cell, { label: 'Rule', class: 'pieces' }, h(RuleName, { flow })),
            h(Cell, { label: 'Server', class: 'mono pieces' }, h(Piece, { text: flow.server ?? '–' })),
            h(Cell, { label: 'In', number: true }, bytes(flow.bytes_in)),
            h(Cell, { label: 'Out', number: true }, bytes(flow.bytes_out)),
            h(Cell, { label: 'Receipt', class: 'whole' }, h(Receipt, { flow })),
          ]),
        ),
      ),
  ]);
}

export function DeniedFlows({ flows, now, ui, change }) {
  const held = flows.denied.length;
  const rows = ui.allDenied ? flows.denied : flows.denied.slice(0, deniedShown());
  return h('section', { 'aria-labelledby': 'denied' }, [
    h(
      'div',
      { class: 'heading' },
      h('h2', { id: 'denied' }, 'Recent denials'),
      held > deniedShown() && h(MoreButton, { all: ui.allDenied, held, toggle: () => change({ allDenied: !ui.allDenied }) }),
    ),
    held === 0
      ? h(
          'p',
          { class: 'empty' },
          flows.error === null
            ? 'Nothing was denied that the journal remembers. What no rule allows is denied by default, and will stand here with its receipt.'
            : `The denials are missing: ${flows.error}.`,
        )
      : h(
          Table,
          { class: 'denials', columns: ['When', 'Source', 'Application', 'What', 'Rule', 'Why', 'Receipt'] },
          rows.map((flow) =>
            h('tr', { key: flow.receipt, role: 'row' }, [
              h(
                Cell,
                { label: 'When', class: 'whole', title: clock(new Date(flow.time)) },
                `${span((now - Date.parse(flow.time)) / 1000)} ago`,
              ),
              h(Cell, { label: 'Source', class: 'mono pieces' }, h(Piece, { text: flow.source })),
              h(Cell, { label: 'Application', class: 'pieces' }, h(Piece, { text: flow.application })),
              h(Cell, { label: 'What', class: 'what' }, h(What, { flow })),
              h(Cell, { label: 'Rule', class: 'pieces' }, h(RuleName, { flow })),
              h(Cell, { label: 'Why', class: 'why' }, flow.reason ?? '–'),
              h(Cell, { label: 'Receipt', class: 'whole' }, h(Receipt, { flow })),
            ]),
          ),
        ),
  ]);
}

function MoreButton({ all, held, toggle }) {
  return h('button', { type: 'button', class: 'more', 'aria-pressed': String(all), onClick: toggle }, all ? 'Show fewer' : `Show ${held}`);
}

function What({ flow }) {
  const request = [flow.method, flow.host === null && flow.path === null ? null : `${flow.host ?? ''}${flow.path ?? ''}`].filter(
    (part) => part !== null && part !== '',
  );
  return h(
    'span',
    { class: 'clip', title: request.join(' ') },
    h('span', { class: 'tag' }, flow.protocol ?? (flow.ended_by === null ? 'not yet known' : 'not read')),
    request.length > 0 && h('span', { class: 'mono' }, ' ', request.join(' ')),
  );
}

function RuleName({ flow }) {
  if (flow.rule === null) return h('span', { class: 'quiet' }, '–');
  const [kind, glyph, word] =
    flow.verdict === 'deny'
      ? ['deny', '✕', 'deny']
      : flow.verdict === 'would_deny'
        ? ['would', '◇', 'would deny']
        : ['allow', '✓', 'allow'];
  const outside = flow.tier !== null && flow.tier !== 'application' && flow.tier !== flow.rule;
  return h(
    'span',
    null,
    h('span', { class: kind, role: 'img', 'aria-label': word, title: word }, glyph),
    '\u00a0',
    h(Piece, { text: flow.rule }),
    outside && h('span', { class: 'quiet' }, ` (${flow.tier})`),
  );
}

function Receipt({ flow }) {
  return h('a', { class: 'mono', href: `/api/v1/flows/${encodeURIComponent(flow.receipt)}` }, flow.receipt);
}

function NothingLive({ applications }) {
  const http = applications.find((a) => a.mode === 'http' && a.vips.length > 0);
  if (http === undefined)
    return h(
      'p',
      { class: 'empty' },
      'Nothing travels right now. A flow is one client connection, or one request where rules speak of requests.',
    );
  return h('p', { class: 'empty' }, 'Nothing travels right now. Send something: ', h('code', null, `curl -i http://${http.vips[0]}/`));
}
