/** What databases and name servers do not tell of a document now, in words. */
import type { Document } from '../../config/document.ts';
import { unresolvedHosts, unresolvedOf } from '../../policy/knowledge.ts';
import { serversOf } from '../../policy/pool-servers.ts';
import type { Sources } from './sources.ts';

/** A line each; it is unknown, and judged as such. The document has been learnt by `sources.want`. */
export function unknownOf(document: Document, sources: Pick<Sources, 'knowledge' | 'faultOf'>): string[] {
  const knowledge = sources.knowledge();
  const unknown = unresolvedOf(document, knowledge).map(({ segment, what, closes }) => {
    const meanwhile = closes ? 'rules that allow find nobody there, rules that deny everybody' : 'nobody is there';
    return `segment ${segment}: ${what} is not known; ${meanwhile}`;
  });
  const servers = document.pools.flatMap((pool) => [
    ...unresolvedHosts(pool, knowledge).map(
      (host) => `pool ${pool.name}: ${host} is not known (${sources.faultOf(host) ?? 'no answer yet'}); until it is, the pool does without`,
    ),
    ...(pool.names ?? []).flatMap(({ endpoint: { host, text } }) =>
      knowledge.names.get(host)?.length === 0
        ? [`pool ${pool.name}: ${text} has no address (${sources.faultOf(host)}); until it has, the pool does without`]
        : [],
    ),
    ...serversOf(pool, knowledge.names, document.networks.outbound).refused.map(
      ({ name, why }) => `pool ${pool.name}: an address of ${name.endpoint.host} is never dialled: ${why}`,
    ),
  ]);
  return [...unknown, ...servers];
}
