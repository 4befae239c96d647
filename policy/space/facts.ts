/**
 * Facts of a flow beside source, VIP, protocol and request: the moment, fields of a request, what a ClientHello says, who the client is,
 * what it wants of a database, and whatever a rule may ask for that this code cannot look into. Each holds or doesn't.
 */
import type { Rule, Schedule } from '../../config/document.ts';
import type { DatabaseMatch, HeaderMatch } from '../../config/match.ts';
import { momentText, scheduleText } from '../schedule.ts';

/** Facts with one text are one. */
export interface Fact {
  readonly text: string;
  /** `text`, `keys`: of a flow to a database. */
  readonly kind: 'until' | 'schedule' | 'header' | 'sni' | 'alpn' | 'ja4' | 'identity' | 'text' | 'keys' | 'opaque';
  /** Facts of one dimension are about the same thing; facts of two have nothing to do with each other. */
  readonly dimension: string;
  readonly until: number | null;
  readonly schedule: Schedule | null;
  readonly header: HeaderMatch | null;
  /** Patterns as they are written, of which one has to match. */
  readonly values: readonly string[];
  /** Of what cannot be told: whether it counts as matching. */
  readonly denies: boolean;
}

const PLAIN = { until: null, schedule: null, header: null, values: [], denies: false } as const;

export function periodFacts({ until, schedule }: Pick<Rule, 'until' | 'schedule'>): Fact[] {
  const facts: Fact[] = [];
  if (until !== null && until !== undefined)
    facts.push({ ...PLAIN, text: `until ${momentText(until)}`, kind: 'until', dimension: 'time', until });
  if (schedule !== null && schedule !== undefined)
    facts.push({ ...PLAIN, text: scheduleText(schedule), kind: 'schedule', dimension: 'time', schedule });
  return facts;
}

export function headerFacts(headers: readonly HeaderMatch[] | null | undefined): Fact[] {
  return (headers ?? []).map((header) => {
    const text = `header ${header.name} ${header.values.map((value) => JSON.stringify(value)).join(' or ')}`;
    return { ...PLAIN, text, kind: 'header', dimension: `header ${header.name}`, header, values: header.values };
  });
}

export function tlsFacts(tls: Rule['tls']): Fact[] {
  const fact = (kind: 'sni' | 'alpn' | 'ja4', name: string, list: readonly string[] | null | undefined): Fact[] => {
    if (list === null || list === undefined) return [];
    const values = distinct(list);
    return [{ ...PLAIN, text: `${name} ${values.join(' or ')}`, kind, dimension: kind, values }];
  };
  return [...fact('sni', 'server name', tls?.sni), ...fact('alpn', 'ALPN', tls?.alpn), ...fact('ja4', 'JA4', tls?.ja4)];
}

/** That the client has one of these identities. */
export function identityFacts(patterns: readonly string[] | null): Fact[] {
  if (patterns === null || patterns.length === 0) return [];
  const values = distinct(patterns);
  return [{ ...PLAIN, text: `identity ${values.join(' or ')}`, kind: 'identity', dimension: 'identity', values }];
}

export function databaseFacts(database: DatabaseMatch | null, denies: boolean): Fact[] {
  if (database === null) return [];
  const { kind, users } = database;
  const fact = (name: string, list: readonly string[] | null): Fact[] => {
    if (list === null) return [];
    const values = distinct(list);
    const blind = denies ? ' or not told' : '';
    return [
      { ...PLAIN, text: `${kind} ${name} ${values.join(' or ')}${blind}`, kind: 'text', dimension: `${kind} ${name}`, values, denies },
    ];
  };
  if (kind === 'postgres') return [...fact('user', users), ...fact('database', database.databases)];
  if (kind === 'mysql') return [...fact('user', users), ...fact('schema', database.schemas)];
  const commands = database.commands?.flatMap((command) => (/[*|]/.test(command) ? [command] : [command, `${command}|*`])) ?? null;
  return [...fact('user', users), ...fact('command', commands), ...keyFacts(database.keys, denies)];
}

function keyFacts(keys: readonly string[] | null, denies: boolean): Fact[] {
  if (keys === null) return [];
  const values = distinct(keys);
  const text = denies ? `redis a key ${values.join(' or ')}, or keys not told` : `redis keys all ${values.join(' or ')}`;
  return [{ ...PLAIN, text, kind: 'keys', dimension: 'redis keys', values, denies }];
}

export function opaqueFact(text: string): Fact {
  return { ...PLAIN, text, kind: 'opaque', dimension: `opaque ${text}` };
}

export class TooManyFacts extends Error {}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}
