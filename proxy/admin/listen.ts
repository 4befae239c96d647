/** Binding the admin endpoint, and telling why it could not be bound. */
import { chmod, lstat, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { isMainThread } from 'node:worker_threads';
import { formatAddress, formatHostPort } from '../../config/address.ts';
import type { Endpoint } from '../../config/document.ts';

export interface BoundAddress {
  /** `127.0.0.1:9900`, or the path of a unix socket. */
  readonly text: string;
  /** null for a unix socket. */
  readonly port: number | null;
}

/** Why the endpoint is not there, with what to do about it. The fault is the file's, or another process's. */
export class AdminError extends Error {
  override readonly name = 'AdminError';
  /** `admin-address-in-use`, `admin-address-refused`, `admin-tls-unusable`. */
  readonly code: string;
  /** Where in the document it was asked for. */
  readonly path: string;

  constructor(code: string, message: string, cause: unknown, path = '/process/admin/listen') {
    super(message, { cause });
    this.code = code;
    this.path = path;
  }
}

/** Binds `server`; rejects with an `AdminError`. A socket file that nobody listens on any more is replaced. */
export async function listen(server: Server, endpoint: Endpoint): Promise<BoundAddress> {
  try {
    await bind(server, endpoint);
  } catch (error) {
    if (endpoint.kind !== 'unix' || codeOf(error) !== 'EADDRINUSE' || (await isAnswered(endpoint.path))) throw explain(error, endpoint);
    try {
      await rm(endpoint.path, { force: true });
      await bind(server, endpoint);
    } catch (again) {
      throw explain(again, endpoint);
    }
  }
  if (endpoint.kind === 'unix') return { text: endpoint.path, port: null };
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : endpoint.port;
  return { text: formatHostPort(endpoint.address, port), port };
}

async function bind(server: Server, endpoint: Endpoint): Promise<void> {
  const outcome = Promise.withResolvers<void>();
  server.once('error', outcome.reject);
  server.once('listening', outcome.resolve);
  try {
    if (endpoint.kind === 'tcp') server.listen({ host: formatAddress(endpoint.address), port: endpoint.port, exclusive: true });
    else listenPrivately(server, endpoint.path);
    await outcome.promise;
    if (endpoint.kind === 'unix') await chmod(endpoint.path, 0o600);
  } finally {
    server.off('error', outcome.reject);
    server.off('listening', outcome.resolve);
  }
}

/** The socket file is created within `listen`; under this umask there is no moment in which others could connect. */
function listenPrivately(server: Server, path: string): void {
  const before = isMainThread ? process.umask(0o177) : null;
  try {
    server.listen({ path });
  } finally {
    if (before !== null) process.umask(before);
  }
}

/** Whether a process still listens on a unix socket; also true of whatever is not a socket, which is nobody's to remove. */
async function isAnswered(path: string): Promise<boolean> {
  // Asked first, because connecting to a plain file is refused as well (connect(2)).
  const found = await lstat(path).catch(() => null);
  if (found === null) return false;
  if (!found.isSocket()) return true;
  const outcome = Promise.withResolvers<boolean>();
  const socket = connect({ path });
  socket.once('connect', () => outcome.resolve(true));
  // Only a refusal is proof that nobody is there; a socket that may not be opened is left alone.
  socket.once('error', (error) => outcome.resolve(codeOf(error) !== 'ECONNREFUSED'));
  try {
    return await outcome.promise;
  } finally {
    socket.destroy();
  }
}

function explain(error: unknown, endpoint: Endpoint): AdminError {
  const code = codeOf(error);
  const remedy = 'set process.admin.listen to another address, or process.admin to off';
  switch (code) {
    case 'EADDRINUSE':
      return new AdminError(
        'admin-address-in-use',
        `The admin address ${endpoint.text} is taken by another process, perhaps another Bulkhead: stop that one, or ${remedy}.`,
        error,
      );
    case 'EADDRNOTAVAIL':
      return new AdminError(
        'admin-address-refused',
        `The admin address ${endpoint.text} is not an address of this machine: ${remedy}.`,
        error,
      );
    case 'EACCES':
      return new AdminError('admin-address-refused', `This user may not bind the admin address ${endpoint.text}: ${remedy}.`, error);
    case 'ENOENT':
      return new AdminError(
        'admin-address-refused',
        `The folder of the admin socket ${endpoint.text} does not exist: create it, or ${remedy}.`,
        error,
      );
    default:
      return new AdminError('admin-address-refused', `The admin address ${endpoint.text} cannot be bound (${code}): ${remedy}.`, error);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
