/** Reads field blocks (HPACK, RFC 7541), with the table that the peer's encoder fills. One a connection; hostile blocks end it, and never throw. */
import {
  ENTRY_BYTES_ADDED,
  type FieldKind,
  type FieldLine,
  GAP_BYTES,
  isValue,
  LINE_BYTES_ADDED,
  MALFORMED,
  nameKind,
  STATIC_LINES,
} from './field-line.ts';
import { decodedBytesMax, decodeHuffman } from './huffman.ts';

/** What our settings allow the table to hold: the initial value, which we leave as it is. */
export const TABLE_BYTES_MAX = 4_096;

/** Takes the lines of a block, in order. */
export interface FieldSink {
  /** hot: bytes [0, end) are a line, good until the call returns. */
  line(bytes: Buffer, nameLength: number, end: number, kind: FieldKind): void;
}

/** One for the thread: a line is made, handed on and forgotten within one callback. */
let scratch = Buffer.allocUnsafeSlow(8 * 1024);

export class FieldDecoder {
  /** Oldest first, from `first` on. */
  private entries: FieldLine[];
  private first: number;
  private bytes: number;
  private bytesMax: number;
  /** Where reading has come to. */
  private at: number;

  constructor() {
    this.entries = [];
    this.first = 0;
    this.bytes = 0;
    this.bytesMax = TABLE_BYTES_MAX;
    this.at = 0;
  }

  /** hot: decodes a whole block. Without a sink, only the table is kept in step. False where the block is broken, and the connection with it. */
  decode(block: Buffer, start: number, end: number, sink: FieldSink | null): boolean {
    this.at = start;
    let resizable = true;
    while (this.at < end) {
      const byte = block[this.at]!;
      if ((byte & 0x80) !== 0) {
        const line = this.lineOf(this.integer(block, end, 7));
        if (line === null) return false;
        sink?.line(line.bytes, line.nameLength, line.bytes.length, line.kind);
      } else if ((byte & 0xe0) === 0x20) {
        // RFC 7541 §4.2: only before the first field.
        const size = this.integer(block, end, 5);
        if (!resizable || size < 0 || size > TABLE_BYTES_MAX) return false;
        this.bytesMax = size;
        this.evict(0);
        continue;
      } else {
        const indexed = (byte & 0x40) !== 0;
        if (!this.literal(block, end, this.integer(block, end, indexed ? 6 : 4), indexed, sink)) return false;
      }
      resizable = false;
    }
    return true;
  }

  /** hot: a field that is spelled out, its name at least where `name` is 0. */
  private literal(block: Buffer, end: number, name: number, indexed: boolean, sink: FieldSink | null): boolean {
    if (name < 0) return false;
    let nameLength: number;
    let kind: FieldKind;
    if (name > 0) {
      const named = this.lineOf(name);
      if (named === null) return false;
      nameLength = named.nameLength;
      kind = named.kind;
      makeRoom(nameLength, 0);
      named.bytes.copy(scratch, 0, 0, nameLength);
    } else {
      nameLength = this.string(block, end, 0);
      if (nameLength < 0) return false;
      kind = nameKind(scratch, 0, nameLength);
    }
    const valueStart = nameLength + GAP_BYTES;
    const valueEnd = this.string(block, end, valueStart);
    if (valueEnd < 0) return false;
    scratch[nameLength] = 0x3a;
    scratch[nameLength + 1] = 0x20;
    scratch[valueEnd] = 0x0d;
    scratch[valueEnd + 1] = 0x0a;
    if (kind !== MALFORMED && !isValue(scratch, valueStart, valueEnd)) kind = MALFORMED;
    if (indexed) this.insert(nameLength, valueEnd + 2, kind);
    sink?.line(scratch, nameLength, valueEnd + 2, kind);
    return true;
  }

  /** hot: a string, put into the scratch at `to`. Answers its end there; -1 where it is broken. */
  private string(block: Buffer, end: number, to: number): number {
    if (this.at >= end) return -1;
    const coded = (block[this.at]! & 0x80) !== 0;
    const length = this.integer(block, end, 7);
    const from = this.at;
    if (length < 0 || length > end - from) return -1;
    this.at += length;
    makeRoom(to + (coded ? decodedBytesMax(length) : length), to);
    if (coded) return decodeHuffman(block, from, from + length, scratch, to);
    block.copy(scratch, to, from, from + length);
    return to + length;
  }

  /** hot: RFC 7541 §5.1. -1 where it does not end, or is larger than anything that it could mean here. */
  private integer(block: Buffer, end: number, prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = block[this.at++]! & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.at >= end) return -1;
      const byte = block[this.at++]!;
      value += (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
    }
    return -1;
  }

  private lineOf(index: number): FieldLine | null {
    if (index <= 0) return null;
    if (index <= STATIC_LINES.length) return STATIC_LINES[index - 1]!;
    const at = this.entries.length - (index - STATIC_LINES.length);
    return at >= this.first ? this.entries[at]! : null;
  }

  private insert(nameLength: number, end: number, kind: FieldKind): void {
    const size = end - LINE_BYTES_ADDED + ENTRY_BYTES_ADDED;
    this.evict(size);
    // RFC 7541 §4.4: one that is too large for the table empties it, and is no fault.
    if (size > this.bytesMax) return;
    this.bytes += size;
    this.entries.push({ bytes: Buffer.from(scratch.subarray(0, end)), nameLength, kind });
  }

  /** Makes room for an entry of so many bytes. */
  private evict(size: number): void {
    while (this.bytes > 0 && this.bytes + size > this.bytesMax) {
      const oldest = this.entries[this.first++]!;
      this.bytes -= oldest.bytes.length - LINE_BYTES_ADDED + ENTRY_BYTES_ADDED;
    }
    if (this.first > 128) {
      this.entries = this.entries.slice(this.first);
      this.first = 0;
    }
  }
}

/** `end` bytes, and the end of a line, fit into the scratch; its first `kept` bytes stay. */
function makeRoom(end: number, kept: number): void {
  const needed = end + LINE_BYTES_ADDED;
  if (needed <= scratch.length) return;
  const larger = Buffer.allocUnsafeSlow(needed * 2);
  scratch.copy(larger, 0, 0, kept);
  scratch = larger;
}
