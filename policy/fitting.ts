/**
 * Flows made to fit a rule: of what is known of a flow only that is changed which the rule asks otherwise. Whether the rule then decides is
 * for `decide` to say.
 */
import { HTTP, protocolsOn, REQUEST_PROTOCOLS } from '../config/protocols.ts';
import { type Condition, matchesField, matchesHosts, matchesMethod, matchesPath } from './condition.ts';
import type { TlsFacts } from './connection.ts';
import { type Demand, hasAny, matchesAny, matchesDatabase, matchesTls, openSource, type TextPattern } from './demand.ts';
import { fieldName, fieldsOf, type HeaderLookup } from './header-lookup.ts';
import type { Image } from './image.ts';
import { APPLICATION_WORDS, NOT_ASKED, RECORD_WORDS, VIP_WORDS } from './layout.ts';
import { ALL_PROTOCOLS } from './outcome.ts';
import { outcomeWords, PAIRS_SHIFT } from './programs.ts';
import type { Facts } from './question.ts';
import type { HttpFacts, RequestFacts } from './request.ts';
import { programAt } from './rows.ts';
import { ANYONE } from './sources.ts';

/** What of a flow can be changed, in the order in which it is told. */
export type Changed = 'vip' | 'source' | 'protocol' | 'tls' | 'identities' | 'request';

export interface Fitted {
  readonly facts: Facts;
  readonly changed: readonly Changed[];
}

/** The flow changed no further than the rule asks; null where no such flow was found. `rule` is one of the VIP's application. */
export function fitted(image: Image, facts: Facts, rule: number): Fitted | null {
  const record = image.ruleRecord(rule) * RECORD_WORDS;
  if (record < 0) return null;
  const vip = vipFor(image, facts.vip, rule);
  if (vip < 0) return null;
  const demandNumber = image.records[record + 14]!;
  const demand = demandNumber === NOT_ASKED ? null : image.demand(demandNumber);
  const atom = atomFor(image, vip, facts.atom, rule);
  if (atom < 0) return null;
  const changed: Changed[] = [...(vip === facts.vip ? [] : (['vip'] as const)), ...(atom === facts.atom ? [] : (['source'] as const))];
  let found: Facts = { ...facts, vip, atom };
  const protocols = image.records[record + 5]!;
  if (facts.protocols === 0 ? protocols !== ALL_PROTOCOLS : (protocols & facts.protocols) === 0) {
    const mode = image.applicationMode(image.vipApplication(vip));
    const possible = mode === 'http' ? protocols & REQUEST_PROTOCOLS : protocols;
    if (possible === 0) return null;
    // A request that begins as one is the plainer example.
    const bit = possible & HTTP ? HTTP : possible & -possible;
    found = { ...found, protocols: protocolsOn(mode, bit) };
    changed.push('protocol');
  }
  if (demand?.tls != null && !matchesTls(demand.tls, facts.connection.tls)) {
    found = { ...found, connection: { ...found.connection, tls: fittingTls(demand.tls, facts.connection.tls) } };
    changed.push('tls');
  }
  const identities = demand === null ? facts.connection.identities : fittingIdentities(image, demand, atom, facts.connection.identities);
  if (identities === null) return null;
  if (identities !== facts.connection.identities) {
    found = { ...found, connection: { ...found.connection, identities } };
    changed.push('identities');
  }
  const request = fittingRequest(image, image.records[record + 6]!, demand, facts.request);
  if (request !== facts.request) {
    found = { ...found, request };
    changed.push('request');
  }
  return { facts: found, changed };
}

/** A VIP of the application whose port the rule names, the flow's own first; -1 for none. */
function vipFor(image: Image, asked: number, rule: number): number {
  const ports = image.recordPorts(image.ruleRecord(rule));
  const fits = (vip: number) => {
    const port = image.vips[vip * VIP_WORDS + 5]!;
    return ports === null || ports.some(([first, last]) => first <= port && port <= last);
  };
  if (fits(asked)) return asked;
  const app = image.vipApplication(asked);
  for (let vip = 0; vip < image.vipCount; vip++) if (image.vipApplication(vip) === app && fits(vip)) return vip;
  return -1;
}

/** An atom whose addresses may be meant by the rule, the flow's own first; -1 for none. */
function atomFor(image: Image, vip: number, asked: number, rule: number): number {
  const { row, index } = placeOf(image, vip, rule);
  if (isHeld(image, programAt(image, row, asked), index)) return asked;
  for (let i = image.rowStarts[row]!; i < image.rowStarts[row + 1]!; i++) {
    if (isHeld(image, image.rowPrograms[i]!, index)) return image.rowAtoms[i]!;
  }
  return -1;
}

/** Whether source and port of a flow may be those of a rule. */
export function holdsAt(image: Image, { vip, atom }: Pick<Facts, 'vip' | 'atom'>, rule: number): boolean {
  const { row, index } = placeOf(image, vip, rule);
  return isHeld(image, programAt(image, row, atom), index);
}

/** The row of a rule's list at a VIP, and its number in the list. */
function placeOf(image: Image, vip: number, rule: number): { row: number; index: number } {
  const app = image.vipApplication(vip);
  const ownCount = image.applicationRuleCount(app) - 2 - image.guardrailCount - image.baselineCount;
  let index = rule - image.applications[app * APPLICATION_WORDS + 3]! - 1;
  let list = 2;
  for (const size of [image.guardrailCount, ownCount]) {
    if (index < size) break;
    index -= size;
    list++;
  }
  return { row: image.vips[vip * VIP_WORDS + list]!, index };
}

