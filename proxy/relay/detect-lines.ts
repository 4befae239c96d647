/** Protocols whose clients begin with text. */
import { type Answer, either, isDigit, isLetter, type Matcher, starts, startsAt } from './detect-matcher.ts';

const SPACE = 0x20;
const LF = 0x0a;
const METHOD_BYTES_MAX = 32;

/** RFC 9113 §3.4: the whole connection preface, up to what tells it from an HTTP/1 request. */
export const h2: Matcher = starts('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** `method SP target SP version`, the form that HTTP/1 shares with its relatives; the method alone is too little, since others greet with words as well. */
function requestLine(versions: readonly string[]): Matcher {
  const wanted = versions.map((version) => Buffer.from(version, 'latin1'));
  return (bytes, length) => {
    let i = 0;
    while (i < length && isToken(bytes[i]!)) i++;
    if (i === length) return i <= METHOD_BYTES_MAX ? 'more' : 'no';
    if (i === 0 || i > METHOD_BYTES_MAX || bytes[i] !== SPACE) return 'no';
    const targetAt = ++i;
    while (i < length && bytes[i]! > SPACE && bytes[i] !== 0x7f) i++;
    if (i === length) return 'more';
    if (i === targetAt || bytes[i] !== SPACE) return 'no';
    let answer: Answer = 'no';
    for (const version of wanted) {
      const one = startsAt(bytes, i + 1, length, version);
      if (one === 'yes') return one;
      if (one === 'more') answer = one;
    }
    return answer;
  };
}

function isToken(byte: number): boolean {
  return isLetter(byte) || isDigit(byte) || byte === 0x2d || byte === 0x5f;
}

/** RFC 9112 §3. */
export const http: Matcher = requestLine(['HTTP/1.']);
/** RFC 2326 §6.1, RFC 7826 §7.1. */
export const rtsp: Matcher = requestLine(['RTSP/1.0\r\n', 'RTSP/2.0\r\n']);
/** RFC 3261 §7.1. */
export const sip: Matcher = requestLine(['SIP/2.0\r\n']);

/**
 * RESP: an array of bulk strings, `*N\r\n$`; or one of the inline commands that clients in fact begin with. PING belongs to NATS as well, whose clients
 * wait for their server. HELLO has two letters L and a version; HELO, of SMTP, has one.
 */
export const redis: Matcher = either(
  (bytes, length) => {
    if (bytes[0] !== 0x2a) return 'no';
    let i = 1;
    while (i < length && isDigit(bytes[i]!) && i < 8) i++;
    if (i === length) return 'more';
    if (i === 1) return 'no';
    return startsAt(bytes, i, length, RESP_STRING);
  },
  starts('PING\r\n', true),
  starts('INFO\r\n', true),
  ...['2', '3'].flatMap((version) => ['\r\n', ' AUTH ', ' SETNAME '].map((more) => starts(`HELLO ${version}${more}`, true))),
);
const RESP_STRING = Buffer.from('\r\n$', 'latin1');

/** RFC 4253 §4.2; both sides may speak first. */
export const ssh: Matcher = either(starts('SSH-2.0-'), starts('SSH-1.'));

/** RFC 5321 §4.1.1.1 and RFC 2033 §4.1; a client that does not wait for the greeting. */
export const smtp: Matcher = either(starts('EHLO ', true), starts('HELO ', true), starts('LHLO ', true));

/** The client's CONNECT, without waiting for INFO (NATS, "Client protocol"). */
export const nats: Matcher = starts('CONNECT {', true);

/** AMQP 0-9-1 §4.2.2 and AMQP 1.0 §2.2, §5.2, §5.3: the name, then 0 (bare), 1 (before 0-9-1), 2 (TLS) or 3 (SASL). */
export const amqp: Matcher = (bytes, length) => {
  const name = startsAt(bytes, 0, length, AMQP);
  if (name !== 'yes') return name;
  if (length === 4) return 'more';
  return bytes[4]! <= 3 ? 'yes' : 'no';
};
const AMQP = Buffer.from('AMQP', 'latin1');

/** Memcached, protocol.txt: a command in lower case, and its line. */
const MEMCACHED_LINE =
  /^(?:gets? [!-~]{1,250}(?: [!-~]{1,250})*|gats? \d+ [!-~]{1,250}(?: [!-~]{1,250})*|(?:set|add|replace|append|prepend) [!-~]{1,250} \d+ -?\d+ \d+(?: noreply)?|cas [!-~]{1,250} \d+ -?\d+ \d+ \d+(?: noreply)?|delete [!-~]{1,250}(?: noreply)?|(?:incr|decr|touch) [!-~]{1,250} \d+(?: noreply)?|stats(?: [!-~]+)*|version|verbosity \d+|flush_all(?: \d+)?(?: noreply)?|m[gdase] [!-~]{1,250}(?: [!-~]+)*|mn) ?\r?\n/;
const MEMCACHED_LINE_BYTES_MAX = 512;
const MEMCACHED_WORDS = [
  ...['get ', 'gets ', 'gat ', 'gats ', 'set ', 'add ', 'replace ', 'append ', 'prepend ', 'cas ', 'delete ', 'incr ', 'decr ', 'touch '],
  ...['stats', 'version', 'verbosity ', 'flush_all', 'mg ', 'md ', 'ma ', 'ms ', 'me ', 'mn'],
];
const memcachedWord = either(...MEMCACHED_WORDS.map((text) => starts(text)));

const memcachedText: Matcher = (bytes, length) => {
  const begun = memcachedWord(bytes, length);
  if (begun !== 'yes') return begun;
  const seen = Math.min(length, MEMCACHED_LINE_BYTES_MAX);
  let end = 0;
  while (end < seen && bytes[end] !== LF) end++;
  if (end === seen) return seen < MEMCACHED_LINE_BYTES_MAX ? 'more' : 'no';
  const line = Buffer.from(bytes.buffer, bytes.byteOffset, end + 1).toString('latin1');
  // `get / HTTP/1.1` asks for two keys, or is a request of a client that writes its method small.
  return MEMCACHED_LINE.test(line) && !/ (?:HTTP|RTSP|SIP)\/\d\.\d\r?\n$/.test(line) ? 'yes' : 'no';
};

/** Memcached, BinaryProtocol: the magic of a request, an opcode that there is, data type 0, a body as long as its parts at least. */
const memcachedBinary: Matcher = (bytes, length) => {
  if (bytes[0] !== 0x80) return 'no';
  if (length > 1 && bytes[1]! > 0x48) return 'no';
  if (length > 2 && bytes[2] !== 0) return 'no';
  if (length > 4 && bytes[4]! > 20) return 'no';
  if (length > 5 && bytes[5] !== 0) return 'no';
  if (length < 12) return 'more';
  const body = (((bytes[8]! << 24) | (bytes[9]! << 16) | (bytes[10]! << 8) | bytes[11]!) >>> 0) - bytes[3]! - bytes[4]!;
  return body >= 0 && body <= 1024 * 1024 ? 'yes' : 'no';
};

export const memcached: Matcher = either(memcachedText, memcachedBinary);
