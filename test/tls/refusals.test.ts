/**
 * What a client is told whose first words are odd or wrong, byte for byte: RFC 8446 and RFC 5246, for the hellos that we judge as for those that OpenSSL
 * does. A row stands on a connection of its own to a real node.
 */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from './authority.ts';
import { type Edge, pairs, startEdge } from './edge.ts';
import { block, extension, hello, list, nameOf, record, recut, u16 } from './hellos.ts';

let authority: Authority;
let edge: Edge;

beforeAll(async () => {
  authority = new Authority();
  const certificate = authority.issue({ names: ['DNS:shop.example.com'] });
  edge = await startEdge({ tls: `{ certificates: [${pairs(certificate)}], alpn: [h2, http/1.1] }`, server: 9001 });
});

afterAll(async () => {
  await edge.at.stop();
  authority.remove();
});

/** Alerts by their numbers (RFC 8446 §6). */
const ALERTS: ReadonlyMap<number, string> = new Map([
  [0, 'close notify'],
  [10, 'unexpected message'],
  [22, 'record overflow'],
  [40, 'handshake failure'],
  [47, 'illegal parameter'],
  [50, 'decode error'],
  [51, 'decrypt error'],
  [70, 'protocol version'],
  [86, 'inappropriate fallback'],
  [109, 'missing extension'],
  [120, 'no application protocol'],
]);

/** The first record of the answer in words: `1.3`, `1.2` or `again` for a ServerHello, an alert by its name, `nothing` for an end without a word. */
function answerTo(bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(edge.port, '127.0.0.1', () => socket.write(bytes));
    let got = Buffer.alloc(0);
    socket.on('data', (part: Buffer) => {
      got = Buffer.concat([got, part]);
      if (got.length >= 7 && got.length >= 5 + got.readUInt16BE(3)) socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.once('close', () => resolve(wordsOf(got)));
  });
}

function wordsOf(got: Buffer): string {
  if (got.length === 0) return 'nothing';
  if (got[0] === 21) return got[5] === 2 ? (ALERTS.get(got[6]!) ?? `alert ${got[6]}`) : `warning ${got[6]}`;
  if (got[0] !== 22 || got[5] !== 2) return got.toString('latin1', 0, 20);
  // The random of a HelloRetryRequest is the hash of that name (RFC 8446 §4.1.3).
  if (got.subarray(11, 15).toString('hex') === 'cf21ad74') return 'again';
  return got.indexOf(Buffer.from('002b00020304', 'hex')) > 0 ? '1.3' : '1.2';
}

// --- good hellos, to be made worse -----------------------------------------------------------------------------------------------

const X25519 = 0x001d;
const P256 = 0x0017;
const SIGNATURES = extension(13, block(2, list(0x0403, 0x0804)));
const GROUPS = extension(10, block(2, list(X25519, P256)));
const VERSIONS = extension(43, block(1, list(0x0304, 0x0303)));
/** Any 32 bytes are a public key of X25519. */
const KEY = Buffer.concat([u16(X25519), block(2, Buffer.alloc(32, 9))]);
const shares = (...keys: readonly Buffer[]) => extension(51, block(2, ...keys));
const MODERN = [VERSIONS, GROUPS, SIGNATURES, shares(KEY)] as const;
const OLDER = [GROUPS, SIGNATURES] as const;
const CIPHERS = [0x1301, 0xc02b];

const modern = (...more: readonly Buffer[]) => hello({ ciphers: CIPHERS, extensions: [...MODERN, ...more] });
const older = (...more: readonly Buffer[]) => hello({ ciphers: [0xc02b], extensions: [...OLDER, ...more] });
/** With another extension of the same kind in the place of one. */
const swapped = (other: Buffer) =>
  hello({ ciphers: CIPHERS, extensions: MODERN.map((one) => (one.readUInt16BE(0) === other.readUInt16BE(0) ? other : one)) });
const lacking = (kind: number) => hello({ ciphers: CIPHERS, extensions: MODERN.filter((one) => one.readUInt16BE(0) !== kind) });
/** Groups, and a key of one of them; a key of 32 bytes whatever its group. */
const grouped = (groups: readonly number[], keyOf: number) =>
  hello({
    ciphers: CIPHERS,
    extensions: [
      VERSIONS,
      extension(10, block(2, list(...groups))),
      SIGNATURES,
      shares(Buffer.concat([u16(keyOf), block(2, Buffer.alloc(32, 9))])),
    ],
  });
