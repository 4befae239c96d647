/**
 * A copy of a request, sent to another pool. Nobody waits for it: what becomes of it is seen in the counters of that pool's servers, and its answer
 * is read to its end and thrown away.
 */
import { Lease, type LeasePlace, type Lessee } from '../balance/lease.ts';
import type { PoolBalancer } from '../balance/pool.ts';
import { Framing } from '../http/framing.ts';
import { ResponseHead } from '../http/response-head.ts';
import { Upstream, type UpstreamUser } from '../http/upstreams.ts';
import type { PlannedApplication } from '../node/plan.ts';
import { hitNodeLimit } from '../shared/node-limits.ts';
import type { Chunk } from '../wire/chunks.ts';
import { Held } from '../wire/held.ts';
import { OnWheel } from '../wire/wheel.ts';
import type { Wire } from '../wire/wire.ts';
import { Flow } from '../worker/account.ts';

/** Copies under way in one worker. */
const MIRRORED_MAX = 1_000;

/** How long the body of an answer is read, unless flows of the application have less in all. Nobody waits for it, and some never end. */
const ANSWER_MS_MAX = 60_000;

/** Scanning is done within one callback, so one of these serves the whole thread. */
const head = new ResponseHead();

let underWay = 0;

/** The client connection whose request is copied. */
export interface MirroredPlace extends LeasePlace {
  readonly application: PlannedApplication;
}

export class Mirror extends OnWheel implements Lessee, UpstreamUser {
  /** Of the copy; it is counted nowhere, and recorded nowhere. */
  readonly flow = new Flow();
  private readonly place: LeasePlace;
  private readonly application: PlannedApplication;
  private readonly bytes: Buffer;
  private readonly isHead: boolean;
  private readonly lease: Lease;
  private upstream: Upstream | null = null;
  private isOver = false;
  private readonly held = new Held();
  private body: Framing | null = null;
  private keeps = false;
  /** When it is given up, whatever still comes of its answer. */
  private until = Number.POSITIVE_INFINITY;

  private constructor(of: MirroredPlace, pool: PoolBalancer, bytes: Buffer, isHead: boolean) {
    super();
    const { context, listener, source, arrival, application } = of;
    this.place = { context, listener, source, arrival, pool };
    this.application = application;
    this.bytes = bytes;
    this.isHead = isHead;
    this.lease = new Lease(this.place, this);
  }

  /** `chunk` is the request as it goes to its own server; null where a part of it is still to come: such a one is not copied. */
  static send(of: MirroredPlace, pool: PoolBalancer, chunk: Chunk | null, isHead: boolean): void {
    if (chunk === null) hitNodeLimit('mirror-body');
    else if (underWay >= MIRRORED_MAX) hitNodeLimit('mirrored');
    else {
      underWay++;
      new Mirror(of, pool, Buffer.from(chunk.bytes.subarray(0, chunk.length)), isHead).reach();
    }
  }

  reach(): void {
    const candidate = this.lease.pick();
    const { context, pool } = this.place;
    if (candidate === null) {
      this.end();
      return;
    }
    // A server that is told whose connection it is gets one of its own.
    const idle = pool.plan.proxyProtocol === null ? context.upstreams.take(candidate.server.row) : null;
    if (idle !== null) this.attach(idle);
    else {
      this.expireIn(this.application.timeouts.connect);
      this.upstream = new Upstream(context.upstreams, candidate.server.row, null);
      this.lease.dial(this.upstream, true);
    }
  }

  reached(wire: Wire): void {
    const upstream = this.upstream!;
    upstream.wire = wire;
    wire.resume();
    this.attach(upstream);
  }

  unreached(): void {
    this.end();
  }

  private attach(upstream: Upstream): void {
    this.upstream = upstream;
    upstream.user = this;
    this.expireIn(this.application.timeouts.response);
    if (!upstream.wire!.writeBytes(this.bytes)) this.end();
  }

  upstreamData(bytes: Buffer, length: number): void {
    let at = 0;
    let whole = bytes;
    let end = length;
    if (this.body === null) {
      if (!this.held.empty) {
        this.held.append(bytes, 0, length);
        whole = this.held.bytes;
        end = this.held.length;
      }
      at = this.readHead(whole, end);
      if (at < 0) return;
    }
    const { body } = this;
    const done = body!.measure(whole, at, end, null);
    if (done < 0) this.end();
    else if (body!.done) this.end(this.keeps && done === end);
    else {
      this.held.drop();
      this.expireIn(this.application.timeouts.response);
    }
  }

  /** Where the body begins; -1 while the head is not whole, or where the copy is over because it makes no sense. */
  private readHead(bytes: Buffer, length: number): number {
    const { limits } = this.application;
    let at = 0;
    for (;;) {
      const fault = head.scan(bytes, at, length, limits.headFields);
      if (fault === 'incomplete' && length - at <= limits.headBytes) {
        this.held.keep(bytes, at, length);
        return -1;
      }
      if (fault !== null || head.status === 101) {
        this.end();
        return -1;
      }
      at = head.fields.end;
      if (head.status >= 200) break;
    }
    const { fields, status, minor } = head;
    const body = new Framing();
    if (this.isHead || status === 204 || status === 304) body.sized(0);
    else if (fields.chunked) body.chunked();
    else if (fields.contentLength >= 0) body.sized(fields.contentLength);
    else body.untilClose();
    this.body = body;
    this.keeps = !fields.close && (minor === 1 || fields.keepAlive) && this.place.pool.plan.proxyProtocol === null;
    this.until = this.place.context.clock.coarse + Math.min(this.application.timeouts.total ?? ANSWER_MS_MAX, ANSWER_MS_MAX);
    this.lease.praise();
    return at;
  }

  upstreamEnd(): void {
    this.end();
  }

  upstreamError(): void {
    this.end();
  }

  upstreamDrained(): void {
    // Nothing waits for it.
  }

  expired(): void {
    if (this.upstream?.user === this) this.end();
    else this.lease.timedOut();
  }

  private expireIn(milliseconds: number): void {
    const { wheel, clock } = this.place.context;
    wheel.arm(this, Math.min(clock.coarse + milliseconds, this.until));
  }

  private end(keep = false): void {
    if (this.isOver) return;
    this.isOver = true;
    underWay--;
    const { context, pool } = this.place;
    const { upstream } = this;
    context.wheel.disarm(this);
    this.lease.cancel();
    this.lease.release();
    this.held.drop();
    if (upstream?.wire == null) return;
    const { idleConnections, idleTimeoutMs } = pool.plan;
    const { wire } = upstream;
    if (keep && wire.pending === 0 && !wire.ended && wire.error === 0) {
      wire.settle();
      wire.resume();
      context.upstreams.give(upstream, idleConnections, context.clock.coarse, idleTimeoutMs);
    } else context.upstreams.drop(upstream, true);
  }
}
