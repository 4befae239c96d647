/** Demands, and the facts that they ask for, in words. */
import type { DatabaseMatch, TlsMatch } from '../config/match.ts';
import type { TlsFacts } from './connection.ts';
import type { RequestFacts } from './request.ts';

export function tlsText({ sni, alpn, ja4 }: TlsMatch): string {
  return parts([part('server name', sni), part('ALPN', alpn), part('JA4', ja4)]);
}

export function tlsFactsText({ sni, alpn, ja4 }: TlsFacts): string {
  if (sni === null && alpn.length === 0 && ja4 === null) return 'is without TLS';
  return `has ${parts([part('server name', sni === null ? null : [sni]), part('ALPN', alpn.length === 0 ? null : alpn), part('JA4', ja4 === null ? null : [ja4])])}`;
}

export function databaseText(database: DatabaseMatch): string {
  const user = part('user', database.users);
  switch (database.kind) {
    case 'postgres':
      return parts([user, part('database', database.databases)]);
    case 'mysql':
      return parts([user, part('schema', database.schemas)]);
    case 'redis':
      return parts([user, part('command', database.commands), part('key', database.keys)]);
    default:
      return database satisfies never;
  }
}

/** What a flow is after. What cannot be told is said so. */
export function queryText(request: RequestFacts): string {
  switch (request.kind) {
    case 'http':
      return `${request.method} ${request.path}`;
    case 'postgres':
      return parts([one('user', request.user), one('database', request.database)]);
    case 'mysql':
      return parts([one('user', request.user), request.schema === '' ? 'no schema' : one('schema', request.schema)]);
    case 'redis': {
      const keys = request.keys === null ? 'keys that are not told' : request.keys.length === 0 ? 'no keys' : part('key', request.keys);
      return parts([one('user', request.user), one('command', request.command), keys]);
    }
    default:
      return request satisfies never;
  }
}

function part(name: string, values: readonly string[] | null): string | null {
  return values === null ? null : `${name} ${values.join(', ')}`;
}

function one(name: string, value: string | null): string {
  return value === null ? `a ${name} that is not told` : `${name} ${value}`;
}

function parts(said: readonly (string | null)[]): string {
  return said.filter((text) => text !== null).join(' and ');
}
