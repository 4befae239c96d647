/** What holds beside the document, laid over it: quarantines become the first guardrails, and servers take what an operator said of them. */
import { parsePrefix } from '../../config/address.ts';
import { type Document, type NamedServer, PLAIN_RULE, type Pool, type Rule, type Server, type SourceTerm } from '../../config/document.ts';
import type { Overlay, Quarantine, ServerOverride } from './record.ts';

/** The document as it is enforced. The same object where nothing holds beside it. */
export function layOver(document: Document, { quarantines, servers }: Overlay): Document {
  if (quarantines.length === 0 && servers.length === 0) return document;
  const states = Map.groupBy(servers, ({ pool }) => pool);
  return {
    ...document,
    guardrails: [...quarantines.map(quarantineRule), ...document.guardrails],
    pools: servers.length === 0 ? document.pools : document.pools.map((pool) => withStates(pool, states.get(pool.name) ?? [])),
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

/** A name that is set apart is so with all its addresses; one of them alone is so wherever the pool has it. */
function withStates(pool: Pool, overrides: readonly ServerOverride[]): Pool {
  if (overrides.length === 0) return pool;
  const states = new Map(overrides.map(({ server, state }) => [server, state]));
  const set = <T extends Server | NamedServer>(server: T): T => {
    const state = states.get(server.endpoint.text);
    if (state === undefined) return server;
    return { ...server, drain: true, ...(state === 'maintenance' ? { maintenance: true as const } : {}) };
  };
  const { servers, names } = pool;
  return { ...pool, servers: servers.map(set), ...(names === undefined ? {} : { names: names.map(set), apart: states }) };
}
