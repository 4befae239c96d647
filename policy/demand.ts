/**
 * What a rule asks of a flow beside source, port, protocol and HTTP request: what its ClientHello says, who the client has proved to be,
 * and what it wants of a database. Most rules have no demand, and deciding never looks for one where a list has none.
 */
import type { Rule } from '../config/document.ts';
import type { DatabaseMatch } from '../config/match.ts';
import type { ConnectionFacts, TlsFacts } from './connection.ts';
import { foldHostPattern, type HostPattern, matchesHost, type RequestFacts } from './request.ts';
import { ANYONE, type SourceCase } from './sources.ts';

/** An image, as far as demands look into it. */
export interface SourceTable {
  /** Whether a source, by its row, has an atom. */
  sourceHolds(row: number, atom: number): boolean;
}

/** Facts that may be unknown, the cheapest first: bits of what is still to be asked for. */
export const ASKS_TLS = 1;
export const ASKS_IDENTITY = 2;
export const ASKS_REQUEST = 4;

/** A demand is not met, whatever the facts not known yet turn out to be. */
export const UNMET = -1;

/** One of the two is null: texts match whole, or by what they begin with. */
export interface TextPattern {
  readonly exact: string | null;
  readonly prefix: string | null;
}

/** A demand as the image holds it. */
export interface DemandRecord {
  readonly tls: Rule['tls'];
  readonly identities: readonly string[] | null;
  /** Sources that depend on identities; null where addresses alone tell. */
  readonly cases:
    | readonly { readonly row: number; readonly has: readonly (readonly string[])[]; readonly hasNot: readonly string[] }[]
    | null;
  readonly database: DatabaseMatch | null;
  readonly denies: boolean;
}

export interface Demand {
  readonly tls: {
    readonly sni: readonly HostPattern[] | null;
    readonly alpn: readonly string[] | null;
    readonly ja4: readonly TextPattern[] | null;
  } | null;
  readonly identities: readonly TextPattern[] | null;
  readonly cases:
    | readonly {
        /** Addresses, as a row of the image; ANYONE: every address. */
        readonly row: number;
        /** Of each of these lists the flow has an identity. */
        readonly has: readonly (readonly TextPattern[])[];
        /** Of these it has none. */
        readonly hasNot: readonly TextPattern[];
      }[]
    | null;
  readonly database: DatabaseDemand | null;
  readonly written: DemandRecord;
}

interface DatabaseDemand {
  readonly kind: DatabaseMatch['kind'];
  readonly users: readonly TextPattern[] | null;
  /** Databases (postgres), schemas (mysql), commands (redis). */
  readonly names: readonly TextPattern[] | null;
  readonly keys: readonly TextPattern[] | null;
  readonly denies: boolean;
}

/** What a rule demands; null for nothing. `rowOf` gives a node of the source graph its row in the image. */
export function demandOf(rule: Rule, cases: readonly SourceCase[] | null, rowOf: (source: number) => number): DemandRecord | null {
  const { tls, identities, database, action } = rule;
  if (tls === null && identities === null && database === null && cases === null) return null;
  const rows = cases?.map(({ source, has, hasNot }) => ({ row: rowOf(source), has, hasNot })) ?? null;
  return { tls, identities, cases: rows, database, denies: action === 'deny' };
}

/** Takes a demand apart, once. */
export function takeApart(written: DemandRecord): Demand {
  const { tls, identities, cases, database, denies } = written;
  return {
    tls: tls === null ? null : { sni: tls.sni?.map(foldHostPattern) ?? null, alpn: tls.alpn, ja4: tls.ja4?.map(textPattern) ?? null },
    identities: identities?.map(textPattern) ?? null,
    cases:
      cases?.map(({ row, has, hasNot }) => ({ row, has: has.map((list) => list.map(textPattern)), hasNot: hasNot.map(textPattern) })) ??
      null,
    database: database === null ? null : databaseDemand(database, denies),
    written,
  };
}

function databaseDemand(database: DatabaseMatch, denies: boolean): DatabaseDemand {
  const { kind } = database;
  const users = database.users?.map(textPattern) ?? null;
  if (kind === 'redis') {
    const names = database.commands?.flatMap(commandPatterns) ?? null;
    return { kind, users, names, keys: database.keys?.map(textPattern) ?? null, denies };
  }
  const names = kind === 'postgres' ? database.databases : database.schemas;
  return { kind, users, names: names?.map(textPattern) ?? null, keys: null, denies };
}

export function textPattern(text: string): TextPattern {
  return text.endsWith('*') ? { exact: null, prefix: text.slice(0, -1) } : { exact: text, prefix: null };
}

/** A command is meant with its subcommands. */
export function commandPatterns(text: string): TextPattern[] {
  const pattern = textPattern(text);
  return pattern.exact === null || text.includes('|') ? [pattern] : [pattern, { exact: null, prefix: `${text}|` }];
}

/**
 * How far a flow meets a demand: 0 where it does, UNMET where it does not, and otherwise the facts on which it depends.
 *
 * hot where rules have demands: allocates nothing.
 */
