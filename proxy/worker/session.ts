/** What every live client connection is to the worker, whatever it carries. */
import type { FlowRecord } from '../observe/view.ts';
import type { Redecided } from './redecided.ts';

/** A client connection, in whatever stage. */
export interface Session {
  nextSession: Session | null;
  previousSession: Session | null;
  /** The policy changed: decides again. Answers what becomes of the session, or of a flow of it. */
  redecide(): Redecided;
  /** The node is leaving: ends what is idle, asks the rest to end after what is under way. */
  drain(): void;
  /** Ends it now. */
  abort(reason: string): void;
  /** The flows that it carries now. */
  describe(into: FlowRecord[]): void;
  /** Where it was accepted. */
  readonly listener: ListenerPlace;
}

/** The VIP that a connection came in by; its indices follow the policy in force, -1 where the VIP is gone. */
export interface ListenerPlace {
  readonly text: string;
  readonly port: number;
  vip: number;
  application: number;
  /** The parts of a flow's record that the VIP alone decides, as last written. */
  record: { readonly application: string; readonly protocols: number; readonly front: Buffer; readonly back: Buffer } | null;
}
