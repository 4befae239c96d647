/** Protocols whose clients begin with a binary frame. */
import { half, isLetter, type Matcher, ranges, startsAt, word } from './detect-matcher.ts';

const ANY = [0, 0xff] as const;
const ZERO = [0, 0] as const;

/** RFC 8446 §5.1 and §4: a handshake record (22, version 3.0 to 3.4, 4 to 16,384 bytes) that begins with a client hello (1). */
export const tls: Matcher = (bytes, length) => {
  if (bytes[0] !== 22) return 'no';
  if (length > 1 && bytes[1] !== 3) return 'no';
  if (length > 2 && bytes[2]! > 4) return 'no';
  if (length > 4) {
    const size = half(bytes, 3);
    if (size === 0 || size > 16_384) return 'no';
  }
  if (length > 5 && bytes[5] !== 1) return 'no';
  return length > 5 ? 'yes' : 'more';
};

const PG_CANCEL = 80_877_102;
const PG_SSL = 80_877_103;
const PG_GSS = 80_877_104;

/**
 * PostgreSQL, "Message Formats": a length and then the code of a startup (3.x), SSLRequest, GSSENCRequest or CancelRequest. The minor version of a
 * startup is negotiated, and clients send ones that do not exist to see that it is. A startup goes on with the name of a parameter; the same eight
 * bytes of a Kafka request with its correlation id, which begins with 0.
 */
export const postgres: Matcher = (bytes, length) => {
  if (bytes[0] !== 0 || (length > 1 && bytes[1] !== 0)) return 'no';
  if (length < 8) return length > 4 && bytes[4] !== 0 && bytes[4] !== 4 ? 'no' : 'more';
  const size = word(bytes, 0);
  const code = word(bytes, 4);
  if (size === 8 && (code === PG_SSL || code === PG_GSS)) return 'yes';
  if (code === PG_CANCEL && size >= 16 && size <= 268) return 'yes';
  if (code >>> 16 !== 3 || size < 9 || size > 10_000) return 'no';
  if (length === 8) return 'more';
  return isLetter(bytes[8]!) || bytes[8] === 0x5f || (size === 9 && bytes[8] === 0) ? 'yes' : 'no';
};

/** What clients begin with: metadata, the coordinator, SASL, versions. */
const KAFKA_APIS: readonly number[] = [3, 10, 17, 18];
const KAFKA_VERSION_MOST = 20;
const KAFKA_BYTES_MAX = 1024 * 1024;

/** Kafka, "Protocol guide", request header v1: size, API, version, correlation id, a client id that is null or printable. The first ids are small. */
export const kafka: Matcher = (bytes, length) => {
  if (bytes[0] !== 0 || (length > 1 && bytes[1]! > 0x10) || (length > 4 && bytes[4] !== 0)) return 'no';
  if (length > 5 && !KAFKA_APIS.includes(bytes[5]!)) return 'no';
  if (length > 6 && bytes[6] !== 0) return 'no';
  if (length > 7 && bytes[7]! > KAFKA_VERSION_MOST) return 'no';
  if (length > 8 && bytes[8] !== 0) return 'no';
  if (length < 14) return 'more';
  const size = word(bytes, 0);
  const name = half(bytes, 12);
  if (size < 10 || size > KAFKA_BYTES_MAX) return 'no';
  if (name === 0xffff) return 'yes';
  if (name > 255 || 10 + name > size) return 'no';
  const end = Math.min(length, 14 + name);
  for (let i = 14; i < end; i++) if (bytes[i]! < 0x20 || bytes[i]! > 0x7e) return 'no';
  return length >= 14 + name ? 'yes' : 'more';
};

/** A hello names the driver and its platform in 512 bytes at most, and has little beside. */
const MONGO_BYTES_MAX = 64 * 1024 - 1;
const OP_QUERY = 2_004;
const OP_MSG = 2_013;

