/** `bulkhead quarantine` and `release`: cuts a source off at once, above every rule but the cluster lane's, and lets it back in. */
import type { z } from 'zod';
import { parseDuration } from '../../config/quantity.ts';
import type { OverlaySchema, QuarantinedSchema } from '../admin/schemas-orders.ts';
import { type AdminWords, withAdmin } from './admin-client.ts';
import { type Applied, type DryRun, describeApplied, describeDryRun } from './apply.ts';
import { CommandError, EXIT, print, printJson } from './exit.ts';
import { type Column, printable, table } from './table.ts';
import { terminalWidth } from './width.ts';

const COLUMNS: readonly Column[] = [
  { title: 'name' },
  { title: 'source', least: 18 },
  { title: 'until (UTC)' },
  { title: 'author', least: 12, leaves: 1 },
  { title: 'reason', prose: true },
];

export interface QuarantineWords extends AdminWords {
  readonly for?: string;
  readonly reason?: string;
  readonly yes?: true;
  readonly dryRun?: true;
}

/** Without a target: those that are in force. */
export function quarantine(target: string | undefined, words: QuarantineWords): Promise<number> {
  if (target === undefined) return list(words);
  if (words.for === undefined) throw new CommandError('--for is missing: how long, such as --for 1h');
  if ((parseDuration(words.for) ?? 0) < 1_000)
    throw new CommandError(`--for ${JSON.stringify(words.for)} is not a duration: write 30m, 1h or 7d`);
  if (words.reason === undefined || words.reason.trim() === '')
    throw new CommandError('--reason is missing: whoever finds the quarantine wants to know why');
  const body = JSON.stringify({ target, for: words.for, reason: words.reason, ...(words.yes ? { wide: true } : {}) });
  return withAdmin(words, async (client) => {
    if (words.dryRun) {
      const { value } = await client.ask<DryRun>('POST', '/api/v1/quarantines', { body, query: { 'dry-run': '1' } });
      if (words.json) printJson(value);
      else print(...describeDryRun(value, 'quarantine'));
      return EXIT.yes;
    }
    const { value } = await client.ask<z.output<typeof QuarantinedSchema>>('POST', '/api/v1/quarantines', { body });
    if (words.json) printJson(value);
    else {
      const { name, target: cut, until } = value.quarantine;
      print(`${name}: ${cut.text} is cut off until ${until}; bulkhead release ${name} ends it before`, ...describeApplied(value));
    }
    return EXIT.yes;
  });
}

export function release(name: string, words: AdminWords): Promise<number> {
  return withAdmin(words, async (client) => {
    const { value } = await client.ask<Applied>('DELETE', `/api/v1/quarantines/${encodeURIComponent(name)}`);
    if (words.json) printJson(value);
    else print(...describeApplied(value));
    return EXIT.yes;
  });
}

function list(words: AdminWords): Promise<number> {
  return withAdmin(words, async (client) => {
    const { quarantines } = await client.get<z.output<typeof OverlaySchema>>('/api/v1/overlay');
    if (words.json) printJson({ quarantines });
    else if (quarantines.length === 0) print('no quarantine is in force');
    else {
      const rows = quarantines.map(({ name, target, until, author, reason }) => {
        return [name, target.text, until.slice(0, 19).replace('T', ' '), printable(author), reason];
      });
      print(...table(COLUMNS, rows, terminalWidth(false)));
    }
    return EXIT.yes;
  });
}
