/** Where values stand in the text that they were read from. */
import type { Place } from './document.ts';

/** One text and the way from an offset in it to a line and column, both counted from 1. */
export class SourceText {
  readonly file: string;
  readonly #text: string;
  /** Where lines begin; found out when a place is first asked for. */
  #starts: readonly number[] | null = null;

  constructor(file: string, text: string) {
    this.file = file;
    this.#text = text;
  }

  place(offset: number): Place {
    this.#starts ??= lineStarts(this.#text);
    let low = 0;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return { file: this.file, line: low + 1, column: Math.max(0, offset - this.#starts[low]!) + 1 };
  }
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

/** Where a value stands: `key` is the offset of its key (of the value itself in a list), `at` that of the value. */
export interface Origin {
  readonly source: SourceText;
  readonly key: number;
  readonly at: number;
  /** The step by which its container holds it in the text; a list that lost entries still knows the old numbers. */
  readonly step: string | number;
}

/** Mappings with more keys than this find them by an index. */
const SCANNED_KEYS_MAX = 8;

/** Where the children of one container stand. Two numbers each, because a file may have hundreds of thousands of them. */
export class Children {
  readonly source: SourceText;
  readonly #isList: boolean;
  /** Of a mapping: its keys as they stand in the text. Of a list: nothing as long as each entry has its own number. */
  readonly #steps: (string | number)[] = [];
  /** The offsets of key and value in turns; of a list those of values alone. */
  readonly #offsets: number[] = [];
  /** Of children that came from elsewhere. */
  #strangers: Map<number, Origin> | null = null;
  #index: Map<string, number> | null = null;

  constructor(source: SourceText, isList: boolean) {
    this.source = source;
    this.#isList = isList;
  }

  get size(): number {
    return this.#isList ? this.#offsets.length : this.#steps.length;
  }

  /** Adds the next child: of a list behind the others, of a mapping under a key that it does not have yet. */
  add(step: string | number, key: number, at: number): void {
    if (this.#isList) {
      const position = this.#offsets.push(at) - 1;
      if (step !== position) this.#adopt(position, { source: this.source, key, at, step });
      return;
    }
    this.#offsets.push(key, at);
    this.#index?.set(String(step), this.#steps.length);
    this.#steps.push(step);
  }

  /** Adds a child that keeps the origin which it has, for instance in another text. */
  addOrigin(name: string | null, origin: Origin): void {
    const position = this.size;
    if (this.#isList) this.#offsets.push(origin.at);
    else this.add(name!, origin.key, origin.at);
    this.#adopt(position, origin);
  }

  #adopt(position: number, origin: Origin): void {
    this.#strangers ??= new Map();
    this.#strangers.set(position, origin);
  }

  /** The origin of the child at a step of the container as it is now. */
  get(step: string | number): Origin | undefined {
    const position = this.#isList ? Number(step) : this.#positionOf(String(step));
    if (!(position >= 0 && position < this.size)) return undefined;
    const stranger = this.#strangers?.get(position);
    if (stranger !== undefined) return stranger;
    const { source } = this;
    if (this.#isList) return { source, key: this.#offsets[position]!, at: this.#offsets[position]!, step: position };
    return { source, key: this.#offsets[position * 2]!, at: this.#offsets[position * 2 + 1]!, step: this.#steps[position]! };
  }

  /** The keys of a mapping in the order of the text. */
  names(): string[] {
    return this.#steps.map(String);
  }

  #positionOf(name: string): number {
    if (this.#steps.length <= SCANNED_KEYS_MAX) return this.#steps.indexOf(name);
    this.#index ??= new Map(this.#steps.map((step, position) => [String(step), position]));
    return this.#index.get(name) ?? -1;
  }
}
