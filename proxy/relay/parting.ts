/** How a denied client's connection ends, where its rule or its protocol asks for more than a reset. */
import type { DenyWith } from '../../config/document.ts';
import type { ProtocolSet } from '../../config/protocols.ts';
import type { Wire } from '../wire/wire.ts';
import type { Flow } from '../worker/account.ts';
import type { Context } from '../worker/context.ts';
import type { ListenerPlace } from '../worker/session.ts';
import { bidFarewell, holdInTarpit } from './farewell.ts';

/** The session whose client is denied. */
export interface PartingPlace {
  readonly context: Context;
  readonly listener: ListenerPlace;
  readonly client: Wire;
  readonly flow: Flow;
  /** What a client that is denied is told; null where its protocol has no words for it, or is not known. */
  words(receipt: string): Buffer | null;
  /** Counts bytes from (0) or to (1) the client. */
  count(direction: 0 | 1, length: number): void;
}

/**
 * Ends the client's connection in the way that is asked for; its wire is no longer the session's then. False where a reset is what is left. `first`:
 * what the client began with, in which `protocols` may have it ask for something that is to be answered before any words; null where it is past that.
 */
export function partWith(place: PartingPlace, way: DenyWith, protocols: ProtocolSet, first: Buffer | null): boolean {
  const { context, client } = place;
  switch (way) {
    case 'reset':
      return false;
    case 'close':
      client.close();
      return true;
    case 'tarpit':
      return holdInTarpit(context, client, place.listener.application);
    case 'reply': {
      const words = place.words(context.journal.receipt(place.flow.receipt));
      if (words === null || client.error !== 0 || !bidFarewell(context, client, words, protocols, first)) return false;
      place.count(1, words.length);
      return true;
    }
    default:
      return way satisfies never;
  }
}
