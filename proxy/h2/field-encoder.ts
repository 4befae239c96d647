/**
 * Writes field blocks (HPACK, RFC 7541) from lines of HTTP/1.1. A field line that a connection has said before is told by its number in a
 * table that both ends keep; what must not be remembered, and what would not be said again, is spelled out.
 */
import { COLON, CR, HTAB, SP } from '../http/bytes.ts';
import { ENTRY_BYTES_ADDED, isText, STATIC_LINES } from './field-line.ts';

const NEVER_INDEXED = 0x10;
const WITHOUT_INDEXING = 0x00;
const WITH_INDEXING = 0x40;

/** The most that a peer's table is used of, whatever it offers: the initial size. */
const TABLE_BYTES_MAX = 4_096;
/** A line longer than this is not put into the table: it would push out what serves many. */
const REMEMBERED_BYTES_MAX = 256;

const HASHES = 256;

/** Numbers of the static table by the length of the name: the first one of each name. */
const STATIC_NAMES: (readonly { readonly name: Buffer; readonly index: number }[] | undefined)[] = [];
{
  const seen = new Set<string>();
  for (const [i, line] of STATIC_LINES.entries()) {
    const name = line.bytes.toString('latin1', 0, line.nameLength);
    if (seen.has(name)) continue;
    seen.add(name);
    STATIC_NAMES[name.length] = [...(STATIC_NAMES[name.length] ?? []), { name: Buffer.from(name), index: i + 1 }];
  }
}

/** Fields whose values are secrets or differ every time: RFC 7541 §7.1.3. */
const NEVER = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie'].map((name) => Buffer.from(name));
const VARYING = ['content-length', 'etag', 'last-modified', 'bulkhead-receipt', ':path', 'content-range', 'location', 'age'].map((name) =>
  Buffer.from(name),
);

interface Remembered {
  /** The line as it was, name in whatever case, without blanks around and without CRLF. */
  readonly line: Buffer;
  /** How many entries came before this one. */
  readonly order: number;
  readonly size: number;
}

export class FieldEncoder {
  /** By a hash of the line: one place each, so that looking costs one comparison. */
  private readonly places: (Remembered | undefined)[];
  /** Oldest first, as the peer has them. */
  private entries: Remembered[];
  private bytes: number;
  private bytesMax: number;
  private inserted: number;
  private evicted: number;
  /** The smallest size since the last block, which the peer has to be told at the beginning of the next one; -1 where it did not change. */
  private smallest: number;

  constructor() {
    this.places = new Array<Remembered | undefined>(HASHES);
    this.entries = [];
    this.bytes = 0;
    this.bytesMax = TABLE_BYTES_MAX;
    this.inserted = 0;
    this.evicted = 0;
    this.smallest = -1;
  }

  /** The peer says how large a table it keeps. */
  resize(bytesMax: number): void {
    const wanted = Math.min(bytesMax, TABLE_BYTES_MAX);
    if (wanted === this.bytesMax) return;
    this.bytesMax = wanted;
    this.smallest = this.smallest < 0 ? wanted : Math.min(this.smallest, wanted);
    this.evict(0);
  }

  /** hot: to be called before the fields of a block. Answers the new position. */
  begin(out: Buffer, at: number): number {
    if (this.smallest < 0) return at;
    // RFC 7541 §4.2: the smallest first, as the peer may have dropped entries for it, and then the one that holds.
    const { smallest, bytesMax } = this;
    this.smallest = -1;
    const to = writeInteger(out, at, 0x20, 5, smallest);
    return smallest === bytesMax ? to : writeInteger(out, to, 0x20, 5, bytesMax);
  }

  /** hot: `:status`. */
  status(out: Buffer, at: number, status: number): number {
    const known =
      status === 200 ? 8 : status === 204 ? 9 : status === 206 ? 10 : status === 304 ? 11 : status === 400 ? 12 : status === 404 ? 13 : 0;
    if (known > 0) {
      out[at] = 0x80 | known;
      return at + 1;
    }
    if (status === 500) {
      out[at] = 0x80 | 14;
      return at + 1;
    }
    out[at] = WITHOUT_INDEXING | 8;
    out[at + 1] = 3;
    out[at + 2] = 0x30 + Math.floor(status / 100);
    out[at + 3] = 0x30 + (Math.floor(status / 10) % 10);
    out[at + 4] = 0x30 + (status % 10);
    return at + 5;
  }

  /** hot */
  method(out: Buffer, at: number, bytes: Buffer, start: number, end: number): number {
    if (end - start === 3 && isText(bytes, start, 'GET')) {
      out[at] = 0x82;
      return at + 1;
    }
    if (end - start === 4 && isText(bytes, start, 'POST')) {
      out[at] = 0x83;
      return at + 1;
    }
    return named(out, at, 2, bytes, start, end);
  }

  /** hot */
  path(out: Buffer, at: number, bytes: Buffer, start: number, end: number): number {
    if (end - start > 1) return named(out, at, 4, bytes, start, end);
    out[at] = 0x84;
    return bytes[start] === 0x2f ? at + 1 : named(out, at, 4, bytes, start, end);
  }

  /** hot */
  authority(out: Buffer, at: number, bytes: Buffer, start: number, end: number): number {
    return named(out, at, 1, bytes, start, end);
  }

