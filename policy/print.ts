/**
 * A document back to text: normalised YAML that compiles to the same meaning. Names are kept; prefixes are canonical, without duplicates and
 * without those inside others; lists whose order says nothing are sorted; what is as by default is left out. Comments, anchors, folders
 * and variables are gone: this is what was understood. Keys are read from the document's own plain data, so that none is forgotten.
 */
import { formatPrefix, type Prefix, parsePrefix, prefixContains } from '../config/address.ts';

/** The plain data of a document (`Document.source`) in normal form. Values that are not understood stay as they are. */
export function normalised(source: unknown): unknown {
  return isMapping(source) ? normaliseAt(source, []) : source;
}

/** Keys of the file in the order in which people read it; others follow. */
const ORDER = ['version', 'process', 'networks', 'segments', 'pools', 'applications', 'guardrails', 'baseline', 'tests'];
const PREFIX_LISTS = new Set(['addresses', 'inbound', 'outbound', 'cluster']);
const TERM_LISTS = new Set(['from', 'except']);
/** Mappings of fields and parameters to lists of values. */
const FIELDS = new Set(['headers', 'query']);
const ASKING_LISTS = new Set(['rules', 'guardrails', 'baseline', 'routes']);
/** Lists in which any entry may match. */
const SETS = new Set([
  'protocols',
  'methods',
  'hosts',
  'countries',
  'asns',
  'dns',
  'days',
  'identities',
  'sni',
  'alpn',
  'ja4',
  'users',
  'databases',
  'schemas',
  'commands',
  'keys',
]);

function normaliseAt(value: unknown, path: readonly string[]): unknown {
  if (Array.isArray(value)) return normaliseList(value, path);
  if (!isMapping(value)) return value;
  const keys = Object.keys(value);
  if (path.length === 0) keys.sort((a, b) => rank(a) - rank(b));
  return Object.fromEntries(keys.map((key) => [key, normaliseAt(value[key], [...path, key])]));
}

function normaliseList(list: readonly unknown[], path: readonly string[]): unknown[] {
  const key = path[path.length - 1]!;
  // Named by their fields, which may be called anything.
  if (FIELDS.has(path.at(-2) ?? '')) return [...list];
  const texts = list.every((entry) => typeof entry === 'string');
  if (PREFIX_LISTS.has(key) && texts) return widest(list);
  if (TERM_LISTS.has(key) && texts && !path.includes('tests')) {
    const isPrefix = (term: string) => parsePrefix(term) !== null;
    if (key === 'from' && list.includes('any')) return ['any'];
    return [...new Set(list.filter((term) => !isPrefix(term))), ...widest(list.filter(isPrefix))];
  }
  // The keys of a test's command are in their order.
  if (SETS.has(key) && !path.includes('tests') && !isPreference(path)) return [...new Set(list)].sort();
  return list.map((entry, i) => normaliseAt(entry, [...path, String(i)]));
}

/** Protocols that an application or a pool agrees on, the preferred first; those that rules and routes ask for are a set. */
function isPreference(path: readonly string[]): boolean {
  return path.at(-1) === 'alpn' && !ASKING_LISTS.has(path.at(-4) ?? '');
}

/** Canonical prefixes, ascending, without those that another one holds. */
function widest(texts: readonly string[]): string[] {
  const prefixes = texts.map((text) => parsePrefix(text));
  // A variable or a name: nothing is known of it.
  if (prefixes.some((prefix) => prefix === null)) return [...texts];
  const sorted = (prefixes as Prefix[]).sort(byAddress);
  const kept: Prefix[] = [];
  for (const prefix of sorted) {
    const before = kept[kept.length - 1];
    if (before === undefined || before.bits > prefix.bits || !prefixContains(before, prefix)) kept.push(prefix);
  }
  return kept.map(formatPrefix);
}

function byAddress(a: Prefix, b: Prefix): number {
  if (a.family !== b.family) return a.family - b.family;
  for (let i = 0; i < 4; i++) if (a.words[i] !== b.words[i]) return a.words[i]! - b.words[i]!;
  return a.bits - b.bits;
}

function rank(key: string): number {
  const at = ORDER.indexOf(key);
  return at < 0 ? ORDER.length : at;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
