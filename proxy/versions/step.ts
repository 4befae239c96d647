/** What is brought into force: a document with the texts that it came from, by whom, and under which conditions. */
import type { Document } from '../../config/document.ts';
import type { Source } from '../../config/load.ts';
import type { Actor } from './actor.ts';
import type { ProblemView } from './orders.ts';
import type { Cause, Overlay, VersionRecord } from './record.ts';

/** A document that stands, with the texts that it came from. */
export interface Standing {
  readonly sources: readonly Source[];
  readonly document: Document;
}

export interface Step extends Standing {
  readonly overlay: Overlay;
  readonly cause: Cause;
  readonly actor: Actor;
  readonly note: string | null;
  readonly confirm: VersionRecord['confirm'];
  /** Asked for when it is in force. */
  readonly warnings?: () => readonly ProblemView[];
}
