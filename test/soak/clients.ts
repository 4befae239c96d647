/** The clients of the flips: each carries on one live flow from an address of its own, checks every byte of it, and says how it ended. */
import { connect, type Socket } from 'node:net';

export const KINDS = ['stream', 'request', 'socket', 'upload'] as const;
export type Kind = (typeof KINDS)[number];

const TALK_MS = 15;
const LINES_MAX = 64;

/** One connection, from its connect to its end. */
export abstract class Talk {
  readonly socket: Socket;
  /** Why it is over; null while it lives. */
  ended: string | null = null;
  /** What must never happen: bytes that were not asked for, or an answer that is none. */
  wrong: string | null = null;
  /** The server has answered at least once: the flow was let through. */
  carried = false;
  private readonly timer: NodeJS.Timeout;
  private readonly over: Promise<void>;
  protected input = '';

  constructor(port: number, localAddress: string) {
    this.socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true });
    this.over = new Promise((resolve) => {
      const done = (why: string) => {
        this.ended ??= why;
        clearInterval(this.timer);
        this.socket.destroy();
        resolve();
      };
      this.socket.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
      this.socket.on('end', () => done('end'));
      this.socket.on('close', () => done('close'));
    });
    this.socket.on('data', (data: Buffer) => {
      this.input += data.toString('latin1');
      if (this.ended === null) this.read();
    });
    this.timer = setInterval(() => {
      if (this.ended === null && this.socket.writable && !this.socket.connecting) this.talk();
    }, TALK_MS);
  }

  protected abstract read(): void;
  protected abstract talk(): void;

  protected fail(what: string): void {
    this.wrong ??= `${what}: ${JSON.stringify(this.input.slice(0, 200))}`;
  }

  /** The answer of a request that stands whole at the front of the input, taken off it; null while it does not. */
  protected answer(): { status: number; body: string } | null {
    const end = this.input.indexOf('\r\n\r\n');
    if (end < 0) return null;
    const head = this.input.slice(0, end);
    const length = Number(/content-length: ([0-9]+)/i.exec(head)?.[1] ?? 0);
    if (this.input.length < end + 4 + length) return null;
    const body = this.input.slice(end + 4, end + 4 + length);
    this.input = this.input.slice(end + 4 + length);
    return { status: Number(head.slice(9, 12)), body };
  }

  /** Resolves with its end. */
  gone(): Promise<void> {
    return this.over;
  }

  end(): void {
    this.ended ??= 'ours';
    clearInterval(this.timer);
    this.socket.destroy();
  }
}

/** Numbered lines that have to come back in order. */
abstract class Echo extends Talk {
  private sent = 0;
  private seen = 0;

  protected talkLine(): void {
    if (this.sent - this.seen < LINES_MAX) this.socket.write(`line ${this.sent++} ${'.'.repeat(this.sent % 700)}\n`);
  }

  protected readLines(): void {
    for (let end = this.input.indexOf('\n'); end >= 0; end = this.input.indexOf('\n')) {
      const line = this.input.slice(0, end);
      this.input = this.input.slice(end + 1);
      this.carried = true;
      if (line !== `line ${this.seen} ${'.'.repeat((this.seen + 1) % 700)}`)
        this.fail(`line ${this.seen} came back as ${line.slice(0, 40)}`);
      this.seen++;
    }
  }
}

class Stream extends Echo {
  protected talk(): void {
    this.talkLine();
  }
  protected read(): void {
    this.readLines();
  }
}

class WebSocket extends Echo {
  private upgraded = false;
  private asked = false;

  protected talk(): void {
    if (this.upgraded) this.talkLine();
    else if (!this.asked) {
      this.asked = true;
      this.socket.write('GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    }
  }

  protected read(): void {
    if (!this.upgraded) {
      const answer = this.answer();
      if (answer === null) return;
      if (answer.status === 403) return;
      if (answer.status !== 101) this.fail(`an upgrade was answered ${answer.status}`);
      this.upgraded = true;
    }
    this.readLines();
  }
}

/** One request after the other on a kept connection. */
class Requests extends Talk {
  private number = 0;
  private waiting = false;

  protected talk(): void {
    if (this.waiting) return;
    this.waiting = true;
    this.socket.write(`GET /echo/${++this.number} HTTP/1.1\r\nHost: a\r\n\r\n`);
  }

  protected read(): void {
    const answer = this.answer();
    if (answer === null || answer.status === 403) return;
    this.carried = true;
    if (answer.status !== 200 || answer.body !== `/echo/${this.number}`) this.fail(`request ${this.number} was answered ${answer.status}`);
    this.waiting = false;
  }
}

/** An upload that is always half finished: some chunks, then its end, then the next. */
class Upload extends Talk {
  private sent = 0;
  private chunks = -1;

  protected talk(): void {
    if (this.chunks === -1) this.socket.write('POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    if (this.chunks++ < 20) {
      const size = 1 + ((this.chunks * 37) % 900);
      this.sent += size;
      this.socket.write(`${size.toString(16)}\r\n${'u'.repeat(size)}\r\n`);
    } else if (this.chunks === 21) this.socket.write('0\r\n\r\n');
  }

  protected read(): void {
    const answer = this.answer();
    if (answer === null || answer.status === 403) return;
    this.carried = true;
    if (answer.status !== 200 || answer.body !== String(this.sent)) this.fail(`an upload of ${this.sent} was answered ${answer.status}`);
    this.sent = 0;
    this.chunks = -1;
  }
}

const TALKS = { stream: Stream, request: Requests, socket: WebSocket, upload: Upload } as const;

export function talk(kind: Kind, port: number, localAddress: string): Talk {
  return new TALKS[kind](port, localAddress);
}
