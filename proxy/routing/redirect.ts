/** Where a redirected client is sent. */
import type { Redirect } from '../../config/route.ts';
import { newTarget, splitTarget } from './rest.ts';

const DEFAULT_PORTS = { http: 80, https: 443 } as const;

/** What of a request a redirect is made of. */
export interface RedirectedRequest {
  readonly scheme: 'http' | 'https';
  /** As the client named it, with its port. */
  readonly host: string;
  readonly target: string;
  /** The path in the form that routes are matched on. */
  readonly normalised: string;
  readonly patterns: readonly string[];
}

/** The value of Location (RFC 9110 §10.2.2). The host is the client's own word or the file's, and was checked either way. */
export function locationOf(redirect: Redirect, request: RedirectedRequest): string {
  const scheme = redirect.scheme ?? request.scheme;
  const named = redirect.host ?? hostWithoutPort(request.host);
  const port = redirect.port ?? (redirect.scheme === null && redirect.host === null ? portOf(request.host) : null);
  const authority = port === null || port === DEFAULT_PORTS[scheme] ? named : `${named}:${port}`;
  const target = redirect.path === null ? request.target : newTarget(redirect.path, request.target, request.normalised, request.patterns);
  // Two slashes at the front of a path would be read as a host where the authority is left out; here it never is.
  const { path, query } = splitTarget(target);
  return `${scheme}://${authority}${path.startsWith('/') ? path : '/'}${query}`;
}

function hostWithoutPort(host: string): string {
  return host.replace(/:[0-9]*$/, '');
}

function portOf(host: string): number | null {
  const digits = /:([0-9]{1,5})$/.exec(host);
  return digits === null ? null : Number(digits[1]);
}
