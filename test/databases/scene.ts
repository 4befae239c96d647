/** A node in front of a database that does what its test says. */
import type { Socket } from 'node:net';
import { freePort, type RunningNode, startNode, startServer, type TestServer } from '../node/harness.ts';

/** What a test has to end, the last first. */
export const stops: (() => unknown)[] = [];

export interface Scene {
  readonly port: number;
  readonly running: RunningNode;
  readonly server: TestServer;
  /** What each of the server's connections has read. */
  readonly got: string[];
}

/** A node in front of a server that does as told with what it gets. */
export async function scene(rules: string, serve: (socket: Socket, text: string) => void, more = '', greeting?: Buffer): Promise<Scene> {
  const got: string[] = [];
  const server = await startServer((socket) => {
    const index = got.push('') - 1;
    if (greeting !== undefined) socket.write(greeting);
    socket.on('data', (data) => {
      got[index] += data.toString('latin1');
      serve(socket, data.toString('latin1'));
    });
    socket.on('end', () => socket.end());
  });
  stops.push(() => server.close());
  const port = await freePort();
  const running = await startNode(`
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${server.port}], ejection: off } }
applications:
  app: { vips: [127.0.0.1:${port}], mode: tcp, pool: p, ${more} rules: [${rules}] }
`);
  stops.push(() => running.stop());
  return { port, running, server, got };
}
