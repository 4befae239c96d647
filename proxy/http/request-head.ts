/** The head of a request (RFC 9112 §3), scanned in place: positions into the bytes, no strings. */
import { ASTERISK, CLASS, COLON, CR, DIGIT, HEX, HOST, LF, SLASH, SP, spells, TARGET, TOKEN } from './bytes.ts';
import { type FieldFault, Fields } from './fields.ts';

/** Why a request is refused; each goes with one status (see `STATUS_OF_FAULT`). */
export type RequestFault =
  | Exclude<FieldFault, 'incomplete'>
  | 'bad-request-line'
  | 'bad-method'
  | 'bad-target'
  | 'bad-version'
  | 'connect'
  | 'target-size'
  | 'head-size';

export const STATUS_OF_FAULT: Readonly<Record<RequestFault, number>> = {
  'bad-field': 400,
  'bad-length': 400,
  'bad-coding': 400,
  'bad-host': 400,
  'bad-request-line': 400,
  'bad-method': 400,
  'bad-target': 400,
  'bad-version': 400,
  connect: 405,
  'target-size': 414,
  'head-size': 431,
  'too-many-fields': 431,
};

/** Longer than any registered method (IANA: 17 characters). */
const METHOD_BYTES_MAX = 32;

export class RequestHead {
  readonly fields = new Fields();
  methodStart = 0;
  methodEnd = 0;
  /** The target as it goes to the server: origin-form or asterisk. */
  targetStart = 0;
  targetEnd = 0;
  /** The authority of an absolute-form target, which overrides Host (RFC 9112 §3.2.2); start = end where there is none. */
  authorityStart = 0;
  authorityEnd = 0;
  /** 0 or 1. */
  minor = 1;
  /** An absolute-form target without a path stands for `/`. */
  emptyPath = false;
  /** Where the field lines begin. */
  fieldsStart = 0;

  /** hot: null when whole and well-formed, `incomplete` when bytes are missing. `length` counts from 0; scanning begins at `start`. */
  scan(bytes: Buffer, start: number, length: number, targetMax: number, fieldsMax: number): RequestFault | 'incomplete' | null {
    let at = start;
    // RFC 9112 §2.2: an empty line before the request is forgiven; some clients send one after a body.
    if (at + 1 < length && bytes[at] === CR && bytes[at + 1] === LF) at += 2;
    this.methodStart = at;
    while (at < length && (CLASS[bytes[at]!]! & TOKEN) !== 0) at++;
    if (at >= length) return at - this.methodStart > METHOD_BYTES_MAX ? 'bad-method' : 'incomplete';
    if (at === this.methodStart) return bytes[at] === CR && at + 1 >= length ? 'incomplete' : 'bad-request-line';
    if (bytes[at] !== SP) return 'bad-method';
    if (at - this.methodStart > METHOD_BYTES_MAX) return 'bad-method';
    this.methodEnd = at++;
    const from = at;
    while (at < length && (CLASS[bytes[at]!]! & TARGET) !== 0) at++;
    if (at - from > targetMax) return 'target-size';
    if (at >= length) return 'incomplete';
    if (bytes[at] !== SP || at === from) return 'bad-target';
    const fault = this.readTarget(bytes, from, at);
    at++;
    // `HTTP/1.0` or `HTTP/1.1`, and CRLF.
    for (let i = 0; i < 7; i++) {
      if (at + i >= length) return 'incomplete';
      if (bytes[at + i] !== VERSION[i]) return 'bad-version';
    }
    at += 7;
    if (at + 2 >= length) return 'incomplete';
    this.minor = bytes[at]! - 48;
    if (this.minor !== 0 && this.minor !== 1) return 'bad-version';
    if (bytes[at + 1] !== CR || bytes[at + 2] !== LF) return 'bad-version';
    if (fault !== null) return fault;
    this.fieldsStart = at + 3;
    const fields = this.fields.scan(bytes, this.fieldsStart, length, fieldsMax, true);
    return fields ?? this.check(bytes);
  }

  private readTarget(bytes: Buffer, start: number, end: number): RequestFault | null {
    this.authorityStart = this.authorityEnd = 0;
    this.emptyPath = false;
    this.targetStart = start;
    this.targetEnd = end;
    // Whatever its target: a 2xx to it means a tunnel to some servers, and a response with a body to others.
    if (spellsExactly(bytes, this.methodStart, this.methodEnd, 'CONNECT')) return 'connect';
    if (bytes[start] === SLASH) return null;
    if (bytes[start] === ASTERISK && end - start === 1)
      return spellsExactly(bytes, this.methodStart, this.methodEnd, 'OPTIONS') ? null : 'bad-target';
    const scheme = spells(bytes, start, start + 7, 'http://') ? 7 : spells(bytes, start, start + 8, 'https://') ? 8 : 0;
    if (scheme === 0) return 'bad-target';
    let at = start + scheme;
    this.authorityStart = at;
    while (at < end && bytes[at] !== SLASH && bytes[at] !== 0x3f) at++;
    this.authorityEnd = at;
    if (!isHost(bytes, this.authorityStart, this.authorityEnd)) return 'bad-target';
    this.targetStart = at;
    this.emptyPath = at === end || bytes[at] !== SLASH;
    return null;
  }

  private check(bytes: Buffer): RequestFault | null {
    const { fields } = this;
    if (fields.hostCount > 1 || (fields.hostCount === 0 && this.minor === 1)) return 'bad-host';
    if (fields.hostCount === 1 && !isHost(bytes, fields.hostStart, fields.hostEnd)) return 'bad-host';
    // RFC 9112 §6.1: a transfer coding in HTTP/1.0 is faulty framing.
    if (fields.coded && this.minor === 0) return 'bad-coding';
    return null;
  }
}

const VERSION = Buffer.from('HTTP/1.');

/** Method names are case-sensitive (RFC 9110 §9.1). */
export function spellsExactly(bytes: Buffer, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** hot: `uri-host [ ":" port ]` (RFC 9110 §7.2), not empty: names, IPv4, or IPv6 in brackets; no user part, no list. */
export function isHost(bytes: Buffer, start: number, end: number): boolean {
  if (end === start || end - start > 255) return false;
  let at = start;
  if (bytes[at] === 0x5b) {
    at++;
    const from = at;
    while (at < end && ((CLASS[bytes[at]!]! & HEX) !== 0 || bytes[at] === COLON || bytes[at] === 0x2e)) at++;
    if (at === from || bytes[at] !== 0x5d) return false;
    at++;
  } else {
    while (at < end && bytes[at] !== COLON) {
      const byte = bytes[at]!;
      if ((CLASS[byte]! & HOST) === 0 || byte === 0x5b || byte === 0x5d || byte === 0x2c) return false;
      at++;
    }
    if (at === start) return false;
  }
  if (at === end) return true;
  if (bytes[at] !== COLON || end - at > 6) return false;
  for (at++; at < end; at++) if ((CLASS[bytes[at]!]! & DIGIT) === 0) return false;
  return true;
}
