/**
 * The status page: asks for `/api/v1/status` every two seconds and draws what it says. What comes from traffic reaches the document as text
 * only, because every element is made by `h` and none by markup.
 */
import { Limits, Quarantines, Versions } from './change.js';
import { ChartPanel } from './charts.js';
import { DeniedFlows, LiveFlows } from './flows.js';
import { bytes, clock, compact, rate, span, whole } from './format.js';
import { Notices, problemsOf } from './notices.js';
import { Applications } from './panels.js';
import { h, render } from './preact.js';
import { Pools } from './servers.js';

const RENEW_MS = 2000;
const ANSWER_TIMEOUT_MS = 5000;

const root = document.getElementById('page');
const announcement = document.getElementById('announcement');
const ui = { filter: '', all: false, allLive: false, allDenied: false };
let status = null;
let answeredAt = 0;
let trouble = null;
let timer = 0;
let asking = false;
let announced = '';

async function renew() {
  if (asking || document.hidden) return;
  asking = true;
  clearTimeout(timer);
  try {
    const response = await fetch('/api/v1/status', { cache: 'no-store', signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    status = await response.json();
    answeredAt = Date.now();
    trouble = null;
  } catch (error) {
    trouble = error instanceof TypeError ? 'no connection' : error.name === 'TimeoutError' ? 'no answer in time' : error.message;
  }
  asking = false;
  draw();
  if (!document.hidden) timer = setTimeout(renew, RENEW_MS);
}

function draw() {
  document.title = title();
  announce(spoken());
  if (root.firstElementChild?.classList.contains('waiting')) root.replaceChildren();
  render(h(Page, {}), root);
}

function title() {
  if (status === null) return 'Bulkhead';
  const mark = { silent: 'no answer · ', unready: 'not ready · ', troubled: 'problems · ', ready: '' }[stateOf()];
  return `${mark}${status.node} · Bulkhead`;
}

function stateOf() {
  if (trouble !== null) return 'silent';
  if (!status.ready) return 'unready';
  return problemsOf(status).length > 0 || status.last_refusal !== null ? 'troubled' : 'ready';
}

/** What a screen reader is told: changes of state, not numbers that move all the time. */
function spoken() {
  if (trouble !== null) return `The node does not answer: ${trouble}.`;
  if (!status.ready) return `The node is not ready: ${status.reason}.`;
  if (status.last_refusal !== null) return `The last reload was refused. Generation ${status.generation} stays in force.`;
  const problems = problemsOf(status);
  const which = problems.map(({ subject, message }) => (subject === '' ? message : `${subject}: ${message}`)).join('. ');
  return `The node is ready, generation ${status.generation}${problems.length === 0 ? '' : `, with problems. ${which}`}.`;
}

function announce(text) {
  if (text === announced) return;
  announced = text;
  announcement.textContent = text;
}

function change(more) {
  Object.assign(ui, more);
  draw();
}

function Page() {
  if (status === null)
    return h(
      'p',
      { class: 'waiting' },
      trouble === null ? 'Asking the node …' : `The node does not answer (${trouble}). Asking again every two seconds.`,
    );
  return [
    h(Header, { key: 'header' }),
    h('main', { key: 'main', class: trouble === null ? '' : 'stale' }, [
      h(Notices, { key: 'notices', status, trouble, answeredAt }),
      h(Figures, { key: 'figures' }),
      h(ChartPanel, { key: 'charts', history: status.history }),
      status.quarantines.length > 0 && h(Quarantines, { key: 'quarantines', quarantines: status.quarantines, now: Date.parse(status.now) }),
      h(Applications, { key: 'applications', applications: status.applications, ui, change }),
      h(Pools, { key: 'pools', pools: status.pools }),
      h(DeniedFlows, { key: 'denied', flows: status.flows, now: Date.parse(status.now), ui, change }),
      h(LiveFlows, { key: 'live', flows: status.flows, total: status.totals.flows_active, applications: status.applications, ui, change }),
      status.versions.length > 0 && h(Versions, { key: 'versions', versions: status.versions, now: Date.parse(status.now) }),
      status.limits.length + status.node_limits.length > 0 &&
        h(Limits, { key: 'limits', limits: status.limits, nodeLimits: status.node_limits }),
    ]),
    h(Footer, { key: 'footer' }),
  ];
}

function Header() {
  const state = stateOf();
  const word = { silent: 'No answer', ready: 'Ready', troubled: 'Ready, with problems', unready: 'Not ready' }[state];
  const glyph = { silent: '○', ready: '●', troubled: '◆', unready: '▲' }[state];
  const facts = [
    ['Bulkhead', status.version],
    ['Up', span(status.uptime_seconds)],
    ['Policy', h(Policy)],
    ['Workers', workersSaid()],
  ];
  return h('header', { class: 'top' }, [
    h('img', { src: '/assets/icon.svg', alt: '', width: 30, height: 30 }),
    h('div', { class: 'name' }, h('h1', null, status.node), h('p', null, 'Bulkhead')),
    h('p', { class: `state ${state}` }, h('span', { 'aria-hidden': 'true' }, glyph), ' ', word),
    h(
      'dl',
      { class: 'facts' },
      facts.map(([term, value]) => h('div', { key: term }, h('dt', null, term), h('dd', null, value))),
    ),
  ]);
}

/** By which numbers the policy is known: its version on disk, its generation in this process. */
function Policy() {
  const age = span((Date.parse(status.now) - Date.parse(status.applied_at)) / 1000);
  const numbers = [
    status.in_force === null ? null : `version ${whole(status.in_force.version)}`,
    `generation ${whole(status.generation)}`,
    `${age} old`,
  ];
  return numbers.filter((part) => part !== null).join(', ');
}

function workersSaid() {
  const all = status.workers.length;
  const current = status.workers.filter((worker) => worker.generation === status.generation).length;
  if (current === all) return all === 1 ? 'one, on this policy' : `all ${all} on this policy`;
  return `${current} of ${all} on this policy, the others on the one before`;
}

function Figures() {
  const { rates, verdicts, flows_active: active, connections_active: connections } = status.totals;
  const revoked = status.applications.reduce((sum, a) => sum + a.flows_revoked, 0);
  const figures = [
    [
      'Live flows',
      compact(active),
      `on ${compact(connections)} ${connections === 1 ? 'connection' : 'connections'}, ${compact(revoked)} revoked`,
    ],
    ['New flows', rates === null ? '–' : `${rate(rates.opened)}/s`, `${compact(verdicts.allow)} allowed since start`],
    [
      'Denied',
      rates === null ? '–' : `${rate(rates.denied)}/s`,
      `${compact(verdicts.deny)} denied since start${verdicts.would_deny === 0 ? '' : `, ${compact(verdicts.would_deny)} let through that would be denied`}`,
    ],
    ['From clients', rates === null ? '–' : `${bytes(rates.bytes_in)}/s`, 'bytes in'],
    ['To clients', rates === null ? '–' : `${bytes(rates.bytes_out)}/s`, 'bytes out'],
  ];
  return h(
    'dl',
    { class: 'figures', 'aria-label': 'The node now' },
    figures.map(([term, value, note]) =>
      h('div', { key: term }, h('dt', null, term), h('dd', null, value), h('dd', { class: 'note' }, note)),
    ),
  );
}

function Footer() {
  const { journal, worker_restarts: restarts } = status;
  const parts = [
    `${compact(journal.written)} records in the journal`,
    journal.dropped > 0 ? `${compact(journal.dropped)} dropped` : null,
    restarts > 0 ? `${restarts} worker ${restarts === 1 ? 'restart' : 'restarts'}` : null,
  ].filter((part) => part !== null);
  return h('footer', null, [
    h('p', null, parts.join(' · ')),
    h(
      'p',
      null,
      `Renewed ${clock(new Date(answeredAt))} · `,
      h('a', { href: '/metrics' }, 'metrics'),
      ' · ',
      h('a', { href: '/api/v1/openapi.json' }, 'API'),
      ' · ',
      h('a', { href: '/api/v1/policy' }, 'policy'),
      ' · ',
      h('a', { href: '/api/v1/audit' }, 'audit'),
    ),
  ]);
}

document.addEventListener('visibilitychange', () => {
  clearTimeout(timer);
  if (!document.hidden) renew();
});
renew();
