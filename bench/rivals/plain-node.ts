/**
 * Rival: what one writes in an afternoon. node:http in front and an undici pool behind, and net with pipe() for TCP.
 * Arguments: LISTEN:BACKEND for HTTP, then LISTEN:BACKEND for each TCP port.
 */
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import { Pool } from 'undici';

const [http, ...tcp] = process.argv.slice(2).map((pair) => pair.split(':').map(Number) as [number, number]);

const pool = new Pool(`http://127.0.0.1:${http![1]}`, { connections: 256, keepAliveTimeout: 600_000, allowH2: false });
const server = createServer({ keepAliveTimeout: 600_000, noDelay: true }, (request, response) => {
  const { connection: _connection, 'keep-alive': _keepAlive, 'transfer-encoding': _coding, ...headers } = request.headers;
  const hasBody = request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined;
  const before = headers['x-forwarded-for'];
  const source = request.socket.remoteAddress ?? '';
  pool
    .request({
      method: request.method as 'GET',
      path: request.url ?? '/',
      headers: { ...headers, 'x-forwarded-for': before === undefined ? source : `${before}, ${source}` },
      body: hasBody ? request : null,
    })
    .then((upstream) => {
      const { connection: _dropped, 'keep-alive': _too, ...fields } = upstream.headers;
      response.writeHead(upstream.statusCode, fields as Record<string, string | string[]>);
      upstream.body.pipe(response);
    })
    .catch(() => {
      if (!response.headersSent) response.writeHead(502);
      response.end();
    });
});
server.listen({ host: '127.0.0.1', port: http![0], backlog: 4096 });

for (const [port, backend] of tcp) {
  createTcpServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const upstream = connect({ host: '127.0.0.1', port: backend, noDelay: true, allowHalfOpen: true });
    const both = () => {
      client.destroy();
      upstream.destroy();
    };
    client.on('error', both);
    upstream.on('error', both);
    client.pipe(upstream);
    upstream.pipe(client);
  }).listen({ host: '127.0.0.1', port, backlog: 4096 });
}
