import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DAYS, type Day, type Schedule } from '../../config/document.ts';
import { compile } from '../../policy/compile.ts';
import { explain } from '../../policy/explain.ts';
import { imageAt } from '../../policy/moment.ts';
import { rehearse } from '../../policy/rehearse.ts';
import { holdsAt, inactivity, nextChange, nextScheduleChange, periodText } from '../../policy/schedule.ts';
import { documentOf, question } from './documents.ts';

const schedule = (days: string, from: number, to: number, timeZone = 'Europe/Berlin'): Schedule => ({
  days: days === '*' ? DAYS : (days.split(' ') as Day[]),
  hours: [[from * 60, to * 60]],
  timeZone,
});
const at = (text: string) => Date.parse(text);

describe('a schedule holds by the clocks of its zone', () => {
  it.each([
    ['* 08-18', schedule('*', 8, 18), '2026-01-15T06:59:59.999Z', false],
    ['* 08-18', schedule('*', 8, 18), '2026-01-15T07:00:00Z', true],
    ['* 08-18', schedule('*', 8, 18), '2026-01-15T16:59:59.999Z', true],
    ['* 08-18', schedule('*', 8, 18), '2026-01-15T17:00:00Z', false],
    ['* 08-18 in summer', schedule('*', 8, 18), '2026-07-15T06:00:00Z', true],
    ['* 08-18 in Kolkata (+05:30)', schedule('*', 8, 18, 'Asia/Kolkata'), '2026-07-15T02:30:00Z', true],
    ['* 08-18 in Kolkata (+05:30)', schedule('*', 8, 18, 'Asia/Kolkata'), '2026-07-15T02:29:59Z', false],
    ['fri 22-06, Friday night', schedule('fri', 22, 6), '2026-01-16T21:00:00Z', true],
    ['fri 22-06, Saturday morning', schedule('fri', 22, 6), '2026-01-17T04:59:59Z', true],
    ['fri 22-06, Saturday six', schedule('fri', 22, 6), '2026-01-17T05:00:00Z', false],
    ['fri 22-06, Friday morning', schedule('fri', 22, 6), '2026-01-16T04:00:00Z', false],
    ['sun 22-06, over the end of the week', schedule('sun', 22, 6), '2026-01-19T04:00:00Z', true],
    ['sun 02-03, swallowed in March', schedule('sun', 2, 3), '2026-03-29T01:30:00Z', false],
    ['sun 02-03, first of two in October', schedule('sun', 2, 3), '2026-10-25T00:30:00Z', true],
    ['sun 02-03, second of two in October', schedule('sun', 2, 3), '2026-10-25T01:30:00Z', true],
    ['mon 08-24, to the end of the day', schedule('mon', 8, 24), '2026-01-12T22:59:59Z', true],
    ['mon 08-24, and no further', schedule('mon', 8, 24), '2026-01-12T23:00:00Z', false],
  ])('%s', (_, hours, moment, expected) => {
    expect(holdsAt(hours, at(moment))).toBe(expected);
  });
});

