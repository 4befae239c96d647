/** Keeps the minutes before a change at hand, and looks at what the change does while its guard stands. */
import type { NodeView } from '../observe/view.ts';
import { type GuardBounds, judge, type Sample, Samples, sampleOf } from './guard.ts';

const SAMPLE_MS = 2_000;
const LOOK_MS = 1_000;

export class GuardWatch {
  readonly #view: Pick<NodeView, 'counters' | 'servers'>;
  readonly #samples = new Samples();
  readonly #sampling: NodeJS.Timeout;
  #looking: NodeJS.Timeout | null = null;

  constructor(view: Pick<NodeView, 'counters' | 'servers'>) {
    this.#view = view;
    this.#sampling = setInterval(() => this.#samples.add(this.look()), SAMPLE_MS);
    this.#sampling.unref();
  }

  look(): Sample {
    return sampleOf(this.#view.counters(), this.#view.servers(), Date.now());
  }

  /** Calls `harm` once where a share rises beyond its bound; ends after the bound's time, or when `isOver`. One guard stands at a time. */
  begin(bounds: GuardBounds, change: Sample, on: { isOver: () => boolean; harm: (what: string) => void }): void {
    this.stop();
    const start = this.#samples.before(change.at);
    this.#looking = setInterval(() => {
      if (on.isOver()) return this.stop();
      const now = this.look();
      const harm = judge(start, change, now, bounds);
      if (harm === null && now.at - change.at <= bounds.forMs) return;
      this.stop();
      if (harm !== null) on.harm(harm);
    }, LOOK_MS);
    this.#looking.unref();
  }

  stop(): void {
    if (this.#looking !== null) clearInterval(this.#looking);
    this.#looking = null;
  }

  close(): void {
    clearInterval(this.#sampling);
    this.stop();
  }
}
