/**
 * Requests in the one form that rules are matched against: what a server will make of a target, so that no other spelling of a path
 * steps around a rule. Patterns in the file are brought into the same form.
 */

/** Facts of a request, normalised. Methods are case-sensitive (RFC 9110 §9.1). */
export interface RequestFacts {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  /** Other ways in which a server could read the path, see `pathReadings`. Absent where there is one way only. */
  readonly readings?: readonly string[] | undefined;
  /** Absent: it has no fields that a rule could ask for. */
  readonly headers?: HeaderLookup | undefined;
}

/** Fields are looked up when a rule asks for one. */
export interface HeaderLookup {
  /** The values of a field's lines as they go to the server, without blanks around them. `name` is lower case, its `-` stands for `_` too. */
  fieldLines(name: string): readonly string[];
}

const NEEDS_WORK = /[A-Z%\\?#\u0080-\uffff]|\/\/|\/\./;
const ESCAPES = /(?:%[0-9a-fA-F]{2})+/g;
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

/** Escapes decoded once, as UTF-8; a run of escapes that isn't UTF-8 is decoded as far as it is ASCII. */
export function decodePath(path: string): string {
  if (!path.includes('%')) return path;
  return path.replace(ESCAPES, (run) => {
    try {
      return decodeURIComponent(run);
    } catch {
      return run.replace(/%[0-7][0-9a-fA-F]/g, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)));
    }
  });
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
