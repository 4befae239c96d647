/**
 * The parts of the MySQL protocol that rules ask about (MySQL 8.4 Internals, "Connection Phase", "Command Phase"; MariaDB, "Connecting"): the server's
 * greeting, the client's answer, and the commands that change user or schema. Pure: hostile bytes are a fault, never an exception.
 */

/** A greeting or an answer fits in this; certificates and long passwords included. */
export const HANDSHAKE_BYTES_MAX = 16 * 1024;

export const CLIENT_CONNECT_WITH_DB = 0x8;
export const CLIENT_COMPRESS = 0x20;
export const CLIENT_PROTOCOL_41 = 0x200;
export const CLIENT_SSL = 0x800;
export const CLIENT_SECURE_CONNECTION = 0x8000;
export const CLIENT_PLUGIN_AUTH = 0x80000;
export const CLIENT_PLUGIN_AUTH_LENENC = 0x200000;
export const CLIENT_ZSTD = 0x4000000;

/** What would hide the rest of a connection from its judge. */
export const HIDING = CLIENT_SSL | CLIENT_COMPRESS | CLIENT_ZSTD;

const APOSTROPHE = 0x27;
const COM_INIT_DB = 0x02;
const COM_CHANGE_USER = 0x11;

export type MysqlFault = 'malformed' | 'too long' | 'old protocol';

type Unread = { readonly kind: 'more' } | { readonly kind: 'fault'; readonly fault: MysqlFault };

export interface MysqlGreeting {
  readonly kind: 'greeting';
  readonly version: string;
  readonly capabilities: number;
  /** Offsets of the two halves of the capabilities; -1 where the upper one is not there. */
  readonly lowerAt: number;
  readonly upperAt: number;
  readonly end: number;
}

/** The server turns the client away instead of greeting it. */
export interface MysqlRefusal {
  readonly kind: 'refusal';
  readonly end: number;
}

export interface MysqlLogin {
  readonly kind: 'login';
  readonly capabilities: number;
  readonly user: string;
  /** Empty: none is chosen. */
  readonly schema: string;
  readonly plugin: string | null;
  readonly sequence: number;
  readonly end: number;
}

/** The client wants TLS, and will log in within it. */
export interface MysqlSslRequest {
  readonly kind: 'ssl-request';
  readonly capabilities: number;
  readonly sequence: number;
  readonly end: number;
}

const MORE: Unread = { kind: 'more' };
const MALFORMED: Unread = { kind: 'fault', fault: 'malformed' };

/** The end of the packet at `at`, or why there is none. */
function packetEnd(bytes: Buffer, at: number, length: number): number | Unread {
  if (length - at < 4) return MORE;
  const size = bytes.readUIntLE(at, 3);
  if (size > HANDSHAKE_BYTES_MAX) return { kind: 'fault', fault: 'too long' };
  if (size === 0) return MALFORMED;
  return length - at < 4 + size ? MORE : at + 4 + size;
}

/** Reads the server's first packet. */
export function readGreeting(bytes: Buffer, length: number): MysqlGreeting | MysqlRefusal | Unread {
  const end = packetEnd(bytes, 0, length);
  if (typeof end !== 'number') return end;
  if (bytes[3] !== 0) return MALFORMED;
  if (bytes[4] === 0xff) return { kind: 'refusal', end };
  if (bytes[4] !== 10) return { kind: 'fault', fault: 'old protocol' };
  const versionEnd = bytes.indexOf(0, 5);
  // Thread id, eight bytes of challenge and a filler come between.
  const lowerAt = versionEnd + 14;
  if (versionEnd < 0 || lowerAt + 2 > end) return MALFORMED;
  // A character set and the status come between.
  const upperAt = lowerAt + 5 + 2 <= end ? lowerAt + 5 : -1;
  const capabilities = (bytes.readUInt16LE(lowerAt) | (upperAt < 0 ? 0 : bytes.readUInt16LE(upperAt) << 16)) >>> 0;
  return { kind: 'greeting', version: bytes.toString('latin1', 5, versionEnd), capabilities, lowerAt, upperAt, end };
}

/** The greeting without what would hide the connection from its judge, in memory of its own. */
export function openGreeting(bytes: Buffer, greeting: MysqlGreeting): Buffer {
  const open = Buffer.from(bytes.subarray(0, greeting.end));
  const capabilities = (greeting.capabilities & ~HIDING) >>> 0;
  open.writeUInt16LE(capabilities & 0xffff, greeting.lowerAt);
  if (greeting.upperAt >= 0) open.writeUInt16LE(capabilities >>> 16, greeting.upperAt);
  return open;
}

/**
 * Reads the client's answer to the greeting: HandshakeResponse41, or SSLRequest. `offered`: what the server has said that it can. What a client claims
 * beyond that is nothing to the server, so the rest of the packet is not to be read by it.
 */
