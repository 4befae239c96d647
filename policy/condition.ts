/** Conditions on a request, as lists of patterns taken apart once. */
import type { HeaderMatch } from '../config/match.ts';
import {
  foldHostPattern,
  foldPathPattern,
  type HostPattern,
  type HttpFacts,
  matchesHost,
  type PathPattern,
  type RequestFacts,
} from './request.ts';

export interface Condition {
  readonly methods: readonly string[] | null;
  readonly hosts: readonly HostPattern[] | null;
  readonly paths: readonly PathPattern[] | null;
  readonly headers: readonly FieldPattern[] | null;
  /** As written. */
  readonly hostTexts: readonly string[] | null;
  readonly pathTexts: readonly string[] | null;
}

/** A field that a condition asks for. Of each value one part is null: it matches whole, or as a beginning. */
export interface FieldPattern {
  readonly name: string;
  readonly values: readonly { readonly exact: string | null; readonly prefix: string | null }[];
  readonly texts: readonly string[];
  readonly denies: boolean;
}

function fieldValue(text: string): FieldPattern['values'][number] {
  return text.endsWith('*') ? { exact: null, prefix: text.slice(0, -1) } : { exact: text, prefix: null };
}

export function conditionOf(
  methods: readonly string[] | null,
  hosts: readonly string[] | null,
  paths: readonly string[] | null,
  headers: readonly HeaderMatch[] | null,
  denies: boolean,
): Condition {
  const folded = { hosts: hosts?.map(foldHostPattern) ?? null, paths: paths?.map(foldPathPattern) ?? null };
  const fields = headers?.map(({ name, values }) => ({ name, values: values.map(fieldValue), texts: values, denies })) ?? null;
  return { methods, ...folded, headers: fields, hostTexts: hosts, pathTexts: paths };
}

// hot: allocates nothing.
export function matchesRequest(condition: Condition, request: RequestFacts): boolean {
  return (
    request.kind === 'http' &&
    matchesPath(condition, request) &&
    matchesMethod(condition, request) &&
    matchesHosts(condition, request) &&
    matchesHeaders(condition, request)
  );
}

export function matchesMethod({ methods }: Pick<Condition, 'methods'>, { method }: HttpFacts): boolean {
  return methods === null || methods.includes(method);
}

export function matchesHosts({ hosts }: Pick<Condition, 'hosts'>, { host }: HttpFacts): boolean {
  if (hosts === null) return true;
  for (let i = 0; i < hosts.length; i++) if (matchesHost(hosts[i]!, host)) return true;
  return false;
}

export function matchesPath({ paths }: Pick<Condition, 'paths'>, { path }: HttpFacts): boolean {
  if (paths === null) return true;
  for (let i = 0; i < paths.length; i++) {
    const { exact, prefix } = paths[i]!;
    if (path === exact || (prefix !== null && beginsWith(path, prefix))) return true;
  }
  return false;
}

/** hot: most texts that do not begin so differ where the beginning ends, which is told faster. */
function beginsWith(text: string, beginning: string): boolean {
  const last = beginning.length - 1;
  return last < 0 || (text.charCodeAt(last) === beginning.charCodeAt(last) && text.startsWith(beginning));
}

/** hot where a rule asks for fields. */
export function matchesHeaders({ headers }: Pick<Condition, 'headers'>, request: HttpFacts): boolean {
  if (headers === null) return true;
  for (let i = 0; i < headers.length; i++) if (!matchesField(headers[i]!, request)) return false;
  return true;
}

/**
 * A field that came several times can be read as the first, the last, or all of them. So one that a denial asks for is there when any of
 * its lines matches; for a rule that lets the request on, all of them have to.
 */
export function matchesField({ name, values, denies }: FieldPattern, request: HttpFacts): boolean {
  const lines = request.headers?.fieldLines(name) ?? [];
  if (lines.length === 0) return false;
  for (let i = 0; i < lines.length; i++) if (isOneOf(values, lines[i]!) === denies) return denies;
  return !denies;
}

function isOneOf(values: FieldPattern['values'], line: string): boolean {
  for (let i = 0; i < values.length; i++) {
    const { exact, prefix } = values[i]!;
    if (prefix === null ? line === exact : line.startsWith(prefix)) return true;
  }
  return false;
}
