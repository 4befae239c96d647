/** Who sends the requests of a connection: the peer, or the client that a trusted proxy names; and who they have shown to be by their tokens. */
import type { SourceWords } from '../balance/pool.ts';
import { Party } from '../worker/account.ts';
import type { Arrival } from '../worker/arrival.ts';
import type { Context } from '../worker/context.ts';
import { Bearer, type WaitingRequest } from './bearer.ts';
import type { Forwarding } from './compose.ts';
import { Hops } from './hops.ts';
import type { Judgement } from './judgement.ts';
import type { RequestHead } from './request-head.ts';

export class Sender {
  readonly bearer: Bearer;
  source: SourceWords;
  party: Party;
  private readonly arrival: Arrival;
  private readonly judgement: Judgement;
  private readonly forwarding: Forwarding;
  private readonly hops: Hops;

  constructor(context: Context, arrival: Arrival, judgement: Judgement, forwarding: Forwarding) {
    this.arrival = arrival;
    this.judgement = judgement;
    this.forwarding = forwarding;
    this.source = arrival.source;
    this.party = new Party(arrival.listener, arrival.sourceText, arrival.tls);
    this.bearer = new Bearer(context);
    this.hops = new Hops(arrival);
  }

  /** Whether requests of several clients may come by the connection, so that a verdict on one says nothing of the next. */
  get isShared(): boolean {
    return this.hops.isTrusted || this.bearer.identities.length > 0;
  }

  /** hot: learns who sends a request whose head was just scanned. False where that has to be waited for; `waiting` is told when it is over. */
  learn(bytes: Buffer, head: RequestHead, waiting: WaitingRequest): boolean {
    const { hops, judgement } = this;
    const isNew = hops.trust(judgement.application.trusted);
    if (hops.isTrusted ? hops.learn(bytes, head) : isNew) {
      this.source = hops.source;
      this.party = new Party(this.arrival.listener, hops.sourceText, this.arrival.tls);
      this.forwarding.follow(hops.words);
      judgement.comeFrom(hops.source);
    }
    if (judgement.checker !== null) return this.bearer.identify(bytes, head, judgement, waiting);
    this.bearer.forget();
    return true;
  }
}
