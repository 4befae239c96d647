/** What keeps records out of the journal of a running node: whoever finds nothing there has to know. */
import type { Status } from '../admin/schemas.ts';
import type { AdminClient } from './admin-client.ts';

/** One sentence; null where records are kept, or where the node does not say. */
export async function journalTrouble(client: AdminClient): Promise<string | null> {
  const { value, status } = await client.ask<Partial<Status>>('GET', '/api/v1/status', {}, [200, 401, 403, 404, 500]);
  const problem = status === 200 ? value.problems?.find(({ kind }) => kind === 'journal') : undefined;
  return problem === undefined ? null : `what was asked for may be missing since ${problem.since}: ${problem.message}`;
}
