/**
 * Scans the fields of a head, requests' and responses' alike (RFC 9112 §5). Strict: a name is a token, the colon follows at once, a line ends in
 * CRLF, nothing folds, no control byte passes. What is hop-by-hop is noted as a range to leave out; what frames the body is read.
 */
import { CLASS, COLON, COMMA, CR, DIGIT, HTAB, LF, SP, spells, TOKEN, UNDERSCORE, VALUE } from './bytes.ts';

/** Field lines that a head may ask to leave out: hop-by-hop ones, and those that Connection names. */
const DROPS_MAX = 64;

/** Scanning stopped here. */
export type FieldFault = 'incomplete' | 'bad-field' | 'bad-length' | 'bad-coding' | 'bad-host' | 'too-many-fields';

export class Fields {
  /** Ranges [start, end) of whole field lines that are not passed on, in order: pairs. */
  readonly drops = new Int32Array(DROPS_MAX * 2);
  dropCount = 0;
  count = 0;
  /** -1: absent. */
  contentLength = -1;
  chunked = false;
  /** A Transfer-Encoding field was there, whatever it said. */
  coded = false;
  /** The one line that frames the body, Content-Length or Transfer-Encoding; start = end where there is none. */
  framingStart = 0;
  framingEnd = 0;
  hostCount = 0;
  hostStart = 0;
  hostEnd = 0;
  hostLineStart = 0;
  hostLineEnd = 0;
  close = false;
  keepAlive = false;
  /** Connection names `upgrade`. */
  upgrade = false;
  upgradeStart = 0;
  upgradeEnd = 0;
  expectContinue = false;
  /** The last Authorization field of a request, and how many there were. */
  authorizationCount = 0;
  authorizationStart = 0;
  authorizationEnd = 0;
  /** Where the body begins. */
  end = 0;
  /** Connection nominated fields of the message (RFC 9110 §7.6.1): ranges of their names, pairs. */
  private readonly nominated = new Int32Array(DROPS_MAX * 2);
  private nominatedCount = 0;

  private reset(): void {
    this.dropCount = this.count = this.hostCount = this.nominatedCount = this.authorizationCount = 0;
    this.contentLength = -1;
    this.chunked = this.coded = this.close = this.keepAlive = this.upgrade = this.expectContinue = false;
    this.hostStart = this.hostEnd = this.hostLineStart = this.hostLineEnd = 0;
    this.upgradeStart = this.upgradeEnd = this.framingStart = this.framingEnd = 0;
  }

  /**
   * hot: scans field lines from `start` to the empty line. null when the head is whole and well-formed; `incomplete` when bytes are missing
   * and nothing is wrong so far.
   */
  scan(bytes: Buffer, start: number, length: number, fieldsMax: number, request: boolean): FieldFault | null {
    this.reset();
    let at = start;
    for (;;) {
      if (at >= length) return 'incomplete';
      const first = bytes[at]!;
      if (first === CR) {
        if (at + 1 >= length) return 'incomplete';
        if (bytes[at + 1] !== LF) return 'bad-field';
        this.end = at + 2;
        return this.nominatedCount > 0 ? this.dropNominated(bytes, start) : null;
      }
      const lineStart = at;
      while (at < length && (CLASS[bytes[at]!]! & TOKEN) !== 0) at++;
      if (at >= length) return 'incomplete';
      // An empty name, a space before the colon, a folded line, a bare LF: none of them is a colon here.
      if (bytes[at] !== COLON || at === lineStart) return 'bad-field';
      const nameEnd = at++;
      while (at < length && (bytes[at] === SP || bytes[at] === HTAB)) at++;
      const valueStart = at;
      while (at < length && (CLASS[bytes[at]!]! & VALUE) !== 0) at++;
      if (at >= length) return 'incomplete';
      if (bytes[at] !== CR) return 'bad-field';
      if (at + 1 >= length) return 'incomplete';
      if (bytes[at + 1] !== LF) return 'bad-field';
      let valueEnd = at;
      while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
      at += 2;
      if (++this.count > fieldsMax) return 'too-many-fields';
      const fault = this.note(bytes, lineStart, nameEnd, valueStart, valueEnd, at, request);
      if (fault !== null) return fault;
    }
  }

