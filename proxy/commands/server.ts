/** `bulkhead server`: takes a server out of the balancing and back, beside the document. */
import type { z } from 'zod';
import type { OverlaySchema } from '../admin/schemas-orders.ts';
import { SERVER_STATES } from '../versions/record.ts';
import { type AdminWords, withAdmin } from './admin-client.ts';
import { type Applied, describeApplied } from './apply.ts';
import { CommandError, EXIT, print, printJson } from './exit.ts';
import { table } from './table.ts';

/** Without a state: the servers that an operator has set apart. */
export function server(state: string | undefined, name: string | undefined, words: AdminWords): Promise<number> {
  if (state === undefined) return list(words);
  if (!(SERVER_STATES as readonly string[]).includes(state))
    throw new CommandError(`${JSON.stringify(state)} is not one of ${SERVER_STATES.join(', ')}`);
  const slash = name?.indexOf('/') ?? -1;
  if (name === undefined || slash <= 0) throw new CommandError('say which server as POOL/ADDRESS, such as web/127.0.0.1:9001');
  const body = JSON.stringify({ pool: name.slice(0, slash), server: name.slice(slash + 1), state });
  return withAdmin(words, async (client) => {
    const { value } = await client.ask<Applied>('POST', '/api/v1/servers', { body });
    if (words.json) printJson(value);
    else print(`${name}: ${SAID[state as keyof typeof SAID]}`, ...describeApplied(value));
    return EXIT.yes;
  });
}

const SAID = {
  up: 'as the document says',
  drain: 'takes no new flows, keeps those that it has',
  maintenance: 'takes no new flows, keeps those that it has, and is not checked',
} as const;

function list(words: AdminWords): Promise<number> {
  return withAdmin(words, async (client) => {
    const { servers } = await client.get<z.output<typeof OverlaySchema>>('/api/v1/overlay');
    if (words.json) printJson({ servers });
    else if (servers.length === 0) print('no server is set apart; bulkhead status shows how all of them are');
    else {
      const rows = servers.map(({ pool, server: address, state, author, since }) => [
        `${pool}/${address}`,
        state,
        author,
        since.slice(0, 19).replace('T', ' '),
      ]);
      print(...table(['server', 'state', 'author', 'since (UTC)'], rows));
    }
    return EXIT.yes;
  });
}