export function readLogin(bytes: Buffer, length: number, offered = 0xffff_ffff): MysqlLogin | MysqlSslRequest | Unread {
  const end = packetEnd(bytes, 0, length);
  if (typeof end !== 'number') return end;
  const sequence = bytes[3]!;
  // Capabilities, the largest packet, a character set, 23 bytes of filler.
  if (end < 6) return MALFORMED;
  if ((bytes.readUInt16LE(4) & CLIENT_PROTOCOL_41) === 0) return { kind: 'fault', fault: 'old protocol' };
  if (end < 36) return MALFORMED;
  const claimed = bytes.readUInt32LE(4);
  const capabilities = (claimed & (offered | HIDING)) >>> 0;
  // Without it some servers read a length before the secret all the same, and some its end behind it: what follows would be another schema to each.
  if ((capabilities & CLIENT_SECURE_CONNECTION) === 0) return { kind: 'fault', fault: 'old protocol' };
  if (end === 36) return (capabilities & CLIENT_SSL) !== 0 ? { kind: 'ssl-request', capabilities, sequence, end } : MALFORMED;
  const userEnd = nul(bytes, 36, end);
  if (userEnd < 0 || isQuoted(bytes, 36, userEnd)) return MALFORMED;
  let at = skipSecret(bytes, userEnd + 1, end, capabilities);
  if (at < 0) return MALFORMED;
  let schema = '';
  if ((capabilities & CLIENT_CONNECT_WITH_DB) !== 0) {
    // The last text may end with its packet.
    const schemaEnd = nul(bytes, at, end, true);
    if (schemaEnd < 0) return MALFORMED;
    schema = bytes.toString('utf8', at, schemaEnd);
    at = schemaEnd + 1;
  }
  let plugin: string | null = null;
  if ((capabilities & CLIENT_PLUGIN_AUTH) !== 0 && at < end) plugin = bytes.toString('latin1', at, nul(bytes, at, end, true));
  return { kind: 'login', capabilities, user: bytes.toString('utf8', 36, userEnd), schema, plugin, sequence, end };
}

/** The NUL that ends a text, or the end of the packet where `open`; -1 where there is none. */
function nul(bytes: Buffer, at: number, end: number, open = false): number {
  if (at > end) return -1;
  const found = bytes.indexOf(0, at);
  return found >= 0 && found < end ? found : open ? end : -1;
}

/** Servers take such quotes off a user at login, so who it is judged as would be somebody else. */
function isQuoted(bytes: Buffer, start: number, end: number): boolean {
  return end - start > 1 && bytes[start] === APOSTROPHE && bytes[end - 1] === APOSTROPHE;
}

/** Behind the client's proof of who it is; -1 where it does not fit. */
function skipSecret(bytes: Buffer, at: number, end: number, capabilities: number): number {
  let next: number;
  if ((capabilities & CLIENT_PLUGIN_AUTH_LENENC) !== 0) {
    const first = bytes[at] ?? 0xff;
    if (at >= end || first === 0xfb || first >= 0xfd) return -1;
    if (first === 0xfc && at + 3 > end) return -1;
    next = first === 0xfc ? at + 3 + bytes.readUInt16LE(at + 1) : at + 1 + first;
  } else next = at < end ? at + 1 + bytes[at]! : -1;
  return next > end ? -1 : next;
}

/** A command that rules have a say in. `user` is null where it stays. */
export interface MysqlChange {
  readonly user: string | null;
  readonly schema: string;
}

/** Reads the body of a command, without its four bytes of head. null: none that changes user or schema; a fault where it is cut short. */
export function readChange(body: Buffer, capabilities: number): MysqlChange | 'malformed' | null {
  if (body[0] === COM_INIT_DB) return { user: null, schema: body.toString('utf8', 1) };
  if (body[0] !== COM_CHANGE_USER) return null;
  const userEnd = nul(body, 1, body.length);
  if (userEnd < 0) return 'malformed';
  const at = skipSecret(body, userEnd + 1, body.length, capabilities & ~CLIENT_PLUGIN_AUTH_LENENC);
  if (at < 0) return 'malformed';
  return { user: body.toString('utf8', 1, userEnd), schema: body.toString('utf8', at, Math.max(at, nul(body, at, body.length, true))) };
}

/** Whether a command has to be read whole before it goes on. */
export function mayChange(command: number): boolean {
  return command === COM_INIT_DB || command === COM_CHANGE_USER;
}

/** Access denied to a user, to a schema, to a host; and packets that cannot be understood. */
export type MysqlErrorCode = 1_045 | 1_044 | 1_130 | 1_835;
const SQL_STATES: Readonly<Record<MysqlErrorCode, string>> = { 1045: '28000', 1044: '42000', 1130: 'HY000', 1835: 'HY000' };

/** ERR_Packet. In place of a greeting (`sequence` 0) nothing is negotiated yet, so it carries no SQL state. */
export function errPacket(sequence: number, code: MysqlErrorCode, message: string): Buffer {
  const state = sequence === 0 ? '' : `#${SQL_STATES[code]}`;
  const text = Buffer.from(`${state}${message}`);
  const packet = Buffer.alloc(7 + text.length);
  packet.writeUIntLE(3 + text.length, 0, 3);
  packet[3] = sequence;
  packet[4] = 0xff;
  packet.writeUInt16LE(code, 5);
  text.copy(packet, 7);
  return packet;
}
