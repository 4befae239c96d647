/**
 * What the policy says of the requests of one client connection. What depends on the connection alone is decided once a generation; the text of a
 * request is only made where a rule asks for it.
 */
import { HTTP, type ProtocolSet, protocolsOn, WEBSOCKET } from '../../config/protocols.ts';
import type { ConnectionFacts } from '../../policy/connection.ts';
import { ALLOW, DENY, type Decision, decide, kindOf } from '../../policy/decide.ts';
import { atomOf, NO_ADDRESS_ATOM } from '../../policy/lookup.ts';
import { pathFacts } from '../../policy/readings.ts';
import { type HttpFacts, normaliseHost, UNREAD_PATH } from '../../policy/request.ts';
import type { SourceWords } from '../balance/pool.ts';
import type { TokenChecker } from '../identity/token.ts';
import type { PlannedApplication } from '../node/plan.ts';
import { hitNodeLimit } from '../shared/node-limits.ts';
import { type Arrival, connectionOf, type StreamSpeech } from '../worker/arrival.ts';
import type { Context } from '../worker/context.ts';
import type { PolicyInForce } from '../worker/policy-in-force.ts';
import type { ListenerPlace } from '../worker/session.ts';
import type { ClientRequest } from './request.ts';
import { SentFields } from './sent-fields.ts';

export class Judgement {
  /** The policy that the connection was last decided by, and its application there: a swap reaches connections one after the other. */
  decided: PolicyInForce;
  application: PlannedApplication;
  /** What is known of the client beside its address. */
  known: ConnectionFacts;
  readonly hasAddress: boolean;
  atom: number;
  /** Whether rules or routes ask for the path, so that it is resolved before it goes on. */
  asksForPaths: boolean;
  /** Who checks the tokens that requests bring; null where no rule asks who sends them. */
  checker: TokenChecker | null;
  private readonly context: Context;
  /** What is known of the connection itself, whoever sends requests by it. */
  private readonly own: ConnectionFacts;
  private readonly listener: ListenerPlace;
  private source: SourceWords;
  private readonly request: ClientRequest;
  private readonly speech: StreamSpeech | null;
  /** The verdict of `decided` as far as it depends on the connection alone, and the protocols that it was made for. */
  private verdict: Decision;
  private judgedFor: ProtocolSet;

  /** `request` holds one request of the connection after the other. */
  constructor(context: Context, arrival: Arrival, request: ClientRequest) {
    this.context = context;
    this.listener = arrival.listener;
    this.source = arrival.source;
    this.hasAddress = arrival.hasAddress;
    this.own = this.known = connectionOf(arrival);
    this.request = request;
    this.application = arrival.application;
    this.decided = context.policy;
    this.atom = NO_ADDRESS_ATOM;
    this.speech = arrival.stream;
    this.verdict = 0;
    this.judgedFor = HTTP;
    this.asksForPaths = false;
    this.checker = null;
    this.renew();
  }

  /** Decides as far as the connection alone allows. */
  renew(): void {
    const { policy } = this.context;
    const { image } = policy;
    const { source, listener } = this;
    this.decided = policy;
    this.application = policy.application(listener.application);
    this.asksForPaths = image.asksForPaths || policy.routesOf(listener.application)?.asksForPaths === true;
    this.checker = image.asksForIdentities ? policy.checkerOf(listener.application) : null;
    // Tokens are not taken (any more): they show nobody, and what the last one showed is no fact of this policy.
    if (this.checker === null) this.known = this.own;
    if (this.hasAddress) this.atom = atomOf(image, source[0], source[1], source[2], source[3]);
    this.judgedFor = this.spoken;
    this.verdict = decide(image, listener.vip, this.atom, this.judgedFor, null, this.known);
  }

  /** What the request under way speaks. */
  get spoken(): ProtocolSet {
    return this.speech === null ? HTTP : this.speech.protocols;
  }

  /** hot: the same, where it may be an upgrade to a WebSocket. */
  spokenIn(upgrading: boolean): ProtocolSet {
    return upgrading ? protocolsOn('http', this.spoken | WEBSOCKET) : this.spoken;
  }

  /** hot: whether the verdict on the connection is still that of the policy in force and of what is spoken. */
  get isCurrent(): boolean {
    return this.decided === this.context.policy && this.judgedFor === this.spoken;
  }

  /** Requests come from somebody else now, beside whom the connection is known to belong to. */
  identify(identities: readonly string[]): void {
    const { own } = this;
    this.known = identities.length === 0 ? own : { ...own, identities: [...(own.identities ?? []), ...identities] };
    this.renew();
  }

  /** The next request is that of another client, as a trusted proxy says. */
  comeFrom(source: SourceWords): void {
    this.source = source;
    this.renew();
  }

  /** Whatever it asks for, no request of the connection is allowed. */
  get deniesAll(): boolean {
    return kindOf(this.verdict) === DENY;
  }

  /** The verdict on the connection alone; it may depend on the request. */
  get onConnection(): Decision {
    return this.verdict;
  }

  /** hot: the verdict on the request that was just prepared. */
  onRequest(upgrading: boolean): Decision {
    const kind = kindOf(this.verdict);
    if (!upgrading && (kind === ALLOW || kind === DENY)) return this.verdict;
    const protocols = this.spokenIn(upgrading);
    if (upgrading) {
      const early = decide(this.context.policy.image, this.listener.vip, this.atom, protocols, null, this.known);
      if (kindOf(early) === ALLOW || kindOf(early) === DENY) return early;
    }
    return this.again(protocols);
  }

  /** The verdict on the request under way. */
  again(protocols: number): Decision {
    return decide(this.context.policy.image, this.listener.vip, this.atom, protocols, this.facts(), this.known);
  }

  /**
   * The facts of the request under way, from what is kept of it: what the server gets is what is judged, also where the host is that of an
   * absolute target, or ours for a client that named none.
   */
  facts(): HttpFacts {
    const { request } = this;
    const { bytes } = request;
    const paths = pathFacts(bytes.toString('latin1', request.pathStart, request.pathEnd));
    if (paths.readings?.[0] === UNREAD_PATH) hitNodeLimit('path-readings');
    return {
      kind: 'http',
      method: bytes.toString('latin1', 0, request.methodEnd),
      host: normaliseHost(request.hostName.toString('latin1')),
      ...paths,
      headers: new SentFields(bytes, request.pathEnd),
    };
  }
}
