/** Connects to a server. The answer comes once, as a value: a wire, or why there is none. */
import type { DialResult } from '../observe/view.ts';
import { type ConnectRequest, pipe, tcp } from './native.ts';
import { Wire, type WireOwner } from './wire.ts';

export interface Target {
  readonly kind: 'tcp4' | 'tcp6' | 'unix';
  /** Numeric address, or path. */
  readonly host: string;
  readonly port: number;
}

export interface Dial {
  /** Gives up; the answer does not come any more. */
  cancel(): void;
}

/** `done` is called later, exactly once unless cancelled; never from within `dial`. */
export function dial(target: Target, owner: WireOwner, done: (wire: Wire | null, result: DialResult) => void): Dial {
  const handle = target.kind === 'unix' ? new pipe.Pipe(pipe.constants.SOCKET) : new tcp.TCP(tcp.constants.SOCKET);
  const request: ConnectRequest = target.kind === 'unix' ? new pipe.PipeConnectWrap() : new tcp.TCPConnectWrap();
  let waiting = true;
  const answer = (status: number) => {
    if (!waiting) return;
    waiting = false;
    if (status === 0) done(new Wire(handle, owner), 'connected');
    else {
      handle.close();
      done(null, dialResult(status));
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
      if (!waiting) return;
      waiting = false;
      handle.close();
    },
  };
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
