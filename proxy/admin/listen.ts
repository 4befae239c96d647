/** Binding the admin endpoint, and telling why it could not be bound. */
import { chmod, lstat, rename, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import { isMainThread } from 'node:worker_threads';
import { formatAddress, formatHostPort } from '../../config/address.ts';
import type { Endpoint } from '../../config/document.ts';
import { UNIX_PATH_BYTES_MAX } from '../../config/limits.ts';
import { removeSocket } from '../wire/listen.ts';
import { type SocketHandle, tcp } from '../wire/native.ts';

export interface BoundAddress {
  /** `127.0.0.1:9900`, or the path of a unix socket. */
  readonly text: string;
  /** null for a unix socket. */
  readonly port: number | null;
}

/** The address of an endpoint on its way from one process to the next. */
export interface LentAddress {
  /** As the file says it. */
  readonly text: string;
  /** The listening socket; null for a unix socket, which the next process replaces by name. */
  readonly socket: SocketHandle | null;
}

/** An endpoint that listens. */
export interface Bound {
  readonly address: BoundAddress;
  /** For a process that follows this one; the socket stays this one's as well. */
  readonly lent: LentAddress;
  /** Removes the name of a unix socket; not to be called where another process has that now. */
  release(): void;
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

/**
 * Binds `server`; rejects with an `AdminError`. A socket file that nobody listens on any more is replaced. `taken`: the address is the one of the
 * process that is followed, and goes over without a moment in which it is refused; its socket is this server's from here on.
 */
export async function listen(server: Server, endpoint: Endpoint, taken: LentAddress | null = null): Promise<Bound> {
  try {
    if (endpoint.kind === 'unix') return await listenOnPath(server, endpoint.path, taken !== null);
    const socket = taken?.socket ?? bindTo(endpoint);
    await listening(server, () => server.listen({ _handle: socket }));
    const bound = server.address();
    const port = typeof bound === 'object' && bound !== null ? bound.port : endpoint.port;
    const address = { text: formatHostPort(endpoint.address, port), port };
    return { address, lent: { text: endpoint.text, socket }, release: () => undefined };
  } catch (error) {
    throw explain(error, endpoint);
  }
}

/** As a handle, so that it can be passed on. That the address is taken is told by listening. */
function bindTo({ address, port }: Extract<Endpoint, { kind: 'tcp' }>): SocketHandle {
  const socket: SocketHandle = new tcp.TCP(tcp.constants.SERVER);
  const host = formatAddress(address);
  const error = address.family === 4 ? socket.bind(host, port) : socket.bind6!(host, port, 0);
  if (error === 0) return socket;
  socket.close();
  throw coded(getSystemErrorName(error));
}

/**
 * libuv removes the name that a socket was bound to when it is closed, even where another process has put its own in that place. So the socket is
 * bound under a name beside its own and renamed: that is then ours to remove, or to leave, and takes the place of an earlier one in one step.
 */
async function listenOnPath(server: Server, path: string, isOurs: boolean): Promise<Bound> {
  if (!isOurs && (await isAnswered(path))) throw coded('EADDRINUSE');
  const beside = join(dirname(path), `.${process.pid.toString(36)}-`);
  const place = Buffer.byteLength(beside) <= UNIX_PATH_BYTES_MAX ? beside : path;
  await rm(place, { force: true });
  await listening(server, () => listenPrivately(server, place));
  await chmod(place, 0o600);
  if (place !== path) await rename(place, path);
  return { address: { text: path, port: null }, lent: { text: `unix:${path}`, socket: null }, release: () => removeSocket(path) };
}

async function listening(server: Server, begin: () => void): Promise<void> {
  const outcome = Promise.withResolvers<void>();
  server.once('error', outcome.reject);
  server.once('listening', outcome.resolve);
  try {
    begin();
    await outcome.promise;
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

function coded(code: string): Error {
  return Object.assign(new Error(code), { code });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
