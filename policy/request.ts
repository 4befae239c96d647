/**
 * Requests in the one form that rules are matched against: what a server will make of a target, so that no other spelling of a path
 * steps around a rule. Patterns in the file are brought into the same form.
 */
import { decodePath } from './escapes.ts';
import type { HeaderLookup } from './header-lookup.ts';

/** What a flow asks for, in the words of its protocol. */
export type RequestFacts = HttpFacts | PostgresFacts | MysqlFacts | RedisFacts;

/** What cannot be told of a flow to a database is null, which is not the same as none: rules that deny take it for theirs. */
export interface PostgresFacts {
  readonly kind: 'postgres';
  readonly user: string | null;
  readonly database: string | null;
}

export interface MysqlFacts {
  readonly kind: 'mysql';
  readonly user: string | null;
  /** Lower case; empty: none is chosen. */
  readonly schema: string | null;
}

/** One command. */
export interface RedisFacts {
  readonly kind: 'redis';
  /** `default` for who has not named one. */
  readonly user: string | null;
  /** Lower case; a subcommand stands behind `|`: `config|set`. */
  readonly command: string | null;
  readonly keys: readonly string[] | null;
}

/** Facts of an HTTP request, normalised. Methods are case-sensitive (RFC 9110 §9.1). */
export interface HttpFacts {
  readonly kind: 'http';
  readonly method: string;
  readonly host: string;
  readonly path: string;
  /** Other ways in which a server could read the path, see `pathReadings`. Absent where there is one way only. */
  readonly readings?: readonly string[] | undefined;
  /** Absent: it has no fields that a rule could ask for. */
  readonly headers?: HeaderLookup | undefined;
}

/**
 * A reading that stands for all that were too many to be looked at. No path is like it, since paths begin with `/`: a request with it passes
 * only where its verdict does not depend on what it asks for.
 */
export const UNREAD_PATH = '\u0000';

const NEEDS_WORK = /[A-Z%\\?#\u0080-\uffff]|\/\/|\/\./;
const ABSOLUTE = /^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/[^/\\?#]*/;

/**
 * The path of a request target: without query and fragment, percent-decoded once, `\` and `%2F` as `/`, empty and dot segments
 * resolved (RFC 3986 §5.2.4, never above the root), lower case. `;params` stay. Escapes that are no UTF-8 stay as written.
 * Asterisk-form stays `*`; of absolute-form only the path is left. Never throws.
 */
export function normalisePath(target: string): string {
  if (target.charCodeAt(0) === 0x2f && !NEEDS_WORK.test(target)) return target;
  if (target === '*') return target;
  const end = target.search(/[?#]/);
  return foldPath((end < 0 ? target : target.slice(0, end)).replace(ABSOLUTE, ''));
}

/** Lower case, without port and trailing dot; the brackets of IPv6 stay. */
export function normaliseHost(host: string): string {
  const bracket = host.indexOf(']');
  const colon = bracket < 0 ? host.indexOf(':') : host.indexOf(':', bracket);
  // Two colons without brackets are an IPv6 address, not a port.
  let end = colon < 0 || (bracket < 0 && host.indexOf(':', colon + 1) >= 0) ? host.length : colon;
  if (end > 0 && host.charCodeAt(end - 1) === 0x2e) end--;
  return (end === host.length ? host : host.slice(0, end)).toLowerCase();
}

/** A path pattern taken apart: what it matches whole, and what it matches the beginning of. null: nothing of that kind. */
export interface PathPattern {
  readonly exact: string | null;
  readonly prefix: string | null;
}

/** `/a` is exact, `/a*` a prefix, and `/a/*` matches `/a` as well. */
export function foldPathPattern(pattern: string): PathPattern {
  if (!pattern.endsWith('*')) return { exact: foldPath(pattern), prefix: null };
  const stem = decodePath(pattern.slice(0, -1)).replaceAll('\\', '/').toLowerCase();
  if (stem === '') return { exact: null, prefix: '' };
  // The last segment goes on in the path, so it's no dot segment yet.
  const slash = stem.lastIndexOf('/') + 1;
  const prefix = resolveSegments(stem.slice(0, slash)) + stem.slice(slash);
  return { exact: prefix.endsWith('/') && prefix.length > 1 ? prefix.slice(0, -1) : null, prefix };
}

/** A host pattern taken apart: a whole name, or what names end in, with at least one character before. null: nothing of that kind. */
export interface HostPattern {
  readonly exact: string | null;
  readonly suffix: string | null;
}

/** `*.example.com` is every name that ends in `.example.com`; `*` is every name. */
export function foldHostPattern(pattern: string): HostPattern {
  const folded = pattern.toLowerCase();
  return folded.startsWith('*') ? { exact: null, suffix: folded.slice(1) } : { exact: folded, suffix: null };
}

/** hot: allocates nothing. */
export function matchesHost({ exact, suffix }: HostPattern, host: string): boolean {
  if (suffix === null) return exact === host;
  return suffix === '' || (host.length > suffix.length && host.endsWith(suffix));
}

function foldPath(path: string): string {
  return resolveSegments(decodePath(path).replaceAll('\\', '/').toLowerCase());
}

/** Without empty and dot segments, never above the root. */
export function resolveSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/');
  for (const [i, segment] of segments.entries()) {
    const isLast = i === segments.length - 1;
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') {
      kept.push(segment);
      continue;
    }
    // A path that ends in a dot segment or a slash names a folder: the slash stays.
    if (isLast && kept.length > 0) kept.push('');
  }
  return `/${kept.join('/')}`;
}
