/** What `bulkhead top` shows, from one reading of the status: lines as wide and as many as fit. */
import type { Status } from '../admin/schemas.ts';
import { bytesText, numberText, printable, secondsText, table } from './table.ts';

export const SORTS = ['bytes', 'rate', 'denials'] as const;
export type Sort = (typeof SORTS)[number];

const LIVE_MOST = 50;

/** `columns` and `rows` null: not a terminal, nothing is cut. */
export function screen(seen: Status, sort: Sort, columns: number | null, rows: number | null): string[] {
  const { rates } = seen.totals;
  const head = [
    `${seen.node}  generation ${seen.generation}  ${seen.ready ? 'ready' : `NOT READY: ${seen.reason}`}  up ${secondsText(seen.uptime_seconds)}  ${seen.now.slice(11, 19)} UTC`,
    `flows ${seen.totals.flows_active} live  ${rate(rates?.opened)} new/s  ${rate(rates?.denied)} denied/s  ${rate(rates?.requests)} requests/s  ${bytes(rates?.bytes_in)}/s in  ${bytes(rates?.bytes_out)}/s out`,
    '',
  ];
  const applications = applicationLines(seen, sort);
  const live = liveLines(seen, sort);
  const foot = rows === null ? [] : [`sorted by ${sort}: b bytes, r rate, d denials; q quits`];
  const room = rows === null ? null : Math.max(2, rows - head.length - foot.length - 2);
  const shownApplications = room === null ? applications : applications.slice(0, Math.max(2, Math.ceil(room * 0.6)));
  const shownLive = room === null ? live : live.slice(0, Math.max(0, room - shownApplications.length));
  const body = [...head, ...shownApplications, '', ...shownLive];
  const filled = rows === null ? body : [...body, ...Array.from({ length: Math.max(0, rows - foot.length - body.length) }, () => '')];
  return [...filled, ...foot].map((line) => (columns === null ? line : line.slice(0, columns)));
}

function applicationLines({ applications }: Status, sort: Sort): string[] {
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
  return table(['application', '>live', '>new/s', '>denied/s', '>denied', '>in/s', '>out/s', '>5xx', '>p99'], rows);
}

/** The heaviest of the newest live flows; with denials, those that were not let through. */
function liveLines({ flows }: Status, sort: Sort): string[] {
  if (flows.error !== null) return [`flows are not known: ${flows.error}`];
  const list = sort === 'denials' ? flows.denied : [...flows.live].sort((a, b) => b.bytes_in + b.bytes_out - a.bytes_in - a.bytes_out);
  const rows = list.slice(0, LIVE_MOST).map((flow) => {
    const what = [flow.protocol, flow.method, flow.path].filter((fact) => fact !== null).join(' ');
    return [
      flow.application,
      flow.source,
      flow.server ?? '-',
      printable(what).slice(0, 40) || '-',
      flow.rule ?? '-',
      bytesText(flow.bytes_in),
      bytesText(flow.bytes_out),
      secondsText(flow.duration_ms / 1000),
    ];
  });
  return table([sort === 'denials' ? 'newest denials' : 'live flows', 'source', 'server', 'what', 'rule', '>in', '>out', '>age'], rows);
}

function rate(value: number | undefined): string {
  return value === undefined ? '-' : numberText(value);
}

function bytes(value: number | undefined): string {
  return value === undefined ? '-' : bytesText(value);
}