function isHeld(image: Image, program: number, index: number): boolean {
  const head = image.programs[program]!;
  const start = program + 1 + outcomeWords(head);
  for (let pair = start; pair < start + (head >>> PAIRS_SHIFT) * 2; pair += 2) {
    if (image.programs[pair] === index >>> 5) return ((image.programs[pair + 1]! >>> (index & 31)) & 1) === 1;
  }
  return false;
}

function fittingTls({ sni, alpn, ja4 }: NonNullable<Demand['tls']>, asked: TlsFacts): TlsFacts {
  const matches = (part: Partial<Demand['tls']>) => matchesTls({ sni: null, alpn: null, ja4: null, ...part }, asked);
  const host = sni?.[0];
  return {
    sni: matches({ sni }) ? asked.sni : (host!.exact ?? `any${host!.suffix}`),
    alpn: matches({ alpn }) ? asked.alpn : [alpn![0]!],
    ja4: matches({ ja4 }) ? asked.ja4 : exampleOf(ja4![0]!),
  };
}

/** The same list where it fits; null where none does. */
function fittingIdentities(image: Image, demand: Demand, atom: number, asked: readonly string[]): readonly string[] | null {
  const wanted = demand.identities === null || hasAny(demand.identities, asked) ? [] : [exampleOf(demand.identities[0]!)];
  if (wanted.length === 0 && (demand.cases === null || openSource(image, demand.cases, atom, asked) === 0)) return asked;
  for (const { row, has, hasNot } of demand.cases ?? [{ row: ANYONE, has: [], hasNot: [] }]) {
    if (row !== ANYONE && !image.sourceHolds(row, atom)) continue;
    const kept = [...asked.filter((identity) => !matchesAny(hasNot, identity)), ...wanted];
    const found = [...kept, ...has.filter((list) => !hasAny(list, kept)).map((list) => exampleOf(list[0]!))];
    if (!hasAny(hasNot, found)) return found;
  }
  return null;
}

function exampleOf({ exact, prefix }: TextPattern): string {
  return exact ?? (prefix === '' ? 'any' : `${prefix}`);
}

function fittingRequest(image: Image, condition: number, demand: Demand | null, request: RequestFacts | null): RequestFacts | null {
  const database = demand?.database ?? null;
  if (database !== null && (request === null || !matchesDatabase(database, request))) return fittingQuery(database, request);
  if (condition === NOT_ASKED || request === null || request.kind !== 'http') return request;
  const asked = image.condition(condition);
  const fits =
    matchesMethod(asked, request) &&
    matchesHosts(asked, request) &&
    matchesPath(asked, request) &&
    (asked.headers === null || asked.headers.every((field) => matchesField(field, request)));
  return fits ? request : fittingHttp(asked, request);
}

function fittingQuery({ kind, users, names, keys }: NonNullable<Demand['database']>, asked: RequestFacts | null): RequestFacts {
  const before = asked !== null && asked.kind !== 'http' && asked.kind === kind ? asked : null;
  const part = (patterns: readonly TextPattern[] | null, text: string | null) =>
    patterns === null || (text !== null && matchesAny(patterns, text)) ? text : exampleOf(patterns[0]!);
  const user = part(users, before?.user ?? null);
  if (kind === 'postgres') return { kind, user, database: part(names, before?.kind === 'postgres' ? before.database : null) };
  if (kind === 'mysql') return { kind, user, schema: part(names, before?.kind === 'mysql' ? before.schema : null) };
  const redis = before?.kind === 'redis' ? before : null;
  const right = redis?.keys?.filter((key) => keys === null || matchesAny(keys, key)) ?? [];
  const command = part(names, redis?.command ?? null);
  return { kind, user, command, keys: keys === null ? (redis?.keys ?? null) : right.length > 0 ? right : [exampleOf(keys[0]!)] };
}

function fittingHttp(condition: Condition, request: HttpFacts): HttpFacts {
  const { methods, hostTexts, paths } = condition;
  const field = condition.headers?.find((pattern) => !matchesField(pattern, request));
  const path = paths?.[0]?.exact ?? paths?.[0]?.prefix ?? request.path;
  return {
    kind: 'http',
    method: matchesMethod(condition, request) ? request.method : (methods?.[0] ?? request.method),
    host: matchesHosts(condition, request) ? request.host : (hostTexts?.[0]?.replace(/^\*\./, 'any.') ?? request.host),
    ...(matchesPath(condition, request) ? { path: request.path, readings: request.readings } : { path }),
    headers: field === undefined ? request.headers : withFields(condition, request),
  };
}

/** The request's fields, with the ones that a condition asks for in place of those that do not fit. */
function withFields({ headers }: Condition, request: HttpFacts): HeaderLookup {
  const wanted = new Map(
    headers!.flatMap((pattern) => {
      const { name, values } = pattern;
      return matchesField(pattern, request) ? [] : [[name, values[0]!.exact ?? (values[0]!.prefix || 'any')] as const];
    }),
  );
  return {
    fieldLines(name) {
      const value = wanted.get(name);
      return value === undefined ? (request.headers?.fieldLines(name) ?? []) : [value];
    },
    visitFields(visitor) {
      const fitted = new Set([...wanted.keys()].map(fieldName));
      fieldsOf([...wanted]).visitFields(visitor);
      request.headers?.visitFields({
        asksFor: (name) => !fitted.has(name) && visitor.asksFor(name),
        visit: (name, value) => visitor.visit(name, value),
      });
    },
  };
}
