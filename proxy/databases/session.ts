import { ALLOW, DENY, kindOf, ruleOf } from '../../policy/decide.ts';
import type { RequestFacts } from '../../policy/request.ts';
import type { Lease } from '../balance/lease.ts';
import { Relay } from '../relay/relay.ts';
import * as ledger from '../shared/ledger.ts';
import type { Wire } from '../wire/wire.ts';
import { CUT, KEPT, type Redecided } from '../worker/redecided.ts';
import { type Handover, JudgedFlow } from './judged-flow.ts';

export abstract class DatabaseSession extends JudgedFlow {
  readonly client: Wire;
  protected readonly lease: Lease;
  /** What the flow was admitted for, as far as it holds for all of it. */
  protected request: RequestFacts | null = null;
  private dialling = false;

  constructor(from: Handover) {
    super(from);
    const { context } = from;
    this.client = from.client;
    this.server = from.server;
    this.lease = from.lease;
    from.lease.handTo(this, this);
    from.client.owner = this;
    if (from.server !== null) from.server.owner = this;
    context.sessions.add(this);
    this.count(from.isFirstOfServer ? 1 : 0, from.first.length);
    this.awaitWords();
  }

  /** What a client that is denied is told. */
  abstract override words(receipt: string): Buffer;
  /** Bytes of the client before there is a verdict. */
  protected abstract heard(bytes: Buffer, length: number): void;
  /** Both sides are there, and the verdict is yes. */
  protected abstract carried(): void;

  /** Bytes of a server before there is a verdict; only servers that speak first have any. */
  protected greeted(_bytes: Buffer, _length: number): void {
    this.finish('server', 'spoke before its time', true);
  }

  /** hot: bytes of the client, once carried. */
  protected fromClient(bytes: Buffer, length: number): void {
    this.relay!.toServer(bytes, length);
  }

  /** hot: bytes of the server, once carried. */
  protected fromServer(bytes: Buffer, length: number): void {
    this.relay!.toClient(bytes, 0, length);
  }

  // --- the verdict ---------------------------------------------------------------------------------------------------------------

  /** A client that is to say who it is does so within the time that detection has. */
  protected awaitWords(): void {
    this.context.wheel.arm(this, this.context.clock.coarse + this.application.timeouts.detect);
  }

  /** Everything is known: the flow is admitted and carried, or denied. */
  protected settle(request: RequestFacts): void {
    if (this.listener.vip < 0) {
      this.finish('policy', 'vip removed', true);
      return;
    }
    this.request = request;
    const decision = this.judge(request);
    if (kindOf(decision) === ALLOW) this.admit(ruleOf(decision), ledger.RULE_ALLOW);
    else if (this.application.observes) this.admit(ruleOf(decision), ledger.RULE_WOULD_DENY);
    else this.deny(ruleOf(decision), 'denied');
  }

  protected opened(): void {
    this.tell(this.flow, this.request);
  }

  protected goOn(): void {
    if (this.server === null) this.connect();
    else this.carry();
  }

  /** What it has said is that of a protocol which is known to be past its first words. */
  protected get begun(): null {
    return null;
  }

  redecide(): Redecided {
    if (this.over) return KEPT;
    if (this.listener.vip < 0) return this.tenure.revoke('vip removed');
    this.takePolicy();
    // Where the flow is not admitted for one request, what the connection alone decides is decided, and every request by itself.
    const decision = this.judge(this.request);
    if (this.flow.live) return this.tenure.renew(decision, this.application.observes);
    if (kindOf(decision) !== DENY || this.application.observes) return KEPT;
    this.deny(ruleOf(decision), 'denied');
    return CUT;
  }

  // --- the server ----------------------------------------------------------------------------------------------------------------

  private connect(): void {
    this.dialling = true;
    this.client.pause();
    this.reach();
  }

  reached(wire: Wire): void {
    this.lease.praise();
    this.server = wire;
    this.carry();
  }

  private carry(): void {
    this.dialling = false;
    const server = this.server!;
    this.relay = new Relay(this, this.client, server, this.flow, this.flow.startedAt);
    this.carried();
    if (this.over) return;
    if (server.pending === 0) this.readClient();
    if (this.client.pending === 0) server.resume();
    if (this.client.ended && !this.holdsBack) server.end();
    if (server.ended) this.client.end();
    if (this.relay.done) this.finishInOrder();
  }

  /** Reads the client on, where nothing of its has to wait. */
  protected readClient(): void {
    this.client.resume();
  }

  /** Bytes of the client are still to go to the server, and its end behind them. */
  protected get holdsBack(): boolean {
    return false;
  }

  /** What came is longer than what may wait for a verdict. */
  protected countTooLong(): void {
    if (this.listener.application >= 0) this.context.policy.ledger.limit(this.listener.application, 'database-message-size');
  }

  /** Words of our own, to a client that is past its verdict. One that does not take them is not read on. */
  protected say(words: Buffer): void {
    this.count(1, words.length);
    this.client.writeBytes(words);
    if (this.client.pending > 0) this.client.pause();
  }

  // --- what the wires tell -------------------------------------------------------------------------------------------------------

  /** hot */
  wireData(wire: Wire, bytes: Buffer, length: number): void {
    if (this.over) return;
    if (this.listener.vip < 0) {
      // A swap that has not come by here yet.
      this.tenure.revoke('vip removed');
      return;
    }
    const fromClient = wire === this.client;
    this.count(fromClient ? 0 : 1, length);
    if (this.over) return;
    if (this.relay !== null) {
      if (fromClient) this.fromClient(bytes, length);
      else this.fromServer(bytes, length);
    } else if (!fromClient) this.greeted(bytes, length);
    else if (this.dialling) {
      this.held.append(bytes, 0, length);
      wire.pause();
    } else this.heard(bytes, length);
  }

  wireEnd(wire: Wire): void {
    if (this.relay !== null) {
      if (this.relay.ended(wire)) this.finishInOrder();
    } else if (wire !== this.client) this.finish('server', 'closed before its time', true);
    // One that waits for its server may have said its last word.
    else if (!this.dialling) this.finish('client', 'closed before a verdict', false);
  }

  wireDrained(wire: Wire): void {
    if (this.relay === null) return;
    if (this.relay.drained(wire)) this.finishInOrder();
    // What it did not take may have been words of ours.
    else if (wire === this.client && this.server!.pending === 0) this.readClient();
  }

  expired(now: number): void {
    if (!this.isCurrent) {
      this.redecide();
      if (!this.over && this.wheelSlot < 0) this.context.wheel.arm(this, now);
      return;
    }
    if (this.dialling) {
      this.lease.timedOut();
      return;
    }
    this.timeOver(this.relay === null ? 'detect' : this.relay.limit(now));
  }

  // --- the end -------------------------------------------------------------------------------------------------------------------

  drain(): void {
    if (!this.flow.live) this.finish('proxy', 'draining', true);
  }
}
