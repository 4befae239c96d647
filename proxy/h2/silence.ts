/**
 * Whether a server is still there that says nothing. It may have gone without a word (a cable that was pulled, a process that hangs), and every
 * request would then wait for its answer in vain. It is asked by a PING, and whatever is read of it is an answer.
 */
import { OnWheel } from '../wire/wheel.ts';
import type { Context } from '../worker/context.ts';
import { SILENCE_MS_MAX } from './allowance.ts';

/** The session that is asked on. */
export interface SilentPlace {
  readonly context: Context;
  /** How often something was read. */
  readonly reads: number;
  sendPing(): void;
  /** Nothing has come since. */
  gone(): void;
}

export class Silence extends OnWheel {
  private readonly place: SilentPlace;
  private asked = false;
  private readsBefore = 0;

  constructor(place: SilentPlace) {
    super();
    this.place = place;
  }

  /** One question at a time, and none sooner after it: clients that give up request after request cost a good server no more than that. */
  ask(): void {
    if (this.asked) return;
    const { place } = this;
    this.asked = true;
    this.readsBefore = place.reads;
    place.sendPing();
    place.context.wheel.arm(this, place.context.clock.coarse + SILENCE_MS_MAX);
  }

  /** The session is over. */
  drop(): void {
    this.place.context.wheel.disarm(this);
  }

  expired(): void {
    this.asked = false;
    if (this.place.reads === this.readsBefore) this.place.gone();
  }
}
