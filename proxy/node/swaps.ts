/**
 * Brings a plan to every worker in two steps: all make ready for it, and all swap; or none does, where one could not bind a VIP. One at a time.
 */
import type { Image } from '../../policy/image.ts';
import type { Logger } from '../observe/log.ts';
import type { Book } from '../shared/book.ts';
import type { Crew, PreparedWorker, Swapped } from './crew.ts';
import type { ListenFailure, Plan } from './plan.ts';
import type { Sockets } from './sockets.ts';
import { Unbound } from './unbound.ts';

/** A step that not every worker has answered by then is reported; the swap goes on, and reaches them when they come to it. */
const STEP_MS_MAX = 30_000;

export type SwapResult =
  /** What each worker answered; without those that took too long. */
  | { readonly ok: true; readonly answers: ReadonlyMap<number, Swapped> }
  /** Nothing has changed. */
  | { readonly ok: false; readonly failures: readonly ListenFailure[] };

interface Step<T> {
  readonly generation: number;
  readonly answers: Map<number, T>;
  readonly done: () => void;
}

export class Swaps {
  readonly unbound: Unbound;
  private readonly crew: Crew;
  private readonly book: Book;
  private readonly sockets: Sockets;
  private readonly log: Logger;
  private preparing: Step<readonly ListenFailure[]> | null = null;
  private swapping: Step<Swapped> | null = null;

  constructor(crew: Crew, book: Book, sockets: Sockets, log: Logger) {
    this.crew = crew;
    this.book = book;
    this.sockets = sockets;
    this.log = log;
    this.unbound = new Unbound(log);
  }

  /** Where a VIP cannot be bound by a worker, the plan does not come into force; `regardless`: it does, without that VIP there. */
  async to(common: Omit<Plan, 'ledger'>, image: Image, regardless = false): Promise<SwapResult> {
    const { generation } = common;
    const slices = this.book.open(image, this.crew.members.length);
    const inheritance = this.sockets.inheritance();
    const plans = slices.map((ledger) => ({ ...common, ledger, ...(inheritance === null ? {} : { inheritance }) }));
    const prepared = await this.step<readonly ListenFailure[]>(generation, (step) => {
      this.preparing = step;
      this.crew.prepare(plans);
    }).catch((error: unknown) => {
      // Nothing has changed, and what is tried again must not leave slices behind each time.
      this.crew.abandon(generation);
      this.book.discard(image);
      throw error;
    });
    this.preparing = null;
    // What a worker lacks already it goes on lacking, and tries again: that must not stand in the way of a quarantine, or of going back.
    const failures = [...prepared].flatMap(([worker, found]) => found.filter(({ endpoint }) => !this.unbound.lacks(worker, endpoint)));
    if (failures.length > 0 && !regardless) {
      this.crew.abandon(generation);
      this.book.discard(image);
      return { ok: false, failures };
    }
    const answers = await this.step<Swapped>(generation, (step) => {
      this.swapping = step;
      this.crew.commit(plans);
    });
    this.swapping = null;
    return { ok: true, answers };
  }

  prepared(worker: number, { generation, failures }: PreparedWorker): void {
    this.answer(this.preparing, worker, generation, failures);
  }

  swapped(worker: number, result: Swapped): void {
    this.unbound.settle(worker, result.failures);
    this.answer(this.swapping, worker, result.generation, result);
  }

  /** A worker has died. Nothing stands in its way, and the one that takes its place swaps when it starts. */
  lost(worker: number): void {
    const { preparing } = this;
    this.unbound.lost(worker);
    if (preparing !== null) this.answer(preparing, worker, preparing.generation, []);
  }

  private answer<T>(step: Step<T> | null, worker: number, generation: number, answer: T): void {
    if (step === null || step.generation !== generation) return;
    step.answers.set(worker, answer);
    if (step.answers.size === this.crew.members.length) step.done();
  }

  private async step<T>(generation: number, begin: (step: Step<T>) => void): Promise<Map<number, T>> {
    const answers = new Map<number, T>();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.log.error({ generation, answered: answers.size }, 'not every worker has answered to a new policy in time');
        resolve();
      }, STEP_MS_MAX);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      try {
        begin({ generation, answers, done });
      } catch (error) {
        clearTimeout(timer);
        throw error;
      }
    });
    return answers;
  }
}