/** MongoDB, "Wire protocol": length, request id, no response, and one of the two opcodes that a hello comes with; all little endian. */
export const mongodb: Matcher = (bytes, length) => {
  if (length > 2 && bytes[2] !== 0) return 'no';
  if (length > 3 && bytes[3] !== 0) return 'no';
  const zeros = Math.min(length, 12);
  for (let i = 8; i < zeros; i++) if (bytes[i] !== 0) return 'no';
  if (length > 12 && bytes[12] !== (OP_QUERY & 0xff) && bytes[12] !== (OP_MSG & 0xff)) return 'no';
  if (length > 13 && bytes[13] !== OP_MSG >> 8) return 'no';
  if (length < 16) return 'more';
  const size = bytes[0]! | (bytes[1]! << 8);
  return bytes[14] === 0 && bytes[15] === 0 && size > 20 && size <= MONGO_BYTES_MAX ? 'yes' : 'no';
};

const MQTT = Buffer.from('\0\x04MQTT', 'latin1');
const MQISDP = Buffer.from('\0\x06MQIsdp', 'latin1');

/** MQTT 3.1.1 and 5.0 §3.1: CONNECT, its remaining length in one to four bytes, the name of the protocol, a level of 3 to 5. */
export const mqtt: Matcher = (bytes, length) => {
  if (bytes[0] !== 0x10) return 'no';
  let at = 1;
  while (at < length && at < 5 && bytes[at]! >= 0x80) at++;
  if (at >= length) return at < 5 ? 'more' : 'no';
  if (at === 5) return 'no';
  if (at === 1 && bytes[1]! < 12) return 'no';
  at++;
  const name = startsAt(bytes, at, length, MQTT);
  const old = startsAt(bytes, at, length, MQISDP);
  if (name === 'no' && old === 'no') return 'no';
  const level = at + (name === 'yes' ? MQTT.length : MQISDP.length);
  if ((name !== 'yes' && old !== 'yes') || level >= length) return 'more';
  return bytes[level]! >= 3 && bytes[level]! <= 5 ? 'yes' : 'no';
};

const DNS_HEADER = ranges([
  // Length: a query with its options and signature stays far below 1,024 bytes.
  [0, 3],
  ANY,
  ANY,
  ANY,
  // A query (0), NOTIFY (4) or UPDATE (5); no answer, not truncated.
  [0, 0x2d],
  // Neither recursion available nor the reserved bit.
  [0, 0x3f],
  ZERO,
  [1, 1],
  ZERO,
  [0, 1],
  ZERO,
  [0, 1],
  ZERO,
  [0, 3],
]);

/** RFC 1035 §4.1 and §4.2.2: a length, a header that asks one thing, and a whole name that fits. */
export const dns: Matcher = (bytes, length) => {
  if (length > 1 && half(bytes, 0) < 17) return 'no';
  const header = DNS_HEADER(bytes, length);
  if (header !== 'yes') return header;
  const end = 2 + half(bytes, 0);
  let at = 14;
  while (at < length) {
    const label = bytes[at]!;
    if (label > 63) return 'no';
    at += 1 + label;
    // The name ends, then come type and class.
    if (label === 0) return at + 4 <= end ? 'yes' : 'no';
    if (at - 14 > 254 || at > end) return 'no';
  }
  return 'more';
};

/** Bind, search, extended (StartTLS first of all), unbind, abandon. */
const LDAP_OPERATIONS: readonly number[] = [0x60, 0x63, 0x77, 0x42, 0x50];

/** RFC 4511 §4.1.1: a SEQUENCE with a message id and one of the operations that a client may begin with. */
export const ldap: Matcher = (bytes, length) => {
  if (bytes[0] !== 0x30) return 'no';
  if (length < 2) return 'more';
  const size = bytes[1]!;
  if (size === 0x80 || size > 0x84 || size < 5) return 'no';
  const at = size < 0x80 ? 2 : 2 + (size & 0x7f);
  if (length > at && bytes[at] !== 2) return 'no';
  if (length > at + 1 && (bytes[at + 1]! < 1 || bytes[at + 1]! > 4)) return 'no';
  const operation = at + 2 + (bytes[at + 1] ?? 0);
  if (length <= at + 1 || length <= operation) return 'more';
  return LDAP_OPERATIONS.includes(bytes[operation]!) ? 'yes' : 'no';
};

