/** `bulkhead flows`: what a node carries, what it carried, and with `--follow` what ends as it ends. */
import type { FlowRecord } from '../observe/view.ts';
import type { ControlEvent } from '../versions/orders.ts';
import { type AdminClient, type AdminWords, withAdmin } from './admin-client.ts';
import { CommandError, EXIT, print, printJson } from './exit.ts';
import { bytesText, printable, table } from './table.ts';

export interface FlowsWords extends AdminWords {
  readonly follow?: true;
  readonly denied?: true;
  readonly ended?: true;
  readonly application?: string;
  readonly source?: string;
  readonly rule?: string;
  readonly limit: string;
}

const TITLES = [
  'time (UTC)',
  'verdict',
  'application',
  'source',
  'vip',
  'what',
  'rule',
  'server',
  '>status',
  '>in',
  '>out',
  'ended by',
  'receipt',
];

export function flows(words: FlowsWords): Promise<number> {
  if (!/^[1-9][0-9]{0,3}$/.test(words.limit) || Number(words.limit) > 1000)
    throw new CommandError(`--limit ${JSON.stringify(words.limit)} is not a number from 1 to 1000`);
  return withAdmin(words, (client) => (words.follow ? follow(client, words) : list(client, words)));
}

async function list(client: AdminClient, words: FlowsWords): Promise<number> {
  const { application, source, rule, limit } = words;
  const live = !words.denied && !words.ended;
  const query = { application, source, rule, limit, live: live ? '1' : '0', denied: words.denied ? '1' : '0' };
  const answer = await client.get<{ live: boolean; flows: FlowRecord[] }>('/api/v1/flows', query);
  if (words.json) printJson(answer);
  else if (answer.flows.length === 0)
    print(
      live
        ? 'no such flow is live; --ended shows those that were, --denied those that were not let through'
        : 'the journal holds no such flow',
    );
  else print(...table(TITLES, answer.flows.map(cells)));
  return EXIT.yes;
}

/** Until Ctrl-C, or until the node goes. */
async function follow(client: AdminClient, words: FlowsWords): Promise<number> {
  const { application, source, rule } = words;
  const kinds = words.denied ? 'denials' : 'flows,denials,applies';
  for await (const { event, data } of client.events({ kinds, application, source, rule })) {
    if (words.json) print(JSON.stringify({ event, ...(JSON.parse(data) as object) }));
    else if (event === 'skipped') print(`… ${(JSON.parse(data) as { flows: number }).flows} more flows`);
    else if (event === 'apply') print(describeEvent(JSON.parse(data) as ControlEvent));
    else
      print(
        cells(JSON.parse(data) as FlowRecord)
          .map(printable)
          .join('  '),
      );
  }
  throw new CommandError(`${client.where} has ended the events: the node has stopped, or this command did not keep up`, EXIT.no);
}

function cells(flow: FlowRecord): string[] {
  const what = [flow.protocol, flow.method, flow.host, flow.path].filter((fact) => fact !== null).join(' ');
  return [
    flow.time.slice(0, 23).replace('T', ' '),
    flow.verdict ?? '-',
    flow.application,
    flow.source,
    flow.vip,
    what.length > 60 ? `${what.slice(0, 59)}…` : what || '-',
    flow.rule ?? '-',
    flow.server ?? '-',
    flow.status === null ? '-' : String(flow.status),
    bytesText(flow.bytes_in),
    bytesText(flow.bytes_out),
    flow.ended_by === null ? 'live' : `${flow.ended_by}${flow.reason === null ? '' : `, ${flow.reason}`}`,
    flow.receipt,
  ];
}

function describeEvent({ time, kind, author, version, generation, revoked, kept, detail }: ControlEvent): string {
  const what = generation === null ? '' : `: version ${version}, generation ${generation}, ${revoked} flows ended, ${kept} left alone`;
  return printable(`${time.slice(0, 23).replace('T', ' ')}  ${kind} by ${author}${what}  ${detail}`);
}