const versions = (...said: readonly number[]) => swapped(extension(43, block(1, list(...said))));
const legacy = (version: number) => hello({ version, ciphers: [0xc02b, 0xc009], extensions: OLDER });
const names = (...all: readonly Buffer[]) => extension(0, block(2, ...all));
const name = (kind: number, text: string) => Buffer.concat([Buffer.from([kind]), block(2, Buffer.from(text, 'latin1'))]);
const protocols = (...all: readonly string[]) => extension(16, block(2, ...all.map((one) => block(1, Buffer.from(one)))));
/** The whole with one byte changed, counted from the front of the message or (below 0) from the end. */
const spoilt = (bytes: Buffer, at: number, value: number) => {
  const copy = Buffer.from(bytes);
  copy[at < 0 ? copy.length + at : 5 + at] = value;
  return copy;
};
const SESSION_AT = 38;
const CIPHERS_AT = 71;
const HTTP = Buffer.from('GET / HTTP/1.1\r\n\r\n');

type Row = readonly [what: string, answer: string, bytes: () => Buffer];

function rows(table: readonly Row[]): void {
  it.each(table)('%s: %s', async (_what, answer, bytes) => {
    expect(await answerTo(bytes())).toBe(answer);
  });
}

describe('records', () => {
  rows([
    ['a hello of TLS 1.3', '1.3', () => modern()],
    ['a hello of TLS 1.2', '1.2', () => older()],
    ['in records of one byte', '1.3', () => recut(modern(), 1)],
    ['cut within the head of the message', '1.3', () => recut(modern(), 3)],
    ['of version 3.0', '1.3', () => record(22, modern().subarray(5), 0x300)],
    ['of version 3.255: it does not count', '1.3', () => record(22, modern().subarray(5), 0x3ff)],
    ['of version 2.0', 'protocol version', () => record(22, modern().subarray(5), 0x200)],
    ['of version 4.0', 'protocol version', () => record(22, modern().subarray(5), 0x400)],
    ['an empty one first', 'unexpected message', () => Buffer.concat([record(22, Buffer.alloc(0)), modern()])],
    [
      'an empty one in between',
      'unexpected message',
      () => Buffer.concat([record(22, modern().subarray(5, 50)), record(22, Buffer.alloc(0))]),
    ],
    ['longer than they may be', 'record overflow', () => record(22, Buffer.alloc(16_385, 1))],
    ['the longest that a record can say', 'record overflow', () => Buffer.concat([Buffer.from([22, 3, 1, 0xff, 0xff]), Buffer.alloc(100)])],
    ['a change of ciphers first', 'unexpected message', () => Buffer.concat([record(20, Buffer.from([1])), modern()])],
    ['data first', 'unexpected message', () => record(23, HTTP)],
    ['a heartbeat first', 'unexpected message', () => record(24, Buffer.from([1, 0x40, 0]))],
    ['data within the hello', 'unexpected message', () => Buffer.concat([record(22, modern().subarray(5, 50)), record(23, HTTP)])],
    ['a fatal alert first', 'nothing', () => record(21, Buffer.from([2, 40]))],
    ['a warning first', 'nothing', () => record(21, Buffer.from([1, 0]))],
    ['an alert within the hello', 'nothing', () => Buffer.concat([record(22, modern().subarray(5, 50)), record(21, Buffer.from([2, 40]))])],
    ['of a kind that is none', 'nothing', () => record(25, modern().subarray(5))],
    ['a hello of SSL 2, as of old browsers', 'nothing', () => Buffer.from('802e010301001500000010010080030080070', 'hex')],
    ['HTTP', 'HTTP/1.1 400 Bad Req', () => HTTP],
  ]);
});

