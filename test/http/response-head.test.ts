import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ResponseHead } from '../../proxy/http/response-head.ts';
import { everySplit } from './every-split.ts';

const FIELDS_MAX = 20;
const head = new ResponseHead();

function scan(text: string): string | null {
  const end = text.indexOf('\r\n\r\n');
  return everySplit(Buffer.from(text, 'latin1'), end < 0 ? null : end + 4, (bytes, length) => head.scan(bytes, 0, length, FIELDS_MAX));
}

const OK = 'HTTP/1.1 200 OK\r\n';

describe('a response head', () => {
  it.each<[string, string, number]>([
    ['the least there is', `${OK}\r\n`, 200],
    ['no reason', 'HTTP/1.1 200 \r\n\r\n', 200],
    ['no reason and no space', 'HTTP/1.1 200\r\n\r\n', 200],
    ['a reason of 8-bit bytes', 'HTTP/1.1 200 G\xfct\r\n\r\n', 200],
    ['HTTP/1.0', 'HTTP/1.0 404 Not Found\r\n\r\n', 404],
    ['an interim one', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n', 103],
    ['an unknown status', 'HTTP/1.1 599 Odd\r\n\r\n', 599],
    ['fields named as those of requests', `${OK}Host: a, b\r\nHost: c\r\n\r\n`, 200],
    ['a body behind it', `${OK}\r\n\0\0\n\n`, 200],
  ])('is taken: %s', (_what, text, status) => {
    expect(scan(text)).toBe(null);
    expect(head.status).toBe(status);
  });

  it.each<[string, string, string]>([
    ['a bare LF after the status line', 'HTTP/1.1 200 OK\n\r\n', 'bad-status-line'],
    ['a bare CR in the reason', 'HTTP/1.1 200 O\rK\r\n\r\n', 'bad-status-line'],
    ['NUL in the reason', 'HTTP/1.1 200 O\0K\r\n\r\n', 'bad-status-line'],
    ['two digits', 'HTTP/1.1 20 OK\r\n\r\n', 'bad-status-line'],
    ['four digits', 'HTTP/1.1 2000 OK\r\n\r\n', 'bad-status-line'],
    ['letters', 'HTTP/1.1 2OO OK\r\n\r\n', 'bad-status-line'],
    ['a status below 100', 'HTTP/1.1 099 OK\r\n\r\n', 'bad-status-line'],
    ['a status above 599', 'HTTP/1.1 600 OK\r\n\r\n', 'bad-status-line'],
    ['two spaces', 'HTTP/1.1  200 OK\r\n\r\n', 'bad-status-line'],
    ['HTTP/2', 'HTTP/2 200 OK\r\n\r\n', 'bad-status-line'],
    ['HTTP/1.2', 'HTTP/1.2 200 OK\r\n\r\n', 'bad-status-line'],
    ['ICY', 'ICY 200 OK\r\n\r\n', 'bad-status-line'],
    ['an empty line before it', `\r\n${OK}\r\n`, 'bad-status-line'],
    ['no status line', '<html>hello</html>', 'bad-status-line'],
    ['a bare LF after a field', `${OK}X: y\n\r\n`, 'bad-field'],
    ['a space before the colon', `${OK}X : y\r\n\r\n`, 'bad-field'],
    ['folding', `${OK}X: y\r\n z\r\n\r\n`, 'bad-field'],
    ['a bare CR in a value', `${OK}X: y\rSet-Cookie: z\r\n\r\n`, 'bad-field'],
    ['NUL in a value', `${OK}X: \0\r\n\r\n`, 'bad-field'],
    ['a repeated length', `${OK}Content-Length: 5\r\nContent-Length: 5\r\n\r\n`, 'bad-length'],
    ['conflicting lengths', `${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\n`, 'bad-length'],
    ['a list of lengths', `${OK}Content-Length: 5, 5\r\n\r\n`, 'bad-length'],
    ['a signed length', `${OK}Content-Length: +5\r\n\r\n`, 'bad-length'],
    ['a length with chunked', `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`, 'bad-length'],
    ['chunked with a length', `${OK}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n`, 'bad-length'],
    ['gzip, chunked', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`, 'bad-coding'],
    ['identity', `${OK}Transfer-Encoding: identity\r\n\r\n`, 'bad-coding'],
    ['chunked twice', `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`, 'bad-coding'],
    ['chunked of HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'bad-coding'],
    ['one field too many', `${OK}${'X: y\r\n'.repeat(FIELDS_MAX + 1)}\r\n`, 'too-many-fields'],
  ])('is refused: %s', (_what, text, fault) => expect(scan(text)).toBe(fault));

  it('of any bytes never throws, and is never whole without CRLF CRLF', () => {
    const noise = fc.uint8Array({ maxLength: 60 });
    fc.assert(
      fc.property(fc.constantFrom('', 'HTTP/1.1 ', OK, `${OK}Content-Length: `, `${OK}Connection: `), noise, (start, rest) => {
        const bytes = Buffer.concat([Buffer.from(start), rest]);
        const outcome = head.scan(bytes, 0, bytes.length, FIELDS_MAX);
        if (outcome === null) expect(bytes.toString('latin1', 0, head.fields.end)).toMatch(/\r\n\r\n$/);
      }),
      { numRuns: 3_000, verbose: true },
    );
  });
});
