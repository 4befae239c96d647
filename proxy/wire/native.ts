/**
 * The one place that touches Node's inside. `net.Socket` costs a stream, a dozen closures and a buffer for each connection;
 * the handle beneath it costs none of these, and is the same on every supported Node. What is used of it is written down here
 * as types, and looked at once at start: a Node that lacks any of it is refused with a clear line rather than met in traffic.
 */

/** Ours, hung on a handle: takes what was read. */
export interface HandleReader {
  readonly open: boolean;
  /** hot: `count` bytes were read, or a negative errno. Answers the buffer for the next read where it changes. */
  take(count: number): Uint8Array | undefined;
}

/** A stream handle of libuv: a TCP connection or a unix socket. Methods answer 0, or a negative errno. */
export interface StreamHandle {
  readStart(): number;
  readStop(): number;
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  shutdown(request: ShutdownRequest): number;
  useUserBuffer(buffer: Uint8Array): number;
  close(done?: () => void): void;
  /** TCP only: closes with a reset. */
  reset?(done?: () => void): number;
  setNoDelay?(on: boolean): number;
  setKeepAlive?(on: boolean, delaySeconds: number): number;
  getpeername?(out: PeerName): number;
  getsockname?(out: PeerName): number;
  onread: ((this: StreamHandle) => Uint8Array | undefined) | undefined;
  /** Bytes that a write left in the queue of libuv. */
  readonly writeQueueSize: number;
  readonly fd: number;
  wire: HandleReader | undefined;
}

export interface ServerHandle {
  bind(address: string, port?: number, flags?: number): number;
  bind6?(address: string, port: number, flags: number): number;
  listen(backlog: number): number;
  close(done?: () => void): void;
  getsockname?(out: PeerName): number;
  onconnection: ((status: number, client: StreamHandle | undefined) => void) | undefined;
}

export interface PeerName {
  address: string;
  family: string;
  port: number;
}

export interface WriteRequest {
  oncomplete: ((this: WriteRequest, status: number) => void) | null;
  /** Ours: told when a write that had to wait is over. */
  wire: { written(status: number): void } | null;
  chunk: { written(): void } | null;
}

export interface ShutdownRequest {
  oncomplete: ((this: ShutdownRequest, status: number) => void) | null;
  /** Ours: told when a shutdown is over. */
  wire: { shutDone(): void } | null;
}

export interface ConnectRequest {
  oncomplete: ((status: number) => void) | null;
}

interface TcpBinding {
  TCP: new (
    type: number,
  ) => StreamHandle &
    ServerHandle & {
      connect(r: ConnectRequest, address: string, port: number): number;
      connect6(r: ConnectRequest, address: string, port: number): number;
    };
  TCPConnectWrap: new () => ConnectRequest;
  constants: { SOCKET: number; SERVER: number; UV_TCP_REUSEPORT: number; UV_TCP_IPV6ONLY: number };
}

interface PipeBinding {
  Pipe: new (type: number) => StreamHandle & ServerHandle & { connect(r: ConnectRequest, path: string): number };
  PipeConnectWrap: new () => ConnectRequest;
  constants: { SOCKET: number; SERVER: number };
}

interface StreamBinding {
  WriteWrap: new () => WriteRequest;
  ShutdownWrap: new () => ShutdownRequest;
  kReadBytesOrError: number;
  kLastWriteWasAsync: number;
  streamBaseState: Int32Array;
}

function binding(name: string): unknown {
  const load = (process as unknown as { binding?: (name: string) => unknown }).binding;
  try {
    return load?.call(process, name);
  } catch (cause) {
    throw new Error(`this Node (${process.version}) does not give access to ${name}; run bulkhead on the pinned one`, { cause });
  }
}

export const tcp = binding('tcp_wrap') as TcpBinding;
export const pipe = binding('pipe_wrap') as PipeBinding;
export const stream = binding('stream_wrap') as StreamBinding;

/** Throws with the name of what is missing. Run once at start. */
export function checkNative(): void {
  const wanted: [unknown, string, string[]][] = [
    [
      tcp?.TCP?.prototype,
      'TCP',
      [
        'bind',
        'bind6',
        'listen',
        'connect',
        'connect6',
        'reset',
        'setNoDelay',
        'getpeername',
        'readStart',
        'readStop',
        'writeBuffer',
        'shutdown',
        'useUserBuffer',
        'close',
      ],
    ],
    [pipe?.Pipe?.prototype, 'Pipe', ['bind', 'listen', 'connect', 'readStart', 'writeBuffer', 'useUserBuffer']],
    [stream, 'stream_wrap', ['WriteWrap', 'ShutdownWrap', 'kReadBytesOrError', 'kLastWriteWasAsync', 'streamBaseState']],
    [tcp?.constants, 'tcp constants', ['SOCKET', 'SERVER', 'UV_TCP_REUSEPORT', 'UV_TCP_IPV6ONLY']],
  ];
  for (const [object, name, members] of wanted)
    for (const member of members)
      if (typeof object !== 'object' || object === null || !(member in object))
        throw new Error(
          `this Node (${process.version}) has no ${name}.${member}, which the data plane needs; run bulkhead on the pinned one`,
        );
}