  /** hot: what a field means to the framing of the message or to this hop. Most names are told by their length alone. */
  private note(
    bytes: Buffer,
    lineStart: number,
    nameEnd: number,
    valueStart: number,
    valueEnd: number,
    lineEnd: number,
    request: boolean,
  ): FieldFault | null {
    switch (nameEnd - lineStart) {
      case 2: // te
        return request && spells(bytes, lineStart, nameEnd, 'te') ? this.drop(lineStart, lineEnd) : null;
      case 4: // host
        if (!request || !spells(bytes, lineStart, nameEnd, 'host')) return null;
        this.hostCount++;
        this.hostStart = valueStart;
        this.hostEnd = valueEnd;
        this.hostLineStart = lineStart;
        this.hostLineEnd = lineEnd;
        return null;
      case 6: // expect
        if (request && spells(bytes, lineStart, nameEnd, 'expect') && spells(bytes, valueStart, valueEnd, '100-continue'))
          this.expectContinue = true;
        return null;
      case 7: // upgrade
        if (!spells(bytes, lineStart, nameEnd, 'upgrade')) return null;
        this.upgradeStart = valueStart;
        this.upgradeEnd = valueEnd;
        return this.drop(lineStart, lineEnd);
      case 9: // forwarded
        return request && spells(bytes, lineStart, nameEnd, 'forwarded') ? this.drop(lineStart, lineEnd) : null;
      case 10: // connection, keep-alive
        if (spells(bytes, lineStart, nameEnd, 'connection')) {
          this.drop(lineStart, lineEnd);
          return this.noteConnection(bytes, valueStart, valueEnd);
        }
        return spells(bytes, lineStart, nameEnd, 'keep-alive') ? this.drop(lineStart, lineEnd) : null;
      case 13: // authorization
        if (!request || !spells(bytes, lineStart, nameEnd, 'authorization')) return null;
        this.authorizationCount++;
        this.authorizationStart = valueStart;
        this.authorizationEnd = valueEnd;
        return null;
      case 14: // content-length
        if (!spells(bytes, lineStart, nameEnd, 'content-length')) return null;
        this.framingStart = lineStart;
        this.framingEnd = lineEnd;
        return isPlain(bytes, lineStart, nameEnd, valueStart, valueEnd, lineEnd)
          ? this.noteLength(bytes, valueStart, valueEnd)
          : 'bad-length';
      case 15: // x-forwarded-for
        return request && spells(bytes, lineStart, nameEnd, 'x-forwarded-for') ? this.drop(lineStart, lineEnd) : null;
      case 16: // proxy-connection, x-forwarded-host
        return spells(bytes, lineStart, nameEnd, 'proxy-connection') || (request && spells(bytes, lineStart, nameEnd, 'x-forwarded-host'))
          ? this.drop(lineStart, lineEnd)
          : null;
      case 17: // transfer-encoding, x-forwarded-proto
        if (spells(bytes, lineStart, nameEnd, 'transfer-encoding')) {
          if (this.coded || !spells(bytes, valueStart, valueEnd, 'chunked')) return 'bad-coding';
          if (!isPlain(bytes, lineStart, nameEnd, valueStart, valueEnd, lineEnd)) return 'bad-coding';
          this.coded = this.chunked = true;
          this.framingStart = lineStart;
          this.framingEnd = lineEnd;
          return this.contentLength >= 0 ? 'bad-length' : null;
        }
        return request && spells(bytes, lineStart, nameEnd, 'x-forwarded-proto') ? this.drop(lineStart, lineEnd) : null;
      default:
        return null;
    }
  }

