/** What a denied client is told where its protocol has a word for it. The receipt goes with it, so that its owner can ask why. */
import { HTTP, type Protocol, type ProtocolSet, protocolBit } from '../../config/protocols.ts';
import { errPacket } from '../databases/mysql.ts';
import { errorResponse, readOpening } from '../databases/postgres.ts';
import { reply } from '../http/reply.ts';

const POSTGRES = protocolBit('postgres')!;
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
  if (protocols & POSTGRES) return errorResponse('28000', said);
  // In the place of the greeting: what a server says to a host that may not connect.
  if (protocols & protocolBit('mysql')!) return errPacket(0, 1_130, said);
  const line = SPEAKERS.find(([bit]) => (protocols & bit) !== 0);
  return line === undefined ? null : Buffer.from(line[1](said), 'latin1');
}

/** Whether the client of Postgres asks for encryption first: it is told no, and hears the error when it has said who it is. */
export function asksForEncryption(protocols: ProtocolSet, bytes: Buffer, length: number): boolean {
  if ((protocols & POSTGRES) === 0) return false;
  const { kind } = readOpening(bytes, length);
  return kind === 'ssl-request' || kind === 'gss-request';
}
