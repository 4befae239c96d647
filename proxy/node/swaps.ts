/** Brings a plan to every worker, and waits until all have taken it. One at a time. */
import type { Image } from '../../policy/image.ts';
import type { Logger } from '../observe/log.ts';
import type { Book } from '../shared/book.ts';
import type { Crew, Swapped } from './crew.ts';
import type { Plan } from './plan.ts';
import type { Sockets } from './sockets.ts';

/** A swap that not every worker has answered by then is reported; it stays in force where it is. */
const SWAP_MS_MAX = 30_000;

interface PendingSwap {
  readonly generation: number;
  readonly answers: Map<number, Swapped>;
  readonly done: () => void;
}

export class Swaps {
  private readonly crew: Crew;
  private readonly book: Book;
  private readonly sockets: Sockets;
  private readonly log: Logger;
  private pending: PendingSwap | null = null;

  constructor(crew: Crew, book: Book, sockets: Sockets, log: Logger) {
    this.crew = crew;
    this.book = book;
    this.sockets = sockets;
    this.log = log;
  }

  /** What each worker answered; without those that took too long. */
  async to(common: Omit<Plan, 'ledger'>, image: Image): Promise<Map<number, Swapped>> {
    const slices = this.book.open(image, this.crew.members.length);
    const answers = new Map<number, Swapped>();
    const inheritance = this.sockets.inheritance();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.log.error({ generation: common.generation, answered: answers.size }, 'not every worker has taken the policy in time');
        resolve();
      }, SWAP_MS_MAX);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      this.pending = { generation: common.generation, answers, done };
      this.crew.swap(slices.map((ledger) => ({ ...common, ledger, ...(inheritance === null ? {} : { inheritance }) })));
    });
    this.pending = null;
    return answers;
  }

  answered(worker: number, result: Swapped): void {
    const { pending } = this;
    if (pending === null || pending.generation !== result.generation) {
      // A worker that was started again, on its own.
      for (const failure of result.failures) this.log.error({ worker, ...failure }, 'a worker cannot listen on a VIP');
      return;
    }
    pending.answers.set(worker, result);
    if (pending.answers.size === this.crew.members.length) pending.done();
  }
}
