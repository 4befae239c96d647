import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkScanner } from '../../proxy/http/chunked.ts';

interface Outcome {
  /** Where the message ended; -1 where it is broken; null where it goes on. */
  readonly end: number | null;
  readonly payload: string;
}

/** Fed in parts that are cut at the given places. */
function scan(text: string, cuts: readonly number[] = []): Outcome {
  const bytes = Buffer.from(text, 'latin1');
  const scanner = new ChunkScanner();
  let payload = '';
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    if (to < from) continue;
    const end = scanner.scan(bytes, from, to, (start, stop) => {
      payload += bytes.toString('latin1', start, stop);
    });
    if (end < 0) return { end: -1, payload: '' };
    if (scanner.done) return { end, payload };
    from = to;
  }
  return { end: null, payload };
}

/** The same whole, cut anywhere, and byte by byte. */
function scanAnyhow(text: string): Outcome {
  const whole = scan(text);
  for (let cut = 0; cut <= text.length; cut++) expect(scan(text, [cut]), `cut at ${cut}`).toEqual(whole);
  expect(
    scan(
      text,
      Array.from({ length: text.length }, (_, i) => i),
    ),
  ).toEqual(whole);
  return whole;
}

describe('a chunked body', () => {
  it.each<[string, string, string]>([
    ['an empty one', '0\r\n\r\n', ''],
    ['one chunk', '5\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['two chunks', '5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n', 'hello!'],
    ['a size in capitals', 'A\r\n0123456789\r\n0\r\n\r\n', '0123456789'],
    ['leading zeros', '0005\r\nhello\r\n000\r\n\r\n', 'hello'],
    ['an extension', '5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n', 'hello'],
    ['trailers', '0\r\nChecksum: abc\r\nX-Other:\r\n\r\n', ''],
    ['lines within a chunk', '4\r\n\r\n\r\n\r\n0\r\n\r\n', '\r\n\r\n'],
  ])('is followed: %s', (_what, text, payload) => {
    expect(scanAnyhow(text)).toEqual({ end: text.length, payload });
    // What follows is the next message's.
    expect(scanAnyhow(`${text}GET / HTTP/1.1\r\n`)).toEqual({ end: text.length, payload });
  });

  it.each<[string, string]>([
    ['no size', '\r\nhello\r\n0\r\n\r\n'],
    ['a sign', '+5\r\nhello\r\n0\r\n\r\n'],
    ['a negative size', '-1\r\nhello\r\n0\r\n\r\n'],
    ['0x', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['a space before the size', ' 5\r\nhello\r\n0\r\n\r\n'],
    ['a space after the size', '5 \r\nhello\r\n0\r\n\r\n'],
    ['a tab after the size', '5\t\r\nhello\r\n0\r\n\r\n'],
    ['an underscore', '1_0\r\nhello\r\n0\r\n\r\n'],
    ['a letter that is no digit', '5g\r\nhello\r\n0\r\n\r\n'],
    ['a size that overflows 2^32', '100000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['a size of all ones', 'ffffffffffffffff\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF after the size', '5\nhello\r\n0\r\n\r\n'],
    ['a bare CR after the size', '5\rhello\r\n0\r\n\r\n'],
    ['a bare LF after the data', '5\r\nhello\n0\r\n\r\n'],
    ['data longer than its size', '4\r\nhello\r\n0\r\n\r\n'],
    ['data shorter than its size', '6\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF at the end', '0\r\n\n'],
    ['a bare LF after the last size', '0\n\r\n'],
    ['a bare LF in an extension', '5;a\nhello\r\n0\r\n\r\n'],
    ['a bare CR in an extension', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
    ['NUL in an extension', '5;a\0\r\nhello\r\n0\r\n\r\n'],
    ['a control byte in an extension', '5;a\x08\r\nhello\r\n0\r\n\r\n'],
    ['an extension without end', `5;${'a'.repeat(300)}\r\nhello\r\n0\r\n\r\n`],
    ['a comma for an extension', '5,a\r\nhello\r\n0\r\n\r\n'],
    ['a trailer that is no field', '0\r\nhello\r\n\r\n'],
    ['a trailer with a space before the colon', '0\r\nX : y\r\n\r\n'],
    ['a trailer without name', '0\r\n: y\r\n\r\n'],
    ['a folded trailer', '0\r\nX: y\r\n z\r\n\r\n'],
    ['a bare LF after a trailer', '0\r\nX: y\n\r\n'],
    ['a bare CR in a trailer', '0\r\nX: y\rz\r\n\r\n'],
    ['NUL in a trailer', '0\r\nX: \0\r\n\r\n'],
    ['trailers without end', `0\r\n${'X: y\r\n'.repeat(3_000)}\r\n`],
    ['a length in a trailer', '0\r\nContent-Length: 5\r\n\r\n'],
    ['a coding in a trailer', '0\r\ntransfer-encoding: chunked\r\n\r\n'],
    ['a Host in a trailer', '0\r\nHost: a\r\n\r\n'],
    ['a forwarding field in a trailer', '0\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n'],
    ['a forwarding field by another name in a trailer', '0\r\nX_Forwarded_For: 127.0.0.1\r\n\r\n'],
  ])('is broken by %s', (_what, text) => {
    expect(text.length > 1_000 ? scan(text).end : scanAnyhow(text).end).toBe(-1);
  });

  it('of any chunks comes out as it went in, however it is cut', () => {
    const chunk = fc.uint8Array({ minLength: 1, maxLength: 30 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 6 }), fc.array(fc.nat({ max: 200 }), { maxLength: 8 }), (chunks, cuts) => {
        const text = `${chunks.map((data) => `${data.length.toString(16)}\r\n${data}\r\n`).join('')}0\r\n\r\n`;
        const places = cuts.filter((cut) => cut <= text.length).sort((a, b) => a - b);
        expect(scan(text, places)).toEqual({ end: text.length, payload: chunks.join('') });
      }),
      { numRuns: 500, verbose: true },
    );
  });

  it('of any bytes never throws, and ends nowhere but behind an empty line', () => {
    const part = fc.constantFrom('0', '5', 'a', ';', '\r\n', '\n', '\r', 'hello', 'X: y', ' ', ':', '\0', '\xff');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 16 }), (parts) => {
        const text = parts.join('');
        const { end } = scanAnyhow(text);
        if (end !== null && end >= 0) expect(text.slice(0, end)).toMatch(/\r\n\r\n$/);
      }),
      { numRuns: 500, verbose: true },
    );
  });
});
