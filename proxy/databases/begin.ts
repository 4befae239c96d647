/** Which session a flow to a database goes on in, where rules ask for more than its protocol. */
import { protocolBit } from '../../config/protocols.ts';
import type { Held } from '../wire/held.ts';
import type { Handover } from './judged-flow.ts';
import { MysqlSession } from './mysql-session.ts';
import { PostgresSession } from './postgres-session.ts';
import { RedisSession } from './redis-session.ts';

const POSTGRES = protocolBit('postgres')!;
const MYSQL = protocolBit('mysql')!;
const REDIS = protocolBit('redis')!;

/** Whether a flow of such protocols has one. */
export function speaksDatabase(protocols: number): boolean {
  return protocols === POSTGRES || protocols === MYSQL || protocols === REDIS;
}

/** Takes the flow over, from its first bytes on: what is held is the session's then. */
export function beginDatabase(given: Omit<Handover, 'first' | 'isFirstOfServer'>, held: Held, isFirstOfServer: boolean): void {
  const from: Handover = { ...given, first: Buffer.from(held.bytes.subarray(0, held.length)), isFirstOfServer };
  held.drop();
  if (from.protocols === POSTGRES) new PostgresSession(from);
  else if (from.protocols === MYSQL) new MysqlSession(from);
  else new RedisSession(from);
}
