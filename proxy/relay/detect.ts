/**
 * Finds the protocol from the first bytes of a flow. Pure: bytes in, an answer out. A table of matchers, each of which says yes, no, or
 * that so far it could be; the answer waits only while some matcher that has not said no could still say yes.
 */
import { type ProtocolSet, protocolBit, UNKNOWN } from '../../config/protocols.ts';

/** Detection looks at this many bytes at most; what is still undecided then is `unknown`. */
export const DETECT_BYTES_MAX = 2_048;

/** More bytes are needed. */
export const MORE = 0;

type Answer = 'yes' | 'no' | 'more';
type Matcher = (bytes: Uint8Array, length: number) => Answer;

/** The protocol of what a client sent first; MORE where it cannot be told yet. */
export function detectClient(bytes: Uint8Array, length: number): ProtocolSet {
  return detect(CLIENT, bytes, length);
}

/** The protocol of a server that speaks first, by its banner. */
export function detectServer(bytes: Uint8Array, length: number): ProtocolSet {
  return detect(SERVER, bytes, length);
}

function detect(table: readonly (readonly [ProtocolSet, Matcher])[], bytes: Uint8Array, length: number): ProtocolSet {
  if (length === 0) return MORE;
  const seen = Math.min(length, DETECT_BYTES_MAX);
  let open = false;
  for (const [protocol, matches] of table) {
    const answer = matches(bytes, seen);
    // Matchers stand in the order of how much they ask for; an earlier one that may still say yes goes before a later yes.
    if (answer === 'yes' && !open) return protocol;
    if (answer !== 'no') open = true;
  }
  if (!open || seen === DETECT_BYTES_MAX) return UNKNOWN;
  return MORE;
}

/** Matches text at the start, letter case ignored where `fold`. */
function starts(text: string, fold = false): Matcher {
  const wanted = Buffer.from(text, 'latin1');
  return (bytes, length) => {
    const end = Math.min(length, wanted.length);
    for (let i = 0; i < end; i++) {
      const byte = bytes[i]!;
      const want = wanted[i]!;
      if (byte !== want && !(fold && (byte | 0x20) === (want | 0x20) && isLetter(want))) return 'no';
    }
    return length >= wanted.length ? 'yes' : 'more';
  };
}

function any(...matchers: Matcher[]): Matcher {
  return (bytes, length) => {
    let answer: Answer = 'no';
    for (const matches of matchers) {
      const one = matches(bytes, length);
      if (one === 'yes') return 'yes';
      if (one === 'more') answer = 'more';
    }
    return answer;
  };
}

