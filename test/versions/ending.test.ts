import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Ending, type InTurn } from '../../proxy/versions/ending.ts';

const RETRY_MS = 5_000;
const IN_USE = ['127.0.0.1:80 is in use'];

let told: (readonly string[])[];
let tries = 0;

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  tries = 0;
});
afterEach(() => void vi.useRealTimers());

/** An ending at once, whose tries come to these answers one after another; an error is thrown. The last one stays. */
function begun(answers: readonly (readonly string[] | Error)[], inTurn: InTurn = (work) => work()): Ending {
  const attempt = async () => {
    const answer = answers[Math.min(tries++, answers.length - 1)]!;
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const ending = new Ending(attempt, { inTurn, hindered: (problems) => told.push(problems), retryMs: RETRY_MS });
  ending.at(Date.now());
  return ending;
}

const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);

describe('what is to end', () => {
  it('is tried again until it has, and what stood in the way is told once', async () => {
    begun([IN_USE, IN_USE, IN_USE, []]);
    await pass(0);
    expect([tries, told]).toEqual([1, [IN_USE]]);
    await pass(RETRY_MS - 1);
    expect(tries).toBe(1);
    await pass(1 + 10 * RETRY_MS);
    expect([tries, told]).toEqual([4, [IN_USE]]);
  });

  it('is tried again where a try has thrown, and each new cause is told', async () => {
    begun([new RangeError('no memory'), IN_USE, []]);
    await pass(10 * RETRY_MS);
    expect([tries, told]).toEqual([3, [['RangeError: no memory'], IN_USE]]);
  });

  it('is left alone once it is set to another moment, or to never', async () => {
    const ending = begun([IN_USE]);
    await pass(RETRY_MS);
    expect(tries).toBe(2);
    ending.at(Date.now() + 3 * RETRY_MS);
    await pass(3 * RETRY_MS - 1);
    expect(tries).toBe(2);
    await pass(1);
    expect([tries, told]).toEqual([3, [IN_USE, IN_USE]]);
    ending.at(Number.POSITIVE_INFINITY);
    await pass(10 * RETRY_MS);
    expect(tries).toBe(3);
  });

  it('is tried no more often where it was set anew during a try', async () => {
    const turn = Promise.withResolvers<void>();
    const ending = begun([IN_USE], async (work) => {
      await turn.promise;
      return work();
    });
    await pass(0);
    ending.at(Date.now());
    await pass(0);
    turn.resolve();
    await pass(0);
    expect(tries).toBe(2);
    await pass(3 * RETRY_MS);
    expect(tries).toBe(5);
  });

  it('is over for good where nothing is carried out any more, and where it was closed during a try', async () => {
    begun([IN_USE], () => Promise.reject(new Error('followed')));
    const turn = Promise.withResolvers<void>();
    const ending = begun([IN_USE], async (work) => {
      await turn.promise;
      return work();
    });
    await pass(0);
    ending.close();
    turn.resolve();
    await pass(10 * RETRY_MS);
    expect([tries, vi.getTimerCount()]).toEqual([1, 0]);
  });
});
