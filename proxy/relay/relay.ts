/**
 * Two connected wires between which bytes go both ways untouched: a TCP flow, or a connection that was upgraded. Each side ends by itself, and
 * both the time without bytes and the whole life are limited. What the end means for the flow is its session's business.
 */
import type { PlannedApplication } from '../node/plan.ts';
import type { Timed } from '../wire/wheel.ts';
import type { Wire } from '../wire/wire.ts';
import type { Flow } from '../worker/account.ts';
import type { Context } from '../worker/context.ts';
import type { Draining } from '../worker/revocation.ts';

/** The session that relays. Its one deadline is the relay's for as long as it relays. */
export interface RelayPlace extends Timed {
  readonly context: Context;
  /** Of the policy in force. */
  readonly application: PlannedApplication;
  /** No longer allowed, and coming to its end; null where the policy has nothing against it. */
  readonly draining: Draining | null;
}

export class Relay {
  private readonly place: RelayPlace;
  private readonly client: Wire;
  private readonly server: Wire;
  private readonly flow: Flow;
  private readonly startedAt: number;
  /** When it has lived its whole life, or has to be gone. */
  private until = Number.POSITIVE_INFINITY;
  private quietMs = 0;

  /** `startedAt`: when its life began, by the worker's clock. The time without bytes runs from here on. */
  constructor(place: RelayPlace, client: Wire, server: Wire, flow: Flow, startedAt: number) {
    this.place = place;
    this.client = client;
    this.server = server;
    this.flow = flow;
    this.startedAt = startedAt;
    this.takeTimes();
    this.stir();
  }

  /** hot: bytes of the client. */
  toServer(bytes: Buffer, length: number): void {
    this.stir();
    this.server.relay(this.client, bytes, 0, length);
  }

  /** hot: bytes of the server. */
  toClient(bytes: Buffer, start: number, length: number): void {
    this.stir();
    this.client.relay(this.server, bytes, start, length);
  }

  /** One side has sent its last byte, which the other is told. True where both have, and all of it is on its way: an orderly end. */
  ended(wire: Wire): boolean {
    const other = wire === this.client ? this.server : this.client;
    if (!other.ended) {
      other.end();
      this.takeTimes();
      this.stir();
    }
    return this.done;
  }

  /** A side has taken what waited for it, so the other is read on. True where that was the last of all. */
  drained(wire: Wire): boolean {
    this.stir();
    (wire === this.client ? this.server : this.client).resume();
    return this.done;
  }

  /** Both have sent their last byte and all of it is on its way. */
  get done(): boolean {
    const { client, server } = this;
    return client.ended && server.ended && client.pending === 0 && server.pending === 0;
  }

  /** Who sent its last byte first. */
  get endedBy(): 'client' | 'server' {
    return this.client.shut ? 'server' : 'client';
  }

  /**
   * What has come, now that the deadline has. `draining`: the time in which it was to end. null: it goes on, since it was silent for our holding it
   * back, and the time that it may be idle begins when that ends. Found here rather than with each byte.
   */
  limit(now: number): 'draining' | 'total' | 'half-closed' | 'idle' | null {
    const { context, draining, application } = this.place;
    const heldTo = Math.min(this.flow.heldUntil + this.quietMs, this.until);
    if (now < heldTo) {
      context.wheel.arm(this.place, heldTo);
      return null;
    }
    const total = application.timeouts.total;
    if (total !== null && now >= this.startedAt + total) return 'total';
    if (draining !== null && draining.until < Number.POSITIVE_INFINITY) return 'draining';
    return this.half ? 'half-closed' : 'idle';
  }

  /**
   * After a swap. It can bring the deadline nearer and does not move it away, or frequent swaps would keep idle connections for ever; but for
   * one that was to end and is `relieved` of that.
   */
  swapped(relieved: boolean): void {
    this.takeTimes();
    const next = this.nextDeadline();
    if (relieved || next < this.place.deadline) this.place.context.wheel.arm(this.place, next);
  }

  private get half(): boolean {
    return this.client.ended || this.server.ended;
  }

  /** Of the policy in force, for the stage that it is in. */
  private takeTimes(): void {
    const { application, draining } = this.place;
    const { idle, total, halfClosed } = application.timeouts;
    this.until = total === null ? Number.POSITIVE_INFINITY : this.startedAt + total;
    this.quietMs = this.half ? halfClosed : idle;
    if (draining === null) return;
    this.until = Math.min(this.until, draining.until);
    this.quietMs = Math.min(this.quietMs, draining.idleMs);
  }

  /** hot */
  private nextDeadline(): number {
    return Math.min(this.place.context.clock.coarse + this.quietMs, this.until);
  }

  /** hot: bytes came, or a side ended. Later than before is all but always one store. */
  private stir(): void {
    this.place.context.wheel.arm(this.place, this.nextDeadline());
  }
}
