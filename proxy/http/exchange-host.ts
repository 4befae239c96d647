/** What an exchange needs of its client connection, and tells it. */
import type { LeasePlace } from '../balance/lease.ts';
import type { RelayPlace } from '../relay/relay.ts';
import type { Chunk } from '../wire/chunks.ts';
import type { Wire } from '../wire/wire.ts';
import type { Party } from '../worker/account.ts';
import type { Tenure } from '../worker/tenure.ts';
import type { Forwarding } from './compose.ts';

/** The client's side, as an answer meets it. It has one deadline. */
export interface ClientSide extends RelayPlace {
  readonly client: Wire;
  /** No more requests are to come by it: its next answer says so. */
  readonly closing: boolean;
  /** Sets the connection's one deadline, in milliseconds from now. */
  expireIn(milliseconds: number): void;
}

/** The client connection that an exchange belongs to. */
export interface ExchangeHost extends LeasePlace, ClientSide {
  readonly party: Party;
  readonly forwarding: Forwarding;
  readonly tenure: Tenure;
  /** Reads the client on, unless it is ahead of its answers already. */
  readOn(): void;
  /** Bytes of the client behind the request, if any were read; theirs who asks. */
  takeHeld(): Chunk | null;
  /** The exchange is over; the connection may carry another, or is to be closed once everything is sent. */
  exchangeDone(keep: boolean): void;
  /** The exchange is over, and the connection with it: at once. */
  exchangeBroken(): void;
}
