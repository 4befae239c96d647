/** Whose state folder it is: one process at a time, and from that one to its follower without a moment in between. */
import type { Logger } from '../observe/log.ts';
import { type Door, doorOf, openDoor, ownerOf } from './door.ts';
import { Handover, type Leaving } from './handover.ts';
import { follow, type Predecessor, TakeoverError } from './takeover.ts';

/** The folder belongs to a process that runs. */
export class StateError extends Error {
  readonly code = 'state-in-use';
}

export class Ownership {
  /** The process that is being followed; null where there is none. */
  readonly predecessor: Predecessor | null;
  readonly #path: string | null;
  readonly #log: Logger;
  #door: Door | null = null;

  private constructor(path: string | null, predecessor: Predecessor | null, log: Logger) {
    this.#path = path;
    this.predecessor = predecessor;
    this.#log = log;
  }

  /**
   * Claims a state folder. Where a process owns it, `takeover` asks that process for its sockets, and lets it carry on until `settle`. Rejects with a
   * StateError or a TakeoverError that says what to do.
   */
  static async claim(state: string | null, takeover: boolean, log: Logger): Promise<Ownership> {
    const place = state === null ? null : doorOf(state);
    if (place === null || !place.ok) {
      if (takeover)
        throw new TakeoverError(place?.message ?? 'the process to follow is found by its state folder: set process.state to a folder');
      if (place !== null) log.warn({}, place.message);
      return new Ownership(null, null, log);
    }
    const { path } = place;
    if (takeover) {
      const predecessor = await follow(path);
      if (predecessor === null) log.info({}, 'no process owns the state folder: there is nobody to follow');
      else log.info({ predecessor: predecessor.pid, sockets: predecessor.sockets.length }, 'following a running process');
      return new Ownership(path, predecessor, log);
    }
    const owner = await ownerOf(path);
    if (owner === null) return new Ownership(path, null, log);
    const who = owner === 0 ? 'a running process' : `the running process ${owner}`;
    throw new StateError(
      `the state folder ${state} belongs to ${who}: stop it, add --takeover to follow it without a lost connection, or set process.state to another folder`,
    );
  }

  /** Relieves the predecessor, if there is one, and listens for a follower. A door that cannot be opened costs the next takeover, not the start. */
  async settle(leaving: Leaving): Promise<void> {
    const { predecessor } = this;
    if (predecessor !== null && !(await predecessor.relieve()))
      this.#log.error({ predecessor: predecessor.pid }, 'the process before this one does not say that it leaves; look at it, and stop it');
    void predecessor?.gone.then(() => this.#log.info({ predecessor: predecessor.pid }, 'the process before this one has ended'));
    if (this.#path === null) return;
    const handover = new Handover(leaving);
    try {
      this.#door = await openDoor(this.#path, (passage) => void handover.serve(passage));
    } catch (error) {
      this.#log.error({ err: error }, 'the state folder has no door; a second process cannot tell that it is in use, nor take over');
    }
  }

  /** Gives the folder up, or leaves it to a follower. */
  close(leave: boolean): void {
    this.#door?.close(leave);
    this.#door = null;
  }
}
