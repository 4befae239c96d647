/**
 * Which rules hold at a moment, and when that changes. Pure: the moment is passed in (milliseconds since 1970). Time zones are those that
 * Intl knows.
 */
import { DAYS, type Document, type Rule, type Schedule } from '../config/document.ts';

/** Why a rule does not hold at a moment. */
export type Inactivity = 'expired' | 'off-schedule';

const DAY_MINUTES = 1_440;
const MINUTE_MS = 60_000;
/** A schedule is the same every week. Two weeks and a day also find hours that a change of clocks has swallowed in one of them. */
const SEARCHED_MS = 15 * DAY_MINUTES * MINUTE_MS;

/** Why a rule does not hold at a moment; null where it does. `now` null: no moment, at which every rule holds. */
export function inactivity({ until, schedule }: Pick<Rule, 'until' | 'schedule'>, now: number | null): Inactivity | null {
  if (now === null) return null;
  if (until !== null && now >= until) return 'expired';
  return schedule === null || holdsAt(schedule, now) ? null : 'off-schedule';
}

/**
 * Whether the clocks of the schedule's zone show one of its hours. Hours that clocks skip are no hours; hours that they show twice hold
 * twice. Hours over midnight belong to the day on which they begin.
 */
export function holdsAt({ days, hours, timeZone }: Schedule, now: number): boolean {
  const local = now + offsetMs(timeZone, now);
  const minute = Math.floor(local / MINUTE_MS);
  const ofDay = modulo(minute, DAY_MINUTES);
  const today = weekday(local);
  const yesterday = DAYS[(DAYS.indexOf(today) + 6) % 7]!;
  return hours.some(([from, to]) => {
    if (from < to) return days.includes(today) && ofDay >= from && ofDay < to;
    return (days.includes(today) && ofDay >= from) || (days.includes(yesterday) && ofDay < to);
  });
}

/** The next moment after `now` at which any rule begins or ceases to hold; null where none ever does. */
export function nextChange(document: Document, now: number): number | null {
  const moments: number[] = [];
  const schedules = new Map<string, Schedule>();
  for (const rule of rulesOf(document)) {
    const { until, schedule } = rule;
    if (until !== null && until > now) moments.push(until);
    // An expired rule does not come back.
    if (schedule !== null && (until === null || until > now)) schedules.set(scheduleText(schedule), schedule);
  }
  for (const schedule of schedules.values()) {
    const change = nextScheduleChange(schedule, now);
    if (change !== null) moments.push(change);
  }
  return moments.length === 0 ? null : moments.reduce((least, moment) => Math.min(least, moment));
}

/** The next moment after `now` at which a schedule begins or ceases to hold; null where it never does. */
export function nextScheduleChange(schedule: Schedule, now: number): number | null {
  const edges = [...new Set([0, ...schedule.hours.flatMap(([from, to]) => [from, to % DAY_MINUTES])])].sort((a, b) => a - b);
  const held = holdsAt(schedule, now);
  for (let moment = now; moment < now + SEARCHED_MS; ) {
    moment = nextEdge(schedule.timeZone, edges, moment);
    if (holdsAt(schedule, moment) !== held) return moment;
  }
  return null;
}

/** The next moment at which clocks show one of the minutes of the day, or are changed. */
function nextEdge(timeZone: string, edges: readonly number[], after: number): number {
  const offset = offsetMs(timeZone, after);
  const local = after + offset;
  const midnight = local - modulo(local, DAY_MINUTES * MINUTE_MS);
  const ofDay = edges.map((edge) => midnight + edge * MINUTE_MS).find((edge) => edge > local);
  const next = (ofDay ?? midnight + DAY_MINUTES * MINUTE_MS) - offset;
  if (offsetMs(timeZone, next) === offset) return next;
  // Clocks are changed on the way: that moment is an edge of its own.
  let before = after;
  let changed = next;
  while (changed - before > 1) {
    const middle = Math.floor((before + changed) / 2);
    if (offsetMs(timeZone, middle) === offset) before = middle;
    else changed = middle;
  }
  return changed;
}

/** A schedule in words: `mon, tue 08:00-18:00 Europe/Berlin`. Equal schedules have equal words. */
export function scheduleText({ days, hours, timeZone }: Schedule): string {
  const clock = (minutes: number) => `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
  const spans = hours.map(([from, to]) => `${clock(from)}-${clock(to)}`).join(', ');
  return `${days.length === DAYS.length ? 'every day' : days.join(', ')} ${spans} ${timeZone}`;
}

/** When a rule holds, in words; null where it always does. */
export function periodText({ until, schedule }: Pick<Rule, 'until' | 'schedule'>): string | null {
  const parts = [schedule === null ? null : scheduleText(schedule), until === null ? null : `until ${momentText(until)}`];
  const said = parts.filter((part) => part !== null);
  return said.length === 0 ? null : said.join(', ');
}

/** `2026-12-31T00:00:00Z`. */
export function momentText(moment: number): string {
  return new Date(moment).toISOString().replace('.000Z', 'Z');
}

/** Every rule of a document, in the order of the image's records. */
export function* rulesOf(document: Document): Generator<Rule> {
  yield* document.guardrails;
  yield* document.baseline;
  for (const { rules } of document.applications) yield* rules;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** What the clocks of a zone are ahead of UTC. */
function offsetMs(timeZone: string, moment: number): number {
  if (timeZone === 'UTC') return 0;
  let format = formats.get(timeZone);
  if (format === undefined) {
    const fields = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' } as const;
    format = new Intl.DateTimeFormat('en-u-ca-iso8601-nu-latn', { timeZone, hourCycle: 'h23', ...fields });
    formats.set(timeZone, format);
  }
  const shown = { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0 };
  for (const { type, value } of format.formatToParts(moment))
    if (Object.hasOwn(shown, type)) shown[type as keyof typeof shown] = Number(value);
  const local = Date.UTC(shown.year, shown.month - 1, shown.day, shown.hour, shown.minute, shown.second);
  return local - (moment - modulo(moment, 1_000));
}

/** 1970 began on a Thursday. */
function weekday(local: number): (typeof DAYS)[number] {
  return DAYS[modulo(Math.floor(local / (DAY_MINUTES * MINUTE_MS)) + 3, 7)]!;
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
