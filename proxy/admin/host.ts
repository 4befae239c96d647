/**
 * Whom a request may believe to be talking to. A web page of a stranger can point a name of its own at this machine and then read the
 * endpoint with the visitor's browser (DNS rebinding); such a request carries the stranger's name in its Host field.
 */
import { hostname } from 'node:os';
import { parseAddress } from '../../config/address.ts';
import type { Certificate } from './certificate.ts';

/**
 * Whether a Host field names an address, `localhost`, this machine, the node by its name, or what the endpoint's certificate was made out to.
 * A request without one is no browser's.
 */
export function isOwnHost(field: string | undefined, node: string, certificate: Pick<Certificate, 'isFor'> | null = null): boolean {
  if (field === undefined) return true;
  const host = withoutPort(field.trim().toLowerCase());
  if (host === null) return false;
  if (certificate?.isFor(host)) return true;
  if (host.startsWith('[') && host.endsWith(']')) return parseAddress(host.slice(1, -1))?.family !== undefined && host.includes(':');
  if (parseAddress(host)?.family === 4) return true;
  return host === 'localhost' || host === node.toLowerCase() || host === hostname().toLowerCase();
}

function withoutPort(host: string): string | null {
  const match = /^(\[[^\]]*\]|[^:[\]]*)(?::[0-9]{1,5})?$/.exec(host);
  return match === null ? null : match[1]!;
}
