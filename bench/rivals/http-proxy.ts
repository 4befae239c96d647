/** Rival: http-proxy as its manual shows it, with a keep-alive agent. Arguments: LISTEN:BACKEND for HTTP; further ones are not carried. */
import { Agent, createServer } from 'node:http';
import httpProxy from 'http-proxy';

const [listen, backend] = process.argv[2]!.split(':');
const agent = new Agent({ keepAlive: true });
const proxy = httpProxy.createProxyServer({ target: `http://127.0.0.1:${backend}`, agent, xfwd: true });
proxy.on('error', (_error, _request, response) => response.writeHead(502).end());
const server = createServer({ keepAliveTimeout: 600_000, noDelay: true }, (request, response) => proxy.web(request, response));
server.listen({ host: '127.0.0.1', port: Number(listen), backlog: 4096 });