export function openDemand(
  image: SourceTable,
  { tls, identities, cases, database }: Demand,
  atom: number,
  request: RequestFacts | null,
  connection: ConnectionFacts,
): number {
  let open = 0;
  if (tls !== null) {
    if (connection.tls === null) open = ASKS_TLS;
    else if (!matchesTls(tls, connection.tls)) return UNMET;
  }
  if (identities !== null) {
    if (connection.identities === null) open |= ASKS_IDENTITY;
    else if (!hasAny(identities, connection.identities)) return UNMET;
  }
  if (cases !== null) {
    const source = openSource(image, cases, atom, connection.identities);
    if (source === UNMET) return UNMET;
    open |= source;
  }
  if (database !== null) {
    if (request === null) open |= ASKS_REQUEST;
    else if (!matchesDatabase(database, request)) return UNMET;
  }
  return open;
}

/** hot */
export function matchesTls({ sni, alpn, ja4 }: NonNullable<Demand['tls']>, facts: TlsFacts): boolean {
  return matchesSni(sni, facts) && matchesAlpn(alpn, facts) && (ja4 === null || (facts.ja4 !== null && matchesAny(ja4, facts.ja4)));
}

function matchesSni(sni: readonly HostPattern[] | null, facts: TlsFacts): boolean {
  if (sni === null) return true;
  if (facts.sni === null) return false;
  for (let i = 0; i < sni.length; i++) if (matchesHost(sni[i]!, facts.sni)) return true;
  return false;
}

function matchesAlpn(alpn: readonly string[] | null, facts: TlsFacts): boolean {
  if (alpn === null) return true;
  for (let i = 0; i < alpn.length; i++) if (facts.alpn.includes(alpn[i]!)) return true;
  return false;
}

/** hot: whether a flow has an identity of these. */
export function hasAny(patterns: readonly TextPattern[], identities: readonly string[]): boolean {
  for (let i = 0; i < identities.length; i++) if (matchesAny(patterns, identities[i]!)) return true;
  return false;
}

/** hot */
export function matchesAny(patterns: readonly TextPattern[], text: string): boolean {
  for (let i = 0; i < patterns.length; i++) {
    const { exact, prefix } = patterns[i]!;
    if (text === exact || (prefix !== null && text.startsWith(prefix))) return true;
  }
  return false;
}

/** hot: whether a source is one of those meant; 0, UNMET or ASKS_IDENTITY. */
export function openSource(
  image: SourceTable,
  cases: NonNullable<Demand['cases']>,
  atom: number,
  identities: readonly string[] | null,
): number {
  let open = UNMET;
  for (let i = 0; i < cases.length; i++) {
    const { row, has, hasNot } = cases[i]!;
    if (row !== ANYONE && !image.sourceHolds(row, atom)) continue;
    if (has.length === 0 && hasNot.length === 0) return 0;
    if (identities === null) open = ASKS_IDENTITY;
    else if (!hasAny(hasNot, identities) && hasAll(has, identities)) return 0;
  }
  return open;
}

type Case = { readonly has: readonly unknown[]; readonly hasNot: readonly unknown[] };

/** Whether a case is met, or not, by addresses and by identities that a client lacks: nothing that it has leads to it. */
export function isByAddress({ has }: Case): boolean {
  return has.length === 0;
}

/** Whether a case asks for addresses alone. */
export function isCertain({ has, hasNot }: Case): boolean {
  return has.length === 0 && hasNot.length === 0;
}

function hasAll(lists: readonly (readonly TextPattern[])[], identities: readonly string[]): boolean {
  for (let i = 0; i < lists.length; i++) if (!hasAny(lists[i]!, identities)) return false;
  return true;
}

/** hot: what cannot be told of a flow (null) is taken for it by rules that deny, and by no other. */
export function matchesDatabase({ kind, users, names, keys, denies }: DatabaseDemand, request: RequestFacts): boolean {
  if (request.kind === 'http' || request.kind !== kind) return false;
  if (!matchesPart(users, request.user, denies)) return false;
  const name = request.kind === 'postgres' ? request.database : request.kind === 'mysql' ? request.schema : request.command;
  if (!matchesPart(names, name, denies)) return false;
  return keys === null || request.kind !== 'redis' || matchesKeys(keys, request.keys, denies);
}

/** hot */
export function matchesPart(patterns: readonly TextPattern[] | null, text: string | null, denies: boolean): boolean {
  if (patterns === null) return true;
  return text === null ? denies : matchesAny(patterns, text);
}

/**
 * A denial takes a command with any of the keys, everything else one with such keys alone. A command without keys is not meant: it may
 * well be about all of them.
 */
export function matchesKeys(patterns: readonly TextPattern[], keys: readonly string[] | null, denies: boolean): boolean {
  if (keys === null) return denies;
  for (let i = 0; i < keys.length; i++) if (matchesAny(patterns, keys[i]!) === denies) return denies;
  return !denies && keys.length > 0;
}
