/** A server for a flow: picked, counted in flight, dialled, blamed where it fails; and another one instead, as often as the pool allows. */
import { announce } from '../arrival/announcement.ts';
import { dialHttp2 } from '../h2/server-sessions.ts';
import type { DialResult } from '../observe/view.ts';
import { SHARED_AT_ZERO_MS } from '../shared/monotonic.ts';
import { whyUnsecured } from '../tls/secure.ts';
import { type Dial, dial } from '../wire/dial.ts';
import type { Wire, WireOwner } from '../wire/wire.ts';
import type { Flow } from '../worker/account.ts';
import type { Arrival } from '../worker/arrival.ts';
import type { Context } from '../worker/context.ts';
import type { ListenerPlace } from '../worker/session.ts';
import type { Candidate, PoolBalancer, SourceWords } from './pool.ts';

/** The client connection that servers are wanted for. */
export interface LeasePlace {
  readonly context: Context;
  readonly listener: ListenerPlace;
  readonly source: SourceWords;
  /** What servers that want a PROXY header are told. */
  readonly arrival: Arrival;
  /** The one of the policy in force, which may change while a server is held. */
  readonly pool: PoolBalancer;
}

/** Who has the server, and hears how the dial went. */
export interface Lessee {
  readonly flow: Flow;
  /** Picks a server, and dials it; also again, when another one may be tried. */
  reach(): void;
  reached(wire: Wire): void;
  /** No other server may be tried. `label` is that of the last, and `words` what its dial came to, for the journal. */
  unreached(result: DialResult, label: string, words: string): void;
}

export class Lease {
  candidate: Candidate | null;
  private place: LeasePlace;
  private lessee: Lessee;
  /** Rows of the servers that this flow could not reach. */
  private tried: number[] | null;
  private dialling: Dial | null;

  constructor(place: LeasePlace, lessee: Lessee) {
    this.candidate = null;
    this.place = place;
    this.lessee = lessee;
    this.tried = null;
    this.dialling = null;
  }

  /** The connection goes on in the hands of another session, and the server that it may hold with it. */
  handTo(place: LeasePlace, lessee: Lessee): void {
    this.place = place;
    this.lessee = lessee;
  }

  /** hot: the next flow begins. Whatever was leased before has been released. */
  renew(): void {
    this.tried = null;
  }

  /** hot: picks a server and counts the flow as its own; null where none takes flows. */
  pick(): Candidate | null {
    const { context, source, pool } = this.place;
    const candidate = pool.pick(source, context.clock.coarse + SHARED_AT_ZERO_MS, this.tried);
    return candidate === null ? null : this.take(candidate);
  }

  /** The server of that label, whatever its state, for a flow that belongs there and nowhere else; null where the pool has it no longer. */
  pickNamed(label: string): Candidate | null {
    const candidate = this.place.pool.candidates.find((each) => each.label === label);
    return candidate === undefined || this.tried !== null ? null : this.take(candidate);
  }

  /** hot */
  private take(candidate: Candidate): Candidate {
    const { context } = this.place;
    this.candidate = candidate;
    this.lessee.flow.server = candidate.label;
    context.serverFlows.add(context.worker, candidate.server.row, 1);
    return candidate;
  }

  /**
   * Connects to the server that was picked. The deadline is the lessee's to set, and to tell of by `timedOut`. `messages`: the wire is to carry
   * HTTP/1.1, whatever the server speaks; otherwise it carries bytes as they are.
   */
  dial(owner: WireOwner, messages = false): void {
    // The retry budget is a share of first dials.
    if (this.tried === null) this.place.pool.counted(this.place.context.clock.coarse);
    const { context, pool } = this.place;
    const { target } = this.candidate!.server;
    const first = this.announcement();
    const done = (wire: Wire | null, result: DialResult) => this.dialled(wire, result);
    this.dialling =
      messages && pool.plan.protocol === 'h2'
        ? dialHttp2(context, { target, first, idleMs: pool.plan.idleTimeoutMs }, owner, done)
        : dial(target, owner, done, first);
  }

  /** The PROXY header for the server; null where its pool wants none. */
  private announcement(): Buffer | null {
    const { arrival, context, pool } = this.place;
    const out = pool.plan.proxyProtocol;
    if (out === null) return null;
    const { flow } = this.lessee;
    return announce(out, arrival, flow.live ? context.journal.receipt(flow.receipt) : null);
  }

  /** The dial has had its time. */
  timedOut(): void {
    const { context, listener } = this.place;
    this.cancel();
    context.policy.ledger.limit(listener.application, 'connect');
    context.servers.dialled(context.worker, this.candidate!.server.row, 'timeout');
    this.failed('timeout');
  }

  /** Gives the dial up, if one is under way. */
  cancel(): void {
    this.dialling?.cancel();
    this.dialling = null;
  }

  /** The server failed the flow. */
  blame(): void {
    const { context, pool } = this.place;
    if (this.candidate !== null) pool.failed(this.candidate, context.clock.coarse + SHARED_AT_ZERO_MS);
  }

  /** hot: the server did what was asked of it. */
  praise(): void {
    this.place.pool.succeeded(this.candidate!);
  }

  /** hot: the flow has left the server. */
  release(): void {
    if (this.candidate === null) return;
    const { context } = this.place;
    context.serverFlows.add(context.worker, this.candidate.server.row, -1);
    this.candidate = null;
  }

  private dialled(wire: Wire | null, result: DialResult): void {
    const { context } = this.place;
    this.dialling = null;
    context.servers.dialled(context.worker, this.candidate!.server.row, result);
    if (wire === null) this.failed(result);
    else this.lessee.reached(wire);
  }

  private failed(result: DialResult): void {
    const { context, listener, pool } = this.place;
    const { server, label } = this.candidate!;
    const { target } = server;
    this.blame();
    this.release();
    this.tried = [...(this.tried ?? []), server.row];
    if (this.tried.length <= pool.plan.retries.attempts) {
      if (pool.mayRetry(context.clock.coarse)) {
        this.lessee.reach();
        return;
      }
      context.policy.ledger.limit(listener.application, 'retry-budget');
    }
    const why = result === 'tls' && target.tls !== undefined ? whyUnsecured(target, target.tls) : null;
    this.lessee.unreached(result, label, why === null ? result : `${result}: ${why}`);
  }
}