  /** RFC 9112 §6.3: one length, in digits alone, and none beside a transfer coding. A repeated one is refused even where the values agree. */
  private noteLength(bytes: Buffer, start: number, end: number): FieldFault | null {
    if (this.contentLength >= 0 || this.coded || end === start || end - start > 15) return 'bad-length';
    let value = 0;
    for (let i = start; i < end; i++) {
      if ((CLASS[bytes[i]!]! & DIGIT) === 0) return 'bad-length';
      value = value * 10 + bytes[i]! - 48;
    }
    this.contentLength = value;
    return null;
  }

  private noteConnection(bytes: Buffer, start: number, end: number): FieldFault | null {
    let at = start;
    while (at < end) {
      while (at < end && (bytes[at] === SP || bytes[at] === HTAB || bytes[at] === COMMA)) at++;
      const from = at;
      while (at < end && (CLASS[bytes[at]!]! & TOKEN) !== 0) at++;
      if (at === from) return at < end ? 'bad-field' : null;
      if (spells(bytes, from, at, 'close')) this.close = true;
      else if (spells(bytes, from, at, 'keep-alive')) this.keepAlive = true;
      else if (spells(bytes, from, at, 'upgrade')) this.upgrade = true;
      else if (this.nominatedCount >= DROPS_MAX) return 'too-many-fields';
      else {
        this.nominated[this.nominatedCount * 2] = from;
        this.nominated[this.nominatedCount++ * 2 + 1] = at;
      }
      while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++;
      if (at < end && bytes[at] !== COMMA) return 'bad-field';
    }
    return null;
  }

  private drop(start: number, end: number): FieldFault | null {
    if (this.dropCount >= DROPS_MAX) return 'too-many-fields';
    this.drops[this.dropCount * 2] = start;
    this.drops[this.dropCount++ * 2 + 1] = end;
    return null;
  }

  /** Rare: Connection named further fields of the message. They end here, except those that frame or route it, which no client may take out. */
  private dropNominated(bytes: Buffer, start: number): FieldFault | null {
    let at = start;
    let drop = 0;
    const kept = this.drops.slice(0, this.dropCount * 2);
    this.dropCount = 0;
    while (bytes[at] !== CR) {
      const nameEnd = bytes.indexOf(COLON, at);
      const lineEnd = bytes.indexOf(LF, nameEnd) + 1;
      const already = drop < kept.length && kept[drop] === at;
      if (already) drop += 2;
      if (already || this.isNominated(bytes, at, nameEnd)) {
        const fault = this.drop(at, lineEnd);
        if (fault !== null) return fault;
      }
      at = lineEnd;
    }
    return null;
  }

  private isNominated(bytes: Buffer, start: number, end: number): boolean {
    for (const name of ['host', 'content-length', 'transfer-encoding', 'trailer', 'authorization', 'cookie', 'set-cookie'])
      if (spells(bytes, start, end, name)) return false;
    for (let i = 0; i < this.nominatedCount; i++)
      if (spells(bytes, start, end, bytes.toString('latin1', this.nominated[i * 2]!, this.nominated[i * 2 + 1]!).toLowerCase()))
        return true;
    return false;
  }
}

/**
 * Whether a line that frames the body is written as everyone reads it: hyphens in its name, and no tab around its value. RFC 9112 §5 would
 * allow the tabs, but servers differ over them, and what one reads as a frame and the next does not is how requests are smuggled.
 */
function isPlain(bytes: Buffer, lineStart: number, nameEnd: number, valueStart: number, valueEnd: number, lineEnd: number): boolean {
  for (let i = lineStart; i < nameEnd; i++) if (bytes[i] === UNDERSCORE) return false;
  for (let i = nameEnd; i < valueStart; i++) if (bytes[i] === HTAB) return false;
  for (let i = valueEnd; i < lineEnd; i++) if (bytes[i] === HTAB) return false;
  return true;
}
