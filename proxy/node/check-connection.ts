/** The connection that a health check is made on: what a flow to the server would begin with, a PROXY header and TLS where its pool has them. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { formatAddress } from '../../config/address.ts';
import type { Endpoint } from '../../config/document.ts';
import type { ClientMaterial } from '../tls/material.ts';

export interface CheckConnection {
  readonly endpoint: Endpoint;
  /** Host and port as a request names them, where it is told no other. */
  readonly authority: string;
  /** The PROXY header that comes first; null for none. */
  readonly announced: Buffer | null;
  /** null: in the clear. */
  readonly tls: ClientMaterial | null;
  /** What the server speaks is HTTP/2. */
  readonly http2: boolean;
  readonly timeoutMs: number;
}

/** Answers once: a connection that is through, or why there is none. */
export function openCheck(wanted: CheckConnection, done: (error: Error | null, socket: Socket | null) => void): void {
  const { endpoint, announced, tls, timeoutMs } = wanted;
  const bare = endpoint.kind === 'unix' ? connect(endpoint.path) : connect(endpoint.port, formatAddress(endpoint.address));
  if (announced !== null) bare.write(announced);
  const socket = tls === null ? bare : secured(bare, endpoint, tls);
  let waiting = true;
  const answer = (error: Error | null) => {
    if (!waiting) return;
    waiting = false;
    socket.setTimeout(0);
    if (error === null) done(null, socket);
    else {
      socket.destroy();
      bare.destroy();
      done(error, null);
    }
  };
  socket.setTimeout(timeoutMs, () => answer(new Error('connect timed out')));
  socket.once(tls === null ? 'connect' : 'secureConnect', () => answer(null));
  // Also of the one beneath: it fails without the other where there was no handshake yet.
  for (const one of new Set([bare, socket])) one.on('error', answer);
}

function secured(socket: Socket, endpoint: Endpoint, material: ClientMaterial): TLSSocket {
  const { ca, certificate, key, sni } = material;
  return connectTls({
    socket,
    // The name that certificates must have where none is asked for.
    host: endpoint.kind === 'unix' ? 'localhost' : formatAddress(endpoint.address),
    servername: sni ?? '',
    rejectUnauthorized: material.verifies,
    ALPNProtocols: [...material.alpn],
    ...(ca === null ? {} : { ca }),
    ...(certificate === null || key === null ? {} : { cert: certificate, key }),
  });
}
