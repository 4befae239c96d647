/** From bytes to text: UTF-8, without control characters. */
import type { Problem } from './document.ts';

/** YAML 1.2.2 §5.1 allows tab, line feed and carriage return of these; the others hide what a file says. */
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/** The text of UTF-8 bytes, or the problem of other ones. */
export function decode(file: string, bytes: Uint8Array): string | Problem {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    const wide = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
    const what = wide ? 'The file is UTF-16 text.' : 'The file holds bytes that are not UTF-8 text.';
    return {
      code: 'not-text',
      severity: 'error',
      path: '',
      place: { file, ...firstBadPlace(bytes) },
      message: `${what} Save it as UTF-8; check that it is the YAML file that you mean.`,
    };
  }
}

/** A problem at the first control character; null where there is none. */
export function findControlCharacter(file: string, text: string): Problem | null {
  const at = text.search(CONTROL);
  if (at < 0) return null;
  const before = text.slice(0, at).split(/\r\n|\n|\r/);
  const code = text.charCodeAt(at).toString(16).padStart(4, '0').toUpperCase();
  return {
    code: 'not-text',
    severity: 'error',
    path: '',
    place: { file, line: before.length, column: before.at(-1)!.length + 1 },
    message: `The file holds the control character U+${code}. Remove it; check that this is the YAML file that you mean.`,
  };
}

/** The first byte at which lenient decoding needs the replacement character. */
function firstBadPlace(bytes: Uint8Array): { line: number; column: number } {
  const text = new TextDecoder('utf-8').decode(bytes);
  const at = text.indexOf('\ufffd');
  const before = text.slice(0, Math.max(0, at)).split('\n');
  return { line: before.length, column: before.at(-1)!.length + 1 };
}
