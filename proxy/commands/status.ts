/** `bulkhead status`: how a node is, in a screen. */
import type { z } from 'zod';
import type { Status } from '../admin/schemas.ts';
import type { OverlaySchema } from '../admin/schemas-orders.ts';
import { type AdminWords, withAdmin } from './admin-client.ts';
import { EXIT, print, printJson } from './exit.ts';
import { bytesText, type Column, numberText, secondsText, table } from './table.ts';
import { hanging, terminalWidth } from './width.ts';

export interface StatusWords extends AdminWords {
  readonly wide?: true;
}

type Overlay = z.output<typeof OverlaySchema>;

/** The exit status is whether the node is ready. */
export function status(words: StatusWords): Promise<number> {
  return withAdmin(words, async (client) => {
    const [seen, overlay] = await Promise.all([client.get<Status>('/api/v1/status'), client.get<Overlay>('/api/v1/overlay')]);
    if (words.json) printJson({ ...seen, overlay });
    else print(...describe(seen, overlay, terminalWidth(words.wide)));
    return seen.ready ? EXIT.yes : EXIT.no;
  });
}

const APPLICATION_COLUMNS: readonly Column[] = [
  { title: 'application', least: 14, good: 20 },
  { title: 'mode', leaves: 2 },
  { title: 'enforcement', leaves: 3 },
  { title: 'VIPs', least: 15, leaves: 5 },
  { title: '>live' },
  { title: '>allowed' },
  { title: '>denied' },
  { title: '>in', leaves: 4 },
  { title: '>out', leaves: 4 },
];

const SERVER_COLUMNS: readonly Column[] = [
  { title: 'server', least: 24 },
  { title: 'state' },
  { title: '>weight', leaves: 1 },
  { title: '>live' },
  { title: '>dials', leaves: 2 },
  { title: '>failed' },
  { title: 'last check', prose: true },
];

/** Sentences begin behind the word that says what they are about; so do their further lines. */
const INDENT = 11;

/** `width` null: nothing is shortened. */
export function describe(seen: Status, overlay: Overlay, width: number | null): string[] {
  const { totals, journal, last_refusal: refusal } = seen;
  const revoked = seen.applications.reduce((sum, { flows_revoked }) => sum + flows_revoked, 0);
  const sentences = [
    `${seen.node}: ${seen.ready ? 'ready' : `not ready: ${seen.reason}`}, bulkhead ${seen.version}, process ${seen.pid}, up ${secondsText(seen.uptime_seconds)}`,
    ...seen.problems.map(({ kind, message, since }) => `problem    ${kind}, since ${since}: ${message}`),
    `policy     ${versionOf(seen)}generation ${seen.generation} since ${seen.applied_at}; ${seen.applies.applied} applied, ${seen.applies.refused} refused`,
    ...broughtBy(seen),
    ...(overlay.confirm_by === null ? [] : [`           taken back at ${overlay.confirm_by} unless confirmed`]),
    ...(refusal === null ? [] : [`           last refused ${refusal.at}: ${refusal.problems[0] ?? ''}`]),
    ...overlay.quarantines.map(({ name, target, until, reason }) => `quarantine ${name}: ${target.text} until ${until}: ${reason}`),
    `flows      ${totals.flows_active} live over ${counted(totals.connections_active, 'connection')}; ${numberText(totals.verdicts.allow)} allowed, ${numberText(totals.verdicts.deny)} denied, ${numberText(revoked)} revoked while live`,
    `workers    ${seen.workers.map(({ id, generation, connections }) => `${id}: generation ${generation}, ${counted(connections, 'connection')}`).join('; ')}; ${counted(seen.worker_restarts, 'restart')}`,
    `journal    ${numberText(journal.written)} records, ${bytesText(journal.bytes)}, ${journal.dropped} dropped`,
    ...(seen.admin.certificate_ends === null ? [] : [`admin      its certificate ends at ${seen.admin.certificate_ends}`]),
    ...limits(seen),
  ];
  const lines = sentences.flatMap((sentence) => hanging(sentence, width, INDENT));
  return [...lines, '', ...applications(seen, width), '', ...servers(seen, overlay, width)];
}

function versionOf({ in_force: inForce }: Status): string {
  return inForce === null ? '' : `version ${inForce.version}${inForce.recorded ? '' : ' (not on disk)'}, `;
}

/** By whom and why the version in force came, and what it is to the file. */
function broughtBy({ in_force: inForce }: Status): string[] {
  if (inForce === null) return [];
  const { cause, author, time, note, summary, over_file: over } = inForce;
  const differs =
    over === null
      ? []
      : [
          `           the file says something else: version ${over.version} was applied over it by ${over.author} on ${over.time}; SIGHUP would take that back`,
        ];
  return [`           ${cause} by ${author} on ${time}: ${note ?? summary}`.replace(/\s+$/, ''), ...differs];
}

/** Only what was hit: where all is well, nothing stands here. */
function limits({ limits: ofApplications, node_limits: ofNode }: Status): string[] {
  const hits = [
    ...ofApplications.map(({ application, limit, hits }) => [`${application}: ${limit}`, hits] as const),
    ...ofNode.map(({ limit, hits }) => [limit, hits] as const),
  ];
  if (hits.length === 0) return [];
  return [`limits     hit since the start: ${hits.map(([name, count]) => `${name} ${numberText(count)}×`).join('; ')}`];
}

function counted(count: number, what: string): string {
  return `${numberText(count)} ${what}${count === 1 ? '' : 's'}`;
}

function applications({ applications: list }: Status, width: number | null): string[] {
  const rows = list.map((application) => [
    application.application,
    application.mode ?? '-',
    application.enforcement ?? '-',
    application.vips.slice(0, 2).join(' ') + (application.vip_count > 2 ? ` +${application.vip_count - 2}` : ''),
    String(application.flows_active),
    numberText(application.verdicts.allow),
    numberText(application.verdicts.deny),
    bytesText(application.bytes_in),
    bytesText(application.bytes_out),
  ]);
  return table(APPLICATION_COLUMNS, rows, width);
}

function servers({ pools }: Status, overlay: Overlay, width: number | null): string[] {
  const set = new Map(overlay.servers.map(({ pool, server, state }) => [`${pool}/${server}`, state]));
  const rows = pools.flatMap(({ pool, servers: list }) =>
    list.map((server) => {
      const name = `${pool}/${server.server}`;
      const written = server.name === null ? undefined : set.get(`${pool}/${server.name}`);
      const failed = Object.entries(server.dials).reduce((sum, [result, count]) => sum + (result === 'connected' ? 0 : count), 0);
      const state = set.get(name) ?? written ?? server.state;
      return [
        server.name === null || server.name === server.server ? name : `${name} (${server.name})`,
        state,
        String(server.weight),
        String(server.flows_active),
        numberText(server.dials.connected),
        numberText(failed),
        server.detail,
      ];
    }),
  );
  return table(SERVER_COLUMNS, rows, width);
}
