// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the variables of the file under test.
/** What holds for all inputs. A failure prints its seed. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import { formatAddress, formatPrefix, parseAddress, parsePrefix, prefixContains } from '../../config/address.ts';
import { adviseAddress } from '../../config/advice.ts';
import { parseEndpoint } from '../../config/endpoint.ts';
import { parseDocument } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../config/quantity.ts';
import { parseQuestion } from '../../config/question.ts';
import { editDistance, nearest } from '../../config/spelling.ts';

const EXAMPLE = readFileSync(new URL('../../config/bulkhead.yaml', import.meta.url), 'utf8');

describe('addresses', () => {
  const ipv4 = fc.ipV4();
  // ipaddr.js takes the deprecated ::a.b.c.d for a mapped address; RFC 4291 §2.5.5.1 keeps it apart, and so do we.
  const ipv6 = fc.ipV6().filter((text) => !/^::[0-9.]+$/.test(text));

  it('read and print as ipaddr.js has them', () => {
    fc.assert(
      fc.property(fc.oneof(ipv4, ipv6), (text) => {
        const ours = parseAddress(text)!;
        const theirs = ipaddr.process(text);
        expect(ours.family).toBe(theirs.kind() === 'ipv4' ? 4 : 6);
        if (ours.family === 4) expect(formatAddress(ours)).toBe(theirs.toString());
        else expect(formatAddress(ours)).toBe((theirs as ipaddr.IPv6).toRFC5952String());
        expect(parseAddress(formatAddress(ours))).toEqual(ours);
      }),
    );
  });

  it('belong to the prefixes that ipaddr.js says', () => {
    const pair = fc.oneof(fc.tuple(ipv4, ipv4, fc.nat(32)), fc.tuple(ipv6, ipv6, fc.nat(128)));
    fc.assert(
      fc.property(pair, fc.boolean(), ([one, other, bits], near) => {
        const address = near ? one : other;
        const prefix = parsePrefix(`${one}/${bits}`)!;
        const mapped = one.includes(':') && (ipaddr.process(one).kind() === 'ipv4' || ipaddr.process(address).kind() === 'ipv4');
        if (mapped) return;
        expect(prefixContains(prefix, parseAddress(address)!)).toBe(ipaddr.parse(address).match(ipaddr.parseCIDR(`${one}/${bits}`)));
        expect(parsePrefix(formatPrefix(prefix))).toMatchObject({ words: prefix.words, bits: prefix.bits, family: prefix.family });
      }),
    );
  });

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '1.2.3.256',
    '1.2.3.4 ',
    '0x1.2.3.4',
    '1',
    ':',
    ':::',
    '1::2::3',
    '::12345',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '::1.2.3',
    '1.2.3.4::',
    '::1%lo',
    '[::1]',
    '1:2:3:4:5:6:7:8::',
    '::-1',
  ])('refuse %j', (text) => expect(parseAddress(text)).toBeNull());
  it.each(['1.2.3.4/', '1.2.3.4/33', '1.2.3.4/08', '1.2.3.4/-0', '1.2.3.4/+1', '::/129', '1.2.3.4/8/8', '/8', '::1/ 8'])(
    'refuse the prefix %j',
    (text) => expect(parsePrefix(text)).toBeNull(),
  );

  it('never have IPv6 prefixes of IPv4 addresses', () => {
    fc.assert(
      fc.property(
        fc.nat(95),
        ipv4,
        ipv4,
        (bits, one, other) => !prefixContains(parsePrefix(`::ffff:${one}/${bits}`)!, parseAddress(other)!),
      ),
    );
  });

  it('get advice that holds: what is suggested can be read', () => {
    const scribble = fc.string({ unit: fc.constantFrom(...'0123456789abcdf:./%[]+- xX*'), maxLength: 24 });
    fc.assert(
      fc.property(scribble, fc.boolean(), (text, allowPrefix) => {
        const { suggestion, message } = adviseAddress(text, allowPrefix);
        expect(message).toMatch(/\.$/);
        if (suggestion !== undefined) expect(parsePrefix(suggestion), suggestion).not.toBeNull();
      }),
    );
  });
});

describe('endpoints', () => {
  it('have a canonical text that reads as themselves', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.ipV4(),
          fc.ipV6().map((text) => `[${text}]`),
        ),
        fc.integer({ min: 1, max: 65_535 }),
        (host, port) => {
          const reading = parseEndpoint(`${host}:${port}`);
          expect(reading.ok).toBe(true);
          if (reading.ok) expect(parseEndpoint(reading.endpoint.text)).toEqual(reading);
        },
      ),
    );
  });
});

describe('durations and sizes', () => {
  it('print as what they read from', () => {
    fc.assert(
      fc.property(fc.nat(), (number) => parseDuration(formatDuration(number)) === number && parseSize(formatSize(number)) === number),
    );
  });

  it.each(['5', '5 s', '1.5s', '05s', '-5s', '5S', '5y', 's', '1h30m', ''])('refuse %j', (text) => expect(parseDuration(text)).toBeNull());
  it.each(['5', '64KB', '64k', '1.5MiB', '-1B', '01KiB', ''])('refuse the size %j', (text) => expect(parseSize(text)).toBeNull());
});

describe('spelling', () => {
  it.each([
    ['kitten', 'sitting', 3],
    ['', 'abc', 3],
    ['offcie', 'office', 1],
    ['same', 'same', 0],
  ])('%s and %s are %i apart', (a, b, distance) => expect(editDistance(a, b)).toBe(distance));

  it('suggests nothing that is not near', () => {
    expect(nearest('wehn', ['name', 'action'])).toBeUndefined();
    expect(nearest('enforcment', ['limits', 'enforcement'])).toBe('enforcement');
  });
});

/** Cuts, doublings, foreign characters and swapped words, as accidents and attackers make them. */
const mutation = fc.record({
  at: fc.nat(EXAMPLE.length),
  length: fc.nat(40),
  what: fc.oneof(
    fc.constantFrom(
      '',
      '\t',
      '[',
      ']',
      '{',
      '}',
      ':',
      ': ',
      '- ',
      '"',
      "'",
      '&a ',
      '*a',
      '!x ',
      '${',
      '${A}',
      '|',
      '>',
      '#',
      '\n',
      '\n\n---\n',
      '\0',
      '\ufeff',
      '__proto__: ',
      '~',
      '.nan',
      '<<: ',
    ),
    fc.string({ maxLength: 12 }),
    fc.string({ unit: 'binary', maxLength: 12 }),
  ),
});

