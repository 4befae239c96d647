/** What holds beside the document, laid over it: quarantines become the first guardrails, and servers take what an operator said of them. */
import { parsePrefix } from '../../config/address.ts';
import { type Document, PLAIN_RULE, type Pool, type Rule, type SourceTerm } from '../../config/document.ts';
import type { Overlay, Quarantine } from './record.ts';

/** The document as it is enforced. The same object where nothing holds beside it. */
export function layOver(document: Document, { quarantines, servers }: Overlay): Document {
  if (quarantines.length === 0 && servers.length === 0) return document;
  const states = new Map(servers.map(({ pool, server, state }) => [`${pool} ${server}`, state]));
  return {
    ...document,
    guardrails: [...quarantines.map(quarantineRule), ...document.guardrails],
    pools: servers.length === 0 ? document.pools : document.pools.map((pool) => withStates(pool, states)),
  };
}

/** Why a document cannot hold beside what does: a segment that is under quarantine has to be in it. */
export function conflicts(document: Document, { quarantines }: Overlay): string[] {
  const names = new Set(document.segments.map((segment) => segment.name));
  return quarantines
    .filter(({ target }) => target.kind === 'segment' && !names.has(target.text))
    .map(
      ({ name, target, until }) =>
        `segment ${target.text} is under quarantine (${name}, until ${new Date(until).toISOString()}) and is not in this document: keep the segment, or release ${name} first`,
    );
}

/** Above every rule but the cluster lane's, which comes before all guardrails. */
function quarantineRule({ name, target }: Quarantine): Rule {
  return { ...PLAIN_RULE, name, action: 'deny', from: [termOf(target)], except: [], place: { file: name, line: 1, column: 1 } };
}

function termOf(target: Quarantine['target']): SourceTerm {
  if (target.kind === 'segment') return { kind: 'segment', name: target.text };
  return { kind: 'prefix', prefix: parsePrefix(target.text)! };
}

function withStates(pool: Pool, states: ReadonlyMap<string, 'drain' | 'maintenance'>): Pool {
  const servers = pool.servers.map((server) => {
    const state = states.get(`${pool.name} ${server.endpoint.text}`);
    if (state === undefined) return server;
    return { ...server, drain: true, ...(state === 'maintenance' ? { maintenance: true as const } : {}) };
  });
  return { ...pool, servers };
}
