/**
 * Sees before a start or a change whether the VIPs can be had. Workers share their ports with each other by SO_REUSEPORT, and would as gladly share
 * them with a second node; so each new address is first bound alone.
 */
import type { Document, Endpoint } from '../../config/document.ts';
import { listen, removeStaleSocket } from '../wire/listen.ts';

const NOBODY = { accept() {}, acceptFailed() {} };

/**
 * What stands in the way of the VIPs of a document that are not had yet, a line each. `ours` are those in force; for those in `given` there is a
 * socket already, from another process.
 */
export async function blockedVips(vips: readonly Endpoint[], ours: readonly Endpoint[], given: ReadonlySet<string>): Promise<string[]> {
  const held = new Set([...ours.map((endpoint) => endpoint.text), ...given]);
  const ports = new Set(ours.map((endpoint) => (endpoint.kind === 'tcp' ? endpoint.port : 0)));
  // The other process listens there, and is no stranger.
  for (const text of given) ports.add(Number(/:([0-9]+)$/.exec(text)?.[1] ?? 0));
  const wanted = vips.filter((endpoint) => !held.has(endpoint.text));
  const answers = await Promise.all(wanted.map((endpoint) => probe(endpoint, endpoint.kind === 'tcp' && ports.has(endpoint.port))));
  return answers.filter((answer) => answer !== null);
}

/**
 * What stands in the way of an address, in words that tell what to do; null where nothing does. `besideOurs` where this node listens on the
 * same port of another address: 0.0.0.0 in place of 127.0.0.1 is no conflict then.
 */
async function probe(endpoint: Endpoint, besideOurs: boolean): Promise<string | null> {
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

/** Every VIP of a document; none where there is no document yet. */
export function vipsOf(document: Document | undefined): Endpoint[] {
  return (document?.applications ?? []).flatMap((application) => application.vips.map((vip) => vip.endpoint));
}

/** The VIP of that name. */
export function endpointOf(document: Document, text: string): Endpoint {
  for (const endpoint of vipsOf(document)) if (endpoint.text === text) return endpoint;
  throw new Error(`no VIP ${text} in the document`);
}
