/** The small servers that the demo runs behind the proxy: three that speak HTTP and say who they are, one that echoes bytes. */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';

export interface Backend {
  readonly name: string;
  readonly port: number;
  readonly kind: 'http' | 'echo';
}

export const BACKENDS: readonly Backend[] = [
  { name: 'web-1', port: 9001, kind: 'http' },
  { name: 'web-2', port: 9002, kind: 'http' },
  { name: 'web-3', port: 9003, kind: 'http' },
  { name: 'echo-1', port: 9101, kind: 'echo' },
];

const LOOPBACK = '127.0.0.1';

/** What listens, until it is closed with every connection on it. */
export interface RunningBackends {
  close(): void;
}

/** Starts every backend; throws the error of the first that cannot listen (`code` and `port` are Node's), after closing the others. */
export async function startBackends(backends: readonly Backend[]): Promise<RunningBackends> {
  const started: { server: Server; sockets: Set<Socket> }[] = [];
  const close = () => {
    for (const { server, sockets } of started) {
      server.close();
      for (const socket of sockets) socket.destroy();
    }
  };
  try {
    for (const backend of backends) started.push(await start(backend));
  } catch (error) {
    close();
    throw error;
  }
  return { close };
}

function start(backend: Backend): Promise<{ server: Server; sockets: Set<Socket> }> {
  const server: Server =
    backend.kind === 'echo'
      ? createServer({ allowHalfOpen: true }, echo)
      : createHttpServer((request, response) => tell(backend, request, response));
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(backend.port, LOOPBACK, () => {
      server.off('error', reject);
      resolve({ server, sockets });
    });
  });
}

/** Answers in plain text who answered and what arrived, so that a reader sees what the proxy sent on. */
function tell(backend: Backend, request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  if (request.url === '/healthz') {
    response.end('ok\n');
    return;
  }
  let bodyBytes = 0;
  request.on('data', (chunk: Buffer) => {
    bodyBytes += chunk.length;
  });
  request.on('end', () => {
    const fields: string[] = [];
    for (let i = 0; i < request.rawHeaders.length; i += 2) fields.push(`  ${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    const body = bodyBytes > 0 ? [`and ${bodyBytes} bytes of body`] : [];
    response.end(`${[`I am ${backend.name}.`, `I was sent ${request.method} ${request.url} with`, ...fields, ...body].join('\n')}\n`);
  });
}

function echo(socket: Socket): void {
  // A client that resets is no event here: the socket closes.
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
}
