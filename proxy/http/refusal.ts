/** Answers to what never became a request: recorded without a verdict. */
import { beginsProxyHeader } from '../arrival/proxy-header.ts';
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

/** For the journal alone: a client that means no proxy has no use for it, and one whose operator forgot to list it is looked for there. */
const PROXY_HEADER = 'it began with a PROXY header, which is not expected from its address';

/** The bytes were no request that could go on. */
export function refuseFault(place: RefusingPlace, fault: RequestFault, bytes: Buffer): void {
  const { ledger: counters } = place.context.policy;
  if (fault === 'head-size' || fault === 'target-size') counters.limit(place.listener.application, fault);
  else if (fault === 'too-many-fields') counters.limit(place.listener.application, 'head-fields');
  const status = STATUS_OF_FAULT[fault];
  const error: ReplyError =
    status === 414 ? 'target-too-long' : status === 431 ? 'head-too-large' : status === 405 ? 'connect-not-supported' : 'bad-request';
  answerUnread(place, status, error, fault, bytes.length, beginsProxyHeader(bytes) ? `${fault}: ${PROXY_HEADER}` : fault);
}

/**
 * The caller lets the connection linger. A source that no rule allows gets no conversation about its syntax. `seen`: how many bytes there were;
 * `recorded`: the detail as the journal has it.
 */
export function answerUnread(
  place: RefusingPlace,
  status: number,
  error: ReplyError,
  detail: string,
  seen: number,
  recorded: string = detail,
): void {
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
  closeFlow(context, flow, listener.application, place.party, null, 'client', `${error}: ${recorded}`, context.clock.now());
}
