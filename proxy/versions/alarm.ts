/**
 * Rings once at a moment, however far away. A moment is of the clock on the wall, and a timer counts time that passed: it may end a millisecond
 * before its moment, or hours beside it where the clock was set. So the clock is looked at again, and nothing rings before its moment.
 */

/** After a clock was set, an alarm is late by no more than this. */
const LOOK_MS_MAX = 30_000;

export class Alarm {
  readonly #ring: () => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Milliseconds since 1970; Infinity: never. What was set before is forgotten. */
  at(moment: number): void {
    this.off();
    if (Number.isFinite(moment)) this.#wait(moment, moment - Date.now());
  }

  off(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #wait(moment: number, milliseconds: number): void {
    const look = () => {
      const rest = moment - Date.now();
      if (rest > 0) this.#wait(moment, rest);
      else this.#ring();
    };
    this.#timer = setTimeout(look, Math.max(0, Math.min(milliseconds, LOOK_MS_MAX)));
    this.#timer.unref();
  }
}
