/** An upgraded connection: bytes go both ways untouched, each side ends by itself, and both idle and whole life are limited. */
import type { PlannedApplication } from '../node/plan.ts';
import type { Wire } from '../wire/wire.ts';
import type { Context } from '../worker/context.ts';

/** The client connection that was upgraded. */
export interface TunnelHost {
  readonly context: Context;
  readonly client: Wire;
  readonly application: PlannedApplication;
  /** Sets the connection's one deadline, in milliseconds from now. */
  expireIn(milliseconds: number): void;
}

export class Tunnel {
  private readonly host: TunnelHost;
  private readonly server: Wire;
  /** When it has lived its whole life. */
  private readonly until: number;

  /** The time without bytes runs from here on. */
  constructor(host: TunnelHost, server: Wire) {
    const { total } = host.application.timeouts;
    this.host = host;
    this.server = server;
    this.until = total === null ? Number.POSITIVE_INFINITY : host.context.clock.coarse + total;
    this.stir();
  }

  /** hot: bytes of the client. */
  toServer(bytes: Buffer, length: number): void {
    this.stir();
    this.server.relay(this.host.client, bytes, 0, length);
  }

  /** hot: bytes of the server. */
  toClient(bytes: Buffer, start: number, length: number): void {
    this.stir();
    this.host.client.relay(this.server, bytes, start, length);
  }

  /** One side has sent its last byte, which the other is told. True where both have, and all of it is on its way: an orderly end. */
  ended(by: 'client' | 'server'): boolean {
    const { host, server } = this;
    const { client } = host;
    if (client.ended && server.ended) return client.pending === 0 && server.pending === 0;
    (by === 'client' ? server : client).end();
    this.stir();
    return false;
  }

  /** Both have sent their last byte. */
  get closing(): boolean {
    return this.host.client.ended && this.server.ended;
  }

  /** What of the limits has come, now that the deadline has. */
  get limit(): 'total' | 'half-closed' | 'idle' {
    const { client, context } = this.host;
    if (context.clock.coarse >= this.until) return 'total';
    return client.ended || this.server.ended ? 'half-closed' : 'idle';
  }

  /** hot: bytes came, or a side ended. Half-closed, a connection has less time to say more; its whole life is never longer than `total`. */
  private stir(): void {
    const { host } = this;
    const { idle, halfClosed } = host.application.timeouts;
    const quiet = host.client.ended || this.server.ended ? halfClosed : idle;
    host.expireIn(Math.min(quiet, this.until - host.context.clock.coarse));
  }
}