const COOKIE = Buffer.from('Cookie: ', 'latin1');

/**
 * [MS-RDPBCGR] §2.2.1.1: a TPKT, and an X.224 connection request that ends, asks for a protocol (1) or has a cookie. The others who begin with TPKT, S7
 * among them, have parameters of X.224 there.
 */
export const rdp: Matcher = (bytes, length) => {
  if (bytes[0] !== 3 || (length > 1 && bytes[1] !== 0)) return 'no';
  if (length > 5 && bytes[5] !== 0xe0) return 'no';
  if (length > 7 && (bytes[6] !== 0 || bytes[7] !== 0)) return 'no';
  if (length < 11) return 'more';
  const size = half(bytes, 2);
  if (size < 11 || size > 512 || bytes[4] !== size - 5 || bytes[10] !== 0) return 'no';
  if (size === 11) return 'yes';
  if (length === 11) return 'more';
  return bytes[11] === 1 ? 'yes' : startsAt(bytes, 11, length, COOKIE);
};

const CQL_BYTES_MAX = 64 * 1024;

/** CQL native protocol v3 to v5 §2: version, flags (none, or 16 for a beta), stream, OPTIONS (5, empty) or STARTUP (1), length. */
export const cassandra: Matcher = (bytes, length) => {
  if (bytes[0]! < 3 || bytes[0]! > 5) return 'no';
  if (length > 1 && bytes[1] !== 0 && bytes[1] !== 0x10) return 'no';
  if (length > 4 && bytes[4] !== 1 && bytes[4] !== 5) return 'no';
  if (length < 9) return 'more';
  const size = word(bytes, 5);
  return bytes[4] === 5 ? (size === 0 ? 'yes' : 'no') : size >= 2 && size <= CQL_BYTES_MAX ? 'yes' : 'no';
};

/** [MS-TDS] §2.2.3.1 and §2.2.6.5: a PRELOGIN packet, whose first option is the version. */
export const mssql: Matcher = (bytes, length) => {
  const header = TDS(bytes, length);
  if (header !== 'yes') return header;
  const size = half(bytes, 2);
  return size >= 14 && size <= 4_096 ? 'yes' : 'no';
};
const TDS = ranges([[0x12, 0x12], [0, 1], [0, 0x10], ANY, ZERO, ZERO, [0, 1], ZERO, ZERO]);

/** Methods are few; more than this many were never assigned (RFC 1928 §3, IANA "SOCKS methods"). */
const SOCKS_METHODS_MAX = 15;
const SOCKS4_USER_BYTES_MAX = 128;

/** RFC 1928 §3: 5, and as many methods as are said; or SOCKS4: 4, CONNECT or BIND, a port, an address, a user that ends with NUL. */
export const socks: Matcher = (bytes, length) => {
  if (bytes[0] === 5) {
    if (length < 2) return 'more';
    const methods = bytes[1]!;
    if (methods === 0 || methods > SOCKS_METHODS_MAX) return 'no';
    const end = Math.min(length, 2 + methods);
    for (let i = 2; i < end; i++) if ((bytes[i]! > 9 && bytes[i]! < 0x80) || bytes[i] === 0xff) return 'no';
    return end === 2 + methods ? 'yes' : 'more';
  }
  if (bytes[0] !== 4) return 'no';
  if (length > 1 && bytes[1] !== 1 && bytes[1] !== 2) return 'no';
  const end = Math.min(length, 8 + SOCKS4_USER_BYTES_MAX);
  for (let i = 8; i < end; i++) {
    if (bytes[i] === 0) return 'yes';
    if (bytes[i]! < 0x20 || bytes[i]! > 0x7e) return 'no';
  }
  return end === 8 + SOCKS4_USER_BYTES_MAX ? 'no' : 'more';
};
