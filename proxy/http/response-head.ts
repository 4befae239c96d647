/** The head of a response (RFC 9112 §4), scanned in place. What is ambiguous is refused: the client is told 502, the server's connection closed. */
import { CLASS, CR, DIGIT, LF, SP, VALUE } from './bytes.ts';
import { type FieldFault, Fields } from './fields.ts';

export type ResponseFault = Exclude<FieldFault, 'incomplete' | 'bad-host'> | 'bad-host' | 'bad-status-line';

const VERSION = Buffer.from('HTTP/1.');

export class ResponseHead {
  readonly fields = new Fields();
  status = 0;
  minor = 1;
  /** `200 OK`: status and reason phrase, as sent. */
  statusStart = 0;
  statusEnd = 0;
  fieldsStart = 0;

  /** hot: null when whole and well-formed, `incomplete` when bytes are missing. */
  scan(bytes: Buffer, start: number, length: number, fieldsMax: number): ResponseFault | 'incomplete' | null {
    let at = start;
    for (let i = 0; i < 7; i++) {
      if (at + i >= length) return 'incomplete';
      if (bytes[at + i] !== VERSION[i]) return 'bad-status-line';
    }
    at += 7;
    if (at + 5 >= length) return 'incomplete';
    this.minor = bytes[at]! - 48;
    if ((this.minor !== 0 && this.minor !== 1) || bytes[at + 1] !== SP) return 'bad-status-line';
    at += 2;
    this.statusStart = at;
    this.status = 0;
    for (let i = 0; i < 3; i++) {
      if ((CLASS[bytes[at + i]!]! & DIGIT) === 0) return 'bad-status-line';
      this.status = this.status * 10 + bytes[at + i]! - 48;
    }
    if (this.status < 100 || this.status > 599) return 'bad-status-line';
    at += 3;
    if (at >= length) return 'incomplete';
    // The space before an empty reason is left out by many servers; nothing hangs on it.
    if (bytes[at] !== SP && bytes[at] !== CR) return 'bad-status-line';
    while (at < length && (CLASS[bytes[at]!]! & VALUE) !== 0) at++;
    this.statusEnd = at;
    if (at + 1 >= length) return 'incomplete';
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return 'bad-status-line';
    this.fieldsStart = at + 2;
    const fault = this.fields.scan(bytes, this.fieldsStart, length, fieldsMax, false);
    if (fault !== null) return fault;
    return this.fields.coded && this.minor === 0 ? 'bad-coding' : null;
  }
}
