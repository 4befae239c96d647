/** Flows of all workers, live and ended, for whoever looks. */
import type { Journal } from '../observe/journal-store.ts';
import type { FlowPage, FlowRecord, FlowSearch } from '../observe/view.ts';
import type { Crew } from './crew.ts';
import type { JournalPump } from './journal-pump.ts';

export class Flows {
  readonly #crew: Crew;
  readonly #pump: JournalPump;
  readonly #journal: Journal;

  constructor(crew: Crew, pump: JournalPump, journal: Journal) {
    this.#crew = crew;
    this.#pump = pump;
    this.#journal = journal;
  }

  /** Newest first. */
  async live(limit: number): Promise<FlowRecord[]> {
    const flows = await this.#crew.flows(limit, null);
    return flows.sort((a, b) => (a.time < b.time ? 1 : -1)).slice(0, limit);
  }

  async find(receipt: string): Promise<FlowRecord | null> {
    const [live] = await this.#crew.flows(1, receipt);
    if (live !== undefined) return live;
    this.#pump.pumpAll();
    return this.#journal.find(receipt);
  }

  async recent(limit: number, denied: boolean): Promise<FlowRecord[]> {
    await this.#gatherRecords();
    return this.#journal.recent(limit, denied);
  }

  async search(search: FlowSearch): Promise<FlowPage> {
    await this.#gatherRecords();
    return this.#journal.search(search);
  }

  /** Asked for no flows, the workers hand over the records that they still hold. */
  async #gatherRecords(): Promise<void> {
    await this.#crew.flows(0, null);
    this.#pump.pumpAll();
  }
}