describe('messages', () => {
  rows([
    ...[0, 2, 4, 8, 11, 14, 15, 16, 20, 24, 67, 254, 255].map(
      (kind): Row => [`of kind ${kind}`, 'unexpected message', () => spoilt(modern(), 0, kind)],
    ),
    ['longer than they may be', 'illegal parameter', () => record(22, Buffer.from([1, 0, 0x40, 1, 3, 3]))],
    ['longer than any', 'illegal parameter', () => record(22, Buffer.from([1, 0xff, 0xff, 0xff, 3, 3]))],
    ['of nothing', 'decode error', () => record(22, Buffer.from([1, 0, 0, 0]))],
    ['that end within the random', 'decode error', () => record(22, Buffer.from([1, 0, 0, 6, 3, 3, 1, 2, 3, 4]))],
    ['with a session of 33 bytes', 'decode error', () => hello({ session: Buffer.alloc(33), ciphers: CIPHERS, extensions: MODERN })],
    ['with a session longer than the rest', 'decode error', () => spoilt(modern(), SESSION_AT, 255)],
    ['without a session', '1.3', () => hello({ session: Buffer.alloc(0), ciphers: CIPHERS, extensions: MODERN })],
    ['with half a cipher', 'decode error', () => spoilt(modern(), CIPHERS_AT + 1, 3)],
    ['with ciphers longer than the rest', 'decode error', () => spoilt(modern(), CIPHERS_AT, 0xff)],
    ['without ciphers', 'decode error', () => hello({ ciphers: [], extensions: MODERN })],
    ['with ciphers that nobody knows', 'handshake failure', () => hello({ ciphers: [0x1a1a, 0xfefe], extensions: MODERN })],
    ['with ciphers of NULL and of export', 'handshake failure', () => hello({ ciphers: [0, 1, 2, 3, 0x0008, 0x0062], extensions: OLDER })],
    ['with GREASE among the ciphers', '1.3', () => hello({ ciphers: [0x5a5a, ...CIPHERS], extensions: MODERN })],
    ['without compressions', 'decode error', () => hello({ ciphers: CIPHERS, extensions: MODERN, compressions: Buffer.alloc(0) })],
    ['that must be compressed', 'illegal parameter', () => hello({ ciphers: [0xc02b], extensions: OLDER, compressions: Buffer.from([1]) })],
    ['that may be compressed, of TLS 1.2', '1.2', () => hello({ ciphers: [0xc02b], extensions: OLDER, compressions: Buffer.from([1, 0]) })],
    [
      'that may be compressed, of TLS 1.3',
      'illegal parameter',
      () => hello({ ciphers: CIPHERS, extensions: MODERN, compressions: Buffer.from([1, 0]) }),
    ],
    ['with bytes behind their end', 'decode error', () => hello({ ciphers: CIPHERS, extensions: MODERN, tail: Buffer.from([0]) })],
  ]);
});

describe('versions', () => {
  rows([
    // Which has no alert for its version.
    ['SSL 3', 'handshake failure', () => legacy(0x300)],
    ['TLS 1.0', 'protocol version', () => legacy(0x301)],
    ['TLS 1.1', 'protocol version', () => legacy(0x302)],
    ['1.3 where it is not said: the highest of before', '1.2', () => legacy(0x304)],
    ['one of the future, where it is not said', '1.2', () => legacy(0x3ff)],
    ['GREASE before those that there are', '1.3', () => versions(0x7a7a, 0x0304, 0x0303)],
    ['GREASE alone', 'protocol version', () => versions(0x7a7a)],
    ['1.2 alone', '1.2', () => versions(0x0303)],
    ['1.1 alone', 'protocol version', () => versions(0x0302)],
    ['a draft of 1.3', 'protocol version', () => versions(0x7f1c)],
    ['none', 'decode error', () => versions()],
    ['half of one', 'decode error', () => swapped(extension(43, block(1, Buffer.from([3]))))],
    ['an extension of nothing', 'decode error', () => swapped(extension(43, Buffer.alloc(0)))],
    ['a fallback that was not needed', 'inappropriate fallback', () => hello({ ciphers: [0xc02b, 0x5600], extensions: OLDER })],
  ]);
});

