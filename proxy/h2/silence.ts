/**
 * Whether a server is still there that says nothing. It may have gone without a word (a cable that was pulled, a process that hangs), and every
 * request would then wait for its answer in vain. It is asked by a PING, and whatever is read of it is an answer.
 */
import { OnWheel } from '../wire/wheel.ts';
import type { Context } from '../worker/context.ts';
import { QUESTION_REST_MS, QUESTIONS_MAX, SILENCE_MS_MAX } from './allowance.ts';

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
  private asking = false;
  private readsBefore = 0;
  private askedAt = 0;
  /** How often it was asked since it has answered a request. */
  private questions = 0;

  constructor(place: SilentPlace) {
    super();
    this.place = place;
  }

  /** One question at a time, and few in all: clients that give up request after request must not make a good server end the session for it. */
  ask(): void {
    const { place } = this;
    const now = place.context.clock.coarse;
    if (this.asking || (this.questions >= QUESTIONS_MAX && now < this.askedAt + QUESTION_REST_MS)) return;
    this.asking = true;
    this.askedAt = now;
    this.questions++;
    this.readsBefore = place.reads;
    place.sendPing();
    place.context.wheel.arm(this, now + SILENCE_MS_MAX);
  }

  /** hot: the server answers a request. */
  answered(): void {
    this.questions = 0;
  }

  /** The session is over. */
  drop(): void {
    this.place.context.wheel.disarm(this);
  }

  expired(): void {
    this.asking = false;
    if (this.place.reads === this.readsBefore) this.place.gone();
  }
}
