/** Clients that ask without a pause and count how each request went: what a restart costs shows in anything but `answered`. */
import { connect, type NetConnectOpts } from 'node:net';
import { until } from './harness.ts';

const REQUEST = 'GET / HTTP/1.1\r\nhost: a\r\n';

export class Load {
  /** `answered`, or how a connection ended instead. */
  readonly outcomes: Record<string, number> = {};
  /** Kept-alive connections that the proxy ended, and said so in the response before. */
  closedInTurn = 0;
  private stopped = false;

  stop(): void {
    this.stopped = true;
  }

  /** Waits for so many more answers. */
  async progress(count: number): Promise<void> {
    const from = this.outcomes.answered ?? 0;
    await until(() => (this.outcomes.answered ?? 0) >= from + count, 20_000);
  }

  /** So many clients that make a connection for each request. */
  async connect(to: NetConnectOpts, clients: number): Promise<void> {
    const one = async () => {
      while (!this.stopped) await this.ask(to, 1, 0);
    };
    await Promise.all(Array.from({ length: clients }, one));
  }

  /** So many clients that keep their connection, wait so long between requests, and connect again only when they were told `connection: close`. */
  async keep(to: NetConnectOpts, clients: number, pauseMs: number): Promise<void> {
    const one = async () => {
      while (!this.stopped) await this.ask(to, Number.POSITIVE_INFINITY, pauseMs);
    };
    await Promise.all(Array.from({ length: clients }, one));
  }

  private ask(to: NetConnectOpts, requests: number, pauseMs: number): Promise<void> {
    return new Promise((resolve) => {
      const socket = connect(to);
      let text = '';
      let left = requests;
      let done = false;
      const finish = (outcome: string | null) => {
        if (done) return;
        done = true;
        if (outcome !== null) this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1;
        socket.destroy();
        resolve();
      };
      const next = () => {
        if (done) return;
        if (this.stopped) finish(null);
        else socket.write(`${REQUEST}${left === 1 ? 'connection: close\r\n' : ''}\r\n`);
      };
      socket.on('connect', next);
      socket.on('data', (bytes: Buffer) => {
        text += bytes.toString('latin1');
        if (!text.endsWith('hello')) return;
        if (!text.startsWith('HTTP/1.1 200')) return finish(text.slice(0, 20));
        const isLast = /connection: close/i.test(text);
        text = '';
        left--;
        this.outcomes.answered = (this.outcomes.answered ?? 0) + 1;
        if (isLast) {
          if (left > 0) this.closedInTurn++;
          finish(null);
        } else if (pauseMs > 0) setTimeout(next, pauseMs);
        else next();
      });
      socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
      socket.on('close', () => finish('ended without a word'));
    });
  }
}
