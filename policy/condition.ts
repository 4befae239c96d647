/** Conditions on a request, as lists of patterns taken apart once. */
import { foldHostPattern, foldPathPattern, type HostPattern, matchesHost, type PathPattern, type RequestFacts } from './request.ts';

export interface Condition {
  readonly methods: readonly string[] | null;
  readonly hosts: readonly HostPattern[] | null;
  readonly paths: readonly PathPattern[] | null;
  /** As written. */
  readonly hostTexts: readonly string[] | null;
  readonly pathTexts: readonly string[] | null;
}

export function conditionOf(
  methods: readonly string[] | null,
  hosts: readonly string[] | null,
  paths: readonly string[] | null,
): Condition {
  const folded = { hosts: hosts?.map(foldHostPattern) ?? null, paths: paths?.map(foldPathPattern) ?? null };
  return { methods, ...folded, hostTexts: hosts, pathTexts: paths };
}

// hot: allocates nothing.
export function matchesRequest(condition: Condition, request: RequestFacts): boolean {
  return matchesMethod(condition, request) && matchesHosts(condition, request) && matchesPath(condition, request);
}

export function matchesMethod({ methods }: Condition, { method }: RequestFacts): boolean {
  return methods === null || methods.includes(method);
}

export function matchesHosts({ hosts }: Condition, { host }: RequestFacts): boolean {
  if (hosts === null) return true;
  for (let i = 0; i < hosts.length; i++) if (matchesHost(hosts[i]!, host)) return true;
  return false;
}

export function matchesPath({ paths }: Condition, { path }: RequestFacts): boolean {
  if (paths === null) return true;
  for (let i = 0; i < paths.length; i++) {
    const { exact, prefix } = paths[i]!;
    if (path === exact || (prefix !== null && path.startsWith(prefix))) return true;
  }
  return false;
}
