/** Fields of a request as it goes to the server, for rules that ask for one: read from the composed head, and only when asked. */
import { type FieldVisitor, fieldName, fieldNameIn, type HeaderLookup } from '../../policy/header-lookup.ts';
import { resolveDots } from '../../policy/readings.ts';
import { COLON, CR, HTAB, LF, SP, spells } from './bytes.ts';
import type { RequestHead } from './request-head.ts';

/** ` HTTP/1.1` and CRLF stand between the target and the first field. */
const AFTER_TARGET_BYTES = 11;

/** Numbers of a line: the hash of its name, where that begins and ends, and where the line ends. */
const LINE_NUMBERS = 4;

/** Of the head that a thread read last: whose it is, its lines, where they end, and the value that was made a text of last. */
let readFor: SentFields | null = null;
let lines = new Int32Array(64 * LINE_NUMBERS);
let linesEnd = 0;
let valueAt = -1;
let value = '';

/** The fields of one request, for as long as its composed head stands in `bytes`; they are read when the first one is asked for. */
export class SentFields implements HeaderLookup {
  readonly #bytes: Buffer;
  readonly #start: number;

  /** `pathEnd` is where the target ends. */
  constructor(bytes: Buffer, pathEnd: number) {
    this.#bytes = bytes;
    this.#start = pathEnd + AFTER_TARGET_BYTES;
  }

  fieldLines(name: string): readonly string[] {
    if (readFor !== this) this.#read();
    const hash = fieldName(name);
    const values: string[] = [];
    for (let at = 0; at < linesEnd; at += LINE_NUMBERS) {
      // Names of others may have the same hash.
      if (lines[at] === hash && spells(this.#bytes, lines[at + 1]!, lines[at + 2]!, name)) values.push(this.#value(at));
    }
    return values;
  }

  visitFields(visitor: FieldVisitor): void {
    if (readFor !== this) this.#read();
    for (let at = 0; at < linesEnd; at += LINE_NUMBERS) if (visitor.asksFor(lines[at]!)) visitor.visit(lines[at]!, this.#value(at));
  }

  #value(at: number): string {
    if (valueAt === at) return value;
    const [start, end] = trimmed(this.#bytes, lines[at + 2]! + 1, lines[at + 3]! - 1);
    valueAt = at;
    return (value = this.#bytes.toString('latin1', start, end));
  }

  #read(): void {
    linesEnd = readLines(this.#bytes, this.#start);
    readFor = this;
    valueAt = -1;
  }
}

/** hot where rules ask for fields: where the numbers of a head's lines end. */
function readLines(bytes: Buffer, start: number): number {
  const { length } = bytes;
  let into = lines;
  let end = 0;
  for (let at = start; bytes[at] !== CR; ) {
    const nameEnd = indexOf(bytes, COLON, at);
    const lineEnd = indexOf(bytes, LF, nameEnd);
    if (lineEnd === length) break;
    if (end === into.length) into = longer();
    into[end] = fieldNameIn(bytes, at, nameEnd);
    into[end + 1] = at;
    into[end + 2] = nameEnd;
    into[end + 3] = lineEnd;
    end += LINE_NUMBERS;
    at = lineEnd + 1;
  }
  return end;
}

function longer(): Int32Array<ArrayBuffer> {
  const twice = new Int32Array(lines.length * 2);
  twice.set(lines);
  return (lines = twice);
}

/** Where the values of a field's lines stand, without blanks around them. The first field line of a well-formed head begins at `fieldsStart`. */
export function fieldLines(bytes: Buffer, fieldsStart: number, name: string): [start: number, end: number][] {
  const lines: [number, number][] = [];
  for (let at = fieldsStart; bytes[at] !== CR; ) {
    const nameEnd = indexOf(bytes, COLON, at);
    const lineEnd = indexOf(bytes, LF, nameEnd);
    if (lineEnd === bytes.length) break;
    if (spells(bytes, at, nameEnd, name)) lines.push(trimmed(bytes, nameEnd + 1, lineEnd - 1));
    at = lineEnd + 1;
  }
  return lines;
}

/** hot: where a byte is; the length where it isn't. Lines are short, so that this is faster than a call out of the engine. */
function indexOf(bytes: Buffer, byte: number, from: number): number {
  const { length } = bytes;
  let at = from;
  while (at < length && bytes[at] !== byte) at++;
  return at;
}

function trimmed(bytes: Buffer, from: number, to: number): [start: number, end: number] {
  let start = from;
  let end = to;
  while (start < end && (bytes[start] === SP || bytes[start] === HTAB)) start++;
  while (end > start && (bytes[end - 1] === SP || bytes[end - 1] === HTAB)) end--;
  return [start, end];
}

/**
 * hot where rules ask for paths. A request whose head was just scanned, with the dot segments of its target resolved (RFC 3986 §5.2.4), so that the server sees the path
 * that is judged. null where there are none. The bytes behind the target are the same, up to `length`.
 */
export function withoutDots(bytes: Buffer, length: number, { methodStart, targetStart, targetEnd }: RequestHead): Buffer | null {
  if (!mayHoldDots(bytes, targetStart, targetEnd)) return null;
  const target = bytes.toString('latin1', targetStart, targetEnd);
  const resolved = resolveDots(target);
  if (resolved === target) return null;
  return Buffer.concat([bytes.subarray(methodStart, targetStart), Buffer.from(resolved, 'latin1'), bytes.subarray(targetEnd, length)]);
}

/** Whether a target can hold a dot segment, also one whose dots are written `%2e`. */
function mayHoldDots(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at + 1 < end; at++) {
    if (bytes[at] !== 0x2f) continue;
    const next = bytes[at + 1];
    if (next === 0x2e || (next === 0x25 && bytes[at + 2] === 0x32)) return true;
  }
  return false;
}
