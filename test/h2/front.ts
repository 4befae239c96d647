/** Nodes in front of servers that tests of HTTP/2 hold in their hands. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { freePort, type RunningNode, startNode } from '../node/harness.ts';
import { GET } from './frames.ts';

export interface Setup {
  readonly node: RunningNode;
  readonly port: number;
  stop(): Promise<void>;
}

/** The file of a node with one application. */
export const text = (port: number, server: number, protocol: string, rules: string, more = '') => `
version: 1
process: { workers: 1 }
pools: { web: { servers: [127.0.0.1:${server}], protocol: ${protocol}, retries: { attempts: 0 } } }
applications:
  shop: { vips: [127.0.0.1:${port}], mode: http, pool: web, ${more} rules: [${rules}] }
`;
export const ALL = '{ name: all, action: allow }';

export async function front(server: number, protocol = 'http', rules = ALL): Promise<Setup> {
  const port = await freePort();
  const node = await startNode(text(port, server, protocol, rules));
  return { node, port, stop: async () => void (await node.stop()) };
}

/** A GET of another path. */
export const at = (path: string) => GET.map(([name, value]) => [name, name === ':path' ? path : value] as const);

/** Answers at once; `/wait` when told to, and `/stream` with a beginning. */
export async function startBackend() {
  const waiting: (() => void)[] = [];
  const server = createServer((asked, answer) => {
    if (asked.url === '/wait') waiting.push(() => answer.end('late'));
    else if (asked.url === '/stream') answer.write('begun');
    else answer.end('now');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    waiting,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
