/** What "*" at the end of a path pattern stands for in a request target, in the client's own spelling where that can be told. */
import { foldPathPattern } from '../../policy/request.ts';

/** The path and the query (with its "?") of a request target in origin form. */
export function splitTarget(target: string): { path: string; query: string } {
  const mark = target.indexOf('?');
  return mark < 0 ? { path: target, query: '' } : { path: target.slice(0, mark), query: target.slice(mark) };
}

/**
 * The new target for a path such as `/v2/*`. `patterns` are those of the route, of which one has matched `normalised`, the path in the
 * form that rules and routes are matched on. The query stays.
 */
export function newTarget(path: string, target: string, normalised: string, patterns: readonly string[]): string {
  const { path: raw, query } = splitTarget(target);
  if (!path.endsWith('*')) return path + query;
  const base = path.slice(0, -1);
  const rest = restOf(raw, normalised, patterns);
  // `/api/*` stands for `/api` too, and then its rest is nothing: `/v2`, not `/v2/`.
  if (rest === null) return (base.length > 1 && base.endsWith('/') ? base.slice(0, -1) : base) + query;
  if (!base.endsWith('/')) return base + rest + query;
  const inner = rest.replace(DOT_SEGMENT, '');
  return base + (inner.startsWith('/') ? inner.slice(1) : inner) + query;
}

/**
 * A dot segment at the front, in each spelling that some server takes for one. `/img*` stands for `/img../x` as well: behind a path that ends with a
 * slash the rest of that would lead out of the folder, to a path that nobody has judged.
 */
const DOT_SEGMENT = /^(?:\.|%(?:25)*2e){1,2}(?=$|[/\\;]|%(?:25)*(?:00|2f|3b|5c))/i;

/** null where the path is the stem of a pattern without the slash before its "*". */
function restOf(raw: string, normalised: string, patterns: readonly string[]): string | null {
  for (const pattern of patterns) {
    const { exact, prefix } = foldPathPattern(pattern);
    if (prefix !== null && normalised.startsWith(prefix)) return spelled(raw, prefix) ?? encoded(normalised.slice(prefix.length));
    if (normalised === exact) return null;
  }
  return null;
}

/** Everything that was escaped is again, so that nothing of a path becomes its query, or the end of it. */
function encoded(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/** What follows a folded prefix in a path as the client wrote it; null where the two can't be laid side by side. */
function spelled(raw: string, prefix: string): string | null {
  let at = 0;
  let done = 0;
  while (done < prefix.length) {
    if (at >= raw.length) return null;
    const escaped = raw[at] === '%' && /^[0-9a-fA-F]{2}$/.test(raw.slice(at + 1, at + 3));
    const code = escaped ? Number.parseInt(raw.slice(at + 1, at + 3), 16) : raw.charCodeAt(at);
    if (code > 0x7f) return null;
    const folded = code === 0x5c ? '/' : String.fromCharCode(code).toLowerCase();
    at += escaped ? 3 : 1;
    // Empty segments are none.
    if (folded === '/' && done > 0 && prefix[done - 1] === '/') continue;
    if (folded !== prefix[done]) return null;
    done++;
  }
  return raw.slice(at);
}
