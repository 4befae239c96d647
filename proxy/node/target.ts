/** What a server is dialled by, and what it is asked for in TLS. */
import { formatAddress } from '../../config/address.ts';
import type { Server } from '../../config/document.ts';
import type { ClientMaterial } from '../tls/material.ts';
import type { Target } from '../wire/dial.ts';

/** `material`: that of its pool; null where its pool is spoken to in the clear. */
export function targetOf(server: Server, material: ClientMaterial | null): Target {
  const { endpoint } = server;
  const own = materialOf(server, material);
  const tls = own === null ? {} : { tls: own };
  if (endpoint.kind === 'unix') return { kind: 'unix', host: endpoint.path, port: 0, ...tls };
  return { kind: endpoint.address.family === 4 ? 'tcp4' : 'tcp6', host: formatAddress(endpoint.address), port: endpoint.port, ...tls };
}

/** A server by name is asked for its name, and its certificate must have it, unless the pool says which. */
export function materialOf({ named }: Server, material: ClientMaterial | null): ClientMaterial | null {
  if (material === null || named === undefined || material.sni !== null) return material;
  // Sessions are resumed, and connections kept, under the id: those of another name are others.
  return { ...material, sni: named.host, id: `${material.id} ${named.host}` };
}
