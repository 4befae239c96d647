/** How a denied client's connection ends, where its rule or its protocol asks for more than a reset. */
import type { DenyWith } from '../../config/document.ts';
import type { ProtocolSet } from '../../config/protocols.ts';
import type { Held } from '../wire/held.ts';
import type { Wire } from '../wire/wire.ts';
import type { Flow } from '../worker/account.ts';
import type { Context } from '../worker/context.ts';
import type { ListenerPlace } from '../worker/session.ts';
import { denialWords } from './denial.ts';
import { bidFarewell, holdInTarpit } from './farewell.ts';

/** The session whose client is denied. */
export interface PartingPlace {
  readonly context: Context;
  readonly listener: ListenerPlace;
  readonly client: Wire;
  readonly flow: Flow;
  readonly protocols: ProtocolSet;
  /** First bytes, of the client unless the server spoke. */
  readonly held: Held;
  readonly heldFromServer: boolean;
  /** Counts bytes from (0) or to (1) the client. */
  count(direction: 0 | 1, length: number): void;
}

/** Ends the client's connection in the way that is asked for; its wire is no longer the session's then. False where a reset is what is left. */
export function partWith(place: PartingPlace, way: DenyWith): boolean {
  const { context, client, held } = place;
  switch (way) {
    case 'reset':
      return false;
    case 'close':
      client.close();
      return true;
    case 'tarpit':
      return holdInTarpit(context, client, place.listener.application);
    case 'reply': {
      const words = denialWords(place.protocols, context.journal.receipt(place.flow.receipt));
      if (words === null || client.error !== 0) return false;
      const first = held.empty || place.heldFromServer ? null : Buffer.from(held.bytes.subarray(0, held.length));
      if (!bidFarewell(context, client, words, place.protocols, first)) return false;
      place.count(1, words.length);
      return true;
    }
    default:
      return way satisfies never;
  }
}