describe('extensions', () => {
  rows([
    // Without a word on signatures SHA-1 is meant, which is made no more.
    ['none at all, of TLS 1.2', 'handshake failure', () => hello({ ciphers: [0xc02b], rest: Buffer.alloc(0) })],
    ['that nobody knows', '1.3', () => modern(extension(0x1234, Buffer.from('x')), extension(0xfafa, Buffer.alloc(0)))],
    [
      'two hundred that nobody knows',
      '1.3',
      () => modern(...Array.from({ length: 200 }, (_, i) => extension(0x3000 + i, Buffer.alloc(2)))),
    ],
    ['twice the same', 'illegal parameter', () => modern(SIGNATURES)],
    [
      'twice one that nobody knows',
      'illegal parameter',
      () => modern(extension(0x1234, Buffer.alloc(0)), extension(0x1234, Buffer.alloc(0))),
    ],
    ['over the end', 'decode error', () => modern(Buffer.from([0x12, 0x34, 0, 9, 1]))],
    ['half a head', 'decode error', () => modern(Buffer.from([0x12, 0x34, 0]))],
    ['a list longer than the message', 'decode error', () => hello({ ciphers: CIPHERS, rest: Buffer.from([0xff, 0xff, 0, 0]) })],
    ['a list of one byte', 'decode error', () => hello({ ciphers: CIPHERS, rest: Buffer.from([0]) })],
    ['no signatures', 'missing extension', () => lacking(13)],
    ['signatures of nothing', 'decode error', () => swapped(extension(13, block(2)))],
    ['signatures that nobody here can make', 'handshake failure', () => swapped(extension(13, block(2, list(0x0807))))],
    ['half a signature', 'decode error', () => swapped(extension(13, block(2, Buffer.from([4]))))],
    ['no groups', 'missing extension', () => lacking(10)],
    ['groups of nothing', 'decode error', () => swapped(extension(10, block(2)))],
    ['groups that nobody knows', 'handshake failure', () => grouped([0x2a2a], 0x2a2a)],
    ['a key of a group that was not named', 'illegal parameter', () => grouped([P256], X25519)],
    ['no keys', 'missing extension', () => lacking(51)],
    ['a list of no keys: the client asks to be asked', 'again', () => swapped(shares())],
    ['a key of a group that nobody knows, beside others', 'again', () => grouped([0x6a6a, X25519], 0x6a6a)],
    ['a key that is too short', 'illegal parameter', () => swapped(shares(Buffer.concat([u16(X25519), block(2, Buffer.alloc(31, 9))])))],
    ['a key of nothing', 'decode error', () => swapped(shares(Buffer.concat([u16(X25519), block(2)])))],
    ['a point that is none', 'illegal parameter', () => swapped(shares(Buffer.concat([u16(P256), block(2, Buffer.alloc(65, 4))])))],
    [
      'a key of X25519 that makes nothing but zeros',
      'illegal parameter',
      () => swapped(shares(Buffer.concat([u16(X25519), block(2, Buffer.alloc(32))]))),
    ],
    ['keys over the end', 'decode error', () => swapped(extension(51, Buffer.concat([u16(9), KEY])))],
    [
      'a ticket that is not the last',
      'illegal parameter',
      () => modern(extension(45, block(1, Buffer.from([1]))), extension(41, Buffer.alloc(4)), extension(0x1234, Buffer.alloc(0))),
    ],
    ['a ticket without a word on how it is used', 'missing extension', () => modern(ticket())],
    ['a ticket that nobody made', '1.3', () => modern(extension(45, block(1, Buffer.from([1]))), ticket())],
    [
      'early data, which is never taken',
      '1.3',
      () => modern(extension(45, block(1, Buffer.from([1]))), extension(42, Buffer.alloc(0)), ticket()),
    ],
    ['a renegotiation of nothing', 'handshake failure', () => older(extension(0xff01, block(1, Buffer.alloc(12))))],
    ['fragments of a size that is none', 'illegal parameter', () => modern(extension(1, Buffer.from([5])))],
    ['an extended secret with a payload', 'decode error', () => older(extension(23, Buffer.from([0])))],
  ]);

  it('heartbeats are not agreed on, and one that comes is refused', async () => {
    const asks = Buffer.concat([older(extension(15, Buffer.from([1])))]);
    expect(await answerTo(asks)).toBe('1.2');
    // CVE-2014-0160: 16 KiB are asked for, and three bytes are there.
    const bytes = await new Promise<Buffer>((resolve) => {
      const socket = connect(edge.port, '127.0.0.1', () =>
        socket.write(Buffer.concat([asks, record(24, Buffer.from([1, 0x40, 0]), 0x303)])),
      );
      const parts: Buffer[] = [];
      socket.on('data', (part: Buffer) => void parts.push(part));
      socket.on('error', () => undefined);
      socket.once('close', () => resolve(Buffer.concat(parts)));
    });
    expect([bytes.includes(Buffer.from('000f0001', 'hex')), bytes.subarray(-7).toString('hex')]).toEqual([false, '1503030002020a']);
  });
});

