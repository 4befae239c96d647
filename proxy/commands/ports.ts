/** Whether addresses are free to be listened on, asked before anything starts so that the answer can name the address. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { formatAddress } from '../../config/address.ts';
import type { Endpoint } from '../../config/document.ts';

/**
 * The first address that cannot be listened on, with Node's code for why (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`), or null. VIPs are bound with
 * SO_REUSEPORT, with which a second node of the same user would share them silently; this asks without it.
 */
export async function firstBusy(endpoints: readonly Endpoint[]): Promise<{ endpoint: Endpoint; code: string } | null> {
  for (const endpoint of endpoints) {
    if (endpoint.kind === 'unix') continue;
    const code = await bindError(formatAddress(endpoint.address), endpoint.port);
    if (code !== null) return { endpoint, code };
  }
  return null;
}

async function bindError(host: string, port: number): Promise<string | null> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
