/** Words that are written one behind the other, in memory that doubles: a list of numbers would take twice as much, and as much again while it grows. */
export class Words {
  #words = new Uint32Array(1024);
  length = 0;

  push(word: number): void {
    if (this.length === this.#words.length) {
      const grown = new Uint32Array(this.length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words[this.length++] = word;
  }

  at(index: number): number {
    return this.#words[index]!;
  }

  set(index: number, word: number): void {
    this.#words[index] = word;
  }

  /** What was written, until something is written again. */
  get all(): Uint32Array {
    return this.#words.subarray(0, this.length);
  }
}
