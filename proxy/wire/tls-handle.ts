/**
 * TLS as a stream handle, so that a wire reads and writes what is inside as it does with a bare connection. Beneath is the one that Node's own TLS
 * sockets are made of, without the socket. It has habits that a wire does not expect, which are mended here:
 * - it takes one write at a time, and dies of a second: writes that come meanwhile wait;
 * - it goes on delivering what it has decrypted after it was told to stop: that waits as well, at most what one read of the connection held;
 * - it calls every write asynchronous: one that has reached the kernel whole is told as done, so that nothing is paused for it.
 */
import { shared } from './chunks.ts';
import {
  type HandleReader,
  type NativeSecureContext,
  type ShutdownRequest,
  type StreamHandle,
  stream,
  type TlsListener,
  type TlsWrapHandle,
  tlsWrap,
  type WriteRequest,
} from './native.ts';

const { kReadBytesOrError, kLastWriteWasAsync, streamBaseState } = stream;
const UV_EPIPE = -32;
const UV_EPROTO = -71;
const UV_ECANCELED = -125;
/** More than this may need a second turn of the loop to be handed to the kernel, so that its being done cannot be known at once. */
const AT_ONCE_BYTES_MAX = 64 * 1024;

/** Told how the handshake went, once. */
export interface TlsOwner {
  secured(handle: TlsHandle): void;
  /** `code` is OpenSSL's, such as ERR_SSL_TLSV1_ALERT_UNKNOWN_CA, or CLOSED where the peer went away. */
  unsecured(handle: TlsHandle, code: string): void;
}

interface Waiting {
  readonly request: WriteRequest;
  readonly bytes: Uint8Array;
}

const HANDSHAKE = 0;
const ESTABLISHED = 1;
const CLOSED = 2;

export class TlsHandle implements StreamHandle, TlsListener {
  readonly inner: TlsWrapHandle;
  readonly encrypts = true;
  fault: string | null = null;
  onread: StreamHandle['onread'] = undefined;
  wire: HandleReader | undefined = undefined;
  private readonly parent: StreamHandle;
  private readonly owner: TlsOwner;
  private state = HANDSHAKE;
  private reading = false;
  /** The connection beneath is read. It may be for a while when nobody reads here: to stop and to start again costs system calls. */
  private flowing = false;
  /** What came while nobody read. */
  private held: Buffer[] | null = null;
  private heldEnd = 0;
  private delivering = false;
  /** What the last write was made with, used again for the next; null before the first. */
  private own: WriteRequest | null = null;
  /** A write is with TLS, as far as is known: nobody is told of its end unless somebody waits. */
  private writing = false;
  /** Who waits for it; null where it was told as done. */
  private current: WriteRequest | null = null;
  private queue: Waiting[] | null = null;
  /** TLS has failed; nothing can be said in it any more. */
  private broken = false;
  private shut = false;
  private shutLater = false;
  private closeLater = false;
  private parentClosed = false;

  /** The parent must not be read by anybody else from here on; it is closed with this handle. */
  constructor(parent: StreamHandle, context: NativeSecureContext, isServer: boolean, owner: TlsOwner) {
    this.parent = parent;
    this.owner = owner;
    parent.over = this;
    const inner = (this.inner = tlsWrap.wrap(parent, context, isServer, false));
    inner.listener = this;
    inner.onread = onread;
    inner.onhandshakedone = ondone;
    inner.onerror = onerror;
    inner.useUserBuffer(shared);
    // The flights of a handshake and the first response follow each other without an answer in between, which Nagle would wait for.
    parent.setNoDelay?.(true);
  }

  /** Begins the handshake; `early` is what was read of the peer already, and good until this returns. `flowing`: the parent is being read. */
  begin(early: Uint8Array | null, flowing = false): void {
    this.flowing = flowing;
    if (this.flow() !== 0) queueMicrotask(() => this.failed('CLOSED'));
    else if (early === null) this.inner.start();
    else this.inner.receive(early);
  }

  /** Has the connection beneath read. */
  private flow(): number {
    if (this.flowing) return 0;
    const error = this.inner.readStart();
    this.flowing = error === 0;
    return error;
  }

  private halt(): number {
    if (!this.flowing) return 0;
    this.flowing = false;
    return this.inner.readStop();
  }

  get established(): boolean {
    return this.state === ESTABLISHED;
  }

  /** The handshake is over. Whoever takes over says when to read: most at once. */
  done(): void {
    if (this.state !== HANDSHAKE) return;
    this.state = ESTABLISHED;
    // A handshake that starts from here on is a renegotiation. OpenSSL was told to refuse it, and who asks for one has nothing good in mind.
    this.inner.onhandshakestart = onrenegotiation;
    this.owner.secured(this);
  }

