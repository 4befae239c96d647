/** Moments at which schedules and ends of rules stand differently to each other. */
import type { Schedule } from '../../config/document.ts';
import { inactivity, nextScheduleChange } from '../schedule.ts';
import type { Fact } from './facts.ts';

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
/** A schedule repeats every week; a day more finds what begins on one and ends on the next. */
const SEARCHED_MS = 8 * DAY_MS;
const EDGES_MOST = 1_000;

export interface Moment {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Texts of the facts that hold then. */
  readonly holding: ReadonlySet<string>;
}

/** The moments from `now` on at which schedules and ends of rules stand differently to each other. */
export class Clock {
  readonly #facts: readonly Fact[];
  readonly #now: number;
  #moments: readonly Moment[] | null = null;

  /** `facts` are all that will be asked for. */
  constructor(facts: readonly Fact[], now: number) {
    this.#facts = [...new Map(facts.filter(isPeriod).map((fact) => [fact.text, fact])).values()];
    this.#now = now;
  }

  /** Every way in which the facts stand to each other, each with a moment at which they do. */
  moments(): readonly Moment[] {
    return (this.#moments ??= this.#find());
  }

  #find(): Moment[] {
    const ends = this.#facts.flatMap(({ until }) => (until !== null && until > this.#now ? [until] : [])).sort((a, b) => a - b);
    const schedules = this.#facts.flatMap(({ schedule }) => (schedule === null ? [] : [schedule]));
    const week = edgesOf(schedules, this.#now, this.#now + SEARCHED_MS);
    const found = new Map<string, Moment>();
    for (const start of [this.#now, ...ends]) {
      const end = ends.find((moment) => moment > start) ?? Number.POSITIVE_INFINITY;
      // What is longer than a week has all that a week has.
      const edges =
        end - start < WEEK_MS ? edgesOf(schedules, start, end) : week.map((edge) => edge + Math.ceil((start - edge) / WEEK_MS) * WEEK_MS);
      for (const at of [start, ...edges]) {
        if (at < start || at >= end) continue;
        const holding = new Set(
          this.#facts.filter(({ until, schedule }) => inactivity({ until, schedule }, at) === null).map(({ text }) => text),
        );
        const key = [...holding].join();
        if (!found.has(key)) found.set(key, { at, holding });
      }
    }
    return [...found.values()];
  }
}

/** The moments from `start` to `end` at which a schedule begins or ceases to hold. */
function edgesOf(schedules: readonly Schedule[], start: number, end: number): number[] {
  const edges = new Set<number>([start]);
  for (const schedule of schedules) {
    let moment = nextScheduleChange(schedule, start);
    for (let i = 0; i < EDGES_MOST && moment !== null && moment < end; i++) {
      edges.add(moment);
      moment = nextScheduleChange(schedule, moment);
    }
  }
  return [...edges];
}

function isPeriod({ kind }: Fact): boolean {
  return kind === 'until' || kind === 'schedule';
}