  /** hot: a line whose name ends at the colon `nameEnd`; `lineEnd` is where its CR stands. Answers the new position. */
  line(out: Buffer, at: number, bytes: Buffer, start: number, nameEnd: number, lineEnd: number): number {
    let valueStart = nameEnd + 1;
    let valueEnd = lineEnd;
    while (valueStart < valueEnd && (bytes[valueStart] === SP || bytes[valueStart] === HTAB)) valueStart++;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
    const nameLength = nameEnd - start;
    const length = valueEnd - start;
    if (length > REMEMBERED_BYTES_MAX) return this.literal(out, at, WITHOUT_INDEXING, 4, bytes, start, nameLength, valueStart, valueEnd);
    let hash = length;
    for (let i = start; i < valueEnd; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0;
    const place = (hash ^ (hash >>> 15)) & (HASHES - 1);
    const known = this.places[place];
    if (known !== undefined && known.order >= this.evicted && isSame(known.line, bytes, start, length))
      return writeInteger(out, at, 0x80, 7, STATIC_LINES.length + this.inserted - known.order);
    const first = bytes[start]! | 0x20;
    const mode = modeOf(bytes, start, nameLength, first);
    if (mode !== WITH_INDEXING || this.bytesMax === 0)
      return this.literal(
        out,
        at,
        mode === NEVER_INDEXED ? NEVER_INDEXED : WITHOUT_INDEXING,
        4,
        bytes,
        start,
        nameLength,
        valueStart,
        valueEnd,
      );
    const to = this.literal(out, at, WITH_INDEXING, 6, bytes, start, nameLength, valueStart, valueEnd);
    const size = nameLength + valueEnd - valueStart + ENTRY_BYTES_ADDED;
    this.evict(size);
    if (size <= this.bytesMax) {
      const entry: Remembered = { line: Buffer.from(bytes.subarray(start, valueEnd)), order: this.inserted++, size };
      this.entries.push(entry);
      this.places[place] = entry;
      this.bytes += size;
    }
    return to;
  }

  /** hot: a field spelled out, by the number of its name where the static table has it. */
  private literal(
    out: Buffer,
    position: number,
    mode: number,
    prefixBits: number,
    bytes: Buffer,
    start: number,
    nameLength: number,
    valueStart: number,
    valueEnd: number,
  ): number {
    const name = staticName(bytes, start, nameLength);
    let at = writeInteger(out, position, mode, prefixBits, name);
    if (name === 0) {
      at = writeInteger(out, at, 0, 7, nameLength);
      for (let i = 0; i < nameLength; i++) {
        const byte = bytes[start + i]!;
        out[at++] = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
      }
    }
    at = writeInteger(out, at, 0, 7, valueEnd - valueStart);
    return at + bytes.copy(out, at, valueStart, valueEnd);
  }

  private evict(size: number): void {
    while (this.entries.length > 0 && this.bytes + size > this.bytesMax) {
      this.bytes -= this.entries.shift()!.size;
      this.evicted++;
    }
  }
}

/** hot: whether a line is to be remembered. */
function modeOf(bytes: Buffer, start: number, nameLength: number, first: number): number {
  for (const name of NEVER) if (name.length === nameLength && name[0] === first && isName(name, bytes, start)) return NEVER_INDEXED;
  for (const name of VARYING)
    if (name.length === nameLength && (name[0] === first || name[0] === COLON) && isName(name, bytes, start)) return WITHOUT_INDEXING;
  return WITH_INDEXING;
}

/** hot: a value whose name is known by its number, not to be remembered. */
function named(out: Buffer, position: number, name: number, bytes: Buffer, start: number, end: number): number {
  const at = writeInteger(out, writeInteger(out, position, WITHOUT_INDEXING, 4, name), 0, 7, end - start);
  return at + bytes.copy(out, at, start, end);
}

function staticName(bytes: Buffer, start: number, length: number): number {
  const candidates = STATIC_NAMES[length];
  if (candidates !== undefined) for (const { name, index } of candidates) if (isName(name, bytes, start)) return index;
  return 0;
}

/** Whether the bytes spell a name in lower case, in whatever case they do. */
function isName(name: Buffer, bytes: Buffer, start: number): boolean {
  for (let i = 0; i < name.length; i++) {
    const byte = bytes[start + i]!;
    if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== name[i]) return false;
  }
  return true;
}

function isSame(line: Buffer, bytes: Buffer, start: number, length: number): boolean {
  if (line.length !== length) return false;
  for (let i = 0; i < length; i++) if (line[i] !== bytes[start + i]) return false;
  return true;
}

/** hot: RFC 7541 §5.1. Answers the new position. */
export function writeInteger(out: Buffer, position: number, front: number, prefixBits: number, value: number): number {
  const mask = (1 << prefixBits) - 1;
  let at = position;
  if (value < mask) {
    out[at] = front | value;
    return at + 1;
  }
  out[at++] = front | mask;
  let rest = value - mask;
  while (rest >= 0x80) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}

/** hot: where the line that begins at `start` has its CR. Lines were scanned when they came in. */
export function lineEndOf(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes[at] !== CR) at++;
  return at;
}
