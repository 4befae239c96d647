import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CLIENT_COMPRESS,
  CLIENT_CONNECT_WITH_DB,
  CLIENT_PLUGIN_AUTH,
  CLIENT_PLUGIN_AUTH_LENENC,
  CLIENT_PROTOCOL_41,
  CLIENT_SECURE_CONNECTION,
  CLIENT_SSL,
  errPacket,
  HIDING,
  openGreeting,
  readChange,
  readGreeting,
  readLogin,
} from '../../proxy/databases/mysql.ts';

function packet(sequence: number, body: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUIntLE(body.length, 0, 3);
  head[3] = sequence;
  return Buffer.concat([head, body]);
}

function greeting(capabilities: number, version = '10.11.19-MariaDB'): Buffer {
  const body = Buffer.alloc(31);
  body.writeUInt32LE(7, 0);
  body.fill('x', 4, 12);
  body.writeUInt16LE(capabilities & 0xffff, 13);
  body[15] = 45;
  body.writeUInt16LE(2, 16);
  body.writeUInt16LE(capabilities >>> 16, 18);
  body[20] = 21;
  return packet(0, Buffer.concat([Buffer.from(`\n${version}\0`), body, Buffer.from('abcdefghijkl\0mysql_native_password\0')]));
}

const BASE = CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION;

function login(capabilities: number, ...rest: (string | Buffer)[]): Buffer {
  const head = Buffer.alloc(32);
  head.writeUInt32LE(capabilities >>> 0, 0);
  head.writeUInt32LE(1 << 24, 4);
  head[8] = 45;
  return packet(1, Buffer.concat([head, ...rest.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part))]));
}

describe('the greeting', () => {
  it('tells what the server can, and goes on without what would hide the rest', () => {
    const all = (0x81ff_ffff | HIDING) >>> 0;
    const bytes = greeting(all);
    const read = readGreeting(bytes, bytes.length);
    expect(read).toMatchObject({ kind: 'greeting', version: '10.11.19-MariaDB', capabilities: all, end: bytes.length });
    if (read.kind !== 'greeting') return;
    const open = openGreeting(bytes, read);
    const again = readGreeting(open, open.length);
    expect(again).toMatchObject({ kind: 'greeting', capabilities: (all & ~HIDING) >>> 0 });
    // Nothing else has changed.
    const different = [...open].flatMap((byte, i) => (byte === bytes[i] ? [] : [i]));
    expect(different.every((i) => (i >= read.lowerAt && i < read.lowerAt + 2) || (i >= read.upperAt && i < read.upperAt + 2))).toBe(true);
  });

  it.each([
    ['an error in its place', errPacket(0, 1_130, 'no'), { kind: 'refusal' }],
    ['another version', packet(0, Buffer.from('\x09 3.20\0')), { kind: 'fault', fault: 'old protocol' }],
    ['a second packet', packet(1, Buffer.from('\n8\0')), { kind: 'fault' }],
    ['too short', packet(0, Buffer.from('\n8\0xxxx')), { kind: 'fault' }],
    ['too long', packet(0, Buffer.alloc(17_000, '\n')), { kind: 'fault', fault: 'too long' }],
    ['empty', packet(0, Buffer.alloc(0)), { kind: 'fault' }],
  ])('%s', (_what, bytes, expected) => {
    expect(readGreeting(bytes, bytes.length)).toMatchObject(expected);
  });
});