describe('the next change', () => {
  it.each([
    ['tomorrow morning', schedule('*', 8, 18), '2026-01-15T18:00:00Z', '2026-01-16T07:00:00.000Z'],
    ['over a change of clocks', schedule('*', 8, 18), '2026-03-28T18:00:00Z', '2026-03-29T06:00:00.000Z'],
    ['hours that the clocks skip come a week later', schedule('sun', 2, 3), '2026-03-23T00:00:00Z', '2026-04-05T00:00:00.000Z'],
    ['hours shown twice are left once', schedule('sun', 2, 3), '2026-10-25T00:30:00Z', '2026-10-25T02:00:00.000Z'],
    ['skipped to the middle of the hours', schedule('*', 1, 4), '2026-03-29T00:30:00Z', '2026-03-29T02:00:00.000Z'],
  ])('%s', (_, hours, now, expected) => {
    expect(new Date(nextScheduleChange(hours, at(now))!).toISOString()).toBe(expected);
  });

  it('never comes where the whole week holds', () => {
    expect(nextScheduleChange(schedule('*', 0, 24), at('2026-03-28T12:00:00Z'))).toBeNull();
  });

  it('is the first at which looking minute by minute finds another answer', () => {
    const zones = ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', 'UTC'];
    const hour = fc.integer({ min: 0, max: 1439 });
    fc.assert(
      fc.property(
        fc.subarray([...DAYS], { minLength: 1 }),
        hour,
        hour,
        fc.constantFrom(...zones),
        fc.constantFrom('2026-03-28T20:00:00Z', '2026-10-24T20:00:00Z', '2026-04-04T10:00:00Z', '2026-03-08T00:00:00Z'),
        (days, from, to, timeZone, start) => {
          fc.pre(from !== to);
          const one: Schedule = { days, hours: [[from, to]], timeZone };
          const now = at(start);
          const next = nextScheduleChange(one, now) ?? Number.POSITIVE_INFINITY;
          const held = holdsAt(one, now);
          for (let moment = now; moment < Math.min(next, now + 2 * 86_400_000); moment += 15 * 60_000)
            expect(holdsAt(one, moment)).toBe(held);
          if (next !== Number.POSITIVE_INFINITY) {
            expect(holdsAt(one, next)).toBe(!held);
            expect(holdsAt(one, next - 1)).toBe(held);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it('of a document is the earliest of its rules; what has expired does not come back', () => {
    const until = at('2026-01-15T12:00:00Z');
    const document = documentOf({
      applications: {
        a: {
          rules: [
            { until, schedule: schedule('*', 14, 18, 'UTC'), action: 'allow' },
            { until: at('2026-02-01T00:00:00Z'), action: 'allow' },
          ],
        },
      },
    });
    expect(nextChange(document, at('2026-01-15T10:00:00Z'))).toBe(until);
    expect(nextChange(document, until)).toBe(at('2026-02-01T00:00:00Z'));
    expect(nextChange(document, at('2026-02-01T00:00:00Z'))).toBeNull();
    expect(nextChange(documentOf({ applications: { a: { rules: [{ action: 'allow' }] } } }), 0)).toBeNull();
  });
});

describe('a policy at a moment', () => {
  const document = documentOf({
    applications: {
      a: {
        rules: [
          { name: 'old', until: at('2026-01-01T00:00:00Z'), from: ['10.0.0.1'], action: 'allow' },
          { name: 'office', schedule: schedule('mon tue', 8, 18), from: ['10.0.0.2'], action: 'allow' },
          { name: 'rest', from: ['10.0.0.3'], action: 'allow' },
        ],
      },
    },
  });
  const tuesday = at('2026-01-13T12:00:00Z');
  const image = compile(document, { now: tuesday });
  const ask = (from: string, moment?: string) => {
    const { verdict, rule } = explain(image, question(from, '10.0.0.1:80', moment === undefined ? {} : { at: at(moment) }));
    return `${verdict} ${rule}`;
  };

  it.each([
    ['10.0.0.1', undefined, 'deny default'],
    ['10.0.0.1', '2025-12-31T23:59:59.999Z', 'allow old'],
    ['10.0.0.1', '2026-01-01T00:00:00Z', 'deny default'],
    ['10.0.0.2', undefined, 'allow office'],
    ['10.0.0.2', '2026-01-14T12:00:00Z', 'deny default'],
    ['10.0.0.3', '2030-01-14T12:00:00Z', 'allow rest'],
  ])('%s at %s: %s', (from, moment, expected) => {
    expect(ask(from, moment)).toBe(expected);
  });

  it('keeps ids and names of rules that do not hold', () => {
    const always = imageAt(image, null);
    expect(always.ruleCount).toBe(image.ruleCount);
    for (let rule = 0; rule < image.ruleCount; rule++) expect(image.ruleName(rule)).toBe(always.ruleName(rule));
    expect([1, 2, 3].map((rule) => image.ruleInactivity(rule))).toEqual(['expired', null, null]);
    expect(imageAt(image, tuesday + 1)).toBe(image);
    expect(imageAt(always, tuesday)).toBe(image);
  });

  it('says in words why a rule did not count, and when it would', () => {
    const night = explain(image, question('10.0.0.2', '10.0.0.1:80', { at: at('2026-01-14T12:00:00Z') }));
    expect(night.reason).toContain('rule "office" would decide');
    expect(night.considered.find(({ rule }) => rule === 'office')!.why).toBe(
      'It is outside its schedule (mon, tue 08:00-18:00 Europe/Berlin).',
    );
    expect(night.nearest).toMatchObject({ rule: 'office', change: 'a time within mon, tue 08:00-18:00 Europe/Berlin' });
    expect(explain(image, question('10.0.0.1', '10.0.0.1:80')).reason).toContain('It has expired (until 2026-01-01T00:00:00Z)');
    expect(periodText(document.applications[0]!.rules[2]!)).toBeNull();
  });

  it('judges each test at its own moment, and those without one at that of the check', () => {
    const place = { file: 'test.yaml', line: 1, column: 1 };
    const test = (from: string, by: string | null, moment?: string) => ({
      flow: question(from, '10.0.0.1:80', moment === undefined ? {} : { at: at(moment) }),
      expect: 'allow' as const,
      by,
      place,
    });
    const tests = [test('10.0.0.1', 'old', '2025-06-01T00:00:00Z'), test('10.0.0.1', 'old'), test('10.0.0.2', 'office')];
    expect(rehearse(image, tests).map(({ passed }) => passed)).toEqual([true, false, true]);
  });

  it('holds whole where no moment is given', () => {
    expect(inactivity(document.applications[0]!.rules[0]!, null)).toBeNull();
    expect(compile(document).hasInactive).toBe(false);
  });
});
