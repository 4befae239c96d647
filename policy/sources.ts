/**
 * Who a rule speaks of, as a graph: segments, pools and the `from − except` of rules are nodes; prefixes are mentions of nodes.
 * A node holds an address when at least one thing that adds to it does (`plus`) and nothing that takes away does (`minus`).
 */
import type { Address, Prefix } from '../config/address.ts';
import type { Document, Pool, Segment, SourceTerm } from '../config/document.ts';
import { type Knowledge, NOTHING_KNOWN, unresolvedHosts, unresolvedIn } from './knowledge.ts';
import { serversOf } from './pool-servers.ts';
import { EVERYBODY, type OpenCase, without } from './source-cases.ts';

/** The source of a rule for everyone, and of a rule that nobody can match. All other sources are nodes, 0 and up. */
export const ANYONE = -1;
export const NOBODY = -2;

/**
 * How what is not known counts: `certain` members are those that are known, and `possible` ones are everybody for as long as something is
 * unknown. Rules that let flows on speak of certain members, rules that deny of possible ones, so that nothing passes for want of knowledge.
 */
export type Bound = 'certain' | 'possible';

/** Addresses of a pool's servers that differ from the document's: what discovery and health have changed since. */
export type PoolMembership = ReadonlyMap<string, readonly Address[]>;