describe('the login', () => {
  it.each([
    ['a user', login(BASE, 'ana\0', '\x14', Buffer.alloc(20, 1)), { kind: 'login', user: 'ana', schema: '' }],
    ['without a password', login(BASE, 'ana\0', '\0'), { kind: 'login', user: 'ana', schema: '' }],
    ['nobody', login(BASE, '\0', '\0'), { kind: 'login', user: '', schema: '' }],
    ['with a schema', login(BASE | CLIENT_CONNECT_WITH_DB, 'ana\0', '\x02ab', 'Shop\0'), { kind: 'login', user: 'ana', schema: 'Shop' }],
    [
      'with a schema that ends with its packet',
      login(BASE | CLIENT_CONNECT_WITH_DB, 'ana\0', '\0', 'shop'),
      { kind: 'login', schema: 'shop' },
    ],
    [
      'with a plugin',
      login(BASE | CLIENT_CONNECT_WITH_DB | CLIENT_PLUGIN_AUTH, 'ana\0', '\0', 'shop\0', 'caching_sha2_password\0', 'attributes'),
      { kind: 'login', schema: 'shop', plugin: 'caching_sha2_password' },
    ],
    [
      'with a long secret',
      login(BASE | CLIENT_CONNECT_WITH_DB | CLIENT_PLUGIN_AUTH_LENENC, 'ana\0', '\xfc\x2c\x01', Buffer.alloc(300), 'shop\0'),
      { kind: 'login', user: 'ana', schema: 'shop' },
    ],
    [
      'with a secret that is a length to some servers and ends with NUL to others, and so the schema is another to each',
      login(CLIENT_PROTOCOL_41 | CLIENT_CONNECT_WITH_DB, 'ana\0', '\x07a\0shop\0', 'secret\0'),
      { kind: 'fault', fault: 'old protocol' },
    ],
    ['a user in quotes, which servers take off', login(BASE, "'root'\0", '\0'), { kind: 'fault', fault: 'malformed' }],
    ['a user with one quote', login(BASE, "o'hara'\0", '\0'), { kind: 'login', user: "o'hara'" }],
    ['a request for TLS', login(BASE | CLIENT_SSL), { kind: 'ssl-request' }],
    ['the same without its flag', login(BASE), { kind: 'fault' }],
    ['of the old protocol', packet(1, Buffer.from('\x05\x00\x00\x00\x01ana\0')), { kind: 'fault', fault: 'old protocol' }],
    ['a user that does not end', login(BASE, 'ana'), { kind: 'fault' }],
    ['a secret that does not fit', login(BASE, 'ana\0', '\x14ab'), { kind: 'fault' }],
    ['a long secret that does not fit', login(BASE | CLIENT_PLUGIN_AUTH_LENENC, 'ana\0', '\xfc\xff\xffab'), { kind: 'fault' }],
    ['a secret whose length is null', login(BASE | CLIENT_PLUGIN_AUTH_LENENC, 'ana\0', '\xfb'), { kind: 'fault' }],
    ['too long', packet(1, Buffer.alloc(17_000, 0xff)), { kind: 'fault', fault: 'too long' }],
  ])('%s', (_what, bytes, expected) => {
    const whole = readLogin(bytes, bytes.length);
    expect(whole).toMatchObject(expected);
    for (let length = 0; length < bytes.length; length++) expect(['more', whole.kind]).toContain(readLogin(bytes, length).kind);
    expect(readLogin(Buffer.concat([bytes, Buffer.from('\0\0more')]), bytes.length)).toEqual(whole);
  });

  it('is read by what the server has offered, whatever the client claims', () => {
    const offered = BASE | CLIENT_CONNECT_WITH_DB;
    const short = login(BASE | CLIENT_CONNECT_WITH_DB | CLIENT_PLUGIN_AUTH_LENENC, 'ana\0', '\xfc\x01\x00', Buffer.alloc(250), 'shop\0');
    expect(readLogin(short, short.length, offered)).toMatchObject({ kind: 'login', schema: 'shop' });
  });

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(0xffffffff), (body, flags) => {
        const given = Buffer.from(body);
        if (given.length >= 4) given.writeUInt32LE((flags | CLIENT_PROTOCOL_41) >>> 0, 0);
        for (const bytes of [packet(1, given), given]) {
          readLogin(bytes, bytes.length);
          readGreeting(bytes, bytes.length);
        }
        readChange(given, flags);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('a command', () => {
  it.each([
    ['that chooses a schema', Buffer.from('\x02shop'), { user: null, schema: 'shop' }],
    ['that chooses none', Buffer.from('\x02'), { user: null, schema: '' }],
    ['that changes the user', Buffer.from('\x11eve\0\x02abshop\0\x2d\0plugin\0', 'latin1'), { user: 'eve', schema: 'shop' }],
    [
      'that changes the user with a secret whose length is always one byte',
      Buffer.from(`\x11eve\0\xfc${'s'.repeat(0xfc)}shop\0`, 'latin1'),
      { user: 'eve', schema: 'shop' },
    ],
    ['that changes the user and says no more', Buffer.from('\x11eve\0\0'), { user: 'eve', schema: '' }],
    ['that changes the user and is cut short', Buffer.from('\x11eve'), 'malformed'],
    ['that changes the user with a secret that does not fit', Buffer.from('\x11eve\0\x14'), 'malformed'],
    ['that asks', Buffer.from('\x03use secret'), null],
    ['of no bytes', Buffer.alloc(0), null],
  ])('%s', (_what, body, expected) => {
    expect(readChange(body, BASE | CLIENT_PLUGIN_AUTH_LENENC)).toEqual(expected);
  });
});

it.each([
  ['in place of the greeting', errPacket(0, 1_130, 'no'), '05 00 00 00 ff 6a 04 6e 6f'],
  ['after it', errPacket(2, 1_045, 'no'), '0b 00 00 02 ff 15 04 23 32 38 30 30 30 6e 6f'],
])('an error %s', (_what, bytes, hex) => {
  expect(bytes.toString('hex')).toBe(hex.replaceAll(' ', ''));
});

it('compression is among what hides', () => {
  expect(HIDING & CLIENT_COMPRESS).not.toBe(0);
});
