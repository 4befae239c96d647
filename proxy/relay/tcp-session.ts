import { type ProtocolSet, SERVER_FIRST, UNKNOWN } from '../../config/protocols.ts';
import { ALLOW, DENY, type Decision, decide, kindOf, NEED_REQUEST, possibleProtocols, ruleOf } from '../../policy/decide.ts';
import { atomOf, NO_ADDRESS_ATOM } from '../../policy/lookup.ts';
import { Lease } from '../balance/lease.ts';
import { beginDatabase, speaksDatabase } from '../databases/begin.ts';
import * as ledger from '../shared/ledger.ts';
import { Wire } from '../wire/wire.ts';
import { Party } from '../worker/account.ts';
import type { Arrival } from '../worker/arrival.ts';
import type { Context } from '../worker/context.ts';
import { countShadows, logDecided } from '../worker/decided.ts';
import type { PolicyInForce } from '../worker/policy-in-force.ts';
import { CUT, KEPT, type Redecided } from '../worker/redecided.ts';
import { denialWords } from './denial.ts';
import { detectClient, detectServer, MORE } from './detect.ts';
import { detectAsFar } from './detect-refined.ts';
import { Relay } from './relay.ts';
import { RelayedSession } from './relayed-session.ts';

/** Waiting for the client's first bytes; dialling; waiting for the server's banner; carrying. */
const DETECTING = 0;
const DIALLING = 1;
const BANNER = 2;
const RELAYING = 3;

/** A silent client that may be waiting for a server to speak first gets a server after this long. */
const SILENCE_MS = 200;

export class TcpSession extends RelayedSession {
  readonly client: Wire;
  protected readonly lease: Lease;
  protocols: ProtocolSet = 0;
  /** The policy that this session was last decided by: a swap reaches sessions one after the other. */
  private decided: PolicyInForce;
  private atom: number;
  private state: number = DETECTING;
  /** What is held is of a server that speaks first. */
  private heldFromServer = false;

  constructor(context: Context, arrival: Arrival) {
    const { listener, source, hasAddress, application, early } = arrival;
    const { policy } = context;
    const party = new Party(listener, arrival.sourceText, arrival.tls);
    const pool = policy.poolFor(listener.application, arrival.tls, context.random);
    super(context, early === null ? arrival : { ...arrival, early: null }, party, application, pool, application.column);
    this.decided = policy;
    this.client = new Wire(arrival.handle, this);
    this.lease = new Lease(this, this);
    this.atom = hasAddress ? atomOf(policy.image, source[0], source[1], source[2], source[3]) : NO_ADDRESS_ATOM;
    context.sessions.add(this);
    this.flow.startedAt = context.clock.now();
    this.consider();
    if (early !== null) this.wireData(this.client, early, early.length);
  }

  // --- the verdict ---------------------------------------------------------------------------------------------------------------

  /** Asks the policy with what is known; goes on, ends, or waits for what is missing. */
  private consider(): void {
    if (this.context.policy !== this.decided) {
      this.redecide();
      return;
    }
    const decision = this.judge(this.protocols);
    const kind = kindOf(decision);
    if (kind === ALLOW) this.admit(ruleOf(decision), ledger.RULE_ALLOW);
    else if (kind === DENY) {
      if (this.application.observes) this.admit(ruleOf(decision), ledger.RULE_WOULD_DENY);
      else this.deny(ruleOf(decision));
    } else if (kind === NEED_REQUEST && speaksDatabase(this.protocols)) this.handOver();
    else this.waitForProtocol();
  }

  /** The rules ask for what is said to a database: a session that understands it takes the flow over, wires and all. */
  private handOver(): void {
    const { arrival, capsColumn, client, context, flow, held, lease, party, pool, protocols, server } = this;
    this.over = true;
    context.wheel.disarm(this);
    context.sessions.remove(this);
    const from = { context, arrival, party, pool, capsColumn, protocols, startedAt: flow.startedAt, client, server, lease };
    beginDatabase({ ...from, serverLabel: flow.server }, held, this.heldFromServer);
  }