function isLetter(byte: number): boolean {
  return (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
}

/** RFC 9113 §3.4: the whole connection preface, up to what tells it from an HTTP/1 request. */
const h2 = starts('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** RFC 9112 §3: `method SP target SP HTTP/1.`; the method alone is too little, since other protocols greet with words as well. */
const http: Matcher = (bytes, length) => {
  let i = 0;
  while (i < length && isToken(bytes[i]!)) i++;
  if (i === length) return i <= 32 ? 'more' : 'no';
  if (i === 0 || i > 32 || bytes[i] !== 0x20) return 'no';
  const targetAt = ++i;
  while (i < length && bytes[i]! > 0x20 && bytes[i] !== 0x7f) i++;
  if (i === length) return 'more';
  if (i === targetAt || bytes[i] !== 0x20) return 'no';
  return starts('HTTP/1.')(bytes.subarray(i + 1, length), length - i - 1);
};

function isToken(byte: number): boolean {
  return isLetter(byte) || (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x5f;
}

/** RFC 8446 §5.1 and §4: a handshake record (22, version 3.0 to 3.4, 4 to 16,384 bytes) that begins with a client hello (1). */
const tls: Matcher = (bytes, length) => {
  if (bytes[0] !== 22) return 'no';
  if (length > 1 && bytes[1] !== 3) return 'no';
  if (length > 2 && bytes[2]! > 4) return 'no';
  if (length > 4) {
    const size = (bytes[3]! << 8) | bytes[4]!;
    if (size === 0 || size > 16_384) return 'no';
  }
  if (length > 5 && bytes[5] !== 1) return 'no';
  return length > 5 ? 'yes' : 'more';
};

/**
 * PostgreSQL, "Message Formats": a length and then the code of a startup (3.x), SSLRequest, GSSENCRequest or CancelRequest. The minor version of a
 * startup is negotiated, and clients send ones that do not exist to see that it is.
 */
const postgres: Matcher = (bytes, length) => {
  if (bytes[0] !== 0 || (length > 1 && bytes[1] !== 0)) return 'no';
  if (length < 8) return length > 4 && bytes[4] !== 0 && !(bytes[4] === 4) ? 'no' : 'more';
  const size = word(bytes, 0);
  const code = word(bytes, 4);
  if (size === 8 && (code === 80877103 || code === 80877104)) return 'yes';
  if (code === 80877102 && size >= 16 && size <= 268) return 'yes';
  return code >>> 16 === 3 && size >= 9 && size <= 10_000 ? 'yes' : 'no';
};

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** RESP: an array of bulk strings, `*N\r\n$`; or one of the inline commands that clients in fact begin with. */
const redis: Matcher = any(
  (bytes, length) => {
    if (bytes[0] !== 0x2a) return 'no';
    let i = 1;
    while (i < length && bytes[i]! >= 0x30 && bytes[i]! <= 0x39 && i < 8) i++;
    if (i === length) return 'more';
    if (i === 1) return 'no';
    return starts('\r\n$')(bytes.subarray(i, length), length - i);
  },
  starts('PING\r\n', true),
  starts('INFO\r\n', true),
);

/** RFC 4253 §4.2; both sides may speak first. */
const ssh = any(starts('SSH-2.0-'), starts('SSH-1.'));

/** RFC 5321 §4.1.1.1; a client that does not wait for the greeting. */
const smtpClient = any(starts('EHLO ', true), starts('HELO ', true), starts('LHLO ', true));

/** RFC 5321 §4.2: `220 ` or `220-`, and a word that an FTP server (RFC 959) would not say. */
const smtpServer: Matcher = (bytes, length) => {
  const greeting = greeting220(bytes, length);
  if (greeting === 'no' || greeting === 'more') return greeting;
  return /\bE?SMTP|LMTP/i.test(greeting) ? 'yes' : /FTP/i.test(greeting) ? 'no' : 'yes';
};

const ftpServer: Matcher = (bytes, length) => {
  const greeting = greeting220(bytes, length);
  if (greeting === 'no' || greeting === 'more') return greeting;
  return /FTP/i.test(greeting) ? 'yes' : 'no';
};

/** The first line of a 220 greeting, once it is whole. */
function greeting220(bytes: Uint8Array, length: number): string {
  const begin = any(starts('220 '), starts('220-'))(bytes, length);
  if (begin !== 'yes') return begin;
  const end = bytes.subarray(0, length).indexOf(0x0a);
  if (end < 0) return length < 512 ? 'more' : 'no';
  return Buffer.from(bytes.buffer, bytes.byteOffset, end).toString('latin1');
}

/** MySQL and MariaDB, "Protocol::HandshakeV10": 3 bytes of length, sequence 0, version 10, a printable server version and its NUL; or an error packet. */
const mysqlServer: Matcher = (bytes, length) => {
  if (length > 2 && bytes[2] !== 0) return 'no';
  if (length > 3 && bytes[3] !== 0) return 'no';
  if (length < 5) return 'more';
  const size = bytes[0]! | (bytes[1]! << 8);
  if (bytes[4] === 0xff) return size >= 3 && size < 1_024 ? 'yes' : 'no';
  if (bytes[4] !== 10 || size < 20 || size > 1_024) return 'no';
  let i = 5;
  while (i < length && bytes[i]! >= 0x20 && bytes[i]! < 0x7f) i++;
  if (i === length) return i < 128 ? 'more' : 'no';
  return bytes[i] === 0 && i > 5 ? 'yes' : 'no';
};

function bit(name: string): ProtocolSet {
  return protocolBit(name)!;
}

const CLIENT = [
  [bit('h2'), h2],
  [bit('tls'), tls],
  [bit('postgres'), postgres],
  [bit('redis'), redis],
  [bit('ssh'), ssh],
  [bit('smtp'), smtpClient],
  [bit('http'), http],
] as const;

const SERVER = [
  [bit('ssh'), ssh],
  [bit('mysql'), mysqlServer],
  [bit('ftp'), ftpServer],
  [bit('smtp'), smtpServer],
  [bit('imap'), any(starts('* OK '), starts('* PREAUTH '), starts('* BYE '))],
  [bit('pop3'), any(starts('+OK '), starts('+OK\r'))],
  [bit('nats'), starts('INFO {')],
] as const;
