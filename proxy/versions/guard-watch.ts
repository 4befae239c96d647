/** Keeps the minutes before a change at hand, and looks at what the change does while its guard stands. */
import type { NodeView } from '../observe/view.ts';
import { culprit, type GuardBounds, judge, type Sample, Samples, type Shares, sampleOf, sharesOf } from './guard.ts';

const SAMPLE_MS = 2_000;
const LOOK_MS = 1_000;

type Watched = Pick<NodeView, 'counters' | 'servers' | 'serverNames'>;

/** What a node has come to before a change: sums, and whose they are. */
export interface Before {
  readonly sample: Sample;
  readonly shares: Shares;
}

export class GuardWatch {
  readonly #view: Watched;
  readonly #samples = new Samples();
  readonly #sampling: NodeJS.Timeout;
  #looking: NodeJS.Timeout | null = null;

  constructor(view: Watched) {
    this.#view = view;
    this.#sampling = setInterval(() => this.#samples.add(this.#look()), SAMPLE_MS);
    this.#sampling.unref();
  }

  look(): Before {
    return { sample: this.#look(), shares: this.#shares() };
  }

  #look(): Sample {
    return sampleOf(this.#view.counters(), this.#view.servers(), this.#view.serverNames(), performance.now());
  }

  #shares(): Shares {
    return sharesOf(this.#view.counters(), this.#view.servers());
  }

  /** Calls `harmed` once where a share rises beyond its bound; ends after the bound's time, or when told to. One guard stands at a time. */
  begin(bounds: GuardBounds, { sample: change, shares }: Before, harmed: (what: string) => void): void {
    this.stop();
    const start = this.#samples.before(change.at);
    this.#looking = setInterval(() => {
      const now = this.#look();
      const harm = judge(start, change, now, bounds);
      if (harm === null && now.at - change.at <= bounds.forMs) return;
      this.stop();
      if (harm !== null) harmed(`${harm.what}${culprit(harm.part, shares, this.#shares())}`);
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
