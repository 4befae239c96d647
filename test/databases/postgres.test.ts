import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BackendKeyWatch, errorResponse, type PostgresOpening, readOpening } from '../../proxy/databases/postgres.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

/** A startup with these parameters, as a client writes it. */
function startup(parameters: readonly (readonly [string, string])[], version = 0x30000): Buffer {
  const body = Buffer.from(`${parameters.map(([name, value]) => `${name}\0${value}\0`).join('')}\0`);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + body.length, 0);
  head.writeUInt32BE(version, 4);
  return Buffer.concat([head, body]);
}

function told(opening: PostgresOpening): string {
  switch (opening.kind) {
    case 'fault':
      return opening.fault;
    case 'startup':
      return `${opening.user}@${opening.database} 3.${opening.minor}${opening.options === '' ? '' : ` ${opening.options}`} :${opening.end}`;
    case 'cancel':
      return `cancel ${opening.process} ${opening.secret.toString('hex')}`;
    default:
      return opening.kind;
  }
}

const CASES: [what: string, bytes: Buffer, told: string][] = [
  ['SSLRequest (psql)', hex('00 00 00 08 04 d2 16 2f'), 'ssl-request'],
  ['GSSENCRequest', hex('00 00 00 08 04 d2 16 30'), 'gss-request'],
  ['TLS at once', hex('16 03 01 02 00 01'), 'tls'],
  ['CancelRequest', hex('00 00 00 10 04 d2 16 2e 00 00 04 d2 de ad be ef'), 'cancel 1234 deadbeef'],
  ['CancelRequest of protocol 3.2', hex('00 00 00 14 04 d2 16 2e 00 00 04 d2 de ad be ef 01 02 03 04'), 'cancel 1234 deadbeef01020304'],
  [
    'a startup of psql',
    hex(
      '00 00 00 31 00 03 00 00 75 73 65 72 00 61 00 64 61 74 61 62 61 73 65 00 62 00 61 70 70 6c 69 63 61 74 69 6f 6e 5f 6e 61 6d 65 00 70 73 71 6c 00 00',
    ),
    'a@b 3.0 :49',
  ],
  ['without a database: that of the user', startup([['user', 'ana']]), 'ana@ana 3.0 :18'],
  [
    'an empty database: the same',
    startup([
      ['user', 'ana'],
      ['database', ''],
    ]),
    'ana@ana 3.0 :28',
  ],
  [
    'options',
    startup(
      [
        ['user', 'ana'],
        ['options', '-c x=1'],
      ],
      0x30002,
    ),
    'ana@ana 3.2 -c x=1 :33',
  ],
  [
    'physical replication, which has no database',
    startup([
      ['user', 'r'],
      ['database', 'd'],
      ['replication', 'true'],
    ]),
    'r@null 3.0 :44',
  ],
  [
    'the same by another word for yes',
    startup([
      ['user', 'r'],
      ['database', 'd'],
      ['replication', 'on'],
    ]),
    'r@null 3.0 :42',
  ],
  [
    'logical replication, which has one',
    startup([
      ['user', 'r'],
      ['database', 'd'],
      ['replication', 'database'],
    ]),
    'r@d 3.0 :48',
  ],
  [
    'no replication',
    startup([
      ['user', 'r'],
      ['database', 'd'],
      ['replication', 'off'],
    ]),
    'r@d 3.0 :43',
  ],
  ['a name with a line feed', startup([['user', 'a\nb']]), 'a\nb@a\nb 3.0 :18'],
  [
    'two users',
    startup([
      ['user', 'ana'],
      ['user', 'eve'],
    ]),
    'repeated name',
  ],
  [
    'two databases',
    startup([
      ['user', 'ana'],
      ['database', 'a'],
      ['database', 'b'],
    ]),
    'repeated name',
  ],
  [
    'two words on replication',
    startup([
      ['user', 'ana'],
      ['replication', 'database'],
      ['replication', 'true'],
    ]),
    'repeated name',
  ],
  ['a CancelRequest with a longer secret than there is', hex('00 00 01 0d 04 d2 16 2e 00 00 04 d2'), 'malformed'],
  ['no user', startup([['database', 'a']]), 'no user'],
  ['nothing', startup([]), 'no user'],
  ['a name that a server would cut off', startup([['user', 'a'.repeat(64)]]), 'name too long'],
  ['an odd number of texts', hex('00 00 00 0e 00 03 00 00 75 73 65 72 00 00'), 'malformed'],
  ['no NUL at the end', hex('00 00 00 0f 00 03 00 00 75 73 65 72 00 61 62'), 'malformed'],
  ['bytes behind the end', Buffer.concat([hex('00 00 00 12 00 03 00 00 75 73 65 72 00 61 00 00 61 00')]), 'malformed'],
  ['a length of nothing', hex('00 00 00 04 00 03 00 00'), 'malformed'],
  ['a length beyond the bound', hex('00 00 27 11 00 03 00 00'), 'too long'],
  ['version 2', hex('00 00 00 22 00 02 00 00'), 'unknown version'],
  ['an SSLRequest that is too long', hex('00 00 00 09 04 d2 16 2f 00'), 'malformed'],
  ['a CancelRequest without a secret', hex('00 00 00 0c 04 d2 16 2e 00 00 04 d2'), 'malformed'],
  ['something else', Buffer.from('GET / HTTP/1.1\r\n'), 'malformed'],
];

