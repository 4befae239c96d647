/**
 * Facts of a flow beside source, VIP, protocol and what is asked for: the moment, fields of a request, and whatever a rule may ask for that
 * this code cannot look into. Each holds or doesn't; here they are brought into combinations that can be at once, each with an example.
 */
import type { HeaderMatch, Rule, Schedule } from '../../config/document.ts';
import { inactivity, momentText, nextScheduleChange, scheduleText } from '../schedule.ts';

/** Facts with one text are one. */
export interface Fact {
  readonly text: string;
  readonly kind: 'until' | 'schedule' | 'header' | 'opaque';
  readonly until: number | null;
  readonly schedule: Schedule | null;
  readonly header: HeaderMatch | null;
}

/** One way in which facts can be at once. */
export interface Assignment {
  /** Texts of those that hold; the others don't. */
  readonly holding: ReadonlySet<string>;
  readonly at: number | null;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Whether the example is one: opaque facts have none. */
  readonly shown: boolean;
}

/** More combinations than this in one place are not gone through. */
export const ASSIGNMENTS_MOST = 2_048;
const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
/** A schedule repeats every week; a day more finds what begins on one and ends on the next. */
const SEARCHED_MS = 8 * DAY_MS;
const EDGES_MOST = 1_000;

const ONLY: readonly Assignment[] = [{ holding: new Set(), at: null, headers: [], shown: true }];

export function periodFacts({ until, schedule }: Pick<Rule, 'until' | 'schedule'>): Fact[] {
  const facts: Fact[] = [];
  if (until !== null && until !== undefined)
    facts.push({ text: `until ${momentText(until)}`, kind: 'until', until, schedule: null, header: null });
  if (schedule !== null && schedule !== undefined)
    facts.push({ text: scheduleText(schedule), kind: 'schedule', until: null, schedule, header: null });
  return facts;
}

export function headerFacts(headers: readonly HeaderMatch[] | null | undefined): Fact[] {
  return (headers ?? []).map((header) => {
    const text = `header ${header.name} ${header.values.map((value) => JSON.stringify(value)).join(' or ')}`;
    return { text, kind: 'header', until: null, schedule: null, header };
  });
}

export function opaqueFact(text: string): Fact {
  return { text, kind: 'opaque', until: null, schedule: null, header: null };
}

/** Every combination in which facts can be. Throws `TooManyFacts` where there are too many. */
export function assignmentsOf(facts: readonly Fact[], clock: Clock): readonly Assignment[] {
  if (facts.length === 0) return ONLY;
  let found = clock.assignments(facts.filter(isPeriod));
  for (const name of new Set(facts.flatMap(({ header }) => (header === null ? [] : [header.name])))) {
    found = combine(
      found,
      byField(
        facts.filter(({ header }) => header?.name === name),
        name,
      ),
    );
  }
  for (const { kind, text } of facts) {
    if (kind !== 'opaque') continue;
    const either = [new Set([text]), new Set<string>()];
    found = combine(
      found,
      either.map((holding) => ({ holding, at: null, headers: [], shown: false })),
    );
  }
  return found;
}

export class TooManyFacts extends Error {}

function combine(first: readonly Assignment[], second: readonly Assignment[]): Assignment[] {
  if (first.length * second.length > ASSIGNMENTS_MOST) throw new TooManyFacts('too many facts in one place to be gone through');
  return first.flatMap((one) =>
    second.map((other) => ({
      holding: new Set([...one.holding, ...other.holding]),
      at: one.at ?? other.at,
      headers: [...one.headers, ...other.headers],
      shown: one.shown && other.shown,
    })),
  );
}

function isPeriod({ kind }: Fact): boolean {
  return kind === 'until' || kind === 'schedule';
}

/** The moments from `now` on at which schedules and ends of rules stand differently to each other. */
export class Clock {
  readonly #facts: readonly Fact[];
  readonly #now: number;
  #moments: readonly { readonly at: number; readonly holding: ReadonlySet<string> }[] | null = null;

  /** `facts` are all that will be asked for. */
  constructor(facts: readonly Fact[], now: number) {
    this.#facts = [...new Map(facts.filter(isPeriod).map((fact) => [fact.text, fact])).values()];
    this.#now = now;
  }

  assignments(periods: readonly Fact[]): readonly Assignment[] {
    if (periods.length === 0) return ONLY;
    const found = new Map<string, Assignment>();
    for (const { at, holding } of (this.#moments ??= this.#find())) {
      const texts = periods.map(({ text }) => text).filter((text) => holding.has(text));
      const key = texts.join();
      if (!found.has(key)) found.set(key, { holding: new Set(texts), at, headers: [], shown: true });
    }
    return [...found.values()];
  }

  #find(): { at: number; holding: ReadonlySet<string> }[] {
    const ends = this.#facts.flatMap(({ until }) => (until !== null && until > this.#now ? [until] : [])).sort((a, b) => a - b);
    const schedules = this.#facts.flatMap(({ schedule }) => (schedule === null ? [] : [schedule]));
    const week = edgesOf(schedules, this.#now, this.#now + SEARCHED_MS);
    const found = new Map<string, { at: number; holding: ReadonlySet<string> }>();
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

/** A field that is absent, or has one value: each that a fact names, and one that none names. */
function byField(facts: readonly Fact[], name: string): Assignment[] {
  const written = [...new Set(facts.flatMap(({ header }) => header!.values))];
  const values = [
    ...written.map((value) => value.replace(/\*$/, '')),
    ...written.map((value) => value.replace(/\*$/, 'x')),
    'other',
    'x-other',
  ];
  const found = new Map<string, Assignment>([['', { holding: new Set(), at: null, headers: [], shown: true }]]);
  for (const value of values) {
    if (value === '') continue;
    const holds = (pattern: string) => (pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : value === pattern);
    const holding = new Set(facts.filter(({ header }) => header!.values.some(holds)).map(({ text }) => text));
    const key = [...holding].join();
    if (!found.has(key)) found.set(key, { holding, at: null, headers: [[name, value]], shown: true });
  }
  return [...found.values()];
}
