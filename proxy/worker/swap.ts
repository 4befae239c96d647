/** Asks every live session again after a swap, in slices, so that no swap holds up traffic for longer than a slice takes. */
import { CUT, DRAINING } from './redecided.ts';
import type { Session } from './session.ts';
import type { SessionList } from './sessions.ts';

/** A decision takes well under a microsecond, a cut some fifty (two sockets are reset); so a slice is bounded by time. */
const SLICE_MS = 0.5;
/** Sessions that are left alone, between two looks at the clock. */
const KEPT_PER_LOOK = 16;

/** What became of the sessions that were live. */
export interface Asked {
  readonly cut: number;
  readonly kept: number;
  /** No longer allowed, and coming to their end. */
  readonly draining: number;
}

/** Lets what else is due run first. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** `isRevoked`: whether the certificate of a session's client is no longer good, so that no rule need be asked. */
export async function redecideAll(sessions: SessionList, isRevoked: (session: Session) => boolean): Promise<Asked> {
  let ended = 0;
  let kept = 0;
  let draining = 0;
  const walk = sessions.walk();
  for (;;) {
    const until = performance.now() + SLICE_MS;
    for (let unlooked = 0; unlooked < KEPT_PER_LOOK || performance.now() < until; ) {
      if (unlooked === KEPT_PER_LOOK) unlooked = 0;
      const session = walk.step();
      if (session === null) return { cut: ended, kept, draining };
      const outcome = isRevoked(session) ? cut(session) : session.redecide();
      if (outcome === CUT) {
        ended++;
        unlooked = KEPT_PER_LOOK;
      } else {
        unlooked++;
        if (outcome === DRAINING) draining++;
        else kept++;
      }
    }
    await nextTurn();
  }
}

function cut(session: Session): typeof CUT {
  session.abort('client certificate revoked');
  return CUT;
}
