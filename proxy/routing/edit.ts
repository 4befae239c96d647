/**
 * Edits of a head that is about to be sent: fields set, added and removed, the target and the host replaced. A head comes here as it was
 * composed, well-formed and without hop-by-hop fields, so that its lines can be taken one by one.
 */
import type { FieldEdits } from '../../config/route.ts';
import { type Chunk, takeChunk } from '../wire/chunks.ts';

const HEAD_END = Buffer.from('\r\n\r\n');

/** What a route does to a head; made once a route. */
export class HeadEdit {
  private readonly dropped: ReadonlySet<string>;
  private readonly lines: Buffer;

  constructor(edits: FieldEdits | null, host: string | null) {
    const { set, add, remove } = edits ?? { set: [], add: [], remove: [] };
    // `_` and `-` are one to many servers, so a field leaves under either spelling.
    const names = [...remove, ...set.map(({ name }) => name), ...(host === null ? [] : ['host'])];
    this.dropped = new Set(names.map((name) => name.toLowerCase().replaceAll('_', '-')));
    const lines = [...(host === null ? [] : [{ name: 'Host', value: host }]), ...set, ...add];
    this.lines = Buffer.from(lines.map(({ name, value }) => `${name}: ${value}\r\n`).join(''), 'latin1');
  }

  /** Bytes that the head can grow by. */
  get growth(): number {
    return this.lines.length;
  }

  /**
   * Writes the head in bytes[start, end) to `out` from `at`, its first line replaced by `firstLine` (without CRLF) where that is not null. Answers the position
   * behind the empty line. `out` has room for the head, the first line and `growth`.
   */
  write(out: Buffer, at: number, bytes: Buffer, start: number, end: number, firstLine: string | null): number {
    let to = at;
    let from = bytes.indexOf(0x0a, start) + 1;
    if (firstLine === null) to += bytes.copy(out, to, start, from);
    else to += out.write(`${firstLine}\r\n`, to, 'latin1');
    to += this.lines.copy(out, to);
    // A head ends with an empty line.
    while (from < end - 2) {
      const lineEnd = bytes.indexOf(0x0a, from) + 1;
      if (!this.drops(bytes, from)) to += bytes.copy(out, to, from, lineEnd);
      from = lineEnd;
    }
    return to + bytes.copy(out, to, end - 2, end);
  }

  /** A chunk with the head that stands at the front of `chunk` changed, and what is behind it as it was. Whoever calls owns both. */
  applied(chunk: Chunk, firstLine: string | null): Chunk {
    const { bytes, length } = chunk;
    const end = bytes.indexOf(HEAD_END) + HEAD_END.length;
    const changed = takeChunk(length + this.growth + (firstLine?.length ?? 0));
    const at = this.write(changed.bytes, 0, bytes, 0, end, firstLine);
    changed.length = at + bytes.copy(changed.bytes, at, end, length);
    return changed;
  }

  private drops(bytes: Buffer, lineStart: number): boolean {
    if (this.dropped.size === 0) return false;
    const colon = bytes.indexOf(0x3a, lineStart);
    return this.dropped.has(bytes.toString('latin1', lineStart, colon).toLowerCase().replaceAll('_', '-'));
  }
}
