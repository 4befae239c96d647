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
  /** Ours: what is written to it is encrypted. */
  readonly encrypts?: boolean;
  /** Ours: OpenSSL's code for what its TLS failed with; null or absent: nothing. */
  readonly fault?: string | null;
  /** Ours: it gathers what is written to it until the end of the turn by itself. */
  readonly gathers?: boolean;
  /** Ours: what is laid over this one, and has to live as long: Node aborts where a handle that is read has lost who listens. */
  over?: TlsListener;
}

export interface ServerHandle {
  bind(address: string, port?: number, flags?: number): number;
  bind6?(address: string, port: number, flags: number): number;
  listen(backlog: number): number;
  close(done?: () => void): void;
  getsockname?(out: PeerName): number;
  onconnection: ((status: number, client: StreamHandle | undefined) => void) | undefined;
}

/** A listening socket as a handle that owns its descriptor, whichever thread or process it came from. */
export interface SocketHandle extends ServerHandle {
  readonly fd: number;
  /** Takes over an open descriptor, which is closed with the handle. */
  open(fd: number): number;
}

/** A unix socket on which sockets travel beside the bytes (SCM_RIGHTS). */
export interface PassageHandle {
  readonly fd: number;
  open(fd: number): number;
  connect(request: ConnectRequest, path: string): number;
  readStart(): number;
  writeUtf8String(request: WriteRequest, text: string, socket?: SocketHandle): number;
  close(done?: () => void): void;
  ref(): void;
  unref(): void;
  onread: ((bytes: ArrayBuffer | undefined) => void) | undefined;
  /** The socket that came with the bytes of this read. */
  pendingHandle: SocketHandle | null | undefined;
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
    SocketHandle & {
      connect(r: ConnectRequest, address: string, port: number): number;
      connect6(r: ConnectRequest, address: string, port: number): number;
    };
  TCPConnectWrap: new () => ConnectRequest;
  constants: { SOCKET: number; SERVER: number; UV_TCP_REUSEPORT: number; UV_TCP_IPV6ONLY: number };
}

interface PipeBinding {
  Pipe: new (type: number) => StreamHandle & SocketHandle & PassageHandle;
  PipeConnectWrap: new () => ConnectRequest;
  constants: { SOCKET: number; SERVER: number; IPC: number };
}

interface StreamBinding {
  WriteWrap: new () => WriteRequest;
  ShutdownWrap: new () => ShutdownRequest;
  kReadBytesOrError: number;
  kArrayBufferOffset: number;
  kLastWriteWasAsync: number;
  streamBaseState: Int32Array;
}

/** Ours, hung on TLS: takes what it tells. */
export interface TlsListener {
  /** hot: `count` bytes were decrypted, or a negative errno. */
  take(count: number): void;
  done(): void;
  failed(code: string): void;
}

/** TLS of OpenSSL laid over a stream handle, itself one. What is written is encrypted at once, and must wait for the write before. */
export interface TlsWrapHandle extends StreamHandle {
  /** A client: says its hello. */
  start(): void;
  /** Bytes that were read already and come before what the handle reads. */
  receive(bytes: Uint8Array): void;
  destroySSL(): void;
  setVerifyMode(request: boolean, require: boolean): void;
  setALPNProtocols(protocols: Uint8Array): void;
  setServername(name: string): void;
  setSession(session: Uint8Array): void;
  setOCSPResponse(response: Uint8Array): void;
  /** Has `onnewsession` told. */
  enableSessionCallbacks(): void;
  isSessionReused(): boolean;
  getProtocol(): string | null;
  getCipher(): { readonly name: string; readonly standardName: string } | undefined;
  getALPNNegotiatedProtocol(): string | false;
  getPeerCertificate(abbreviated: boolean): { readonly raw?: Uint8Array } | undefined;
  verifyError(): (Error & { readonly code?: string }) | null | undefined;
  onhandshakestart: ((this: TlsWrapHandle) => void) | undefined;
  onhandshakedone: ((this: TlsWrapHandle) => void) | undefined;
  onerror: ((this: TlsWrapHandle, error: Error & { readonly code?: string }) => void) | undefined;
  onnewsession: ((id: Uint8Array, session: Uint8Array) => void) | undefined;
  listener: TlsListener | undefined;
}

/** The part of `tls.SecureContext` that is native. */
export interface NativeSecureContext {
  /** Asked for the key of each ticket: answers [how, hmac key, aes key, name, iv]. */
  onticketkeycallback: ((name: Uint8Array, iv: Uint8Array, encrypts: boolean) => readonly unknown[]) | undefined;
  enableTicketKeyCallback(): void;
}

interface TlsBinding {
  TLSWrap: new () => TlsWrapHandle;
  wrap(parent: StreamHandle, context: NativeSecureContext, isServer: boolean, writesPending: boolean): TlsWrapHandle;
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
export const tlsWrap = binding('tls_wrap') as TlsBinding;

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
    [tlsWrap, 'tls_wrap', ['wrap', 'TLSWrap']],
    [
      tlsWrap?.TLSWrap?.prototype,
      'TLSWrap',
      [
        'start',
        'receive',
        'destroySSL',
        'setVerifyMode',
        'setALPNProtocols',
        'setServername',
        'setSession',
        'setOCSPResponse',
        'enableSessionCallbacks',
        'isSessionReused',
        'getProtocol',
        'getCipher',
        'getALPNNegotiatedProtocol',
        'getPeerCertificate',
        'verifyError',
        'readStart',
        'readStop',
        'writeBuffer',
        'shutdown',
        'useUserBuffer',
      ],
    ],
    [tcp?.constants, 'tcp constants', ['SOCKET', 'SERVER', 'UV_TCP_REUSEPORT', 'UV_TCP_IPV6ONLY']],
  ];
  for (const [object, name, members] of wanted)
    for (const member of members)
      if (typeof object !== 'object' || object === null || !(member in object))
        throw new Error(
          `this Node (${process.version}) has no ${name}.${member}, which the data plane needs; run bulkhead on the pinned one`,
        );
}
