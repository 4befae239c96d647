/** When a rule holds: until a moment, and on a schedule. */
import * as z from 'zod';
import { DAYS } from './document.ts';
import { choice, noted, refuse } from './schema-leaves.ts';

/** RFC 3339 §5.6, with the offset that makes it one moment everywhere. */
const TIMESTAMP = /^([0-9]{4}-[0-9]{2}-[0-9]{2})T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,3})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})$/;
const TIMESTAMP_EXPECTS = 'a moment such as 2026-12-31T00:00:00Z or 2026-12-31T18:00:00+01:00';

/** Milliseconds since 1970 of a moment as people write it; null where the text is none. */
export function parseTimestamp(text: string): number | null {
  const match = TIMESTAMP.exec(text);
  if (match === null) return null;
  // A day that the month doesn't have would be taken for one of the next month.
  const day = new Date(`${match[1]}T00:00:00Z`);
  if (Number.isNaN(day.getTime()) || day.toISOString().slice(0, 10) !== match[1]) return null;
  const moment = Date.parse(text);
  return Number.isNaN(moment) ? null : moment;
}

export const timestamp = noted(
  z.string().transform((text, context) => {
    const moment = parseTimestamp(text);
    if (moment !== null) return moment;
    const completed = [`${text.trim().replace(' ', 'T')}Z`, `${text}T00:00:00Z`].find((other) => parseTimestamp(other) !== null);
    const message = `must be ${TIMESTAMP_EXPECTS}, with "Z" or an offset at its end`;
    return refuse(context, text, { code: 'wrong-value', message, ...(completed === undefined ? {} : { suggestion: completed }) });
  }),
  { expects: TIMESTAMP_EXPECTS, type: 'moment', example: '2026-12-31T18:00:00+01:00', pattern: TIMESTAMP.source },
);

const HOURS = /^([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)$/;
const HOURS_EXPECTS = 'hours such as 08:00-18:00, or 22:00-06:00 over midnight';

const hours = noted(
  z.string().transform((text, context): readonly [number, number] => {
    const match = HOURS.exec(text);
    if (match === null) return refuse(context, text, { code: 'wrong-value', message: `must be ${HOURS_EXPECTS}, in two digits each` });
    const [, fromHour, fromMinute, toHour = '24', toMinute = '00'] = match;
    const from = Number(fromHour) * 60 + Number(fromMinute);
    const to = Number(toHour) * 60 + Number(toMinute);
    if (from === to)
      return refuse(context, text, { code: 'wrong-value', message: 'must not end where it begins; leave hours: out for the whole day' });
    return [from, to];
  }),
  { expects: HOURS_EXPECTS, type: 'hours', example: '08:00-18:00', pattern: HOURS.source },
);

const timeZone = noted(
  z.string().transform((text, context) => {
    try {
      // Offsets such as +02:00 know no summer time, and abbreviations are ambiguous.
      if (/^[A-Za-z]/.test(text) && (text.includes('/') || text === 'UTC'))
        return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone;
    } catch {
      // No such zone.
    }
    return refuse(context, text, { code: 'wrong-value', message: 'must be a time zone such as Europe/Berlin, or UTC' });
  }),
  { expects: 'a time zone such as Europe/Berlin, or UTC', type: 'time zone', example: 'Europe/Berlin' },
);

const WHOLE_DAY: readonly (readonly [number, number])[] = [[0, 1440]];

export const schedule = z
  .strictObject({
    days: noted(z.array(choice(DAYS)).min(1).optional().describe('Days of the week; absent: all of them.'), {
      expects: 'a list such as [mon, tue] with at least one day',
    }),
    hours: noted(
      z
        .union([hours, noted(z.array(hours).min(1), {})])
        .optional()
        .describe(
          'Hours of the day, the end not included; absent: the whole day. Over midnight they belong to the day on which they begin.',
        ),
      {
        expects: `${HOURS_EXPECTS}, or a list of them`,
      },
    ),
    'time-zone': noted(timeZone.default('UTC').describe('The zone whose clocks count, by its IANA name.'), { default: 'UTC' }),
  })
  .transform((shape) => ({
    days: shape.days === undefined ? DAYS : DAYS.filter((day) => shape.days!.includes(day)),
    hours:
      shape.hours === undefined
        ? WHOLE_DAY
        : typeof shape.hours[0] === 'number'
          ? [shape.hours as readonly [number, number]]
          : (shape.hours as readonly (readonly [number, number])[]),
    timeZone: shape['time-zone'],
  }));
