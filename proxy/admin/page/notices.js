/** What is wrong: that the node does not answer, that it is not ready, that a reload was refused, and all that it says of itself. */
import { clock, share, span, whole } from './format.js';
import { Piece } from './panels.js';
import { h } from './preact.js';

/** Answers of class 5xx beyond this share are no chance. */
const ERROR_SHARE_LEAST = 0.5;

/** What is wrong with a node that carries traffic: what it has found itself, and applications that answer with nothing but errors. */
export function problemsOf(status) {
  const failing = status.applications
    .filter((a) => a.error_share !== null && a.error_share >= ERROR_SHARE_LEAST)
    .map((a) => ({
      kind: 'answers',
      subject: a.application,
      message: `${share(a.error_share)} of the answers of the last minute had a status from 500 on; look at the servers of its pool`,
      since: null,
    }));
  return [...status.problems, ...failing];
}

export function Notices({ status, trouble, answeredAt }) {
  const now = Date.parse(status.now);
  const refusal = status.last_refusal;
  // A refused reload has a notice of its own, with every line of it.
  const problems = problemsOf(status).filter((problem) => problem.kind !== 'reload' || refusal === null);
  return [
    trouble !== null && h(Silent, { key: 'silent', trouble, answeredAt }),
    !status.ready && h(Unready, { key: 'unready', reason: status.reason }),
    refusal !== null && h(Refused, { key: 'refusal', refusal, status, now }),
    problems.length > 0 && h(Problems, { key: 'problems', problems, now }),
    (status.in_force?.over_file ?? null) !== null && h(OverFile, { key: 'over-file', version: status.in_force.over_file, now }),
  ];
}

function Silent({ trouble, answeredAt }) {
  return h('section', { class: 'notice bad' }, [
    h('h2', null, `The node has not answered since ${clock(new Date(answeredAt))}`),
    h('p', null, `What follows is its last word (${trouble}). This page asks again every two seconds.`),
  ]);
}

function Unready({ reason }) {
  return h('section', { class: 'notice bad' }, [
    h('h2', null, 'Not ready'),
    h('p', null, `${reason}. Until this is mended /readyz answers 503.`),
  ]);
}

function Refused({ refusal, status, now }) {
  const hidden = refusal.problem_count - refusal.problems.length;
  return h('section', { class: 'notice bad' }, [
    h('h2', null, `The last reload was refused, ${span((now - Date.parse(refusal.at)) / 1000)} ago`),
    h('p', null, `Generation ${whole(status.generation)} stays in force. Mend the file and send SIGHUP again.`),
    h(
      'ul',
      null,
      refusal.problems.map((problem, i) => h('li', { key: i }, problem)),
    ),
    hidden > 0 && h('p', null, `and ${whole(hidden)} more; bulkhead check prints them all.`),
  ]);
}

/** Nothing is wrong with that, but whoever reads the file should know. */
function OverFile({ version, now }) {
  const ago = span((now - Date.parse(version.time)) / 1000);
  return h('section', { class: 'notice' }, [
    h('h2', null, 'The file differs from what is in force'),
    h(
      'p',
      null,
      `Version ${whole(version.version)}, by ${version.author}, ${ago} ago, is not in the file: a reload (SIGHUP) would take it back. `,
      h('a', { href: `/api/v1/versions/${version.version}` }, 'Its text'),
    ),
  ]);
}

function Problems({ problems, now }) {
  return h('section', { class: 'notice warn', 'aria-labelledby': 'problems' }, [
    h('h2', { id: 'problems' }, problems.length === 1 ? 'One problem' : `${whole(problems.length)} problems`),
    h(
      'ul',
      { class: 'problems' },
      problems.map(({ kind, subject, message, since }) =>
        h(
          'li',
          { key: `${kind} ${subject}` },
          // Most messages name what they are about.
          (subject === '' || !message.includes(subject)) &&
            h('b', null, KINDS[kind] ?? kind, subject === '' ? '' : ' ', h(Piece, { text: subject }), ': '),
          message,
          since !== null && h('span', { class: 'quiet' }, ` (for ${span((now - Date.parse(since)) / 1000)})`),
        ),
      ),
    ),
  ]);
}

/** What the subject of each kind of problem is. */
const KINDS = {
  answers: 'Application',
  state: 'State folder',
  audit: 'Audit',
  version: 'Version',
  journal: 'Journal',
  reload: 'Reload',
  vip: 'VIP',
  'proxy-header': 'PROXY header of application',
  certificate: 'Certificate',
  'token-keys': 'Keys of tokens',
  pool: 'Pool',
  'server-name': 'Server name',
};
