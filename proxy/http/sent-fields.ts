/** Fields of a request as it goes to the server, for rules that ask for one: read from the composed head, and only when asked. */
import { resolveDots } from '../../policy/readings.ts';
import { COLON, CR, HTAB, LF, SP, spells } from './bytes.ts';
import type { RequestHead } from './request-head.ts';

/** ` HTTP/1.1` and CRLF stand between the target and the first field. */
const AFTER_TARGET_BYTES = 11;

/** The values of a field's lines, without blanks around them. `pathEnd` is where the target ends in a composed head. */
export function sentFieldLines(bytes: Buffer, pathEnd: number, name: string): string[] {
  return fieldLines(bytes, pathEnd + AFTER_TARGET_BYTES, name).map(([start, end]) => bytes.toString('latin1', start, end));
}

/** Where the values of a field's lines stand, without blanks around them. The first field line of a well-formed head begins at `fieldsStart`. */
export function fieldLines(bytes: Buffer, fieldsStart: number, name: string): [start: number, end: number][] {
  const lines: [number, number][] = [];
  for (let at = fieldsStart; bytes[at] !== CR; ) {
    const lineEnd = bytes.indexOf(LF, at);
    const nameEnd = bytes.indexOf(COLON, at);
    if (lineEnd < 0 || nameEnd < 0) break;
    if (spells(bytes, at, nameEnd, name)) lines.push(trimmed(bytes, nameEnd + 1, lineEnd - 1));
    at = lineEnd + 1;
  }
  return lines;
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
