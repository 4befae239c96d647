/** The two steps of a swap, with workers that do as the test says. */
import { describe, expect, it } from 'vitest';
import { compile } from '../../policy/compile.ts';
import type { Crew } from '../../proxy/node/crew.ts';
import type { ListenFailure, Plan } from '../../proxy/node/plan.ts';
import { Sockets } from '../../proxy/node/sockets.ts';
import { Swaps } from '../../proxy/node/swaps.ts';
import type { Logger } from '../../proxy/observe/log.ts';
import { Book } from '../../proxy/shared/book.ts';
import { documentOf } from './harness.ts';

const image = compile(documentOf('version: 1\n'));
const plan = { generation: 7 } as Omit<Plan, 'ledger'>;
const TAKEN: ListenFailure = { endpoint: '127.0.0.1:80', code: 'EADDRINUSE' };

/** Two workers, of which each answers to `prepare` as it is told: with failures, not at all (dead), and what they were told. */
function bench(answers: readonly (readonly ListenFailure[] | 'dies')[]) {
  const told: string[] = [];
  const errors: object[] = [];
  const log: Logger = { info() {}, warn() {}, debug() {}, flush() {}, error: (fields: object) => void errors.push(fields) };
  const crew = {
    members: answers.map((_, id) => ({ id })),
    prepare: () => {
      told.push('prepare');
      answers.forEach((answer, worker) => {
        if (answer === 'dies') swaps.lost(worker);
        else swaps.prepared(worker, { type: 'prepared', generation: 7, failures: answer });
      });
    },
    commit: () => {
      told.push('commit');
      answers.forEach((answer, worker) => {
        const failures = answer === 'dies' ? [] : answer;
        swaps.swapped(worker, { type: 'swapped', generation: 7, cut: worker, kept: 0, draining: 0, failures });
      });
    },
    abandon: (generation: number) => void told.push(`abandon ${generation}`),
  } as unknown as Crew;
  const book = new Book();
  const swaps: Swaps = new Swaps(crew, book, new Sockets(answers.length), log);
  return { swaps, told, errors, book, crew };
}

describe('a swap', () => {
  it('comes into force where every worker is ready', async () => {
    const { swaps, told } = bench([[], []]);
    const result = await swaps.to(plan, image);
    expect(result.ok && [...result.answers.values()].map(({ cut }) => cut)).toEqual([0, 1]);
    expect(told).toEqual(['prepare', 'commit']);
  });

  it('is abandoned everywhere where one worker is not', async () => {
    const { swaps, told } = bench([[], [TAKEN]]);
    expect(await swaps.to(plan, image)).toEqual({ ok: false, failures: [TAKEN] });
    expect(told).toEqual(['prepare', 'abandon 7']);
  });

  it('comes into force where a worker lacks no more than it lacked before', async () => {
    const { swaps, told } = bench([[], [TAKEN]]);
    swaps.unbound.settle(1, [TAKEN]);
    expect((await swaps.to(plan, image)).ok).toBe(true);
    swaps.unbound.settle(1, [{ ...TAKEN, endpoint: '127.0.0.1:81' }]);
    expect((await swaps.to(plan, image)).ok).toBe(false);
    expect(told).toEqual(['prepare', 'commit', 'prepare', 'abandon 7']);
  });

  it('that cannot even begin is abandoned, and leaves nothing behind however often it is tried', async () => {
    const { swaps, told, book, crew } = bench([[], []]);
    await swaps.to(plan, image);
    const { prepare } = crew;
    const closed: unknown[] = [];
    const { discard } = book;
    book.discard = (of) => {
      closed.push(of);
      discard.call(book, of);
    };
    crew.prepare = () => {
      throw new Error('out of threads');
    };
    for (let i = 0; i < 3; i++) await expect(swaps.to(plan, image)).rejects.toThrow('out of threads');
    expect(closed).toEqual([image, image, image]);
    crew.prepare = prepare;
    expect((await swaps.to(plan, image)).ok).toBe(true);
    expect(told.slice(2)).toEqual(['abandon 7', 'abandon 7', 'abandon 7', 'prepare', 'commit']);
  });

  it('does not wait for a worker that dies, and leaves nothing of it out', async () => {
    const { swaps, told } = bench(['dies', []]);
    expect((await swaps.to(plan, image)).ok).toBe(true);
    expect(told).toEqual(['prepare', 'commit']);
  });

  it('that takes nothing away from the file goes on regardless, and says what is missing', async () => {
    const { swaps, told, errors } = bench([[TAKEN], []]);
    expect((await swaps.to(plan, image, true)).ok).toBe(true);
    expect(told).toEqual(['prepare', 'commit']);
    expect(errors).toEqual([{ worker: 0, ...TAKEN }]);
  });
});
