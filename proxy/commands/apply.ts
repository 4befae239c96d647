/** `bulkhead apply`: brings a document into force on a running node, or tells what it would do. */
import type { z } from 'zod';
import { parseDuration, parsePercent } from '../../config/quantity.ts';
import { readSources } from '../../config/read.ts';
import { SOURCES_TYPE } from '../admin/orders.ts';
import type { AppliedSchema, DryRunSchema } from '../admin/schemas-orders.ts';
import { formatView } from '../versions/orders.ts';
import { type AdminClient, type AdminWords, withAdmin } from './admin-client.ts';
import { CommandError, EXIT, print, printJson } from './exit.ts';
import { requireReadable } from './loaded.ts';
import { type Column, printable, table } from './table.ts';
import { terminalWidth } from './width.ts';

export interface ApplyWords extends AdminWords {
  readonly dryRun?: true;
  readonly confirm?: string;
  readonly confirmNow?: true;
  readonly guard?: true | string;
  readonly guardFor?: string;
  readonly note?: string;
  readonly generation?: string;
}

export type Applied = z.output<typeof AppliedSchema>;
export type DryRun = z.output<typeof DryRunSchema>;
type Group = DryRun['effect']['live']['groups'][number];

const GROUPS_SHOWN = 20;
const RECEIPTS_SHOWN = 3;

export function apply(file: string | undefined, words: ApplyWords): Promise<number> {
  checkWords(file, words);
  return withAdmin(words, (client) => {
    if (words.confirmNow) return confirm(client, words);
    return words.dryRun ? dryRun(client, file!, words) : applyNow(client, file!, words);
  });
}

function checkWords(file: string | undefined, { dryRun, confirm, confirmNow, guard, guardFor, generation }: ApplyWords): void {
  if (confirmNow && (file !== undefined || confirm !== undefined || dryRun))
    throw new CommandError('--confirm-now confirms what was applied before: leave out the file and the other words');
  if (!confirmNow && file === undefined) throw new CommandError('say which file to apply; see bulkhead apply --help');
  if (dryRun && (confirm !== undefined || guard !== undefined))
    throw new CommandError('--dry-run changes nothing: leave out --confirm and --guard');
  if (confirm !== undefined && (parseDuration(confirm) ?? 0) < 1_000)
    throw new CommandError(`--confirm ${JSON.stringify(confirm)} is not a duration: write 60s or 5m`);
  if (typeof guard === 'string' && parsePercent(guard) === null)
    throw new CommandError(`--guard ${JSON.stringify(guard)} is not a percentage: write 5%`);
  if (guardFor !== undefined && (parseDuration(guardFor) ?? 0) < 1_000)
    throw new CommandError(`--guard-for ${JSON.stringify(guardFor)} is not a duration: write 60s or 5m`);
  if (generation !== undefined && !/^[0-9]{1,15}$/.test(generation))
    throw new CommandError(`--generation ${JSON.stringify(generation)} is not a number`);
  if (file !== undefined) requireReadable(file);
}

function carried(file: string): { body: string; type: string } {
  return { body: JSON.stringify({ sources: readSources(file).sources }), type: SOURCES_TYPE };
}

async function applyNow(client: AdminClient, file: string, words: ApplyWords): Promise<number> {
  const { note, confirm, guard, guardFor, generation } = words;
  const query = { note, confirm, generation, guard: guard === true ? '1' : guard, 'guard-for': guardFor };
  const { value } = await client.ask<Applied>('PUT', '/api/v1/policy', { ...carried(file), query });
  if (words.json) printJson(value);
  else {
    print(...describeApplied(value));
    if (!value.changed) print(...withoutUse(words));
    else if (guard !== undefined)
      print(
        `  guarded     taken back where denials, dial failures or 5xx rise by more than ${guard === true ? '5%' : guard} within ${guardFor ?? '60s'}`,
      );
  }
  return EXIT.yes;
}

async function dryRun(client: AdminClient, file: string, words: ApplyWords): Promise<number> {
  const { value } = await client.ask<DryRun>('PUT', '/api/v1/policy', { ...carried(file), query: { 'dry-run': '1' } });
  if (words.json) printJson(value);
  else print(...describeDryRun(value));
  return EXIT.yes;
}

async function confirm(client: AdminClient, words: ApplyWords): Promise<number> {
  const { value } = await client.ask<Applied>('POST', '/api/v1/policy/confirm');
  if (words.json) printJson(value);
  else print(`confirmed: version ${value.version}, generation ${value.generation}`);
  return EXIT.yes;
}

