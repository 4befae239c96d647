/** The leaving side of a takeover: what the owner of a state folder answers at its door. */
import type { LentAddress } from '../admin/listen.ts';
import type { Passage } from '../wire/passage.ts';
import type { Lent } from './sockets.ts';
import { ADMIN_NAME } from './takeover.ts';

/** A follower that is not ready by then has hung; this process then goes on as if nobody had come. */
const FOLLOW_MS_MAX = 60_000;

/** A visitor that says nothing keeps no descriptor. */
const FIRST_WORD_MS_MAX = 2_000;

/** What a running node does for its follower. */
export interface Leaving {
  /** The node carries traffic and can be followed. */
  isReady(): boolean;
  /** Finishes the order under way, and lets no other begin until the returned function is told whether the node has been followed. */
  hold(): Promise<(followed: boolean) => void>;
  lend(): Promise<Lent[]>;
  /** The address of the admin endpoint; null where there is none. */
  lendAdmin(): LentAddress | null;
  /** The follower carries traffic. The state folder is its own once this resolves; the node drains after that. */
  followed(pid: number): Promise<void>;
  failed(pid: number, why: string): void;
}

export class Handover {
  readonly #leaving: Leaving;
  #busy = false;

  constructor(leaving: Leaving) {
    this.#leaving = leaving;
  }

  /** Answers one visitor to its end. Never rejects. */
  async serve(passage: Passage): Promise<void> {
    passage.unref();
    const timer = setTimeout(() => passage.close(), FIRST_WORD_MS_MAX);
    const parcel = await passage.next();
    clearTimeout(timer);
    parcel?.socket?.close();
    if (parcel?.message.type === 'take-over') await this.#lead(passage, Number(parcel.message.pid));
    else if (parcel !== null) {
      await passage.send({ type: 'process', pid: process.pid });
      passage.close();
    }
  }

  async #lead(passage: Passage, pid: number): Promise<void> {
    if (this.#busy || !this.#leaving.isReady()) {
      const why = this.#busy ? 'is being followed by another process already' : 'is starting or leaving itself';
      await passage.send({ type: 'refused', message: `process ${process.pid} ${why}; look at it, and start again` });
      passage.close();
      return;
    }
    this.#busy = true;
    const timer = setTimeout(() => passage.close(), FOLLOW_MS_MAX);
    let release: ((followed: boolean) => void) | null = null;
    try {
      release = await this.#leaving.hold();
      if (!(await this.#pass(passage)) || (await passage.next())?.message.type !== 'ready')
        throw new Error('it has ended, or gives no answer');
      clearTimeout(timer);
      release(true);
      await this.#leaving.followed(pid);
      // Left open on purpose: its end tells the follower that this process has ended.
      await passage.send({ type: 'released' });
    } catch (error) {
      clearTimeout(timer);
      passage.close();
      this.#busy = false;
      release?.(false);
      this.#leaving.failed(pid, error instanceof Error ? error.message : String(error));
    }
  }

  async #pass(passage: Passage): Promise<boolean> {
    const lent = await this.#leaving.lend();
    let isHeard = true;
    for (const { vip, isShared, socket } of lent) {
      if (isHeard) isHeard = await passage.send({ type: 'socket', vip, isShared }, socket);
      // A descriptor of our own beside the one that accepts; shared ones are kept for as long as the node lives.
      if (!isShared) socket.close();
    }
    const admin = this.#leaving.lendAdmin();
    const socket = admin?.socket ?? null;
    // As one that is not shared: a follower that does not know of it closes it.
    if (isHeard && socket !== null) isHeard = await passage.send({ type: 'socket', vip: ADMIN_NAME, isShared: false }, socket);
    const count = lent.length + (socket === null ? 0 : 1);
    return isHeard && passage.send({ type: 'all', pid: process.pid, count, admin: admin?.text ?? null });
  }
}
