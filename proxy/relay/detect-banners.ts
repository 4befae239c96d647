/** Protocols in which the server speaks first, by its banner. */
import { either, type Matcher, starts } from './detect-matcher.ts';

const GREETING_BYTES_MAX = 512;

/** RFC 5321 §4.2: `220 ` or `220-`, and a word that an FTP server (RFC 959) would not say. */
export const smtpBanner: Matcher = (bytes, length) => {
  const greeting = greeting220(bytes, length);
  if (greeting === 'no' || greeting === 'more') return greeting;
  return /\bE?SMTP|LMTP/i.test(greeting) ? 'yes' : /FTP/i.test(greeting) ? 'no' : 'yes';
};

export const ftpBanner: Matcher = (bytes, length) => {
  const greeting = greeting220(bytes, length);
  if (greeting === 'no' || greeting === 'more') return greeting;
  return /FTP/i.test(greeting) && !/\bE?SMTP|LMTP/i.test(greeting) ? 'yes' : 'no';
};

const begins220 = either(starts('220 '), starts('220-'));

/** The first line of a 220 greeting, once it is whole. */
function greeting220(bytes: Uint8Array, length: number): string {
  const begin = begins220(bytes, length);
  if (begin !== 'yes') return begin;
  const end = bytes.subarray(0, Math.min(length, GREETING_BYTES_MAX)).indexOf(0x0a);
  if (end < 0) return length < GREETING_BYTES_MAX ? 'more' : 'no';
  return Buffer.from(bytes.buffer, bytes.byteOffset, end).toString('latin1');
}

/** MySQL and MariaDB, "Protocol::HandshakeV10": 3 bytes of length, sequence 0, version 10, a printable server version and its NUL; or an error packet. */
export const mysqlBanner: Matcher = (bytes, length) => {
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

/** RFC 9051 §7.1. */
export const imapBanner: Matcher = either(starts('* OK '), starts('* PREAUTH '), starts('* BYE '));

/** RFC 1939 §4. */
export const pop3Banner: Matcher = either(starts('+OK '), starts('+OK\r'));

/** NATS, "Client protocol": the server's INFO. */
export const natsBanner: Matcher = starts('INFO {');
