/** Percent-encoding (RFC 3986 §2.1), decoded once. Hostile bytes cost what honest ones do: nothing is thrown and caught on the way. */

const PERCENT = 0x25;

/** Escapes decoded as UTF-8; a run of escapes that isn't UTF-8 is decoded as far as it is ASCII. */
export function decodePath(path: string): string {
  let text = '';
  let kept = 0;
  for (let at = path.indexOf('%'); at >= 0; at = path.indexOf('%', at + 1)) {
    if (byteAt(path, at) < 0) continue;
    let end = at + 3;
    while (byteAt(path, end) >= 0) end += 3;
    text += path.slice(kept, at) + decodeRun(path, at, end);
    kept = end;
    at = end - 1;
  }
  return kept === 0 ? path : text + path.slice(kept);
}

function decodeRun(path: string, start: number, end: number): string {
  const strict = isUtf8(path, start, end);
  let text = '';
  for (let at = start; at < end; ) {
    const lead = byteAt(path, at);
    const size = lead < 0x80 || strict ? utf8Size(lead) : 0;
    text += size === 0 ? path.slice(at, at + 3) : String.fromCodePoint(codePoint(path, at, lead, size));
    at += Math.max(1, size) * 3;
  }
  return text;
}

/** The byte of the escape that begins at a place; negative where none does. */
function byteAt(path: string, at: number): number {
  if (path.charCodeAt(at) !== PERCENT) return -1;
  const high = hexDigit(path.charCodeAt(at + 1));
  const low = hexDigit(path.charCodeAt(at + 2));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/** Negative for what is none, and for NaN behind the end. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Bytes of a character by its first; 0 where no character begins so. */
function utf8Size(lead: number): number {
  if (lead < 0x80) return 1;
  return lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
}

function codePoint(path: string, at: number, lead: number, size: number): number {
  let point = size === 1 ? lead : lead & (0x7f >>> size);
  for (let i = 1; i < size; i++) point = (point << 6) | (byteAt(path, at + i * 3) & 0x3f);
  return point;
}

/** Whether the bytes of a run are well-formed UTF-8 (RFC 3629 §4: no overlong forms, no surrogates, nothing above U+10FFFF). */
function isUtf8(path: string, start: number, end: number): boolean {
  for (let at = start; at < end; ) {
    const lead = byteAt(path, at);
    const size = utf8Size(lead);
    if (size === 0 || at + size * 3 > end) return false;
    const second = size === 1 ? 0x80 : byteAt(path, at + 3);
    const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    const most = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    if (second < least || second > most) return false;
    for (let i = 2; i < size; i++) if (byteAt(path, at + i * 3) >>> 6 !== 2) return false;
    at += size * 3;
  }
  return true;
}
