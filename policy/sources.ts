/**
 * Who a rule speaks of, as a graph: segments, pools and the `from − except` of rules are nodes; prefixes are mentions of nodes.
 * A node holds an address when at least one thing that adds to it does (`plus`) and nothing that takes away does (`minus`).
 */
import type { Address, Prefix } from '../config/address.ts';
import type { Document, Pool, Segment, SourceTerm } from '../config/document.ts';

/** The source of a rule for everyone, and of a rule that nobody can match. All other sources are nodes, 0 and up. */
export const ANYONE = -1;
export const NOBODY = -2;

/** Addresses of a pool's servers that differ from the document's: what discovery and health have changed since. */
export type PoolMembership = ReadonlyMap<string, readonly Address[]>;

/** A prefix that adds to a node, or takes away from it: `code` is node × 2, plus 1 where it takes away. */
export interface Mention {
  readonly family: 4 | 6;
  readonly words: readonly [number, number, number, number];
  readonly bits: number;
  readonly code: number;
}

export class SourceGraph {
  readonly mentions: Mention[] = [];
  /** Codes of the nodes that depend on a node. A node's number is greater than those of all nodes that it depends on. */
  readonly dependents: number[][] = [];
  /** What holds for every address, before any prefix is looked at. */
  readonly plus: number[] = [];
  readonly minus: number[] = [];
  /** Nodes that rules ask for: only these tell addresses apart. */
  readonly asked = new Set<number>();
  readonly #pools: ReadonlyMap<string, Pool>;
  readonly #segments = new Map<string, number>();
  readonly #poolNodes = new Map<string, number>();
  readonly #sources = new Map<string, number>();
  readonly #membership: PoolMembership | undefined;

  constructor(document: Document, membership?: PoolMembership) {
    this.#pools = new Map(document.pools.map((pool) => [pool.name, pool]));
    this.#membership = membership;
    this.#addSegments(document.segments);
  }

  /** The source of a rule: ANYONE, NOBODY, or a node that rules ask for from now on. Equal sources share a node. */
  sourceOf(from: readonly SourceTerm[], except: readonly SourceTerm[]): number {
    if (except.some((term) => term.kind === 'any') || from.length === 0) return NOBODY;
    const forAnyone = from.some((term) => term.kind === 'any');
    if (forAnyone && except.length === 0) return ANYONE;
    const adding = forAnyone ? [] : from;
    const key = `${forAnyone ? '*' : [...new Set(adding.map(termKey))].sort().join()}!${[...new Set(except.map(termKey))].sort().join()}`;
    let node = this.#sources.get(key);
    if (node === undefined) {
      const [only] = adding;
      if (adding.length === 1 && except.length === 0 && only!.kind !== 'prefix') node = this.#nodeOf(only!);
      else node = this.#add(forAnyone ? 1 : 0, adding, except);
      this.#sources.set(key, node);
      this.asked.add(node);
    }
    return node;
  }

  /** Segments in the order in which they depend on each other. Nesting may be deep, so this doesn't recurse. */
  #addSegments(segments: readonly Segment[]): void {
    const byName = new Map(segments.map((segment) => [segment.name, segment]));
    const entered = new Set<string>();
    const stack = [...segments].reverse();
    while (stack.length > 0) {
      const segment = stack[stack.length - 1]!;
      if (this.#segments.has(segment.name)) {
        stack.pop();
        continue;
      }
      const needs = [...segment.segments, ...segment.except.flatMap((term) => (term.kind === 'segment' ? [term.name] : []))];
      const missing = needs.filter((name) => !this.#segments.has(name));
      if (missing.length > 0) {
        if (entered.has(segment.name)) throw new Error(`segments depend on each other in a circle: ${segment.name}`);
        entered.add(segment.name);
        for (const name of missing) {
          const needed = byName.get(name);
          if (needed === undefined) throw new Error(`no such segment: ${name}`);
          stack.push(needed);
        }
        continue;
      }
      stack.pop();
      const adding: SourceTerm[] = segment.addresses.map((prefix) => ({ kind: 'prefix', prefix }));
      for (const name of segment.pools) adding.push({ kind: 'pool', name });
      for (const name of segment.segments) adding.push({ kind: 'segment', name });
      this.#segments.set(segment.name, this.#add(0, adding, segment.except));
    }
  }

  #add(plus: number, adding: readonly SourceTerm[], taking: readonly SourceTerm[]): number {
    // What the node depends on comes first, so that numbers follow dependence.
    for (const term of adding) if (term.kind === 'pool') this.#poolNode(term.name);
    for (const term of taking) if (term.kind === 'pool') this.#poolNode(term.name);
    const node = this.#newNode(plus);
    for (const term of adding) this.#connect(term, node * 2);
    for (const term of taking) this.#connect(term, node * 2 + 1);
    return node;
  }

  #connect(term: SourceTerm, code: number): void {
    if (term.kind === 'any') (code & 1 ? this.minus : this.plus)[code >>> 1]!++;
    else if (term.kind === 'prefix') this.#mention(term.prefix, code);
    else this.dependents[this.#nodeOf(term)]!.push(code);
  }

  #nodeOf(term: SourceTerm): number {
    if (term.kind === 'pool') return this.#poolNode(term.name);
    const node = term.kind === 'segment' ? this.#segments.get(term.name) : undefined;
    if (node === undefined) throw new Error(`no such segment: ${term.kind === 'segment' ? term.name : term.kind}`);
    return node;
  }

  #poolNode(name: string): number {
    let node = this.#poolNodes.get(name);
    if (node !== undefined) return node;
    node = this.#newNode(0);
    this.#poolNodes.set(name, node);
    for (const { family, words } of this.#membership?.get(name) ?? poolAddresses(name, this.#pools.get(name))) {
      this.mentions.push({ family, words, bits: family === 4 ? 32 : 128, code: node * 2 });
    }
    return node;
  }

  #newNode(plus: number): number {
    this.dependents.push([]);
    this.plus.push(plus);
    this.minus.push(0);
    return this.plus.length - 1;
  }

  #mention({ family, words, bits }: Prefix, code: number): void {
    this.mentions.push({ family, words, bits, code });
  }
}

/** Servers behind unix sockets have no address, so they belong to no segment. */
function poolAddresses(name: string, pool: Pool | undefined): Address[] {
  if (pool === undefined) throw new Error(`no such pool: ${name}`);
  return pool.servers.flatMap(({ endpoint }) => (endpoint.kind === 'tcp' ? [endpoint.address] : []));
}

function termKey(term: SourceTerm): string {
  switch (term.kind) {
    case 'any':
      return '*';
    case 'segment':
      return `s${term.name}`;
    case 'pool':
      return `p${term.name}`;
    case 'prefix':
      return `${term.prefix.words.join('.')}/${term.prefix.family}/${term.prefix.bits}`;
    default:
      return term satisfies never;
  }
}
