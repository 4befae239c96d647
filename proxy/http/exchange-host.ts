/** What an exchange needs of its client connection, and tells it. */
import type { LeasePlace } from '../balance/lease.ts';
import type { Chunk } from '../wire/chunks.ts';
import type { Party } from '../worker/account.ts';
import type { Forwarding } from './compose.ts';
import type { TunnelHost } from './tunnel.ts';

/** The client connection that an exchange belongs to. */
export interface ExchangeHost extends LeasePlace, TunnelHost {
  readonly party: Party;
  readonly forwarding: Forwarding;
  /** Reads the client on, unless it is ahead of its answers already. */
  readOn(): void;
  /** Bytes of the client behind the request, if any were read; theirs who asks. */
  takeHeld(): Chunk | null;
  /** The exchange is over; the connection may carry another, or is to be closed once everything is sent. */
  exchangeDone(keep: boolean): void;
  /** The exchange is over, and the connection with it: at once. */
  exchangeBroken(): void;
}
