/** A TCP client of the tests: keeps what it reads, and says how its stream ended. */
import { connect, type NetConnectOpts, type Socket } from 'node:net';

export interface Client {
  readonly socket: Socket;
  /** Everything read so far, each byte a character. */
  readonly text: () => string;
  /** `end` after an orderly end, or the code of the error. */
  readonly over: Promise<string>;
  /** Waits for so many bytes, or for the end of the stream. */
  bytes(count: number): Promise<string>;
}

export function client(to: number | string, options: Partial<NetConnectOpts> = {}): Client {
  const target = typeof to === 'number' ? { port: to, host: '127.0.0.1' } : { path: to };
  const socket = connect({ ...target, allowHalfOpen: true, ...options } as NetConnectOpts);
  let text = '';
  let ended = false;
  const waiting: (() => void)[] = [];
  const look = () => {
    for (const wake of waiting.splice(0)) wake();
  };
  const over = new Promise<string>((resolve) => {
    const done = (how: string) => {
      ended = true;
      resolve(how);
      look();
    };
    socket.on('end', () => done('end'));
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    socket.on('close', () => done('close'));
  });
  socket.on('data', (data: Buffer) => {
    text += data.toString('latin1');
    look();
  });
  return {
    socket,
    text: () => text,
    over,
    async bytes(count) {
      while (text.length < count && !ended) await new Promise<void>((resolve) => waiting.push(resolve));
      return text;
    },
  };
}
