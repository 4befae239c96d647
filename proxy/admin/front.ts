/** The HTTP server under the admin endpoint, plain or with TLS: its bounds, and what it says to bytes that are no request. */
import { createServer, type RequestListener, type Server, STATUS_CODES } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import { Server as NetServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { hitNodeLimit } from '../shared/node-limits.ts';
import type { Certificate } from './certificate.ts';

/** Request line and fields together: several times what a browser sends. */
const HEAD_BYTES_MAX = 16 * 1024;
const HEAD_TIMEOUT_MS = 5000;
const REQUEST_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 15_000;
const HANDSHAKE_TIMEOUT_MS = 5000;
/** Dashboards and scrapers are few; this keeps a mistaken client from taking the descriptors that flows need. */
const CONNECTIONS_MAX = 128;

export interface Front {
  readonly server: Server;
  /** Connections that were turned away because as many were open as may be. */
  dropped(): number;
  /** Handshakes that came to nothing: plain HTTP, a client that does not trust the certificate, or one that is too slow. */
  failedHandshakes(): number;
  close(): Promise<void>;
  /**
   * Another process serves at this address from here on. What comes on connections that are open is answered, and told that its connection ends;
   * whatever is left after `withinMs` is ended. `listensOn`: so long, clients that come are served as well.
   */
  leave(withinMs: number, listensOn: boolean): Promise<void>;
}

/** `certificate` null: plain HTTP. A certificate that is renewed is given to `server` by `useCertificate`. */
export function createFront(certificate: Certificate | null, serve: RequestListener): Front {
  let isLeaving = false;
  const listener: RequestListener = (request, response) => {
    if (isLeaving) response.setHeader('connection', 'close');
    serve(request, response);
  };
  const bounds = {
    maxHeaderSize: HEAD_BYTES_MAX,
    headersTimeout: HEAD_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
    connectionsCheckingInterval: 1000,
  };
  const server: Server =
    certificate === null
      ? createServer(bounds, listener)
      : createSecureServer(
          { ...bounds, ...certificate.secure, minVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'], handshakeTimeout: HANDSHAKE_TIMEOUT_MS },
          listener,
        );
  let dropped = 0;
  let failedHandshakes = 0;
  server.maxConnections = CONNECTIONS_MAX;
  server.on('drop', () => {
    dropped++;
    hitNodeLimit('admin-connections');
  });
  server.on('clientError', refuseBytes);
  // Without a listener Node would answer `100 Continue` and so invite the body.
  server.on('checkContinue', listener);
  if (certificate !== null)
    (server as SecureServer).on('tlsClientError', (_, socket) => {
      failedHandshakes++;
      socket.destroy();
    });
  const leave = (withinMs: number, listensOn: boolean) => {
    isLeaving = true;
    return leaveServer(server, withinMs, listensOn);
  };
  return { server, dropped: () => dropped, failedHandshakes: () => failedHandshakes, close: () => closeServer(server), leave };
}

/** For handshakes from now on; connections that are open keep what they have agreed on. */
export function useCertificate({ server }: Front, secure: { readonly cert: Buffer; readonly key: Buffer }): void {
  (server as SecureServer).setSecureContext({ ...secure, minVersion: 'TLSv1.2' });
}

/** Bytes that are no request, a head that is too large, or one that came too slowly: a last word, then the end. */
function refuseBytes(error: NodeJS.ErrnoException, socket: Duplex): void {
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  if (status === 431) hitNodeLimit('admin-head');
  else if (status === 408) hitNodeLimit('admin-time');
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const body = `${JSON.stringify({ error: STATUS_CODES[status], code: 'bad-request' })}\n`;
  socket.on('error', () => undefined);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

function closeServer(server: Server): Promise<void> {
  const closed = Promise.withResolvers<void>();
  server.close(() => closed.resolve());
  server.closeAllConnections();
  return closed.promise;
}

async function leaveServer(server: Server, withinMs: number, listensOn: boolean): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(() => over.resolve(), withinMs);
  server.once('close', () => over.resolve());
  // That of http.Server ends idle connections at once, with the request that is on its way to one.
  if (!listensOn) NetServer.prototype.close.call(server);
  await over.promise;
  clearTimeout(timer);
  await closeServer(server);
}