  failed(code: string): void {
    this.fault = code;
    if (this.state === HANDSHAKE) {
      this.state = CLOSED;
      this.owner.unsecured(this, code);
    } else if (this.state === ESTABLISHED) this.deliverEnd(UV_EPROTO);
  }

  // --- reading -------------------------------------------------------------------------------------------------------------------

  readStart(): number {
    if (this.state === CLOSED) return UV_ECANCELED;
    this.reading = true;
    if (this.held !== null || this.heldEnd !== 0) {
      if (!this.delivering) {
        this.delivering = true;
        queueMicrotask(() => this.deliver());
      }
      return 0;
    }
    return this.flow();
  }

  readStop(): number {
    this.reading = false;
    return this.state === CLOSED ? 0 : this.halt();
  }

  /** hot: one read of what is inside; the shared buffer holds it. */
  take(count: number): void {
    if (this.state === HANDSHAKE) {
      if (count < 0) this.failed('CLOSED');
      return;
    }
    if (this.state === CLOSED) return;
    if (!this.reading || this.held !== null) {
      if (count > 0) (this.held ??= []).push(Buffer.from(shared.subarray(0, count)));
      else if (count < 0) this.heldEnd = count;
      if (!this.reading) this.halt();
      return;
    }
    if (count < 0) this.reading = false;
    // A wire reads through TLS into the shared buffer alone: what it gets at once is below what would have it take another.
    this.wire?.take(count);
  }

  /** Hands over what was held, as long as it is wanted. */
  private deliver(): void {
    this.delivering = false;
    const { held } = this;
    while (held !== null && this.reading && this.state === ESTABLISHED) {
      const bytes = held.shift();
      if (bytes === undefined) {
        this.held = null;
        break;
      }
      bytes.copy(shared);
      if (this.wire?.open) this.wire.take(bytes.length);
    }
    if (!this.reading || this.held !== null || this.state !== ESTABLISHED) return;
    const end = this.heldEnd;
    if (end === 0) this.flow();
    else {
      this.heldEnd = 0;
      this.reading = false;
      if (this.wire?.open) this.wire.take(end);
    }
  }

  private deliverEnd(errno: number): void {
    this.broken = true;
    if (this.heldEnd !== 0) return;
    if (this.reading && this.held === null) {
      this.reading = false;
      if (this.wire?.open) this.wire.take(errno);
    } else this.heldEnd = errno;
  }

  // --- writing -------------------------------------------------------------------------------------------------------------------

  /** hot */
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number {
    if (this.state !== ESTABLISHED || this.shut) return UV_EPROTO;
    if (this.busy) {
      (this.queue ??= []).push({ request, bytes });
      this.tellOfEnd();
      if (this.parent.writeQueueSize === 0) this.lookForFailure(this.own!);
      streamBaseState[kLastWriteWasAsync] = 1;
      return 0;
    }
    const error = this.issue(bytes);
    if (error !== 0) return error;
    if (this.parent.writeQueueSize === 0 && bytes.length <= AT_ONCE_BYTES_MAX) streamBaseState[kLastWriteWasAsync] = 0;
    else {
      this.current = request;
      this.tellOfEnd();
      streamBaseState[kLastWriteWasAsync] = 1;
    }
    return 0;
  }

  /** Whether a write is with TLS. One whose end was told to nobody is over when nothing encrypted waits any more. */
  private get busy(): boolean {
    if (this.writing && this.own!.oncomplete === null && this.inner.writeQueueSize === 0) this.writing = false;
    return this.writing;
  }

  private issue(bytes: Uint8Array): number {
    const request = (this.own ??= new stream.WriteWrap());
    request.oncomplete = null;
    const error = this.inner.writeBuffer(request, bytes);
    this.writing = error === 0;
    // Nothing encrypted waits where TLS could not write at once: then only the callback tells when it has.
    if (error === 0 && this.inner.writeQueueSize === 0) this.tellOfEnd();
    return error;
  }

  /** Somebody waits for the write that is with TLS. Most of the time nobody does, which spares a call into JavaScript for each. */
  private tellOfEnd(): void {
    const own = this.own!;
    own.wire = this;
    own.oncomplete = onwritten;
  }

  /**
   * A write that was told as done, and failed before anybody waited for its end: nothing tells of that any more, and what stands behind it would wait for
   * ever. One that is alive comes nearer to its end with each turn, or waits for the kernel; how it fails from here on is told.
   */
  private lookForFailure(own: WriteRequest): void {
    const { inner, parent } = this;
    const left = inner.writeQueueSize;
    const look = () => {
      const isSame = this.state === ESTABLISHED && this.own === own && this.writing;
      if (isSame && parent.writeQueueSize === 0 && inner.writeQueueSize === left) this.written(UV_EPIPE);
    };
    setImmediate(() => setImmediate(look));
  }

