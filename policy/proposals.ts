/** The rules of a list whose patterns lie on a request's way, as bits over the list: what a thread keeps to look at no others. */
import { childOf, HOST_ROOT, PATH_ROOT } from './patterns.ts';
import type { HttpFacts } from './request.ts';

/** With more words proposed than this every word is looked at. */
const TOUCHED_SEARCHED = 16;

export class Proposals {
  /** Bit i of word w: rule 32w + i of the list is proposed. Valid until `clear`. */
  readonly words: Uint32Array;
  readonly #touched: Uint32Array;
  readonly #starts: Uint32Array;
  readonly #records: Uint32Array;
  readonly #edges: Uint32Array;
  #touchedCount = 0;

  /** `listWords`: the words of the longest list. */
  constructor(starts: Uint32Array, records: Uint32Array, edges: Uint32Array, listWords: number) {
    this.words = new Uint32Array(listWords);
    this.#touched = new Uint32Array(listWords);
    this.#starts = starts;
    this.#records = records;
    this.#edges = edges;
  }

  /** hot: allocates nothing. Proposes rules of the list that begins at a record and has `wordCount` words. */
  propose({ host, path }: HttpFacts, firstRecord: number, wordCount: number): void {
    const end = firstRecord + wordCount * 32;
    let node = PATH_ROOT;
    this.#add(node, firstRecord, end);
    for (let i = 0; i < path.length && (node = childOf(this.#edges, node, path.charCodeAt(i))) >= 0; i++) this.#add(node, firstRecord, end);
    node = HOST_ROOT;
    this.#add(node, firstRecord, end);
    for (let i = host.length - 1; i >= 0 && (node = childOf(this.#edges, node, host.charCodeAt(i))) >= 0; i--)
      this.#add(node, firstRecord, end);
  }

  /** hot. The first word from `word` on with a proposal; greater than any word for none. Few proposals are the rule. */
  wordFrom(word: number): number {
    if (this.#touchedCount > TOUCHED_SEARCHED) return word;
    let least = 0xffffffff;
    for (let i = 0; i < this.#touchedCount; i++) {
      const touched = this.#touched[i]!;
      if (touched >= word && touched < least) least = touched;
    }
    return least;
  }

  clear(): void {
    for (let i = 0; i < this.#touchedCount; i++) this.words[this.#touched[i]!] = 0;
    this.#touchedCount = 0;
  }

  #add(node: number, firstRecord: number, end: number): void {
    let low = this.#starts[node]!;
    const last = this.#starts[node + 1]!;
    let high = last;
    // Records are ascending; those of the list are a run.
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#records[middle]! < firstRecord) low = middle + 1;
      else high = middle;
    }
    for (; low < last && this.#records[low]! < end; low++) {
      const index = this.#records[low]! - firstRecord;
      const word = index >>> 5;
      if (this.words[word] === 0) this.#touched[this.#touchedCount++] = word;
      this.words[word]! |= 1 << (index & 31);
    }
  }
}
