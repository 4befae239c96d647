import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RequestHead, STATUS_OF_FAULT } from '../../proxy/http/request-head.ts';
import { everySplit } from './every-split.ts';

const TARGET_MAX = 200;
const FIELDS_MAX = 20;
const head = new RequestHead();

function scan(text: string): string | null {
  const bytes = Buffer.from(text, 'latin1');
  const end = text.indexOf('\r\n\r\n');
  return everySplit(bytes, end < 0 ? null : end + 4, (part, length) => head.scan(part, 0, length, TARGET_MAX, FIELDS_MAX));
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n';

describe('a request head', () => {
  it.each([
    ['the least there is', `${GET}\r\n`],
    ['an empty line before it', `\r\n${GET}\r\n`],
    ['HTTP/1.0 without Host', 'GET / HTTP/1.0\r\n\r\n'],
    ['an unknown method', 'BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a method of 32 characters', `${'M'.repeat(32)} / HTTP/1.1\r\nHost: a\r\n\r\n`],
    ['OPTIONS *', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['absolute-form', 'GET http://b:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['absolute-form without path', 'GET http://b HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['absolute-form of letters in any case', 'GET HTTP://b/ HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a target at its limit', `GET /${'x'.repeat(TARGET_MAX - 1)} HTTP/1.1\r\nHost: a\r\n\r\n`],
    ['Host with port', 'GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n'],
    ['Host with an empty port', 'GET / HTTP/1.1\r\nHost: a:\r\n\r\n'],
    ['Host of IPv6', 'GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n'],
    ['an empty value', `${GET}X:\r\n\r\n`],
    ['a value of spaces and tabs', `${GET}X: \t \r\n\r\n`],
    ['obs-text in a value', `${GET}X: \xe4\xff\r\n\r\n`],
    ['a length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n'],
    ['a length with leading zeros', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0010\r\n\r\n'],
    ['chunked', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['chunked in capitals', 'POST / HTTP/1.1\r\nHost: a\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n'],
    ['Connection with empty elements', `${GET}Connection: , ,close,\r\n\r\n`],
    ['fields at their limit', `${GET}${'X: y\r\n'.repeat(FIELDS_MAX - 1)}\r\n`],
    ['a body behind it', `${GET}\r\nGET /next HTTP/1.1\r\nbad line\r\n\r\n`],
  ])('is taken: %s', (_what, text) => expect(scan(text)).toBe(null));

  it.each<[string, string, string]>([
    ['a bare LF after the request line', 'GET / HTTP/1.1\nHost: a\r\n\r\n', 'bad-version'],
    ['a bare LF after a field', 'GET / HTTP/1.1\r\nHost: a\n\r\n', 'bad-field'],
    ['a bare LF for the empty line', `${GET}\n`, 'bad-field'],
    ['a bare CR in a value', `${GET}X: a\rb\r\n\r\n`, 'bad-field'],
    ['a bare CR before the end of a line', `${GET}X: a\r\r\n\r\n`, 'bad-field'],
    ['a bare CR in the request line', 'GET /\r HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target'],
    ['NUL in a value', `${GET}X: a\0b\r\n\r\n`, 'bad-field'],
    ['NUL in a name', `${GET}X\0: a\r\n\r\n`, 'bad-field'],
    ['NUL in the target', 'GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target'],
    ['a control byte in a value', `${GET}X: a\x01b\r\n\r\n`, 'bad-field'],
    ['DEL in a value', `${GET}X: a\x7fb\r\n\r\n`, 'bad-field'],
    ['a space before the colon', `${GET}X : a\r\n\r\n`, 'bad-field'],
    ['a tab before the colon', `${GET}X\t: a\r\n\r\n`, 'bad-field'],
    ['folding by space', `${GET}X: a\r\n b\r\n\r\n`, 'bad-field'],
    ['folding by tab', `${GET}X: a\r\n\tb\r\n\r\n`, 'bad-field'],
    ['a first field that begins with a space', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n', 'bad-field'],
    ['an empty name', `${GET}: a\r\n\r\n`, 'bad-field'],
    ['a line without colon', `${GET}X\r\n\r\n`, 'bad-field'],
    ['obs-text in a name', `${GET}X\xe4: a\r\n\r\n`, 'bad-field'],
    ['a parenthesis in a name', `${GET}X(: a\r\n\r\n`, 'bad-field'],
    ['two empty lines before it', `\r\n\r\n${GET}\r\n`, 'bad-request-line'],
    ['a space before it', ` ${GET}\r\n`, 'bad-request-line'],
    ['a bare LF before it', `\n${GET}\r\n`, 'bad-request-line'],
    ['no method', ' / HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-request-line'],
    ['a method with a slash', 'GE/T / HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-method'],
    ['a method of 33 characters', `${'M'.repeat(33)} / HTTP/1.1\r\nHost: a\r\n\r\n`, 'bad-method'],
    ['a tab after the method', 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-method'],
    ['two spaces after the method', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target'],
    ['two spaces after the target', 'GET /  HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-version'],
    ['no target', 'GET HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target'],
    ['a relative target', 'GET x HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target'],
    ['a fragment', 'GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target'],
    ['a target of 8-bit bytes', 'GET /\xe4 HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target'],
    ['GET *', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target'],
    ['another scheme', 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target'],
    ['an authority with a user', 'GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target'],
    ['an empty authority', 'GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n', 'bad-target'],
    ['CONNECT with an authority', 'CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n', 'connect'],
    ['CONNECT with a path', 'CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n', 'connect'],
    ['HTTP/0.9', 'GET /\r\n\r\n', 'bad-target'],
    ['HTTP/2.0', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'bad-version'],
    ['HTTP/1.2', 'GET / HTTP/1.2\r\nHost: a\r\n\r\n', 'bad-version'],
    ['HTTP/1.10', 'GET / HTTP/1.10\r\nHost: a\r\n\r\n', 'bad-version'],
    ['HTTP/1', 'GET / HTTP/1\r\nHost: a\r\n\r\n', 'bad-version'],
    ['http/1.1', 'GET / http/1.1\r\nHost: a\r\n\r\n', 'bad-version'],
    ['a space after the version', 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n', 'bad-version'],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 'bad-host'],
    ['two Hosts', `${GET}Host: a\r\n\r\n`, 'bad-host'],
    ['two Hosts in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n', 'bad-host'],
    ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 'bad-host'],
    ['a list of Hosts', 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n', 'bad-host'],
    ['a Host with a space', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 'bad-host'],
    ['a Host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 'bad-host'],
    ['a Host with a user', 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n', 'bad-host'],
    ['a Host with a scheme', 'GET / HTTP/1.1\r\nHost: http://a\r\n\r\n', 'bad-host'],
    ['a Host with letters for a port', 'GET / HTTP/1.1\r\nHost: a:b\r\n\r\n', 'bad-host'],
    ['a Host with a port of six digits', 'GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n', 'bad-host'],
    ['a Host of IPv6 without brackets', 'GET / HTTP/1.1\r\nHost: 2001:db8::1\r\n\r\n', 'bad-host'],
    ['a Host with an open bracket', 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n', 'bad-host'],
    ['a Host with 8-bit bytes', 'GET / HTTP/1.1\r\nHost: \xe4\r\n\r\n', 'bad-host'],
    ['a target over its limit', `GET /${'x'.repeat(TARGET_MAX)} HTTP/1.1\r\nHost: a\r\n\r\n`, 'target-size'],
    ['one field too many', `${GET}${'X: y\r\n'.repeat(FIELDS_MAX)}\r\n`, 'too-many-fields'],
  ])('is refused: %s', (_what, text, fault) => expect(scan(text)).toBe(fault));

  it.each<[string, string]>([
    ['a repeated length', 'Content-Length: 5\r\nContent-Length: 5'],
    ['conflicting lengths', 'Content-Length: 5\r\nContent-Length: 6'],
    ['a list of lengths', 'Content-Length: 5, 5'],
    ['a signed length', 'Content-Length: +5'],
    ['a negative length', 'Content-Length: -5'],
    ['a hexadecimal length', 'Content-Length: 0x5'],
    ['a length with an underscore', 'Content-Length: 5_0'],
    ['a length with a fraction', 'Content-Length: 5.0'],
    ['a length with a space within', 'Content-Length: 5 0'],
    ['a length in 8-bit digits', 'Content-Length: \xb2'],
    ['an empty length', 'Content-Length:'],
    ['a length past 2^53', 'Content-Length: 9007199254740993'],
    ['a length that overflows', `Content-Length: ${'9'.repeat(40)}`],
    ['a length after a tab', 'Content-Length:\t5'],
    ['a length before a tab', 'Content-Length: 5\t'],
    ['a length by another name', 'Content_Length: 5'],
    ['a length, then chunked', 'Content-Length: 5\r\nTransfer-Encoding: chunked'],
    ['chunked, then a length', 'Transfer-Encoding: chunked\r\nContent-Length: 5'],
    ['a zero length with chunked', 'Content-Length: 0\r\nTransfer-Encoding: chunked'],
    ['chunked by another name', 'Transfer_Encoding: chunked'],
    ['chunked twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'],
    ['chunked and identity', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity'],
    ['chunked, chunked', 'Transfer-Encoding: chunked, chunked'],
    ['gzip, chunked', 'Transfer-Encoding: gzip, chunked'],
    ['chunked, identity', 'Transfer-Encoding: chunked, identity'],
    ['identity', 'Transfer-Encoding: identity'],
    ['xchunked', 'Transfer-Encoding: xchunked'],
    ['a quoted coding', 'Transfer-Encoding: "chunked"'],
    ['chunked with a parameter', 'Transfer-Encoding: chunked;a=b'],
    ['chunked after a comma', 'Transfer-Encoding: ,chunked'],
    ['chunked after a tab', 'Transfer-Encoding:\tchunked'],
    ['chunked before a tab', 'Transfer-Encoding: chunked\t'],
    ['chunked after a vertical tab', 'Transfer-Encoding: \x0bchunked'],
    ['an empty coding', 'Transfer-Encoding:'],
    ['a folded coding', 'Transfer-Encoding:\r\n chunked'],
    ['a space before the colon of the coding', 'Transfer-Encoding : chunked'],
    ['chunked behind a bare LF', 'X: y\nTransfer-Encoding: chunked'],
    ['chunked behind a bare CR', 'X: y\rTransfer-Encoding: chunked'],
  ])('does not frame a body by %s', (_what, fields) => {
    const outcome = scan(`POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n`);
    expect(outcome).not.toBe(null);
    expect(outcome).not.toBe('incomplete');
    expect(STATUS_OF_FAULT[outcome as keyof typeof STATUS_OF_FAULT]).toBe(400);
  });

  it('takes no transfer coding of HTTP/1.0', () => {
    expect(scan('POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')).toBe('bad-coding');
  });

  it('with any one byte replaced is taken only where that is right', () => {
    const good = 'POST /path HTTP/1.1\r\nHost: name\r\nContent-Length: 12\r\nX: value\r\n\r\n';
    fc.assert(
      fc.property(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 }), (at, byte) => {
        const bytes = Buffer.from(good, 'latin1');
        bytes[at] = byte;
        if (head.scan(bytes, 0, bytes.length, TARGET_MAX, FIELDS_MAX) !== null) return;
        const text = bytes.toString('latin1');
        // Lines end in CRLF and nothing else, and hold no control byte; every name is a token and meets its colon.
        const lines = text.slice(0, head.fields.end).split('\r\n');
        for (const line of lines) expect(line).not.toMatch(/[\0-\x08\x0a-\x1f\x7f]/);
        expect(lines[0]).toMatch(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+ \/[\x21-\x22\x24-\x7e]* HTTP\/1\.[01]$/);
        for (const line of lines.slice(1, -2)) expect(line).toMatch(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+:/);
        expect(lines.filter((line) => /^host:/i.test(line)).length).toBe(1);
        if (head.fields.contentLength >= 0)
          expect(text).toMatch(new RegExp(`\r\nContent-Length: *0*${head.fields.contentLength} *\r\n`, 'i'));
        else expect(text).not.toMatch(/\r\n(content[-_]length|transfer[-_]encoding):/i);
      }),
      { numRuns: 3_000, verbose: true },
    );
  });

  it('made of parts of heads never throws, and what it holds after the prefix never changes the outcome', () => {
    const part = fc.constantFrom(
      'GET',
      'POST',
      ' ',
      '/',
      '*',
      'http://a',
      'HTTP/1.1',
      'HTTP/1.0',
      '\r\n',
      '\n',
      '\r',
      '\0',
      '\t',
      ':',
      'Host: a',
      'Content-Length: 5',
      'Transfer-Encoding: chunked',
      'Connection: ',
      'close',
      ',',
      'upgrade',
      'X: y',
      '\x7f',
      '\xff',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 20 }), (parts) => {
        const outcome = scan(parts.join(''));
        expect(outcome === null || outcome === 'incomplete' || outcome in STATUS_OF_FAULT).toBe(true);
      }),
      { numRuns: 500, verbose: true },
    );
  });
});

describe('what a head means', () => {
  const read = (fields: string, line = 'GET / HTTP/1.1') => {
    expect(scan(`${line}\r\nHost: a\r\n${fields}\r\n`)).toBe(null);
    return head;
  };

  it.each([
    ['Connection: close\r\n', { close: true, keepAlive: false, upgrade: false }],
    ['Connection: Keep-Alive, Upgrade\r\n', { close: false, keepAlive: true, upgrade: true }],
    ['Connection: x, close\r\n', { close: true }],
    ['Connection: closed\r\n', { close: false }],
    ['Expect: 100-Continue\r\n', { expectContinue: true }],
    ['Expect: something\r\n', { expectContinue: false }],
    ['Transfer-Encoding: chunked\r\n', { chunked: true, contentLength: -1 }],
    ['Content-Length: 00012\r\n', { chunked: false, contentLength: 12 }],
  ])('%j', (fields, expected) => expect(read(fields).fields).toMatchObject(expected));

  it.each([
    ['http://b/x', 'b', '/x', false],
    ['http://b:8080/x?y', 'b:8080', '/x?y', false],
    ['https://[::1]:9/x', '[::1]:9', '/x', false],
    ['http://b', 'b', '', true],
    ['http://b?y', 'b', '?y', true],
  ])('absolute-form %s', (target, authority, path, emptyPath) => {
    const line = `GET ${target} HTTP/1.1`;
    read('', line);
    expect(line.slice(head.authorityStart, head.authorityEnd)).toBe(authority);
    expect(line.slice(head.targetStart, head.targetEnd)).toBe(path);
    expect(head.emptyPath).toBe(emptyPath);
  });
});