describe('what a client of PostgreSQL begins with', () => {
  it.each(CASES)('%s', (_what, bytes, expected) => {
    expect(told(readOpening(bytes, bytes.length))).toBe(expected);
    // Cut anywhere it waits or says the same; bytes behind change nothing.
    for (let length = 0; length < bytes.length; length++) {
      const part = Buffer.concat([bytes.subarray(0, length), Buffer.alloc(40, 0x41)]);
      expect(['more', expected]).toContain(told(readOpening(part, length)));
    }
    const more = Buffer.concat([bytes, Buffer.from('more')]);
    expect(told(readOpening(more, more.length))).toBe(expected);
  });

  it('is read as it was written, whatever the names', () => {
    const text = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 15 })
      .filter((each) => !each.includes('\0') && Buffer.from(each).length < 60 && each.isWellFormed());
    fc.assert(
      fc.property(text, text, (user, database) => {
        const bytes = startup([
          ['client_encoding', 'UTF8'],
          ['database', database],
          ['user', user],
        ]);
        expect(readOpening(bytes, bytes.length)).toMatchObject({ kind: 'startup', user, database, end: bytes.length });
      }),
      { numRuns: 500 },
    );
  });

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CASES.map(([, bytes]) => bytes)),
        fc.uint8Array({ maxLength: 60 }),
        fc.nat(60),
        (start, rest, keep) => {
          const bytes = Buffer.concat([start.subarray(0, keep), rest]);
          readOpening(bytes, bytes.length);
          new BackendKeyWatch().feed(bytes, bytes.length);
        },
      ),
      { numRuns: 3_000 },
    );
  });
});

describe('the key that cancels a session', () => {
  const message = (type: string, body: Buffer) => {
    const head = Buffer.alloc(5);
    head.write(type);
    head.writeUInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };
  const key = message('K', hex('00 00 04 d2 de ad be ef'));
  const before = [message('R', hex('00 00 00 00')), message('S', Buffer.from('client_encoding\0UTF8\0')), message('N', Buffer.alloc(500))];
  it.each([
    ['after authentication and parameters', [...before, key, message('Z', Buffer.from('I'))], '1234 deadbeef'],
    ['with a long secret', [message('K', Buffer.concat([hex('00 00 00 01'), Buffer.alloc(32, 7)]))], `1 ${'07'.repeat(32)}`],
    ['not after the server is ready', [message('Z', Buffer.from('I')), key], null],
    ['not after an error', [message('E', Buffer.from('x')), key], null],
    ['not among rows', [message('D', Buffer.from('x')), key], null],
    ['not where it is too long', [message('K', Buffer.alloc(300))], null],
    ['not without a secret', [message('K', hex('00 00 04 d2'))], null],
  ])('%s, however the stream is cut', (_what, messages, expected) => {
    const bytes = Buffer.concat(messages);
    for (const size of [1, 2, 3, 7, bytes.length]) {
      const watch = new BackendKeyWatch();
      for (let at = 0; at < bytes.length; at += size) {
        const part = bytes.subarray(at, at + size);
        watch.feed(part, part.length);
      }
      expect(watch.key === null ? null : `${watch.key.process} ${watch.key.secret.toString('hex')}`).toBe(expected);
    }
  });
});

it('an error cannot be ended early by its message', () => {
  const words = errorResponse('28000', 'a\0Mb');
  expect(words.readUInt32BE(1)).toBe(words.length - 1);
  expect(words.toString('latin1', 5)).toBe('SFATAL\0VFATAL\0C28000\0MaMb\0\0');
});
