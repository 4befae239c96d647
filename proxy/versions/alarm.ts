/** Rings once at a moment, however far away; a timer of Node reaches no further than 24.8 days. */

const TIMER_MS_MAX = 2 ** 31 - 1;

export class Alarm {
  readonly #ring: () => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Milliseconds since 1970; Infinity: never. What was set before is forgotten. */
  at(moment: number): void {
    this.off();
    if (!Number.isFinite(moment)) return;
    const wait = Math.max(0, moment - Date.now());
    this.#timer = setTimeout(() => (wait > TIMER_MS_MAX ? this.at(moment) : this.#ring()), Math.min(wait, TIMER_MS_MAX));
    this.#timer.unref();
  }

  off(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
