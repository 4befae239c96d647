/** Connects to a server. The answer comes once, as a value: a wire, or why there is none. */
import type { DialResult } from '../observe/view.ts';
import type { ClientMaterial } from '../tls/material.ts';
import { type Securing, secure } from '../tls/secure.ts';
import { type ConnectRequest, pipe, type StreamHandle, stream, tcp } from './native.ts';
import { Wire, type WireOwner } from './wire.ts';

export interface Target {
  readonly kind: 'tcp4' | 'tcp6' | 'unix';
  /** Numeric address, or path. */
  readonly host: string;
  readonly port: number;
  /** Absent: in the clear. */
  readonly tls?: ClientMaterial;
}

export interface Dial {
  /** Gives up; the answer does not come any more. */
  cancel(): void;
}

/**
 * `done` is called later, exactly once unless cancelled; never from within `dial`. `first` is what the server gets before anything else, a PROXY
 * header; null for nothing.
 */
export function dial(
  target: Target,
  owner: WireOwner,
  done: (wire: Wire | null, result: DialResult) => void,
  first: Uint8Array | null = null,
): Dial {
  const handle = target.kind === 'unix' ? new pipe.Pipe(pipe.constants.SOCKET) : new tcp.TCP(tcp.constants.SOCKET);
  const request: ConnectRequest = target.kind === 'unix' ? new pipe.PipeConnectWrap() : new tcp.TCPConnectWrap();
  let waiting = true;
  let securing: Securing | null = null;
  const answer = (status: number) => {
    if (!waiting) return;
    waiting = false;
    if (status !== 0) {
      handle.close();
      done(null, dialResult(status));
    } else if (target.tls !== undefined) {
      if (first !== null) writeAhead(handle, first);
      securing = secure(handle, target, target.tls, (secured) => {
        if (secured === null) done(null, 'tls');
        else done(new Wire(secured, owner), 'connected');
      });
    } else {
      const wire = new Wire(handle, owner);
      if (first !== null) wire.writeBytes(first);
      done(wire, 'connected');
    }
  };
  request.oncomplete = answer;
  const error =
    target.kind === 'unix'
      ? (handle as InstanceType<typeof pipe.Pipe>).connect(request, target.host)
      : target.kind === 'tcp4'
        ? (handle as InstanceType<typeof tcp.TCP>).connect(request, target.host, target.port)
        : (handle as InstanceType<typeof tcp.TCP>).connect6(request, target.host, target.port);
  // A unix socket's connect answers undefined, and reports by its callback alone.
  if (typeof error === 'number' && error !== 0) queueMicrotask(() => answer(error));
  return {
    cancel() {
      securing?.cancel();
      if (!waiting) return;
      waiting = false;
      handle.close();
    },
  };
}

/** In the clear, before TLS begins. A failure shows in the handshake. */
function writeAhead(handle: StreamHandle, bytes: Uint8Array): void {
  const request = new stream.WriteWrap();
  request.oncomplete = () => undefined;
  handle.writeBuffer(request, bytes);
}

/** What an errno of connect(2) means to someone who looks at a dashboard. */
export function dialResult(errno: number): DialResult {
  switch (errno) {
    case -111: // ECONNREFUSED
    case -2: // ENOENT: no such unix socket
      return 'refused';
    case -110: // ETIMEDOUT
      return 'timeout';
    case -104: // ECONNRESET
      return 'reset';
    case -101: // ENETUNREACH
    case -113: // EHOSTUNREACH
    case -112: // EHOSTDOWN
      return 'unreachable';
    case -24: // EMFILE
    case -23: // ENFILE
    case -98: // EADDRINUSE: no local port left
    case -99: // EADDRNOTAVAIL: the same
      return 'exhausted';
    default:
      return 'error';
  }
}
