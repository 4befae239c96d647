/**
 * Reads what a client of Redis sends, command by command (RESP2 and RESP3 requests are the same: arrays of bulk strings; and inline commands). Pure and
 * incremental: a command is known as soon as those of its arguments are there that its verdict depends on; the rest may be large, and is passed by its
 * length. Stricter than a server, so that what is judged is what a server understands.
 */
import { argumentsNeeded, type RedisCommand, redisCommand } from './redis-keys.ts';

/** `proto-max-bulk-len` and the bound on arguments of a server. */
const ARGUMENT_BYTES_MAX = 512 * 1024 * 1024;
const ARGUMENTS_MAX = 1024 * 1024;
/** What may wait for a verdict: names, keys and what stands between them. */
export const COMMAND_BYTES_MAX = 64 * 1024;
/** `*1048576\r\n` and `$536870912\r\n` are the longest that there are. */
const COUNT_BYTES_MAX = 16;

const STAR = 0x2a;
const DOLLAR = 0x24;
const MINUS = 0x2d;
const CR = 0x0d;
const LF = 0x0a;

export type RedisFault = 'malformed' | 'too long' | 'quotes';

/** Where a reading stands. `known`: the command can be judged. `nothing`: an empty line or array, to which there is no reply. */
export type RedisReading = 'more' | 'known' | 'nothing' | RedisFault;

export class RedisReader {
  /** What is known of the command, once it is. */
  command: RedisCommand | null = null;
  /** The command in the array form, where it came in line: what goes to the server is what was judged. */
  rewritten: Buffer | null = null;
  /** Of the command's bytes: how many have been read. */
  at = 0;
  private count = -1;
  private needed = 1;
  private read = 0;
  private readonly texts: Buffer[] = [];
  /** Bytes that are left of an argument that nobody needs to see, its line end included. */
  private skip = 0;

  /** Begins the next command. */
  renew(): void {
    this.command = null;
    this.rewritten = null;
    this.at = 0;
    this.count = -1;
    this.needed = 1;
    this.read = 0;
    this.texts.length = 0;
    this.skip = 0;
  }

  /**
   * Goes on reading the command that begins at `base`, up to `length`. After `more`, to be called with all of the command's bytes and further ones; they
   * may have moved. After `known`, the rest is for `pass`.
   */
  look(bytes: Buffer, base: number, length: number): RedisReading {
    if (this.count < 0) {
      if (base >= length) return 'more';
      if (bytes[base] !== STAR) return this.lookInline(bytes, base, length);
      const line = this.line(bytes, base, length);
      if (typeof line === 'string') return line;
      if (line.value <= 0) {
        this.at = line.next - base;
        return 'nothing';
      }
      if (line.value > ARGUMENTS_MAX) return 'too long';
      this.count = line.value;
      this.at = line.next - base;
    }
    while (this.read < this.needed) {
      const reading = this.lookArgument(bytes, base, length);
      if (reading !== null) return reading === 'more' && length - base > COMMAND_BYTES_MAX ? 'too long' : reading;
      this.needed = Math.min(this.count, argumentsNeeded(this.texts, this.count));
    }
    return this.known(redisCommand(this.texts, this.count));
  }

  private known(command: RedisCommand): RedisReading {
    if (command.isUnclear) return 'malformed';
    this.command = command;
    return 'known';
  }

  private lookArgument(bytes: Buffer, base: number, length: number): RedisReading | null {
    const line = this.bulkLine(bytes, base + this.at, length);
    if (typeof line === 'string') return line;
    const end = line.next + line.value;
    if (end + 2 - base > COMMAND_BYTES_MAX) return 'too long';
    if (length < end + 2) return 'more';
    if (bytes[end] !== CR || bytes[end + 1] !== LF) return 'malformed';
    this.texts.push(Buffer.from(bytes.subarray(line.next, end)));
    this.read++;
    this.at = end + 2 - base;
    return null;
  }