describe('names (RFC 6066)', () => {
  rows([
    ['one', '1.3', () => modern(nameOf('shop.example.com'))],
    ['one that nobody has: the first certificate', '1.3', () => modern(nameOf('other.example.com'))],
    ['one with capitals and a dot', '1.3', () => modern(nameOf('SHOP.example.com.'))],
    ['an address', '1.3', () => modern(nameOf('127.0.0.1'))],
    ['an extension of nothing', 'decode error', () => modern(extension(0, Buffer.alloc(0)))],
    ['a list of nothing', 'decode error', () => modern(names())],
    ['a name of nothing', 'decode error', () => modern(nameOf(''))],
    ['bytes behind the list', 'decode error', () => modern(extension(0, Buffer.concat([block(2, name(0, 'a')), Buffer.from('x')])))],
    ['a list longer than it is', 'decode error', () => modern(extension(0, Buffer.from('ffffffff', 'hex')))],
    ['two names', 'illegal parameter', () => modern(names(name(0, 'a.test'), name(0, 'b.test')))],
    ['NUL in it', 'illegal parameter', () => modern(nameOf('shop\0.example.com'))],
    ['BEL in it', 'illegal parameter', () => modern(nameOf('shop\x07.example.com'))],
    ['UTF-8', 'illegal parameter', () => modern(nameOf('sh\xc4\x85p.example.com'))],
    ['colours of a terminal', 'illegal parameter', () => modern(nameOf('shop.example.com\x1b[31mBAD\x1b[0;37m'))],
    ['a slash', 'illegal parameter', () => modern(nameOf('shop/../x'))],
    ['300 bytes', 'illegal parameter', () => modern(nameOf('a.'.repeat(149)))],
    // RFC 6066 lets other kinds of names be passed over; OpenSSL takes one name and nothing beside it.
    ['a name, and something that nobody knows', 'decode error', () => modern(names(name(0, 'shop.example.com'), name(1, 'whatever')))],
    ['something that nobody knows, and a name', 'decode error', () => modern(names(name(1, 'whatever'), name(0, 'shop.example.com')))],
  ]);
});

describe('protocols (RFC 7301)', () => {
  rows([
    ['one of ours', '1.3', () => modern(protocols('http/1.1'))],
    ['GREASE before it', '1.3', () => modern(protocols('\x0a\x0a', 'h2'))],
    ['none of ours', 'no application protocol', () => modern(protocols('http/1.', 'imap'))],
    ['an extension of nothing', 'decode error', () => modern(extension(16, Buffer.alloc(0)))],
    ['a list of nothing', 'decode error', () => modern(protocols())],
    ['a name of nothing', 'decode error', () => modern(protocols('http/1.1', ''))],
    ['a list shorter than it is', 'decode error', () => spoilt(modern(protocols('http/1.1', 'http/2')), -17, 9)],
    ['a list longer than it is', 'decode error', () => spoilt(modern(protocols('http/1.1', 'http/2')), -17, 18)],
    ['a last name longer than it is', 'decode error', () => spoilt(modern(protocols('http/1.1', 'http/2')), -7, 8)],
  ]);
});

/** A ticket of TLS 1.3 that nobody has made, with a proof that is none (RFC 8446 §4.2.11). */
function ticket(): Buffer {
  const identity = Buffer.concat([block(2, Buffer.alloc(64, 7)), Buffer.alloc(4)]);
  return extension(41, Buffer.concat([block(2, identity), block(2, block(1, Buffer.alloc(32)))]));
}
