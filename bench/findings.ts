/** What a run finds out: samples by work, peer and round, and what failed. The report, the JSON and the plot are made from it. */
import type { RoundSample } from './statistics.ts';

/** One thing measured. Lower is better for every one of them. */
export interface Measure {
  /** Stable: the key in JSON and of the target. */
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  /** Unit of the rate at which the work went, where that says something. */
  readonly rateUnit: string | null;
  /** How it was measured, in a sentence. */
  readonly how: string;
  /** The series that all others of this measure are compared with; null: proxies are compared with each other. */
  readonly baseline: string | null;
  /** Turns before the first that counts; 1 where nothing is said. */
  readonly warmUpTurns?: number;
}

export interface Sample extends RoundSample {
  /** Units of work a second; 0 where it says nothing. */
  readonly rate: number;
  /** Share of one core that the proxy used (can exceed 1); 0 where it says nothing. */
  readonly load: number;
}

export interface Failure {
  /** Key of the measure, or `start`. */
  readonly measure: string;
  readonly peer: string;
  readonly reason: string;
}

export class Findings {
  readonly measures: Measure[] = [];
  readonly failures: Failure[] = [];
  readonly notes: string[] = [];
  readonly #series = new Map<string, Map<string, Sample[]>>();

  /** Makes a measure known; its samples follow. Measures stay in the order in which they came. */
  declare(measure: Measure): void {
    if (this.#series.has(measure.key)) return;
    this.measures.push(measure);
    this.#series.set(measure.key, new Map());
  }

  add(key: string, peer: string, sample: Sample): void {
    const series = this.#series.get(key);
    if (series === undefined) throw new Error(`measure ${key} was not declared`);
    const samples = series.get(peer);
    if (samples === undefined) series.set(peer, [sample]);
    else samples.push(sample);
  }

  fail(measure: string, peer: string, reason: string): void {
    this.failures.push({ measure, peer, reason });
  }

  note(text: string): void {
    if (!this.notes.includes(text)) this.notes.push(text);
  }

  /** Samples of one measure by peer, in the order in which the peers first ran. */
  series(key: string): ReadonlyMap<string, readonly Sample[]> {
    return this.#series.get(key) ?? new Map();
  }
}
