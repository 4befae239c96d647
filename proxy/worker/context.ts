/**
 * What the flows of one worker share: the policy in force, time, counts, the journal. Made by the worker once; only `policy` and
 * `draining` ever change.
 */

import type { Upstreams } from '../http/upstreams.ts';
import type { KeySets } from '../identity/key-sets.ts';
import type { LimitTable } from '../shared/limit-table.ts';
import type { ServerTable } from '../shared/servers.ts';
import type { Slices } from '../shared/slices.ts';
import type { Wheel } from '../wire/wheel.ts';
import type { ConnectionCaps } from './caps.ts';
import type { Clock } from './clock.ts';
import type { JournalWriter } from './journal-writer.ts';
import type { PolicyInForce } from './policy-in-force.ts';
import type { SessionList } from './sessions.ts';

export interface Context {
  readonly worker: number;
  policy: PolicyInForce;
  readonly clock: Clock;
  readonly wheel: Wheel;
  readonly sessions: SessionList;
  readonly servers: ServerTable;
  readonly caps: ConnectionCaps;
  /** What is spent of the limits of rules, exact over workers. */
  readonly limitTable: LimitTable;
  readonly journal: JournalWriter;
  readonly upstreams: Upstreams;
  readonly keys: KeySets;
  /** Counts connections to servers by row, exact over workers. */
  readonly serverFlows: Slices;
  draining: boolean;
  readonly random: () => number;
}
