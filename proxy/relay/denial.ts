/** What a denied client is told where its protocol has a word for it. The receipt goes with it, so that its owner can ask why. */
import { HTTP, type Protocol, type ProtocolSet, protocolBit } from '../../config/protocols.ts';
import { reply } from '../http/reply.ts';

const POSTGRES = protocolBit('postgres')!;
/** Codes of the requests that a client of Postgres may begin with, before it says what it wants (PostgreSQL 17, §53.7). */
const SSL_REQUEST = 80_877_103;
const GSS_REQUEST = 80_877_104;
/** ER_HOST_NOT_PRIVILEGED: what a MySQL server says in place of its greeting to a host that may not connect. */
const MYSQL_ERROR = 1_130;

/** Lines of protocols that speak in lines. */
const LINES: Partial<Record<Protocol, (said: string) => string>> = {
  redis: (said) => `-ERR ${said}\r\n`,
  memcached: (said) => `SERVER_ERROR ${said}\r\n`,
  smtp: (said) => `554 5.7.1 ${said}\r\n`,
  ftp: (said) => `421 ${said}\r\n`,
  pop3: (said) => `-ERR ${said}\r\n`,
  imap: (said) => `* BYE ${said}\r\n`,
  nats: (said) => `-ERR '${said}'\r\n`,
};
const SPEAKERS = Object.entries(LINES).map(([name, words]) => [protocolBit(name)!, words] as const);

/** The words, or null where the protocol has none, or is not known. */
export function denialWords(protocols: ProtocolSet, receipt: string): Buffer | null {
  const said = `denied by policy, receipt ${receipt}`;
  if (protocols & HTTP) return reply(403, 'denied', receipt, null, false, false);
  if (protocols & POSTGRES) return postgresError(said);
  if (protocols & protocolBit('mysql')!) return mysqlError(said);
  const line = SPEAKERS.find(([bit]) => (protocols & bit) !== 0);
  return line === undefined ? null : Buffer.from(line[1](said), 'latin1');
}

/** Whether the client of Postgres asks for encryption first: it is told no, and hears the error when it has said who it is. */
export function asksForEncryption(protocols: ProtocolSet, bytes: Buffer, length: number): boolean {
  if ((protocols & POSTGRES) === 0 || length < 8 || bytes.readUInt32BE(0) !== 8) return false;
  const code = bytes.readUInt32BE(4);
  return code === SSL_REQUEST || code === GSS_REQUEST;
}

/** ErrorResponse; 28000 is invalid_authorization_specification. */
function postgresError(said: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C28000\0M${said}\0\0`, 'latin1');
  const head = Buffer.alloc(5);
  head.write('E', 'latin1');
  head.writeUInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

/** ERR_Packet in the place of the greeting: nothing is negotiated yet, so it carries no SQL state. */
function mysqlError(said: string): Buffer {
  const text = Buffer.from(said, 'latin1');
  const packet = Buffer.alloc(7 + text.length);
  packet.writeUIntLE(3 + text.length, 0, 3);
  packet[4] = 0xff;
  packet.writeUInt16LE(MYSQL_ERROR, 5);
  text.copy(packet, 7);
  return packet;
}