  /** The write is over. */
  written(status: number): void {
    // The request is Node's until this callback has returned.
    this.own = null;
    this.writing = false;
    const { current } = this;
    this.current = null;
    if (current !== null) current.oncomplete?.call(current, status);
    if (this.state === CLOSED) return;
    if (!this.writing) this.writeNext(status);
    if (this.writing) return;
    if (this.closeLater) this.closeNow();
    else if (this.shutLater) {
      this.shutLater = false;
      this.inner.shutdown(new stream.ShutdownWrap());
    }
  }

  private writeNext(status: number): void {
    const { queue } = this;
    const next = queue?.shift();
    if (next === undefined) return;
    if (queue!.length === 0) this.queue = null;
    const error = status === 0 ? this.issue(next.bytes) : status;
    if (error === 0) {
      this.current = next.request;
      this.tellOfEnd();
    } else {
      next.request.oncomplete?.call(next.request, error);
      if (!this.writing) this.writeNext(error);
    }
  }

  /** Tells the peer that no more comes (close_notify), then ends our half. Not 0 where that has to wait, and then happens by itself. */
  shutdown(request: ShutdownRequest): number {
    if (this.state !== ESTABLISHED || this.shut) return UV_EPROTO;
    this.shut = true;
    if (!this.busy) return this.inner.shutdown(request);
    this.shutLater = true;
    this.tellOfEnd();
    return UV_EPROTO;
  }

  // --- the end -------------------------------------------------------------------------------------------------------------------

  /** Orderly where it can be: the peer is told by close_notify, so that it knows a whole answer from a cut one. */
  close(): void {
    if (this.state === CLOSED) {
      this.closeParent();
      return;
    }
    if (this.busy && !this.closeLater) {
      // What was told as done is with the kernel, or will be with the next turn of the loop; longer is not waited for.
      this.closeLater = true;
      this.tellOfEnd();
      setImmediate(() => setImmediate(() => this.closeNow()));
      return;
    }
    this.closeNow();
  }

  private closeNow(): void {
    if (this.state === CLOSED) return;
    if (this.state === ESTABLISHED && !this.busy && !this.shut && !this.broken) this.inner.shutdown(new stream.ShutdownWrap());
    this.closeParent();
  }

  /** Without close_notify: the peer learns that this was no orderly end. */
  reset(): number {
    this.state = CLOSED;
    this.reading = false;
    if (this.parentClosed) return 0;
    const error = this.parent.reset?.(() => this.destroy()) ?? UV_EPROTO;
    if (error === 0) this.parentClosed = true;
    else this.closeParent();
    return 0;
  }

  private closeParent(): void {
    this.state = CLOSED;
    this.reading = false;
    if (this.parentClosed) return;
    this.parentClosed = true;
    this.parent.close(() => this.destroy());
  }

  /** Off the stack of OpenSSL, which may have led here. */
  private destroy(): void {
    this.inner.destroySSL();
    this.held = null;
    const { current, queue } = this;
    this.current = this.queue = null;
    if (current !== null) current.oncomplete?.call(current, UV_ECANCELED);
    for (const { request } of queue ?? []) request.oncomplete?.call(request, UV_ECANCELED);
  }

  // --- what passes through -------------------------------------------------------------------------------------------------------

  /** Reads land in the shared buffer, which was given with the making. */
  useUserBuffer(): number {
    return 0;
  }

  setKeepAlive(on: boolean, delaySeconds: number): number {
    return this.parent.setKeepAlive?.(on, delaySeconds) ?? 0;
  }

  get writeQueueSize(): number {
    return this.parent.writeQueueSize;
  }

  get fd(): number {
    return this.parent.fd;
  }
}

function onread(this: StreamHandle): undefined {
  (this as TlsWrapHandle).listener!.take(streamBaseState[kReadBytesOrError]!);
}

function onrenegotiation(this: TlsWrapHandle): void {
  const listener = this.listener!;
  // OpenSSL says no first (RFC 5746 §4.5), which it does when this has returned.
  setImmediate(() => listener.failed('ERR_TLS_RENEGOTIATION'));
}

function ondone(this: TlsWrapHandle): void {
  this.listener!.done();
}

function onerror(this: TlsWrapHandle, error: Error & { readonly code?: string }): void {
  this.listener!.failed(error.code ?? error.message);
}

function onwritten(this: WriteRequest, status: number): void {
  this.wire?.written(status);
}
