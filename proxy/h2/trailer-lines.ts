/** Trailers as they come by HTTP/2, made into those of the chunked coding. */
import type { FieldSink } from './field-decoder.ts';
import { CONNECTION_SPECIFIC, CONTENT_LENGTH, type FieldKind, HOST, MALFORMED, METHOD, STATUS, TE } from './field-line.ts';
import { LineText } from './line-text.ts';

/** The chunked coding's reader lets this much pass (`http/chunked.ts`), less the names that it counts twice. */
export const TRAILER_BYTES_MAX = 8_000;

const LAST_CHUNK = Buffer.from('0\r\n');
const CRLF = Buffer.from('\r\n');

export class TrailerLines implements FieldSink {
  readonly text: LineText;
  private malformed: boolean;

  constructor() {
    this.text = new LineText();
    this.malformed = false;
  }

  begin(): void {
    this.text.begin(TRAILER_BYTES_MAX);
    this.text.text(LAST_CHUNK);
    this.malformed = false;
  }

  line(bytes: Buffer, _nameLength: number, end: number, kind: FieldKind): void {
    if ((kind >= METHOD && kind <= STATUS) || kind === CONNECTION_SPECIFIC || kind === MALFORMED) this.malformed = true;
    // They would frame or route the message behind its back (RFC 9110 §6.5.1); nobody needs them here.
    else if (kind !== CONTENT_LENGTH && kind !== HOST && kind !== TE) this.text.append(bytes, 0, end);
  }

  /** False where they are malformed, or more than there may be. */
  finish(): boolean {
    this.text.text(CRLF);
    return !this.malformed && !this.text.cut;
  }
}
