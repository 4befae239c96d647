/** Answers to what never became a request: recorded without a verdict. */
import type { PlannedApplication } from '../node/plan.ts';
import * as ledger from '../shared/ledger.ts';
import type { Wire } from '../wire/wire.ts';
import { closeFlow, Flow, openFlow, type Party } from '../worker/account.ts';
import type { Context } from '../worker/context.ts';
import type { ListenerPlace } from '../worker/session.ts';
import type { Judgement } from './judgement.ts';
import { type ReplyError, reply } from './reply.ts';
import { type RequestFault, STATUS_OF_FAULT } from './request-head.ts';

/** The connection that the bytes came by. */
export interface RefusingPlace {
  readonly context: Context;
  readonly listener: ListenerPlace;
  readonly client: Wire;
  readonly party: Party;
  readonly application: PlannedApplication;
  readonly judgement: Judgement;
}

/** The bytes were no request that could go on. `seen`: how many there were. */
export function refuseFault(place: RefusingPlace, fault: RequestFault, seen: number): void {
  const { ledger: counters } = place.context.policy;
  if (fault === 'head-size' || fault === 'target-size') counters.limit(place.listener.application, fault);
  else if (fault === 'too-many-fields') counters.limit(place.listener.application, 'head-fields');
  const status = STATUS_OF_FAULT[fault];
  const error: ReplyError =
    status === 414 ? 'target-too-long' : status === 431 ? 'head-too-large' : status === 405 ? 'connect-not-supported' : 'bad-request';
  answerUnread(place, status, error, fault, seen);
}

/** The caller lets the connection linger. A source that no rule allows gets no conversation about its syntax. */
export function answerUnread(place: RefusingPlace, status: number, error: ReplyError, detail: string, seen: number): void {
  const { context, listener, judgement } = place;
  const flow = new Flow();
  openFlow(context, flow, listener.application, -1, -1, context.clock.now());
  const denied = judgement.deniesAll && !place.application.observes;
  const receipt = context.journal.receipt(flow.receipt);
  const bytes = denied ? reply(403, 'denied', receipt, null, false, false) : reply(status, error, receipt, detail, false, false);
  flow.status = denied ? 403 : status;
  flow.bytesIn = seen;
  flow.bytesOut = bytes.length;
  const counters = context.policy.ledger;
  counters.add(listener.application, ledger.RESPONSES + Math.floor(flow.status / 100) - 1, 1);
  counters.add(listener.application, ledger.BYTES_OUT, bytes.length);
  place.client.writeBytes(bytes);
  closeFlow(context, flow, listener.application, place.party, null, 'client', `${error}: ${detail}`, context.clock.now());
}
