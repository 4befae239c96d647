/**
 * Two documents over one source graph, so that one partition is the common refinement of both. Segments and pools that say the same in
 * both keep their names and share their nodes; the others of the second document are renamed.
 */
import type { Document, Pool, Rule, Segment, SourceTerm } from '../../config/document.ts';

/** No name in a file can hold this. */
const MARK = '\u0000new';

export interface Union {
  /** What a source graph is made of. */
  readonly document: Document;
  /** The second document, its names as in the union. */
  readonly second: Document;
  /** The rules of the second document as they are written. */
  readonly written: ReadonlyMap<Rule, Rule>;
}

export function unionOf(first: Document, second: Document): Union {
  const pools = new Map(first.pools.map((pool) => [pool.name, pool]));
  const segments = new Map(first.segments.map((segment) => [segment.name, segment]));
  const otherPools = new Set(
    second.pools.filter((pool) => pools.has(pool.name) && poolKey(pool) !== poolKey(pools.get(pool.name)!)).map(({ name }) => name),
  );
  const otherSegments = differing(segments, second.segments, otherPools);
  const poolName = (name: string) => (otherPools.has(name) ? name + MARK : name);
  const segmentName = (name: string) => (otherSegments.has(name) ? name + MARK : name);
  const termOf = (term: SourceTerm): SourceTerm => {
    if (term.kind === 'segment') return { ...term, name: segmentName(term.name) };
    return term.kind === 'pool' ? { ...term, name: poolName(term.name) } : term;
  };
  const renamed = (segment: Segment): Segment => ({
    ...segment,
    name: segmentName(segment.name),
    pools: segment.pools.map(poolName),
    segments: segment.segments.map(segmentName),
    except: segment.except.map(termOf),
  });
  const written = new Map<Rule, Rule>();
  const ruleOf = (rule: Rule): Rule => {
    const own = { ...rule, from: rule.from.map(termOf), except: rule.except.map(termOf) };
    written.set(own, rule);
    return own;
  };
  const theirs: Document = {
    ...second,
    pools: second.pools.map((pool) => ({ ...pool, name: poolName(pool.name) })),
    segments: second.segments.map(renamed),
    applications: second.applications.map((application) => ({ ...application, rules: application.rules.map(ruleOf) })),
    guardrails: second.guardrails.map(ruleOf),
    baseline: second.baseline.map(ruleOf),
  };
  const own = new Set([...pools.keys()].map((name) => `pool ${name}`).concat([...segments.keys()].map((name) => `segment ${name}`)));
  const document: Document = {
    ...first,
    pools: [...first.pools, ...theirs.pools.filter(({ name }) => !own.has(`pool ${name}`))],
    segments: [...first.segments, ...theirs.segments.filter(({ name }) => !own.has(`segment ${name}`))],
  };
  return { document, second: theirs, written };
}

/** Segments that don't say the same in both, or that are made of such. */
function differing(first: ReadonlyMap<string, Segment>, second: readonly Segment[], otherPools: ReadonlySet<string>): Set<string> {
  const users = new Map<string, string[]>();
  const differ = new Set<string>();
  const open: string[] = [];
  for (const segment of second) {
    const before = first.get(segment.name);
    if (before === undefined) continue;
    const pools = [...segment.pools, ...segment.except.flatMap((term) => (term.kind === 'pool' ? [term.name] : []))];
    if (segmentKey(before) !== segmentKey(segment) || pools.some((name) => otherPools.has(name))) open.push(segment.name);
    for (const name of [...segment.segments, ...segment.except.flatMap((term) => (term.kind === 'segment' ? [term.name] : []))]) {
      users.set(name, [...(users.get(name) ?? []), segment.name]);
    }
  }
  while (open.length > 0) {
    const name = open.pop()!;
    if (differ.has(name)) continue;
    differ.add(name);
    open.push(...(users.get(name) ?? []));
  }
  return differ;
}

function segmentKey({ place: _place, ...segment }: Segment): string {
  return JSON.stringify(segment);
}

/** Only the servers' addresses tell who a source is. */
function poolKey({ servers, ...pool }: Pool): string {
  const addresses = servers.map(({ endpoint }) => (endpoint.kind === 'tcp' ? endpoint.address.words.join() : ''));
  const resolved = Object.entries(pool).filter(([key]) => key === 'dns' || key === 'discovery');
  return JSON.stringify([addresses.sort(), resolved]);
}
