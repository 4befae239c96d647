/** What every live client connection is to the worker, whatever it carries. */
import type { FlowRecord } from '../observe/view.ts';
import type { CertificateId } from '../tls/revocation-list.ts';
import { OnWheel } from '../wire/wheel.ts';
import type { Redecided } from './redecided.ts';

/** What is known of a client whatever it speaks. */
interface Arrived {
  readonly tls: { readonly certificate: CertificateId | null } | null;
}

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
  readonly arrival: Arrived;
}

/** A session that is on no list yet, and has no deadline. */
export abstract class LiveSession extends OnWheel implements Session {
  nextSession: Session | null = null;
  previousSession: Session | null = null;

  abstract readonly listener: ListenerPlace;
  abstract readonly arrival: Arrived;
  abstract redecide(): Redecided;
  abstract drain(): void;
  abstract abort(reason: string): void;
  abstract describe(into: FlowRecord[]): void;
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
