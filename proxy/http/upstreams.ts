/**
 * Connections to servers that speak HTTP/1.1, kept alive between requests: one stack a server and worker, bounded in number and in idle time.
 * The last one in is the first one out, so that the rest can grow old and go. Those that began with a PROXY header speak for one client, and are kept
 * for it alone.
 */
import { OnWheel, type Wheel } from '../wire/wheel.ts';
import type { Wire, WireOwner } from '../wire/wire.ts';

/** Whoever has a request on the connection. */
export interface UpstreamUser {
  upstreamData(bytes: Buffer, length: number): void;
  upstreamEnd(): void;
  upstreamError(errno: number): void;
  upstreamDrained(): void;
}

export class Upstream extends OnWheel implements WireOwner {
  wire: Wire | null = null;
  user: UpstreamUser | null = null;
  /** Row of the server. */
  readonly row: number;
  /** The client that it was begun for; null where it may serve any. */
  readonly client: object | null;
  /** Requests that it has carried before the one now. */
  served = 0;
  private readonly pool: Upstreams;

  constructor(pool: Upstreams, row: number, client: object | null = null) {
    super();
    this.pool = pool;
    this.row = row;
    this.client = client;
  }

  wireData(_wire: Wire, bytes: Buffer, length: number): void {
    if (this.user !== null) this.user.upstreamData(bytes, length);
    // Bytes that nobody asked for: what would they be the answer to? The next client must not find out.
    else this.pool.discard(this);
  }

  wireEnd(): void {
    if (this.user !== null) this.user.upstreamEnd();
    else this.pool.discard(this);
  }

  wireError(_wire: Wire, errno: number): void {
    if (this.user !== null) this.user.upstreamError(errno);
    else this.pool.discard(this);
  }

  wireDrained(): void {
    this.user?.upstreamDrained();
  }

  expired(): void {
    this.pool.discard(this);
  }
}

export class Upstreams {
  private readonly wheel: Wheel;
  private readonly idle = new Map<number, Upstream[]>();
  /** One for each client connection at most. */
  private readonly bound = new Map<object, Upstream>();

  constructor(wheel: Wheel) {
    this.wheel = wheel;
  }

  /** hot: an idle connection to the server; null where there is none. */
  take(row: number): Upstream | null {
    const stack = this.idle.get(row);
    if (stack === undefined) return null;
    for (;;) {
      const upstream = stack.pop();
      if (upstream === undefined) return null;
      const wire = upstream.wire!;
      if (!wire.open || wire.ended || wire.error !== 0) continue;
      // It stays on the wheel: an entry that moves later costs nothing.
      return upstream;
    }
  }

  /**
   * hot: the connection is free for the next request. Closed instead where enough are kept. One that is bound to a client waits for that
   * client, which must `unbind` when it leaves.
   */
  give(upstream: Upstream, keptMax: number, now: number, idleMs: number): void {
    upstream.user = null;
    upstream.served++;
    if (upstream.client !== null) {
      this.unbind(upstream.client);
      this.bound.set(upstream.client, upstream);
      this.wheel.arm(upstream, now + idleMs);
      return;
    }
    let stack = this.idle.get(upstream.row);
    if (stack === undefined) this.idle.set(upstream.row, (stack = []));
    if (stack.length >= keptMax) {
      this.wheel.disarm(upstream);
      upstream.wire!.close();
      return;
    }
    stack.push(upstream);
    this.wheel.arm(upstream, now + idleMs);
  }

  /** The idle connection that was begun for this client; null where there is none to that server. */
  takeBound(client: object, row: number): Upstream | null {
    const upstream = this.bound.get(client);
    if (upstream === undefined) return null;
    this.bound.delete(client);
    const wire = upstream.wire!;
    if (upstream.row === row && wire.open && !wire.ended && wire.error === 0) return upstream;
    this.discard(upstream);
    return null;
  }

  /** The client has left: nobody else may use what was its own. */
  unbind(client: object): void {
    if (this.bound.size === 0) return;
    const upstream = this.bound.get(client);
    if (upstream !== undefined) this.discard(upstream);
  }

  /** Closes an idle connection that is of no more use. */
  discard(upstream: Upstream): void {
    // In use: the deadline of its idle time was left on the wheel.
    if (upstream.user !== null) return;
    this.wheel.disarm(upstream);
    upstream.wire?.close();
    if (upstream.client !== null) {
      if (this.bound.get(upstream.client) === upstream) this.bound.delete(upstream.client);
      return;
    }
    const stack = this.idle.get(upstream.row);
    const at = stack?.indexOf(upstream) ?? -1;
    if (at >= 0) stack!.splice(at, 1);
    if (stack?.length === 0) this.idle.delete(upstream.row);
  }

  /** The connection was in use and has ended, or must not be used again. */
  drop(upstream: Upstream, reset: boolean): void {
    upstream.user = null;
    this.wheel.disarm(upstream);
    if (reset) upstream.wire?.reset();
    else upstream.wire?.close();
  }

  /** Closes what is idle: for servers that are not in `rows`, or all. */
  closeIdle(rows: ReadonlySet<number> | null): void {
    for (const [row, stack] of [...this.idle])
      if (rows === null || !rows.has(row)) for (const upstream of [...stack]) this.discard(upstream);
    for (const upstream of [...this.bound.values()]) if (rows === null || !rows.has(upstream.row)) this.discard(upstream);
  }

  get idleCount(): number {
    let count = this.bound.size;
    for (const stack of this.idle.values()) count += stack.length;
    return count;
  }
}
