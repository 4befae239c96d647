/** Sources that demands name, for the image: the atoms at which each begins or ceases to hold. */
import type { Partition } from './partition.ts';
import { ANYONE, NOBODY } from './sources.ts';

export class SourceRows {
  readonly #partition: Partition;
  readonly #starts: number[] = [0];
  readonly #atoms: number[] = [];
  readonly #rows = new Map<number, number>();

  constructor(partition: Partition) {
    this.#partition = partition;
  }

  /** The row of a source; ANYONE is itself. */
  row(source: number): number {
    if (source === ANYONE) return ANYONE;
    let row = this.#rows.get(source);
    if (row === undefined) {
      row = this.#starts.length - 1;
      this.#rows.set(source, row);
      if (source !== NOBODY) {
        if (this.#partition.initial[source] === 1) this.#atoms.push(0);
        this.#atoms.push(...this.#partition.changes[source]!);
      }
      this.#starts.push(this.#atoms.length);
    }
    return row;
  }

  encode(): { sourceStarts: number[]; sourceAtoms: number[] } {
    return { sourceStarts: this.#starts, sourceAtoms: this.#atoms };
  }
}
