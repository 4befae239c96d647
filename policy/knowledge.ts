/** What is known of sources that no document can hold: whose addresses a country or an autonomous system has, and where names point to. */
import type { Address, Prefix } from '../config/address.ts';
import type { Document, Pool, Segment } from '../config/document.ts';

/** A key that is missing is unknown, which is not the same as empty: a name that is known to have no address has an empty list. */
export interface Knowledge {
  readonly countries: ReadonlyMap<string, readonly Prefix[]>;
  readonly asns: ReadonlyMap<number, readonly Prefix[]>;
  readonly names: ReadonlyMap<string, readonly Address[]>;
}

export const NOTHING_KNOWN: Knowledge = { countries: new Map(), asns: new Map(), names: new Map() };

/** Something that a segment speaks of and that is not known. */
export interface Unresolved {
  readonly segment: string;
  readonly kind: 'country' | 'asn' | 'dns';
  /** As people would name it: `country DE`, `AS3320`, `partner.example.com`. */
  readonly what: string;
  /** Whether rules that deny take everybody to be in the segment for as long. */
  readonly closes: boolean;
}

/** What a document asks to be known. */
export function wantedOf(document: Document): { countries: Set<string>; asns: Set<number>; names: Set<string> } {
  return {
    countries: new Set(document.segments.flatMap(({ countries }) => countries)),
    asns: new Set(document.segments.flatMap(({ asns }) => asns)),
    names: new Set([...document.segments.flatMap(({ dns }) => dns), ...document.pools.flatMap(hostsOf)]),
  };
}

/** Everything unknown, segment by segment: for `check`, logs and the status page. */
export function unresolvedOf(document: Document, knowledge: Knowledge): Unresolved[] {
  const pools = new Map(document.pools.map((pool) => [pool.name, pool]));
  return document.segments.flatMap((segment) => unresolvedIn(segment, knowledge, pools));
}

/** Names of servers of a pool that are not known. */
export function unresolvedHosts(pool: Pool | undefined, { names }: Knowledge): string[] {
  return pool === undefined ? [] : hostsOf(pool).filter((host) => !names.has(host));
}

function hostsOf({ names = [] }: Pool): string[] {
  return names.map(({ endpoint }) => endpoint.host);
}

export function unresolvedIn(segment: Segment, knowledge: Knowledge, pools: ReadonlyMap<string, Pool>): Unresolved[] {
  const { name, countries, asns, dns, pools: named, unknown } = segment;
  // Most are addresses and nothing else.
  if (countries.length + asns.length + dns.length + named.length === 0) return [];
  const hosts = new Set([...dns, ...named.flatMap((pool) => unresolvedHosts(pools.get(pool), knowledge))]);
  const missing = (kind: Unresolved['kind'], what: string): Unresolved => ({ segment: name, kind, what, closes: unknown === 'deny' });
  return [
    ...countries.filter((country) => !knowledge.countries.has(country)).map((country) => missing('country', `country ${country}`)),
    ...asns.filter((asn) => !knowledge.asns.has(asn)).map((asn) => missing('asn', `AS${asn}`)),
    ...[...hosts].filter((host) => !knowledge.names.has(host)).map((host) => missing('dns', host)),
  ];
}
