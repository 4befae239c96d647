/** What a command knows beyond the file when it judges flows by itself: the time, and what databases and name servers say now. */
import type { Document } from '../../config/document.ts';
import type { Circumstances } from '../../policy/compile.ts';
import { unresolvedHosts, unresolvedOf } from '../../policy/knowledge.ts';
import { serversOf } from '../../policy/pool-servers.ts';
import { Sources } from '../sources/sources.ts';

export interface Learnt {
  readonly circumstances: Circumstances;
  /** What could not be learnt, one line each. It is unknown, and judged as such. */
  readonly warnings: readonly string[];
}

/** Reads the databases and asks for the names that the document speaks of. Where it speaks of none, nothing is read or asked. */
export async function learn(document: Document, now = Date.now()): Promise<Learnt> {
  const quiet = () => undefined;
  const sources = new Sources(document.process, { changed: quiet, trouble: quiet, recovered: quiet });
  try {
    const problems = await sources.want(document);
    const knowledge = sources.knowledge();
    const unknown = unresolvedOf(document, knowledge).map(({ segment, what, closes }) => {
      const meanwhile = closes ? 'rules that allow find nobody there, rules that deny everybody' : 'nobody is there';
      return `segment ${segment}: ${what} is not known; ${meanwhile}`;
    });
    const servers = document.pools.flatMap((pool) => [
      ...unresolvedHosts(pool, knowledge).map((host) => `pool ${pool.name}: ${host} is not known; until it is, the pool does without`),
      ...serversOf(pool, knowledge.names, document.networks.outbound).refused.map(
        ({ name, why }) => `pool ${pool.name}: an address of ${name.endpoint.host} is never dialled: ${why}`,
      ),
    ]);
    return { circumstances: { now, knowledge }, warnings: [...problems, ...unknown, ...servers] };
  } finally {
    sources.stop();
  }
}