  /** Passes over what is left of a known command. Answers where it has come to; the command is whole when `passed` says so. */
  pass(bytes: Buffer, at: number, length: number): number | RedisFault {
    let next = at;
    while (!this.passed && next < length) {
      if (this.skip > 0) {
        const step = Math.min(this.skip, length - next);
        this.skip -= step;
        next += step;
        if (this.skip === 0) this.read++;
        continue;
      }
      const line = this.bulkLine(bytes, next, length);
      if (line === 'more') return next;
      if (typeof line === 'string') return line;
      this.skip = line.value + 2;
      next = line.next;
    }
    return next;
  }

  get passed(): boolean {
    return this.rewritten !== null || (this.read >= this.count && this.skip === 0);
  }

  private bulkLine(bytes: Buffer, at: number, length: number): { value: number; next: number } | 'more' | 'malformed' | 'too long' {
    if (at >= length) return 'more';
    if (bytes[at] !== DOLLAR) return 'malformed';
    const line = this.line(bytes, at, length);
    if (typeof line === 'string') return line;
    return line.value < 0 || line.value > ARGUMENT_BYTES_MAX ? 'malformed' : line;
  }

  /** A number behind its sign, and the line's end: digits only, as servers read them. */
  private line(bytes: Buffer, at: number, length: number): { value: number; next: number } | 'more' | 'malformed' {
    const seen = Math.min(length, at + COUNT_BYTES_MAX);
    let end = at + 1;
    while (end < seen && (isDigit(bytes[end]!) || bytes[end] === MINUS)) end++;
    if (end === length) return end - at >= COUNT_BYTES_MAX ? 'malformed' : 'more';
    if (end === seen || bytes[end] !== CR) return 'malformed';
    if (end + 1 === length) return 'more';
    if (bytes[end + 1] !== LF) return 'malformed';
    const text = bytes.toString('latin1', at + 1, end);
    return /^(?:0|-?[1-9][0-9]*)$/.test(text) ? { value: Number(text), next: end + 2 } : 'malformed';
  }

  /** Words between blanks. Quotes, which a server would take off, are not understood here. */
  private lookInline(bytes: Buffer, base: number, length: number): RedisReading {
    const end = bytes.subarray(0, length).indexOf(LF, base + this.at);
    if (end < 0) {
      this.at = length - base;
      return this.at > COMMAND_BYTES_MAX ? 'too long' : 'more';
    }
    if (end - base > COMMAND_BYTES_MAX) return 'too long';
    const text = bytes.toString('latin1', base, bytes[end - 1] === CR && end > base ? end - 1 : end);
    this.at = end + 1 - base;
    if (/["'\\]/.test(text)) return 'quotes';
    // Everything that isspace(3) takes for one, and NUL, at which a server would stop.
    if (/[\0\r]/.test(text)) return 'malformed';
    const words = text.split(/[ \t\v\f]+/).filter((word) => word !== '');
    if (words.length === 0) return 'nothing';
    const parts = words.map((word) => Buffer.from(word, 'latin1'));
    this.texts.push(...parts);
    this.count = this.read = parts.length;
    this.rewritten = writeCommand(parts);
    return this.known(redisCommand(parts, parts.length));
  }
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** A command in the array form. */
export function writeCommand(words: readonly (Buffer | string)[]): Buffer {
  const parts = words.map((word) => (typeof word === 'string' ? Buffer.from(word) : word));
  return Buffer.concat([
    Buffer.from(`*${parts.length}\r\n`),
    ...parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from('\r\n')]),
  ]);
}

/** An error reply; the code comes first, as in all of Redis. */
export function errorReply(code: 'NOPERM' | 'EXECABORT' | 'ERR', message: string): Buffer {
  return Buffer.from(`-${code} ${message.replaceAll(/[\r\n]/g, ' ')}\r\n`);
}
