/** What `bulkhead top` shows, from one reading of the status: lines as wide and as many as fit. */
import type { Status } from '../admin/schemas.ts';
import { bytesText, type Column, numberText, secondsText, table } from './table.ts';
import { wrapped } from './width.ts';

export const SORTS = ['bytes', 'rate', 'denials'] as const;
export type Sort = (typeof SORTS)[number];

const LIVE_MOST = 50;
/** More of a request's path tells nothing to somebody who watches. */
const WHAT_MOST = 60;

const APPLICATION_COLUMNS: readonly Column[] = [
  { title: 'application', least: 14 },
  { title: '>live' },
  { title: '>new/s' },
  { title: '>denied/s' },
  { title: '>denied', leaves: 1 },
  { title: '>in/s' },
  { title: '>out/s' },
  { title: '>5xx', leaves: 2 },
  { title: '>p99', leaves: 3 },
];

/** Behind the application of a flow. */
const FLOW_COLUMNS: readonly Column[] = [
  { title: 'source', least: 15 },
  { title: 'server', least: 15, leaves: 2 },
  { title: 'what', least: 12, leaves: 3 },
  { title: 'rule', least: 9, leaves: 1 },
  { title: '>in' },
  { title: '>out' },
  { title: '>age' },
];

/** `columns` and `rows` null: not a terminal, nothing is cut. */
export function screen(seen: Status, sort: Sort, columns: number | null, rows: number | null): string[] {
  const { rates } = seen.totals;
  const head = [
    `${seen.node}  generation ${seen.generation}  ${seen.ready ? 'ready' : `NOT READY: ${seen.reason}`}  up ${secondsText(seen.uptime_seconds)}  ${seen.now.slice(11, 19)} UTC`,
    `flows ${seen.totals.flows_active} live  ${rate(rates?.opened)} new/s  ${rate(rates?.denied)} denied/s  ${rate(rates?.requests)} requests/s  ${bytes(rates?.bytes_in)}/s in  ${bytes(rates?.bytes_out)}/s out`,
    '',
  ].flatMap((line) => (columns === null || line.length <= columns ? [line] : wrapped(line, columns)));
  const applications = applicationLines(seen, sort, columns);
  const live = liveLines(seen, sort, columns);
  const foot = rows === null ? [] : [`sorted by ${sort}: b bytes, r rate, d denials; q quits`];
  const room = rows === null ? null : Math.max(2, rows - head.length - foot.length - 2);
  const shownApplications = room === null ? applications : applications.slice(0, Math.max(2, Math.ceil(room * 0.6)));
  const shownLive = room === null ? live : live.slice(0, Math.max(0, room - shownApplications.length));
  const body = [...head, ...shownApplications, '', ...shownLive];
  const filled = rows === null ? body : [...body, ...Array.from({ length: Math.max(0, rows - foot.length - body.length) }, () => '')];
  return [...filled, ...foot].map((line) => (columns === null ? line : line.slice(0, columns)));
}

function applicationLines({ applications }: Status, sort: Sort, columns: number | null): string[] {
  const weigh = (a: Status['applications'][number]) =>
    sort === 'bytes'
      ? (a.rates?.bytes_in ?? 0) + (a.rates?.bytes_out ?? 0)
      : sort === 'rate'
        ? (a.rates?.opened ?? 0)
        : (a.rates?.denied ?? 0);
  const total = (a: Status['applications'][number]) =>
    sort === 'bytes' ? a.bytes_in + a.bytes_out : sort === 'rate' ? a.flows_opened : a.verdicts.deny;
  const rows = [...applications]
    .sort((a, b) => weigh(b) - weigh(a) || total(b) - total(a))
    .map((a) => [
      a.application,
      String(a.flows_active),
      rate(a.rates?.opened),
      rate(a.rates?.denied),
      numberText(a.verdicts.deny),
      bytes(a.rates?.bytes_in),
      bytes(a.rates?.bytes_out),
      a.error_share === null ? '-' : `${(a.error_share * 100).toFixed(1)}%`,
      a.latency === null ? '-' : `${(a.latency.p99_seconds * 1000).toFixed(1)} ms`,
    ]);
  return table(APPLICATION_COLUMNS, rows, columns);
}

/** The heaviest of the newest live flows; with denials, those that were not let through. */
function liveLines({ flows }: Status, sort: Sort, columns: number | null): string[] {
  if (flows.error !== null) return [`flows are not known: ${flows.error}`];
  const list = sort === 'denials' ? flows.denied : [...flows.live].sort((a, b) => b.bytes_in + b.bytes_out - a.bytes_in - a.bytes_out);
  const rows = list.slice(0, LIVE_MOST).map((flow) => {
    const what = [flow.protocol, flow.method, flow.path].filter((fact) => fact !== null).join(' ');
    return [
      flow.application,
      flow.source,
      flow.server ?? '-',
      (columns === null ? what : what.slice(0, WHAT_MOST)) || '-',
      flow.rule ?? '-',
      bytesText(flow.bytes_in),
      bytesText(flow.bytes_out),
      secondsText(flow.duration_ms / 1000),
    ];
  });
  return table([{ title: sort === 'denials' ? 'newest denials' : 'live flows', least: 14, leaves: 4 }, ...FLOW_COLUMNS], rows, columns);
}

function rate(value: number | undefined): string {
  return value === undefined ? '-' : numberText(value);
}

function bytes(value: number | undefined): string {
  return value === undefined ? '-' : bytesText(value);
}
