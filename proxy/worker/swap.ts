/** Asks every live session again after a swap, in slices, so that no swap holds up traffic for longer than a slice takes. */
import type { SessionList } from './sessions.ts';

/** A decision takes well under a microsecond, a cut a few; a slice stays below 2 ms. */
const SLICE_SESSIONS = 256;

export async function redecideAll(sessions: SessionList): Promise<{ cut: number; kept: number }> {
  let cut = 0;
  let kept = 0;
  const walk = sessions.walk();
  for (;;) {
    for (let i = 0; i < SLICE_SESSIONS; i++) {
      const session = walk.step();
      if (session === null) return { cut, kept };
      if (session.redecide()) cut++;
      else kept++;
    }
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