/** What an apply, a rollback or an order beside the document has done. */
export function describeApplied(applied: Applied): string[] {
  const { changed, version, generation, revoked, draining, kept, milliseconds, summary, recorded, audited, confirm_by, warnings } = applied;
  const disk = [
    ...(recorded ? [] : ['  not kept    the version is not on disk yet, and a restart would not know it: bulkhead status says why']),
    ...(audited ? [] : ['  not audited the audit is not written now: the entry waits in memory; bulkhead status says why']),
  ];
  const warned = warnings.slice(0, GROUPS_SHOWN).map((warning) => `  warning     ${formatView(warning)}`);
  if (!changed) return [`nothing changed: version ${version}, generation ${generation} is in force already`, ...disk, ...warned];
  return [
    `in force: version ${version}, generation ${generation}, after ${milliseconds} ms`,
    `  document    ${summary.text === 'no change' ? 'as it was' : printable(summary.text)}`,
    `  flows       ${revoked} ended, ${draining > 0 ? `${draining} coming to their end, ` : ''}${kept} left alone`,
    ...(confirm_by === null ? [] : [`  unconfirmed taken back at ${confirm_by}, unless bulkhead apply --confirm-now is said before`]),
    ...disk,
    ...warned,
  ];
}

/** Words that have nothing to hold to, since no version was made. */
function withoutUse({ note, confirm, guard }: ApplyWords): string[] {
  const said = [note === undefined ? '' : '--note', confirm === undefined ? '' : '--confirm', guard === undefined ? '' : '--guard'];
  const given = said.filter((word) => word !== '');
  return given.length === 0 ? [] : [`  no version  was made of it, so that ${given.join(' and ')} had nothing to hold to`];
}

/** What an order would do: a document, or a quarantine, which leaves the document as it is. */
export function describeDryRun(
  { generation, version, summary, effect, warnings }: DryRun,
  what: 'document' | 'quarantine' = 'document',
): string[] {
  const { live, recent, notes } = effect;
  return [
    `nothing is changed; against version ${version}, generation ${generation}, this ${what} would do:`,
    ...(what === 'document' ? [`  changes     ${printable(summary.text)}`] : []),
    `  live        ${live.cut} of ${live.flows} flows would end${live.draining > 0 ? `, ${live.draining} would come to their end by on-revoke` : ''}${live.undecided > 0 ? `; ${live.undecided} have not said yet what they speak` : ''}`,
    ...describeGroups(live.groups),
    `  last hour   ${recent.denied} of ${recent.flows} flows would have been denied${recent.since === null ? '' : ` (since ${recent.since})`}`,
    ...describeGroups(recent.groups),
    ...(recent.allowed === 0
      ? []
      : [`  last hour   ${recent.allowed} that were denied would have been allowed`, ...describeGroups(recent.allowedGroups)]),
    ...notes.map((note) => `  note        ${note}`),
    ...warnings.slice(0, GROUPS_SHOWN).map((warning) => `  warning     ${formatView(warning)}`),
    ...(what === 'document' ? [`apply it with --generation ${generation}, and nobody's change in between is lost`] : []),
  ];
}

const GROUP_INDENT = '      ';
const GROUP_COLUMNS: readonly Column[] = [
  { title: '>flows' },
  { title: 'application', least: 11 },
  { title: 'source', least: 15 },
  { title: 'allowed by', least: 10 },
  { title: 'now decided by', least: 14 },
  { title: 'at', least: 16, leaves: 1 },
  { title: 'receipts', leaves: 2 },
];

function describeGroups(groups: readonly Group[]): string[] {
  const width = terminalWidth(false);
  if (groups.length === 0) return [];
  const rows = groups.slice(0, GROUPS_SHOWN).map((group) => {
    const receipts = group.receipts.slice(0, RECEIPTS_SHOWN).join(' ');
    const more = group.count > RECEIPTS_SHOWN ? ' …' : '';
    return [String(group.count), group.application, group.source, group.was ?? '-', group.rule, group.at ?? '-', `${receipts}${more}`];
  });
  const lines = table(GROUP_COLUMNS, rows, width === null ? null : width - GROUP_INDENT.length);
  const rest = groups.length > GROUPS_SHOWN ? [`… and ${groups.length - GROUPS_SHOWN} more groups (--json has them)`] : [];
  return [...lines, ...rest].map((line) => GROUP_INDENT + line);
}
