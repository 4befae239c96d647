/**
 * Sees before a start or a change whether the VIPs can be had. Workers share their ports with each other by SO_REUSEPORT, and would as gladly share
 * them with a second node; so each new address is first bound alone.
 */
import type { Endpoint } from '../../config/document.ts';
import { listen, removeStaleSocket } from '../wire/listen.ts';

const NOBODY = { accept() {}, acceptFailed() {} };

/**
 * What stands in the way of an address, in words that tell what to do; null where nothing does. `besideOurs` where this node listens on the
 * same port of another address: 0.0.0.0 in place of 127.0.0.1 is no conflict then.
 */
export async function probe(endpoint: Endpoint, besideOurs: boolean): Promise<string | null> {
  if (endpoint.kind === 'unix' && !(await removeStaleSocket(endpoint.path))) return `${endpoint.text} is in use by another process`;
  const result = listen(endpoint, besideOurs, NOBODY);
  if (result.ok) {
    result.listener.close();
    return null;
  }
  return explainListenError(endpoint, result.code);
}

export function explainListenError(endpoint: Endpoint, code: string): string {
  const { text } = endpoint;
  const port = endpoint.kind === 'tcp' ? endpoint.port : 0;
  switch (code) {
    case 'EADDRINUSE':
      return endpoint.kind === 'unix'
        ? `${text} is in use`
        : `${text} is in use, perhaps by another bulkhead: stop what listens there (ss -ltnp 'sport = :${port}' names it) or change the VIP`;
    case 'EACCES':
      return `${text} may not be bound by this user: ports below 1024 need CAP_NET_BIND_SERVICE`;
    case 'EADDRNOTAVAIL':
      return `${text} is not an address of this machine: add it to an interface, or change the VIP`;
    default:
      return `${text} cannot be bound (${code})`;
  }
}
