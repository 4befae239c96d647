/** `bulkhead flows`: what a node carries, what it carried, and with `--follow` what ends as it ends. */
import { type FilterWords, readFilter } from '../observe/flow-filter.ts';
import type { FlowRecord } from '../observe/view.ts';
import type { ControlEvent } from '../versions/orders.ts';
import { type AdminClient, type AdminWords, withAdmin } from './admin-client.ts';
import { CommandError, EXIT, print, printJson } from './exit.ts';
import { journalTrouble } from './journal-trouble.ts';
import { bytesText, type Column, Layout, printable, table } from './table.ts';
import { terminalWidth } from './width.ts';

export interface FlowsWords extends AdminWords, FilterWords {
  readonly follow?: true;
  readonly denied?: true;
  readonly ended?: true;
  readonly wide?: true;
  readonly limit: string;
}

/** Whole seconds of this year: what tells lines apart where they are short. */
const briefTime = (time: string) => time.slice(5, 19);

/** A request without its protocol and host, which the application has told. */
const briefWhat = (what: string) => what.replace(/^(?:http|h2|websocket|grpc) (\S+) \S+ (?=\/)/, '$1 ');

const COLUMNS: readonly Column[] = [
  { title: 'time (UTC)', brief: briefTime },
  { title: 'verdict' },
  { title: 'application', least: 11, leaves: 7 },
  { title: 'source', least: 15, good: 21 },
  { title: 'vip', least: 15, leaves: 3 },
  { title: 'what', least: 12, good: 24, leaves: 8, brief: briefWhat },
  { title: 'rule', least: 8, good: 16, leaves: 9 },
  { title: 'server', least: 15, leaves: 5 },
  { title: '>status', leaves: 4 },
  { title: '>in', leaves: 1 },
  { title: '>out', leaves: 2 },
  { title: 'ended by', least: 12, leaves: 6 },
  { title: 'receipt' },
];
/** As wide as most are: what follows one by one is set out before it is known. */
const USUAL = [
  '2026-12-31 18:00:00.000',
  'allow',
  'application',
  '198.51.100.255:50000',
  '198.51.100.255:8080',
  'http GET shop.example.com /a/path',
  'a-rule-of-many',
  '198.51.100.255:8080',
  '-',
  '100.0 KiB',
  '100.0 KiB',
  'client, flow-ended',
  '0123456780001',
];

const LIMIT_MOST = 100_000;
/** As many as the node answers at once. */
const PAGE_MOST = 1_000;

interface Page {
  readonly live: boolean;
  readonly flows: readonly FlowRecord[];
  readonly next: string | null;
}

export function flows(words: FlowsWords): Promise<number> {
  if (!/^[1-9][0-9]{0,5}$/.test(words.limit) || Number(words.limit) > LIMIT_MOST)
    throw new CommandError(`--limit ${JSON.stringify(words.limit)} is not a number from 1 to ${LIMIT_MOST}`);
  const filter = readFilter(words, Date.now());
  if (typeof filter === 'string') throw new CommandError(`--${filter.replace(/\.$/, '')}`);
  if (words.denied && words.verdict !== undefined && words.verdict !== 'deny')
    throw new CommandError('--denied asks for the verdict deny: leave out one of --denied and --verdict');
  if (words.follow) {
    const never = (['ended', 'verdict', 'since', 'until'] as const).find((word) => words[word] !== undefined);
    if (never !== undefined) throw new CommandError(`--follow tells what happens from now on: leave out --${never}`);
    return withAdmin(words, (client) => follow(client, words));
  }
  // What is live has no verdict to ask for but one, and its past is in the journal: such questions are about the journal.
  const ended = words.denied ?? words.ended ?? (words.verdict ?? words.since ?? words.until) !== undefined;
  // Moments are settled here, so that `15m` means the same for every page.
  const moment = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString());
  const query = {
    application: words.application,
    source: words.source,
    rule: words.rule,
    verdict: words.denied ? 'deny' : words.verdict,
    since: moment(filter.since),
    until: moment(filter.until),
    live: ended ? '0' : '1',
  };
  return withAdmin(words, (client) => list(client, query, words));
}

async function list(client: AdminClient, query: Readonly<Record<string, string | undefined>>, words: FlowsWords): Promise<number> {
  const wanted = Number(words.limit);
  const found: FlowRecord[] = [];
  let page: Page;
  let cursor: string | undefined;
  do {
    const limit = String(Math.min(PAGE_MOST, wanted - found.length));
    page = await client.get<Page>('/api/v1/flows', { ...query, limit, cursor });
    found.push(...page.flows);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined && found.length < wanted);
  if (words.json) printJson({ live: page.live, flows: found, next: page.next });
  else if (found.length === 0)
    print(
      page.live
        ? 'no such flow is live; --ended shows those that were, --denied those that were not let through'
        : words.denied
          ? 'the journal holds no such flow; --verdict none shows what no rule was asked about, such as a certificate that was refused'
          : 'the journal holds no such flow',
    );
  else print(...table(COLUMNS, found.map(cells), terminalWidth(words.wide)));
  if (found.length === 0 && !page.live) {
    const trouble = await journalTrouble(client);
    if (trouble !== null) process.stderr.write(`bulkhead: ${trouble}\n`);
  }
  if (!words.json && page.next !== null) process.stderr.write(`there may be older ones; --limit shows more than ${wanted}\n`);
  return EXIT.yes;
}

/** Until Ctrl-C, or until the node goes. */
async function follow(client: AdminClient, words: FlowsWords): Promise<number> {
  const { application, source, rule } = words;
  const width = terminalWidth(words.wide);
  const layout = new Layout(COLUMNS, [USUAL], width);
  if (width !== null && !words.json) print(...layout.lines([], true));
  const kinds = words.denied ? 'denials' : 'flows,denials,applies';
  for await (const { event, data } of client.events({ kinds, application, source, rule })) {
    if (words.json) print(JSON.stringify({ event, ...(JSON.parse(data) as object) }));
    else if (event === 'skipped') print(`… ${(JSON.parse(data) as { flows: number }).flows} more flows`);
    else if (event === 'apply') print(describeEvent(JSON.parse(data) as ControlEvent));
    else if (width === null)
      print(
        cells(JSON.parse(data) as FlowRecord)
          .map(printable)
          .join('  '),
      );
    else print(...layout.lines([cells(JSON.parse(data) as FlowRecord)]));
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
    what || '-',
    flow.rule ?? '-',
    flow.server ?? '-',
    flow.status === null ? '-' : String(flow.status),
    bytesText(flow.bytes_in),
    bytesText(flow.bytes_out),
    flow.ended_by === null ? 'live' : `${flow.ended_by}${flow.reason === null ? '' : `, ${flow.reason}`}`,
    flow.receipt,
  ];
}

function describeEvent({ time, kind, author, version, generation, revoked, draining, kept, detail }: ControlEvent): string {
  const what =
    generation === null
      ? ''
      : `: version ${version}, generation ${generation}, ${revoked} flows ended, ${draining > 0 ? `${draining} coming to their end, ` : ''}${kept} left alone`;
  return printable(`${time.slice(0, 23).replace('T', ' ')}  ${kind} by ${author}${what}  ${detail}`);
}