/** One case of a source that depends on identities: who has one of each list of `has`, and none of `hasNot`. */
export interface SourceCase {
  readonly source: number;
  readonly has: readonly (readonly string[])[];
  readonly hasNot: readonly string[];
}

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
  /** Nodes of possible members, of segments where they differ from the certain ones. */
  readonly #possible = new Map<string, number>();
  /** What is unknown of a segment, or of those that it is made of. */
  readonly #unknown = new Map<string, readonly string[]>();
  /** Segments that depend on identities, by name: their members as cases, which have no node. */
  readonly #cases = new Map<string, Record<Bound, readonly OpenCase[]>>();
  readonly #knowledge: Knowledge;
  readonly #poolNodes = new Map<string, number>();
  /** Names of servers that are not known, by pool; pools that know all of theirs are missing. */
  readonly #poolUnknown: ReadonlyMap<string, readonly string[]>;
  readonly #outbound: readonly Prefix[];
  readonly #sources = new Map<string, number>();
  readonly #membership: PoolMembership | undefined;

  constructor(document: Document, membership?: PoolMembership, knowledge: Knowledge = NOTHING_KNOWN) {
    this.#pools = new Map(document.pools.map((pool) => [pool.name, pool]));
    this.#membership = membership;
    this.#knowledge = knowledge;
    this.#outbound = document.networks.outbound;
    const hosts = document.pools.map((pool) => [pool.name, unresolvedHosts(pool, knowledge)] as const);
    this.#poolUnknown = new Map(hosts.filter(([, unknown]) => unknown.length > 0));
    this.#addSegments(document.segments);
  }

  /** The source of a rule: ANYONE, NOBODY, or a node that rules ask for from now on. Equal sources share a node. */
  sourceOf(from: readonly SourceTerm[], except: readonly SourceTerm[], bound: Bound = 'certain'): number {
    if (except.some((term) => term.kind === 'any') || from.length === 0) return NOBODY;
    const forAnyone = from.some((term) => term.kind === 'any');
    if (forAnyone && except.length === 0) return ANYONE;
    const adding = forAnyone ? [] : from;
    // Without anything unknown both bounds are the same, and share a node.
    const isKnown = this.#possible.size === 0 && this.#poolUnknown.size === 0;
    const bounds = isKnown || this.unknownIn([...from, ...except]) === null ? '' : bound;
    const key = `${bounds}${forAnyone ? '*' : [...new Set(adding.map(termKey))].sort().join()}!${[...new Set(except.map(termKey))].sort().join()}`;
    let node = this.#sources.get(key);
    if (node === undefined) {
      const [only] = adding;
      if (adding.length === 1 && except.length === 0 && only!.kind !== 'prefix') node = this.#nodeOf(only!, bound);
      else node = this.#add(forAnyone ? 1 : 0, adding, except, bound);
      this.#sources.set(key, node);
      this.asked.add(node);
    }
    return node;
  }

  /** Whether a source depends on who the client has proved to be. */
  dependsOnIdentity(terms: readonly SourceTerm[]): boolean {
    return this.#cases.size > 0 && terms.some((term) => term.kind === 'segment' && this.#cases.has(term.name));
  }

  /** The cases of a rule's source; null where addresses alone tell, and `sourceOf` is to be asked. */
  casesOf(from: readonly SourceTerm[], except: readonly SourceTerm[], bound: Bound = 'certain'): SourceCase[] | null {
    if (!this.dependsOnIdentity(from) && !this.dependsOnIdentity(except)) return null;
    return this.#casesBetween(from, [], except, bound, false).map(({ all, none, has, hasNot }) => ({
      source: this.#caseNode(all, none),
      has,
      hasNot,
    }));
  }

  /** All addresses that may do in one of the cases. */
  sourceOfCases(cases: readonly SourceCase[]): number {
    const sources = [...new Set(cases.map(({ source }) => source))].filter((source) => source !== NOBODY).sort((a, b) => a - b);
    if (sources.length === 0) return NOBODY;
    if (sources[0] === ANYONE || sources.length === 1) return sources[0]!;
    return this.#kept(`cases ${sources.join()}`, () => {
      const node = this.#newNode(0);
      for (const source of sources) this.#connectNode(source, node * 2);
      return node;
    });
  }

  #casesBetween(
    adding: readonly SourceTerm[],
    identities: readonly string[],
    taking: readonly SourceTerm[],
    bound: Bound,
    open: boolean,
  ): OpenCase[] {
    const meant = open ? [EVERYBODY] : this.#casesIn(adding, identities, bound);
    return without(meant, this.#casesIn(taking, [], bound === 'certain' ? 'possible' : 'certain'));
  }

  #casesIn(terms: readonly SourceTerm[], identities: readonly string[], bound: Bound): OpenCase[] {
    if (terms.some(({ kind }) => kind === 'any')) return [EVERYBODY];
    const byAddress = terms.filter((term) => term.kind !== 'segment' || !this.#cases.has(term.name));
    const found: OpenCase[] = byAddress.length === 0 ? [] : [{ ...EVERYBODY, all: [this.#unionNode(byAddress, bound)] }];
    if (identities.length > 0) found.push({ ...EVERYBODY, has: [[...identities].sort()] });
    for (const term of terms) if (term.kind === 'segment') found.push(...(this.#cases.get(term.name)?.[bound] ?? []));
    return found;
  }

  #unionNode(terms: readonly SourceTerm[], bound: Bound): number {
    const [only] = terms;
    if (terms.length === 1 && only!.kind !== 'prefix') return this.#nodeOf(only!, bound);
    return this.#kept(`union ${bound} ${[...new Set(terms.map(termKey))].sort().join()}`, () => this.#add(0, terms, [], bound), false);
  }

  /** The addresses that all of some nodes hold, and none of others. */
  #caseNode(all: readonly number[], none: readonly number[]): number {
    if (all.length === 0 && none.length === 0) return ANYONE;
    return this.#kept(`case ${all.join()} ${none.join()}`, () => {
      if (all.length === 1 && none.length === 0) return all[0]!;
      // What is in several is in the first, and not outside of the others.
      const outside = all.slice(1).map((node) => {
        const complement = this.#newNode(1);
        this.#connectNode(node, complement * 2 + 1);
        return complement;
      });
      const node = this.#newNode(all.length === 0 ? 1 : 0);
      if (all.length > 0) this.#connectNode(all[0]!, node * 2);
      for (const other of [...outside, ...none]) this.#connectNode(other, node * 2 + 1);
      return node;
    });
  }

  #kept(key: string, make: () => number, asked = true): number {
    let node = this.#sources.get(key);
    if (node === undefined) this.#sources.set(key, (node = make()));
    if (asked) this.asked.add(node);
    return node;
  }

  /** Segments in the order in which they depend on each other. Nesting may be deep, so this doesn't recurse. */
  #addSegments(segments: readonly Segment[]): void {
    const byName = new Map(segments.map((segment) => [segment.name, segment]));
    const entered = new Set<string>();
    const stack = [...segments].reverse();
    while (stack.length > 0) {
      const segment = stack[stack.length - 1]!;
      if (this.#segments.has(segment.name) || this.#cases.has(segment.name)) {
        stack.pop();
        continue;
      }
      const needs = [...segment.segments, ...segment.except.flatMap((term) => (term.kind === 'segment' ? [term.name] : []))];
      const missing = needs.filter((name) => !this.#segments.has(name) && !this.#cases.has(name));
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
      // In a segment, what is not known of a pool counts as the segment says.
      for (const name of segment.pools) {
        if (segment.unknown === 'deny' || !this.#poolUnknown.has(name)) adding.push({ kind: 'pool', name });
        else for (const address of this.#poolAddresses(name)) adding.push({ kind: 'prefix', prefix: hostPrefix(address) });
      }
      for (const name of segment.segments) adding.push({ kind: 'segment', name });
      for (const prefix of this.#known(segment)) adding.push({ kind: 'prefix', prefix });
      if (segment.identities.length > 0 || this.dependsOnIdentity(adding) || this.dependsOnIdentity(segment.except)) {
        this.#addCases(segment, adding);
        continue;
      }
      this.#segments.set(segment.name, this.#add(0, adding, segment.except, 'certain'));
      this.#addPossible(segment, adding);
    }
  }

  /** Prefixes of what a segment names and the document can't hold. */
  #known({ countries, asns, dns }: Segment): Prefix[] {
    const { countries: byCountry, asns: byAsn, names } = this.#knowledge;
    return [
      ...countries.flatMap((country) => byCountry.get(country) ?? []),
      ...asns.flatMap((asn) => byAsn.get(asn) ?? []),
      ...dns.flatMap((host) => (names.get(host) ?? []).map(hostPrefix)),
    ];
  }

  #addCases(segment: Segment, adding: readonly SourceTerm[]): void {
    const open = this.#noteUnknown(segment);
    this.#cases.set(segment.name, {
      certain: this.#casesBetween(adding, segment.identities, segment.except, 'certain', false),
      possible: this.#casesBetween(adding, segment.identities, segment.except, 'possible', open),
    });
  }

  /** Notes what of a segment is not known; answers whether rules that deny take everybody to be in it for as long. */
  #noteUnknown(segment: Segment): boolean {
    const own = unresolvedIn(segment, this.#knowledge, this.#pools);
    const inherited = partsOf(segment).flatMap((term) => this.#unknownOf(term));
    if (own.length > 0 || inherited.length > 0)
      this.#unknown.set(segment.name, [...new Set([...own.map(({ what }) => what), ...inherited])]);
    return own.some(({ closes }) => closes);
  }

  #addPossible(segment: Segment, adding: readonly SourceTerm[]): void {
    const open = this.#noteUnknown(segment);
    if (open || partsOf(segment).some((term) => this.#isOpen(term)))
      this.#possible.set(segment.name, this.#add(open ? 1 : 0, adding, segment.except, 'possible'));
  }

  #isOpen(term: SourceTerm): boolean {
    return term.kind === 'segment' ? this.#possible.has(term.name) : term.kind === 'pool' && this.#poolUnknown.has(term.name);
  }

  #unknownOf(term: SourceTerm): readonly string[] {
    if (term.kind === 'segment') return this.#unknown.get(term.name) ?? [];
    return term.kind === 'pool' ? (this.#poolUnknown.get(term.name) ?? []) : [];
  }

  /** What is not known of the sources that terms speak of, in words; null where all is. */
  unknownIn(terms: readonly SourceTerm[]): string | null {
    if (this.#unknown.size === 0 && this.#poolUnknown.size === 0) return null;
    const unknown = new Set(terms.flatMap((term) => this.#unknownOf(term)));
    return unknown.size === 0 ? null : [...unknown].join(', ');
  }

  /** What is taken away is bounded the other way round. */
  #add(plus: number, adding: readonly SourceTerm[], taking: readonly SourceTerm[], bound: Bound): number {
    // What the node depends on comes first, so that numbers follow dependence.
    const other = bound === 'certain' ? 'possible' : 'certain';
    for (const term of adding) if (term.kind === 'pool') this.#poolNode(term.name, bound);
    for (const term of taking) if (term.kind === 'pool') this.#poolNode(term.name, other);
    const node = this.#newNode(plus);
    for (let i = 0; i < adding.length; i++) this.#connect(adding[i]!, node * 2, bound);
    for (const term of taking) this.#connect(term, node * 2 + 1, other);
    return node;
  }

  #connect(term: SourceTerm, code: number, bound: Bound): void {
    if (term.kind === 'any') (code & 1 ? this.minus : this.plus)[code >>> 1]!++;
    else if (term.kind === 'prefix') this.#mention(term.prefix, code);
    else this.#connectNode(this.#nodeOf(term, bound), code);
  }

  #connectNode(node: number, code: number): void {
    this.dependents[node]!.push(code);
    // A node that holds every address from the start counts from the start.
    if (this.plus[node]! > 0 && this.minus[node] === 0) (code & 1 ? this.minus : this.plus)[code >>> 1]!++;
  }

  #nodeOf(term: SourceTerm, bound: Bound): number {
    if (term.kind === 'pool') return this.#poolNode(term.name, bound);
    const possible = bound === 'possible' && term.kind === 'segment' ? this.#possible.get(term.name) : undefined;
    if (possible !== undefined) return possible;
    const node = term.kind === 'segment' ? this.#segments.get(term.name) : undefined;
    if (node === undefined) throw new Error(`no such segment: ${term.kind === 'segment' ? term.name : term.kind}`);
    return node;
  }

  /** Two nodes where a name of the pool's servers is not known: it may stand for any address. */
  #poolNode(name: string, bound: Bound): number {
    const open = bound === 'possible' && this.#poolUnknown.has(name);
    const key = open ? `${bound} ${name}` : name;
    let node = this.#poolNodes.get(key);
    if (node !== undefined) return node;
    node = this.#newNode(open ? 1 : 0);
    this.#poolNodes.set(key, node);
    for (const address of this.#poolAddresses(name)) this.#mention(hostPrefix(address), node * 2);
    return node;
  }

  /** Servers behind unix sockets have no address, so they belong to no segment. */
  #poolAddresses(name: string): readonly Address[] {
    const pool = this.#pools.get(name);
    if (pool === undefined) throw new Error(`no such pool: ${name}`);
    const { servers } = serversOf(pool, this.#knowledge.names, this.#outbound);
    return this.#membership?.get(name) ?? servers.flatMap(({ endpoint }) => (endpoint.kind === 'tcp' ? [endpoint.address] : []));
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

function partsOf({ segments, except }: Segment): SourceTerm[] {
  return [...segments.map((name) => ({ kind: 'segment' as const, name })), ...except];
}

function hostPrefix(address: Address): Prefix {
  return { ...address, bits: address.family === 4 ? 32 : 128, text: '' };
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