  private waitForProtocol(): void {
    if (this.state === BANNER) {
      // The server's first bytes are still too few to tell.
      this.server!.resume();
      return;
    }
    const possible = possibleProtocols(this.context.policy.image, this.listener.vip, this.atom, this.known);
    if ((possible & ~SERVER_FIRST) === 0 && this.held.empty) {
      // Every protocol that could be allowed has the server speak first: a client of one of them says nothing now.
      this.connect();
      return;
    }
    this.state = DETECTING;
    const wait =
      (possible & SERVER_FIRST) !== 0 && this.held.empty
        ? Math.min(SILENCE_MS, this.application.timeouts.detect)
        : this.application.timeouts.detect;
    this.context.wheel.arm(this, this.flow.startedAt + wait);
    this.client.resume();
  }

  protected opened(): void {
    const { image } = this.context.policy;
    if (image.hasShadows) countShadows(this.context, this.listener.vip, this.atom, this.flow, this.protocols, null, this.known);
    if (image.hasLogged) logDecided(this.context, this.flow, this.party);
  }

  protected goOn(): void {
    if (this.state === BANNER) this.carry();
    else this.connect();
  }

  words(receipt: string): Buffer | null {
    return denialWords(this.protocols, receipt);
  }

  protected get begun(): Buffer | null {
    const { held } = this;
    return held.empty || this.heldFromServer ? null : Buffer.from(held.bytes.subarray(0, held.length));
  }

  redecide(): Redecided {
    if (this.over) return KEPT;
    const { policy } = this.context;
    if (this.listener.vip < 0) {
      return this.tenure.revoke('vip removed');
    }
    this.decided = policy;
    this.application = policy.application(this.listener.application);
    this.pool = policy.poolFor(this.listener.application, this.arrival.tls, this.context.random);
    // Addresses in no prefix share an atom with what has none, so the atom before does not tell whether there is an address.
    if (this.hasAddress) this.atom = atomOf(policy.image, this.source[0], this.source[1], this.source[2], this.source[3]);
    if (!this.flow.live) {
      // No verdict yet: what it waits for may have changed, or it may be out of the question now. A dial under way is waited for.
      const kind = kindOf(this.judge(this.protocols));
      if (this.state !== DIALLING || (kind === DENY && !this.application.observes)) this.consider();
      // Over without a record of its own: another session has the flow now.
      return this.over && this.flow.receipt > 0 ? CUT : KEPT;
    }
    let decision = this.judge(this.protocols);
    // A flow that was admitted without a look at its bytes is past them now: what it carries can no longer be told.
    if (kindOf(decision) !== ALLOW && kindOf(decision) !== DENY) decision = this.judge(UNKNOWN);
    return this.tenure.renew(decision, this.application.observes);
  }

  // --- the server ----------------------------------------------------------------------------------------------------------------

  private connect(): void {
    this.state = DIALLING;
    this.client.pause();
    this.reach();
  }

  reached(wire: Wire): void {
    const { context } = this;
    this.lease.praise();
    this.server = wire;
    if (this.flow.live) this.carry();
    else {
      this.state = BANNER;
      context.wheel.arm(this, context.clock.coarse + this.application.timeouts.detect);
      // A client that was thought silent may speak after all.
      this.client.resume();
      // Reads the server, unless a swap has made the answer plain meanwhile.
      this.consider();
    }
  }

  // --- carrying ------------------------------------------------------------------------------------------------------------------

  /** Both sides are there and the verdict is yes: what was held back goes out, and bytes flow. */
  private carry(): void {
    const fromServer = this.state === BANNER && this.heldFromServer;
    this.state = RELAYING;
    const held = this.held.take();
    if (held !== null) {
      this.count(fromServer ? 1 : 0, held.length);
      (fromServer ? this.client : this.server!).writeChunk(held);
    }
    this.relay = new Relay(this, this.client, this.server!, this.flow, this.flow.startedAt);
    if (this.server!.pending === 0) this.client.resume();
    if (this.client.pending === 0) this.server!.resume();
    // An end that came while there was nobody to pass it on to.
    if (this.client.ended) this.server!.end();
    if (this.server!.ended) this.client.end();
    if (this.relay.done) this.finishInOrder();
  }

