/**
 * Something that is to end by itself. It takes its turn among the orders. What stood in its way may be gone a moment later, and nobody else asks for it:
 * so it is tried again until it has come about or is not wanted any more.
 */
import { Alarm } from './alarm.ts';

/** Soon for those who wait for it, and next to no load where it takes hours. */
export const RETRY_MS_DEFAULT = 5_000;

/** Does this when all that was ordered before it is done. Rejects where the work does, and where nothing is carried out any more. */
export type InTurn = <T>(work: () => Promise<T>) => Promise<T>;

/** Answers what stands in the way; empty where it has come about, or is not wanted any more. */
export type Attempt = () => Promise<readonly string[]>;

export interface EndingSettings {
  readonly inTurn: InTurn;
  /** Told what stands in the way when that is news, not with every try. */
  readonly hindered: (problems: readonly string[]) => void;
  readonly retryMs: number;
}

export class Ending {
  readonly #attempt: Attempt;
  readonly #settings: EndingSettings;
  readonly #alarm = new Alarm(() => this.#try());
  #retry: NodeJS.Timeout | null = null;
  #told = '';
  #isClosed = false;

  constructor(attempt: Attempt, settings: EndingSettings) {
    this.#attempt = attempt;
    this.#settings = settings;
  }

  /** Milliseconds since 1970; Infinity: never. What was set before is forgotten, and so is what was still to be tried again. */
  at(moment: number): void {
    this.#off();
    this.#told = '';
    if (!this.#isClosed) this.#alarm.at(moment);
  }

  /** Nothing is tried any more, also where a try is under way. */
  close(): void {
    this.#isClosed = true;
    this.#off();
  }

  #off(): void {
    this.#alarm.off();
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
  }

  #try(): void {
    const tried = this.#settings.inTurn(() => this.#attempt().catch((error: unknown) => [String(error)]));
    // Where nothing is carried out any more there is nothing to be tried again.
    tried.then(
      (problems) => this.#tried(problems),
      () => undefined,
    );
  }

  #tried(problems: readonly string[]): void {
    const told = problems.join('\n');
    const before = this.#told;
    this.#told = told;
    if (problems.length === 0) return;
    if (told !== before) this.#settings.hindered(problems);
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = this.#isClosed ? null : setTimeout(() => this.#try(), this.#settings.retryMs).unref();
  }
}
