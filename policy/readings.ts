/**
 * A path can be written so that servers read it differently: `%2F` may part segments or not, `;` may begin parameters, `//` may be one
 * slash. Such a path is judged in every reading, and passes only where all of them pass; so no spelling steps around a rule, whichever way
 * the server reads it. Dot segments are no matter of reading: they are resolved before the request is sent on.
 */
import { decodePath } from './escapes.ts';
import { normalisePath, resolveSegments, UNREAD_PATH } from './request.ts';

/** A path without any of these is in the form of rules already, and no server reads it differently: most are. */
const NOTABLE = /[A-Z%\\?#;\u0080-\uffff]|\/\/|\/\./;
/** Separators that some servers don't know for such, also escaped, and escapes of escapes. */
const AMBIGUOUS = /[\\;]|\/\/|%(?:2f|5c|3b|25|00)/i;
const DOT_SEGMENT = /\/(?:\.|%2e){1,2}(?:[/?#]|$)/i;
/** Escapes that decide on the structure of a path, if they are decoded at all. */
const STRUCTURAL_ESCAPES = /(%2f|%5c|%00)/i;

/**
 * Characters of all readings of one path. There are fewer than 96 readings, so a path of up to 340 characters is judged in all of them
 * whatever it holds, and one of 8 KiB in four. A path beyond that is nobody's honest one: the strict answer costs nothing.
 */
const READINGS_CHARACTERS_MAX = 32 * 1024;

export interface PathFacts {
  readonly path: string;
  readonly readings?: readonly string[];
}

/** The facts of a request target: its path in the form of rules, and the other readings of it where there are any. Never throws. */
export function pathFacts(target: string): PathFacts {
  if (target.charCodeAt(0) === 0x2f && !NOTABLE.test(target)) return { path: target };
  const sent = resolveDots(target);
  const path = normalisePath(sent);
  const end = sent.search(/[?#]/);
  const written = end < 0 ? sent : sent.slice(0, end);
  if (!AMBIGUOUS.test(written)) return { path };
  const readings = readingsOf(written);
  if (readings === null) return { path, readings: [UNREAD_PATH] };
  readings.delete(path);
  return readings.size === 0 ? { path } : { path, readings: [...readings] };
}

/** Whether `resolveDots` would change a target. */
export function hasDots(target: string): boolean {
  return DOT_SEGMENT.test(target);
}

/**
 * A target without dot segments (RFC 3986 §5.2.4), also where a dot is written `%2e`, which is the same (§6.2.2.2). A `..` takes the slashes
 * before it along. Everything else stays as written. Targets that are no path (`*`) are answered as they are.
 */
export function resolveDots(target: string): string {
  if (target.charCodeAt(0) !== 0x2f || !hasDots(target)) return target;
  const end = target.search(/[?#]/);
  const path = end < 0 ? target : target.slice(0, end);
  const kept: string[] = [];
  const segments = path.slice(1).split('/');
  for (const [i, written] of segments.entries()) {
    const segment = written.replace(/%2e/gi, '.');
    if (segment !== '.' && segment !== '..') {
      kept.push(written);
      continue;
    }
    if (segment === '..') {
      while (kept.length > 0 && kept.at(-1) === '') kept.pop();
      kept.pop();
    }
    // What ends in a dot segment names a folder.
    if (i === segments.length - 1) kept.push('');
  }
  return `/${kept.join('/')}${end < 0 ? '' : target.slice(end)}`;
}

/** Every way in which a server might read a path, in the form of rules; null where they are more than are judged. */
function readingsOf(written: string): Set<string> | null {
  const once = decodePath(written);
  const decodings = [
    written
      .split(STRUCTURAL_ESCAPES)
      .map((part, i) => (i % 2 === 0 ? decodePath(part) : part))
      .join(''),
    once,
    decodePath(once),
  ];
  let readings: Set<string> | null = new Set(decodings.map((path) => path.toLowerCase()));
  for (const variant of VARIANTS) {
    readings = withVariants(readings, variant);
    if (readings === null) return null;
  }
  return readings;
}

const VARIANTS: readonly ((path: string) => string)[] = [
  (path) => path.replaceAll('\\', '/'),
  (path) => path.replace(/;[^/]*/g, ''),
  (path) => path.replace(/\u0000.*$/s, ''),
  (path) => path.replace(/\/{2,}/g, '/'),
  resolveSegments,
];

function withVariants(paths: ReadonlySet<string>, variant: (path: string) => string): Set<string> | null {
  const all = new Set(paths);
  let characters = 0;
  for (const path of paths) {
    characters += path.length;
    const other = variant(path);
    if (other !== path && !all.has(other)) {
      all.add(other);
      characters += other.length;
    }
    if (characters > READINGS_CHARACTERS_MAX) return null;
  }
  return all;
}
