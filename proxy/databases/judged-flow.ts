/** What is judged of a flow to a database: who asks, by which policy, and the account of each request that is not let through. */
import type { ProtocolSet } from '../../config/protocols.ts';
import { ALLOW, type Decision, decide, kindOf, ruleOf } from '../../policy/decide.ts';
import { atomOf, NO_ADDRESS_ATOM } from '../../policy/lookup.ts';
import type { RequestFacts } from '../../policy/request.ts';
import type { Lease } from '../balance/lease.ts';
import type { PoolBalancer } from '../balance/pool.ts';
import { RelayedSession } from '../relay/relayed-session.ts';
import * as ledger from '../shared/ledger.ts';
import type { Wire } from '../wire/wire.ts';
import { closeFlow, Flow, openFlow, type Party } from '../worker/account.ts';
import type { Arrival } from '../worker/arrival.ts';
import type { Context } from '../worker/context.ts';
import { countShadows, logDecided } from '../worker/decided.ts';
import type { PolicyInForce } from '../worker/policy-in-force.ts';

/** What is taken over from the session that found the protocol; it must not touch any of it afterwards. */
export interface Handover {
  readonly context: Context;
  readonly arrival: Arrival;
  readonly party: Party;
  /** By what its client has said in TLS. */
  readonly pool: PoolBalancer;
  readonly capsColumn: number;
  readonly protocols: ProtocolSet;
  readonly startedAt: number;
  readonly client: Wire;
  /** There already where the server speaks first; then `lease` holds it. */
  readonly server: Wire | null;
  readonly lease: Lease;
  /** `pool/address` of that server. */
  readonly serverLabel: string | null;
  /** First bytes, of the client or of a server that speaks first. Its own memory. */
  readonly first: Buffer;
  readonly isFirstOfServer: boolean;
}

export abstract class JudgedFlow extends RelayedSession {
  readonly protocols: ProtocolSet;
  /** The policy by which it was last judged: a swap reaches sessions one after the other. */
  private decided: PolicyInForce;
  private atom: number;

  constructor({ context, arrival, party, pool, capsColumn, protocols, startedAt, serverLabel }: Handover) {
    const { policy } = context;
    const { application } = arrival.listener;
    super(context, arrival, party, policy.application(application), pool, capsColumn);
    this.protocols = protocols;
    Object.assign(this.flow, { startedAt, server: serverLabel, protocols });
    this.decided = policy;
    this.atom = NO_ADDRESS_ATOM;
    this.locate();
  }

  protected get isCurrent(): boolean {
    return this.decided === this.context.policy;
  }

  /** The policy in force on a request; a swap that has not come by here yet is caught up with first. */
  protected judge(request: RequestFacts | null): Decision {
    if (this.decided !== this.context.policy && this.listener.vip >= 0) this.takePolicy();
    return decide(this.decided.image, this.listener.vip, this.atom, this.protocols, request, this.known);
  }

  /**
   * The account of one request within a connection that goes on: denied, or let through by an application that observes. Answers the receipt,
   * or null where it is allowed.
   */
  protected refuse(decision: Decision, request: RequestFacts, what: string): string | null {
    if (kindOf(decision) === ALLOW) return null;
    const { context, listener, application } = this;
    const flow = new Flow();
    const now = context.clock.now();
    const verdict = application.observes ? ledger.RULE_WOULD_DENY : ledger.RULE_DENY;
    openFlow(context, flow, listener.application, ruleOf(decision), verdict, now);
    flow.protocols = this.protocols;
    this.tell(flow, request);
    closeFlow(
      context,
      flow,
      listener.application,
      this.party,
      null,
      'policy',
      `${application.observes ? 'let through' : 'denied'}: ${what}`,
      now,
    );
    return application.observes ? null : context.journal.receipt(flow.receipt);
  }

  /** What a decision brings about beside its verdict. */
  protected tell(flow: Flow, request: RequestFacts | null): void {
    const { image } = this.context.policy;
    if (image.hasShadows) countShadows(this.context, this.listener.vip, this.atom, flow, this.protocols, request, this.known);
    if (image.hasLogged) logDecided(this.context, flow, this.party);
  }

  private locate(): void {
    const { source } = this;
    // Addresses in no prefix share an atom with what has none, so the atom before does not tell whether there is an address.
    if (this.hasAddress) this.atom = atomOf(this.decided.image, source[0], source[1], source[2], source[3]);
  }

  protected takePolicy(): void {
    const { policy } = this.context;
    this.decided = policy;
    this.application = policy.application(this.listener.application);
    this.pool = policy.poolFor(this.listener.application, this.arrival.tls, this.context.random);
    this.locate();
  }
}
