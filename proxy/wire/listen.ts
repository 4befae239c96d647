/** Accepts connections as bare handles. With `reusePort` every worker binds the same address and the kernel spreads connections over them. */
import { linkSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import { threadId } from 'node:worker_threads';
import { formatAddress } from '../../config/address.ts';
import type { Endpoint } from '../../config/document.ts';
import { UNIX_PATH_BYTES_MAX } from '../../config/limits.ts';
import { pipe, type ServerHandle, type SocketHandle, type StreamHandle, tcp } from './native.ts';

/** Connections that wait to be accepted; the kernel's own bound (net.core.somaxconn, 4,096) is the same. */
const BACKLOG = 4096;

export type ListenResult = { readonly ok: true; readonly listener: Listener } | { readonly ok: false; readonly code: string };

export interface Listener {
  /** The port in fact bound, where 0 was asked for. */
  readonly port: number;
  /** The socket, to be passed on; it stays this listener's. */
  readonly socket: SocketHandle;
  /** From here on, `accepting` has the connections that come. */
  handTo(accepting: Accepting): void;
  /** Stops accepting. `leavePath` where a unix socket goes on elsewhere: in another process, or in the hands of a service manager. */
  close(leavePath?: boolean): void;
}

export interface Accepting {
  accept(handle: StreamHandle): void;
  /** accept(2) failed: out of descriptors, most often. */
  acceptFailed(errno: number): void;
}

/** Binds an address of one's own. */
export function listen(endpoint: Endpoint, reusePort: boolean, accepting: Accepting): ListenResult {
  const handle: SocketHandle = endpoint.kind === 'unix' ? new pipe.Pipe(pipe.constants.SERVER) : new tcp.TCP(tcp.constants.SERVER);
  return start(handle, bind(handle, endpoint, reusePort), endpoint, accepting);
}

/** Accepts from a socket that was bound elsewhere, and that may be listening already. It is the listener's from here on. */
export function adopt(socket: SocketHandle, endpoint: Endpoint, accepting: Accepting): ListenResult {
  return start(socket, 0, endpoint, accepting);
}

function start(handle: SocketHandle, bound: number, endpoint: Endpoint, accepting: Accepting): ListenResult {
  const error = bound || handle.listen(BACKLOG);
  if (error !== 0) {
    handle.close();
    return { ok: false, code: getSystemErrorName(error) };
  }
  let current = accepting;
  handle.onconnection = (status, client) => {
    if (status !== 0 || client === undefined) current.acceptFailed(status);
    else current.accept(client);
  };
  const name = { address: '', family: '', port: 0 };
  handle.getsockname?.(name);
  let open = true;
  return {
    ok: true,
    listener: {
      port: name.port ?? 0,
      socket: handle,
      handTo(other) {
        current = other;
      },
      close(leavePath = false) {
        if (!open) return;
        open = false;
        handle.close();
        if (endpoint.kind === 'unix' && !leavePath) removeSocket(endpoint.path);
      },
    },
  };
}

function bind(handle: ServerHandle, endpoint: Endpoint, reusePort: boolean): number {
  if (endpoint.kind === 'unix') return bindPath(handle, endpoint.path);
  const host = formatAddress(endpoint.address);
  const flags = reusePort ? tcp.constants.UV_TCP_REUSEPORT : 0;
  if (endpoint.address.family === 4) return handle.bind(host, endpoint.port, flags);
  // A VIP on :: is IPv6 alone: what 0.0.0.0 stands for has to be said with 0.0.0.0.
  return handle.bind6!(host, endpoint.port, flags | tcp.constants.UV_TCP_IPV6ONLY);
}

/**
 * libuv removes the path that a handle was bound to when the handle is closed, even where another process goes on with the socket. So the
 * socket is bound under a name beside its own and linked to its path: that is then ours to remove, or to leave. A path that exists is not
 * replaced.
 */
function bindPath(handle: ServerHandle, path: string): number {
  const beside = join(dirname(path), `.${process.pid.toString(36)}${threadId.toString(36)}`);
  if (Buffer.byteLength(beside) > UNIX_PATH_BYTES_MAX) return handle.bind(path);
  removeSocket(beside);
  const error = handle.bind(beside);
  if (error !== 0) return error;
  try {
    linkSync(beside, path);
    return 0;
  } catch (cause) {
    const errno = cause instanceof Error && 'errno' in cause ? Number(cause.errno) : -constants.errno.EINVAL;
    return errno === -constants.errno.EEXIST ? -constants.errno.EADDRINUSE : errno;
  } finally {
    removeSocket(beside);
  }
}

/** Removes the file of a unix socket that nobody listens on any more; answers false where somebody does. */
export async function removeStaleSocket(path: string): Promise<boolean> {
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.on('connect', () => resolve(true));
    probe.on('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'));
    probe.on('close', () => probe.destroy());
    probe.on('connect', () => probe.destroy());
  });
  if (!alive) removeSocket(path);
  return !alive;
}

/** Removes the file of a socket that has gone. */
export function removeSocket(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Gone already: that is what was wanted.
  }
}