  /** hot: must not allocate, and touches nothing but this flow's own state and counters. */
  wireData(wire: Wire, bytes: Buffer, length: number): void {
    if (this.state === RELAYING) {
      const fromClient = wire === this.client;
      this.count(fromClient ? 0 : 1, length);
      if (fromClient) this.relay!.toServer(bytes, length);
      else this.relay!.toClient(bytes, 0, length);
    } else if (!this.over) this.hold(wire, bytes, length);
  }

  /** First bytes, of the client or of a server that speaks first. */
  private hold(wire: Wire, bytes: Buffer, length: number): void {
    const fromServer = wire !== this.client;
    const { held } = this;
    if (!held.empty && this.heldFromServer !== fromServer) {
      // Both spoke: whoever spoke first is judged, the other waits in the kernel's buffer. These bytes are the other's first.
      this.finish('proxy', 'both sides spoke before the protocol was known', true);
      return;
    }
    this.heldFromServer = fromServer;
    held.append(bytes, 0, length);
    wire.pause();
    if (this.state === DIALLING) return;
    if (this.state === BANNER && !fromServer) this.server!.pause();
    else if (this.state === BANNER) this.client.pause();
    const found = fromServer ? detectServer(held.bytes, held.length) : detectAsFar(held, (protocols) => this.judge(protocols));
    if (found === MORE) {
      if (this.state === DETECTING) this.context.wheel.arm(this, this.flow.startedAt + this.application.timeouts.detect);
      wire.resume();
      return;
    }
    this.protocols = found;
    this.consider();
  }

  private judge(protocols: ProtocolSet): Decision {
    return decide(this.context.policy.image, this.listener.vip, this.atom, protocols, null, this.known);
  }

  wireEnd(wire: Wire): void {
    if (this.state === RELAYING) {
      if (this.relay!.ended(wire)) this.finishInOrder();
      return;
    }
    if (wire === this.client && this.state !== DIALLING) {
      // It has nothing to say and listens: the banner decides, and its end is passed on with the verdict.
      if (this.state === BANNER && (this.held.empty || this.heldFromServer)) return;
      if (this.held.empty) this.finish('client', 'closed before its first byte', false);
      else this.settleUnknown();
    } else if (wire !== this.client) this.finish('server', 'closed before its first byte', true);
  }

  wireDrained(wire: Wire): void {
    if (this.state === RELAYING && this.relay!.drained(wire)) this.finishInOrder();
  }

  /** The bytes will not tell any more: judged as what they have told, or as `unknown`. */
  private settleUnknown(): void {
    this.protocols = (this.held.empty || this.heldFromServer ? MORE : detectClient(this.held.bytes, this.held.length)) || UNKNOWN;
    this.consider();
  }

  expired(now: number): void {
    if (this.decided !== this.context.policy) {
      // A swap is under way that has not come by here yet; what it leaves in place is looked at again with the next tick.
      this.redecide();
      if (!this.over && this.wheelSlot < 0) this.context.wheel.arm(this, now);
      return;
    }
    if (this.state === DETECTING) {
      const possible = possibleProtocols(this.context.policy.image, this.listener.vip, this.atom, this.known);
      if (this.held.empty && (possible & SERVER_FIRST) !== 0) this.connect();
      else {
        this.context.policy.ledger.limit(this.listener.application, 'detect');
        this.settleUnknown();
      }
    } else if (this.state === DIALLING) this.lease.timedOut();
    else if (this.state === BANNER) {
      this.context.policy.ledger.limit(this.listener.application, 'detect');
      this.settleUnknown();
    } else if (this.state === RELAYING) this.timeOver(this.relay!.limit(now));
  }

  // --- the end -------------------------------------------------------------------------------------------------------------------

  drain(): void {
    if (this.state === DETECTING) this.finish('proxy', 'draining', true);
  }
}
