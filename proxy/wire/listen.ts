/** Accepts connections as bare handles. With `reusePort` every worker binds the same address and the kernel spreads connections over them. */
import { unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { formatAddress } from '../../config/address.ts';
import type { Endpoint } from '../../config/document.ts';
import { pipe, type ServerHandle, type StreamHandle, tcp } from './native.ts';

/** Connections that wait to be accepted; the kernel's own bound (net.core.somaxconn, 4,096) is the same. */
const BACKLOG = 4096;

export type ListenResult = { readonly ok: true; readonly listener: Listener } | { readonly ok: false; readonly code: string };

export interface Listener {
  /** The port in fact bound, where 0 was asked for. */
  readonly port: number;
  close(): void;
}

export interface Accepting {
  accept(handle: StreamHandle): void;
  /** accept(2) failed: out of descriptors, most often. */
  acceptFailed(errno: number): void;
}

export function listen(endpoint: Endpoint, reusePort: boolean, accepting: Accepting): ListenResult {
  const handle: ServerHandle = endpoint.kind === 'unix' ? new pipe.Pipe(pipe.constants.SERVER) : new tcp.TCP(tcp.constants.SERVER);
  const error = bind(handle, endpoint, reusePort) || handle.listen(BACKLOG);
  if (error !== 0) {
    handle.close();
    return { ok: false, code: getSystemErrorName(error) };
  }
  handle.onconnection = (status, client) => {
    if (status !== 0 || client === undefined) accepting.acceptFailed(status);
    else accepting.accept(client);
  };
  const name = { address: '', family: '', port: 0 };
  handle.getsockname?.(name);
  let open = true;
  return {
    ok: true,
    listener: {
      port: name.port ?? 0,
      close() {
        if (!open) return;
        open = false;
        handle.close();
        if (endpoint.kind === 'unix') removeSocket(endpoint.path);
      },
    },
  };
}

function bind(handle: ServerHandle, endpoint: Endpoint, reusePort: boolean): number {
  if (endpoint.kind === 'unix') return handle.bind(endpoint.path) ?? 0;
  const host = formatAddress(endpoint.address);
  const flags = reusePort ? tcp.constants.UV_TCP_REUSEPORT : 0;
  if (endpoint.address.family === 4) return handle.bind(host, endpoint.port, flags);
  // A VIP on :: is IPv6 alone: what 0.0.0.0 stands for has to be said with 0.0.0.0.
  return handle.bind6!(host, endpoint.port, flags | tcp.constants.UV_TCP_IPV6ONLY);
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

function removeSocket(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Gone already: that is what was wanted.
  }
}
