/** Empties the workers' rings into the journal, in bulk: the main thread copies bytes, and looks at none of them. */
import type { Journal } from '../observe/journal-store.ts';
import { RingReader } from '../shared/ring.ts';

const PUMP_MS = 100;

export class JournalPump {
  private readonly readers: readonly RingReader[];
  private readonly journal: Journal;
  private readonly timer: NodeJS.Timeout;
  /** Records that a full ring did not take. */
  dropped = 0;
  /** Who follows the flows as they end; called with bytes that are theirs for the time of the call. */
  readonly listeners = new Set<(lines: Uint8Array) => void>();

  constructor(rings: readonly SharedArrayBuffer[], journal: Journal) {
    this.readers = rings.map((ring) => new RingReader(ring));
    this.journal = journal;
    this.timer = setInterval(() => this.pumpAll(), PUMP_MS);
  }

  pump(worker: number): void {
    this.dropped += this.readers[worker]!.drain((bytes, records, denials) => {
      this.journal.append(bytes, records, denials);
      for (const listener of this.listeners) listener(bytes);
    });
  }

  pumpAll(): void {
    for (let worker = 0; worker < this.readers.length; worker++) this.pump(worker);
  }

  stop(): void {
    clearInterval(this.timer);
    this.pumpAll();
  }
}
