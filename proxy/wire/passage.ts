/**
 * A passage: a unix socket on which listening sockets go from one thread or process to another (SCM_RIGHTS, unix(7)), each beside a line
 * of JSON that says what it is. Whoever receives one has a descriptor of its own; the socket lives until the last of them is closed, and
 * so do the connections that wait in its queue. It is not for traffic: both sides take turns.
 */
import { type ConnectRequest, type PassageHandle, pipe, type SocketHandle, stream, type WriteRequest } from './native.ts';

/** Who sends more than this without a line break, or lets this many lines wait, is not what we speak to. */
const LINE_CHARACTERS_MAX = 64 * 1024;
const PARCELS_MAX = 4096;
const BACKLOG = 64;

/** A line as it came. What it says is the sender's word: look before using it. */
export interface Parcel {
  readonly message: Readonly<Record<string, unknown>>;
  readonly socket: SocketHandle | null;
}

export class Passage {
  readonly #handle: PassageHandle;
  readonly #parcels: Parcel[] = [];
  readonly #sockets: SocketHandle[] = [];
  readonly #decoder = new TextDecoder();
  #waiting: ((parcel: Parcel | null) => void) | null = null;
  #text = '';
  #over = false;
  #closed = false;

  constructor(handle: PassageHandle) {
    this.#handle = handle;
    handle.onread = (bytes) => this.#read(bytes);
    const error = handle.readStart();
    if (error !== 0) this.#end();
  }

  /** The next parcel, or null once the other side has gone. One caller at a time. */
  next(): Promise<Parcel | null> {
    const parcel = this.#parcels.shift();
    if (parcel !== undefined) return Promise.resolve(parcel);
    if (this.#over) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** Sends a line, with a socket or without; answers false where the other side has gone. A socket stays its sender's as well. */
  send(message: Readonly<Record<string, unknown>>, socket?: SocketHandle): Promise<boolean> {
    if (this.#over) return Promise.resolve(false);
    const request: WriteRequest = new stream.WriteWrap();
    return new Promise((resolve) => {
      request.oncomplete = (status) => resolve(status === 0);
      const text = `${JSON.stringify({ ...message, withSocket: socket !== undefined })}\n`;
      const error =
        socket === undefined ? this.#handle.writeUtf8String(request, text) : this.#handle.writeUtf8String(request, text, socket);
      // A write without a socket that the kernel took at once is not told of later.
      if (error !== 0 || stream.streamBaseState[stream.kLastWriteWasAsync] === 0) resolve(error === 0);
    });
  }

  /** Does not keep the thread alive by itself. */
  unref(): void {
    if (!this.#closed) this.#handle.unref();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#handle.close();
    this.#end();
    for (const socket of this.#sockets.splice(0)) socket.close();
    for (const parcel of this.#parcels.splice(0)) parcel.socket?.close();
  }

  #read(bytes: ArrayBuffer | undefined): void {
    const socket = this.#handle.pendingHandle;
    if (socket !== null && socket !== undefined) {
      this.#handle.pendingHandle = null;
      this.#sockets.push(socket);
    }
    const count = stream.streamBaseState[stream.kReadBytesOrError]!;
    if (count < 0 || bytes === undefined) {
      if (count < 0) this.#end();
      return;
    }
    const offset = stream.streamBaseState[stream.kArrayBufferOffset]!;
    this.#text += this.#decoder.decode(new Uint8Array(bytes, offset, count), { stream: true });
    const lines = this.#text.split('\n');
    this.#text = lines.pop()!;
    for (const line of lines) this.#take(line);
    if (this.#text.length > LINE_CHARACTERS_MAX || this.#parcels.length > PARCELS_MAX) this.close();
  }

  /** A socket arrives no later than the line that it came with, and in the order of the lines. */
  #take(line: string): void {
    const message = readMessage(line);
    if (message === null) {
      this.close();
      return;
    }
    const parcel = { message, socket: message.withSocket === true ? (this.#sockets.shift() ?? null) : null };
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.#parcels.push(parcel);
    else waiting(parcel);
  }

  #end(): void {
    this.#over = true;
    this.#waiting?.(null);
    this.#waiting = null;
  }
}

function readMessage(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Opens a passage to whoever listens at a path (`\0name` is an abstract one); null where nobody does, or where we may not. */
export function openPassage(path: string): Promise<Passage | null> {
  const handle: PassageHandle = new pipe.Pipe(pipe.constants.IPC);
  const request: ConnectRequest = new pipe.PipeConnectWrap();
  return new Promise((resolve) => {
    const done = (error: number) => {
      if (error === 0) return resolve(new Passage(handle));
      handle.close();
      resolve(null);
    };
    request.oncomplete = done;
    const error = handle.connect(request, path);
    if (error !== 0) done(error);
  });
}

export interface PassageListener {
  close(): void;
}

/** Listens for passages. Answers a negative errno where the path cannot be bound. On the main thread only (see below). */
export function listenForPassages(path: string, arrived: (passage: Passage) => void): PassageListener | number {
  const server: SocketHandle = new pipe.Pipe(pipe.constants.SERVER);
  const error = server.bind(path) || server.listen(BACKLOG);
  if (error !== 0) {
    server.close();
    return error;
  }
  server.onconnection = (status, client) => {
    if (status !== 0 || client === undefined) return;
    // Node accepts into a handle on which no sockets can travel. So a second one is opened on its descriptor, and owns it; the first one
    // is never read and never closed, for that would close the descriptor under the second. It costs an object a passage.
    const handle: PassageHandle = new pipe.Pipe(pipe.constants.IPC);
    if (handle.open(client.fd) !== 0) client.close();
    else arrived(new Passage(handle));
  };
  let open = true;
  return {
    close() {
      if (open) server.close();
      open = false;
    },
  };
}
