/** `bulkhead versions`: what was in force, by whom and when; with a number, that version's text. */
import type { z } from 'zod';
import type { FullVersionSchema, VersionsSchema } from '../admin/schemas-orders.ts';
import { type AdminWords, withAdmin } from './admin-client.ts';
import { CommandError, EXIT, print, printJson } from './exit.ts';
import { type Column, printable, table } from './table.ts';
import { terminalWidth } from './width.ts';

export interface VersionsWords extends AdminWords {
  readonly limit: string;
  readonly wide?: true;
}

const COLUMNS: readonly Column[] = [
  { title: '>version' },
  { title: 'time (UTC)' },
  { title: 'cause' },
  { title: 'author', least: 12 },
  { title: 'note or change', prose: true },
];

export function versions(version: string | undefined, words: VersionsWords): Promise<number> {
  if (version !== undefined && !/^[1-9][0-9]{0,8}$/.test(version))
    throw new CommandError(`${JSON.stringify(version)} is not the number of a version`);
  if (!/^[1-9][0-9]{0,5}$/.test(words.limit)) throw new CommandError(`--limit ${JSON.stringify(words.limit)} is not a number from 1`);
  return withAdmin(words, async (client) => {
    if (version !== undefined) {
      const full = await client.get<z.output<typeof FullVersionSchema>>(`/api/v1/versions/${version}`);
      if (words.json) printJson(full);
      else
        process.stdout.write(full.sources.map(({ file, text }) => (full.sources.length > 1 ? `# ${file}\n${text}` : text)).join('\n---\n'));
      return EXIT.yes;
    }
    const { versions: all } = await client.get<z.output<typeof VersionsSchema>>('/api/v1/versions');
    const shown = all.slice(0, Number(words.limit));
    if (words.json) printJson({ versions: shown });
    else {
      const rows = shown.map(({ version: number, time, cause, author, confirm, note, summary, recorded }) => {
        const waits = confirm === null ? '' : ' (unconfirmed)';
        const what = `${recorded ? '' : '(not on disk) '}${note ?? summary.text}`;
        return [String(number), time.slice(0, 19).replace('T', ' '), `${cause}${waits}`, printable(author), what];
      });
      print(...table(COLUMNS, rows, terminalWidth(words.wide)));
    }
    return EXIT.yes;
  });
}