describe('parseDocument', () => {
  const check = (text: string) => {
    const result = parseDocument([{ file: 'x.yaml', text }], { A: 'a' });
    const problems = result.ok ? result.warnings : result.problems;
    expect(result.ok || problems.some((problem) => problem.severity === 'error')).toBe(true);
    for (const problem of problems) {
      expect(formatProblem(problem)).not.toMatch(/[\u0000-\u001f]|undefined|\[object/);
      expect(problem.message).toMatch(/[.]$/);
      if (problem.place !== null) expect(Math.min(problem.place.line, problem.place.column)).toBeGreaterThan(0);
    }
  };

  it('never throws on a damaged example', { timeout: 30_000 }, () => {
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
        check(mutations.reduce((text, { at, length, what }) => text.slice(0, at) + what + text.slice(at + length), EXAMPLE));
      }),
      { numRuns: 250 },
    );
  });

  it('never throws on arbitrary text and bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('latin1')),
        ),
        check,
      ),
      { numRuns: 200 },
    );
  });

  it('never throws on arbitrary values under the keys of the language', () => {
    const key = fc.constantFrom(
      'process',
      'networks',
      'segments',
      'pools',
      'applications',
      'guardrails',
      'tests',
      'rules',
      'servers',
      'vips',
      'from',
      'http',
      'constructor',
      '__proto__',
      'a',
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        tie('leaf'),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
      ),
      leaf: fc.oneof(
        fc.constant(null),
        fc.boolean(),
        fc.integer(),
        fc.double(),
        fc.string({ maxLength: 8 }),
        fc.constantFrom('10.0.0.1', '127.0.0.1:80', 'tcp', 'off'),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(key, tree), (data) => check(JSON.stringify({ version: 1, ...data }))),
      { numRuns: 250 },
    );
  });

  it.each([
    ['deep brackets', 'a: '.concat('['.repeat(50_000)), 'too-deep'],
    ['deep dashes', '- '.repeat(50_000), 'too-deep'],
    ['deep but closed', `a: ${'['.repeat(200)}${']'.repeat(200)}`, 'too-deep'],
    [
      'an alias bomb',
      `a0: &a0 [x]\n${Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(', ')}]`).join('\n')}`,
      'too-large',
    ],
    ['a file beyond the bound', `# ${' '.repeat(32 * 1024 * 1024)}`, 'too-large'],
  ])('ends soon on %s', (_, text, code) => {
    const result = parseDocument([{ file: 'x.yaml', text }], {});
    expect(result.ok ? [] : result.problems.map((problem) => problem.code)).toContain(code);
  });
});

describe('questions', () => {
  it.each([
    [{ from: '10.0.0.1', to: '127.0.0.1:80', method: 'GET' }, null],
    [{ from: '10.0.0.1' }, /"to" is missing: it must be an address with a port/],
    [{ from: 'x', to: '127.0.0.1:80' }, /Write the addresses/],
    [{ from: '10.0.0.1', to: '127.0.0.1:80', protocol: 'htpt' }, /"protocol" must be one of/],
    [{ from: '10.0.0.1', to: '127.0.0.1:80', pth: '/' }, /did you mean "path"/],
    [{ from: '10.0.0.1', to: '127.0.0.1:80', protocol: 'ssh', path: '/' }, /no requests/],
    [null, /is an object/],
    ['x', /is an object/],
  ])('%j', (fields, says) => {
    const reading = parseQuestion(fields);
    if (says === null) expect(reading.ok).toBe(true);
    else expect(reading).toMatchObject({ ok: false, message: expect.stringMatching(says) });
  });

  it('never throw', () => {
    fc.assert(fc.property(fc.anything(), (fields) => typeof parseQuestion(fields).ok === 'boolean'));
  });
});
