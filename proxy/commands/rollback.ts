/** `bulkhead rollback`: brings an earlier version into force again, as a new version. */
import { type AdminWords, withAdmin } from './admin-client.ts';
import { type Applied, describeApplied } from './apply.ts';
import { CommandError, EXIT, print, printJson } from './exit.ts';

export interface RollbackWords extends AdminWords {
  readonly note?: string;
  readonly generation?: string;
}

export function rollback(version: string | undefined, words: RollbackWords): Promise<number> {
  if (version !== undefined && !/^[1-9][0-9]{0,8}$/.test(version))
    throw new CommandError(`${JSON.stringify(version)} is not the number of a version: bulkhead versions lists them`);
  return withAdmin(words, async (client) => {
    const body = JSON.stringify({
      ...(version === undefined ? {} : { version: Number(version) }),
      ...(words.note === undefined ? {} : { note: words.note }),
    });
    const { value } = await client.ask<Applied>('POST', '/api/v1/policy/rollback', { body, query: { generation: words.generation } });
    if (words.json) printJson(value);
    else print(...describeApplied(value));
    return EXIT.yes;
  });
}
