/**
 * Finds where each reply of a Redis server ends (RESP2 and RESP3), without keeping any of it. Pure and incremental. What a server pushes on its own
 * (`>`) is no reply, and an attribute (`|`) belongs to the reply behind it.
 */

/** Deeper than any command's reply, and than what a script may return. */
const DEPTH_MAX = 64;
const LINE_BYTES_MAX = 64 * 1024;
const CR = 0x0d;
const LF = 0x0a;

export type ReplyEnd = 'reply' | 'push' | 'more' | 'fault';

export class RedisReplies {
  /** The first byte of the reply that has ended: `-` and `!` are errors. */
  first = 0;
  /** It says that the command waits for the end of a transaction, and so nothing of what will come of it. */
  isQueued = false;
  /** Values that are still missing at each level; the reply itself is the outermost. */
  private readonly missing: number[] = [];
  /** Levels at which an attribute stands; its end is no value of the level above. */
  private readonly attribute: boolean[] = [];
  private line = '';
  private inLine = false;
  /** Bytes of a bulk string that are still to come, its line end included. */
  private skip = 0;
  /** Where the last call has come to. */
  at = 0;
  private push = false;
  private begun = false;

  /** Reads on from `from`. Answers with the first end of a reply or push that it meets; `at` is behind it then. */
  next(bytes: Buffer, from: number, length: number): ReplyEnd {
    this.at = from;
    while (this.at < length) {
      if (this.skip > 0) {
        const step = Math.min(this.skip, length - this.at);
        this.skip -= step;
        this.at += step;
        if (this.skip > 0) break;
        if (this.valueEnded()) return this.ended();
        continue;
      }
      const line = this.readLine(bytes, length);
      if (line === null) break;
      const over = this.value(line);
      if (over === null) return 'fault';
      if (over) return this.ended();
    }
    return 'more';
  }

  private ended(): ReplyEnd {
    const { push } = this;
    this.begun = false;
    this.push = false;
    return push ? 'push' : 'reply';
  }

  /** null: the line goes on, or is too long, which the type check finds out. */
  private readLine(bytes: Buffer, length: number): string | null {
    let end = bytes.subarray(0, length).indexOf(LF, this.at);
    const whole = end >= 0;
    if (!whole) end = length - 1;
    const room = LINE_BYTES_MAX - this.line.length;
    // Of a long line (an error, a big number) only its beginning counts.
    this.line += bytes.toString('latin1', this.at, Math.min(end + 1, this.at + Math.max(0, room)));
    this.at = end + 1;
    this.inLine = !whole;
    if (!whole) return null;
    const line = this.line;
    this.line = '';
    return line.charCodeAt(line.length - 2) === CR ? line.slice(0, -2) : line.length >= LINE_BYTES_MAX ? line : '';
  }

  /** A line is there: true where a whole reply ends with it, null where it is none. */
  private value(line: string): boolean | null {
    const type = line[0];
    if (type === undefined) return null;
    if (!this.begun && type !== '|' && this.missing.length === 0) {
      this.begun = true;
      this.first = line.charCodeAt(0);
      this.isQueued = line === '+QUEUED';
      this.push = type === '>';
    }
    switch (type) {
      case '+':
      case '-':
      case ':':
      case '_':
      case '#':
      case ',':
      case '(':
        return this.valueEnded();
      case '$':
      case '=':
      case '!': {
        const size = count(line);
        if (size === null) return null;
        if (size < 0) return this.valueEnded();
        this.skip = size + 2;
        return false;
      }
      case '*':
      case '~':
      case '>':
        return this.open(line, 1, false);
      case '%':
        return this.open(line, 2, false);
      case '|':
        return this.open(line, 2, true);
      default:
        return null;
    }
  }

  private open(line: string, each: number, isAttribute: boolean): boolean | null {
    const size = count(line);
    if (size === null || this.missing.length >= DEPTH_MAX) return null;
    if (size <= 0) return isAttribute ? false : this.valueEnded();
    this.missing.push(size * each);
    this.attribute.push(isAttribute);
    return false;
  }

  /** One value is whole; and with it, perhaps, those that it was the last of. */
  private valueEnded(): boolean {
    for (;;) {
      const last = this.missing.length - 1;
      if (last < 0) return true;
      const left = --this.missing[last]!;
      if (left > 0) return false;
      this.missing.pop();
      // The value that the attribute was said of is still to come.
      if (this.attribute.pop() === true) return false;
    }
  }

  /** Nothing of a reply is under way. */
  get idle(): boolean {
    return !this.begun && !this.inLine && this.line === '' && this.missing.length === 0 && this.skip === 0;
  }
}

function count(line: string): number | null {
  const text = line.slice(1);
  return /^(?:-1|[0-9]{1,10})$/.test(text) ? Number(text) : null;
}
