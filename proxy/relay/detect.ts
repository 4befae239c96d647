/**
 * Finds the protocol from the first bytes of a flow. Pure: bytes in, an answer out. A table of matchers, each of which says yes, no, or
 * that so far it could be; the answer waits only while some matcher that has not said no could still say yes.
 */
import { type Protocol, type ProtocolSet, protocolBit, UNKNOWN } from '../../config/protocols.ts';
import { ftpBanner, imapBanner, mysqlBanner, natsBanner, pop3Banner, smtpBanner } from './detect-banners.ts';
import { cassandra, dns, kafka, ldap, mongodb, mqtt, mssql, postgres, rdp, socks, tls } from './detect-frames.ts';
import { amqp, h2, http, memcached, nats, redis, rtsp, sip, smtp, ssh } from './detect-lines.ts';
import type { Matcher } from './detect-matcher.ts';

/** Detection looks at this many bytes at most; what is still undecided then is `unknown`. */
export const DETECT_BYTES_MAX = 2_048;

/** More bytes are needed. */
export const MORE = 0;

interface Row {
  readonly bit: ProtocolSet;
  readonly matches: Matcher;
}

/** hot: the protocol of what a client sent first; MORE where it cannot be told yet. */
export function detectClient(bytes: Uint8Array, length: number): ProtocolSet {
  return detect(CLIENT, bytes, length);
}

/** hot: the protocol of a server that speaks first, by its banner. */
export function detectServer(bytes: Uint8Array, length: number): ProtocolSet {
  return detect(SERVER, bytes, length);
}

function detect(byFirst: readonly (readonly Row[])[], bytes: Uint8Array, length: number): ProtocolSet {
  if (length === 0) return MORE;
  const seen = Math.min(length, DETECT_BYTES_MAX);
  let open = false;
  for (const { bit, matches } of byFirst[bytes[0]!]!) {
    const answer = matches(bytes, seen);
    // An earlier one that may still say yes goes before a later yes.
    if (answer === 'yes' && !open) return bit;
    if (answer !== 'no') open = true;
  }
  if (!open || seen === DETECT_BYTES_MAX) return UNKNOWN;
  return MORE;
}

/** For each first byte the matchers that do not turn it down, in the order of the table: one or two are left of twenty. */
function byFirstByte(table: readonly (readonly [Protocol, Matcher])[]): readonly (readonly Row[])[] {
  const rows = table.map(([name, matches]): Row => ({ bit: protocolBit(name)!, matches }));
  return Array.from({ length: 256 }, (_, first) => {
    const bytes = Uint8Array.of(first);
    return rows.filter(({ matches }) => matches(bytes, 1) !== 'no');
  });
}

/** In order: where two would say yes of the same bytes, the first does. Those that can begin with any byte stand last. */
const CLIENT = byFirstByte([
  ['h2', h2],
  ['tls', tls],
  ['postgres', postgres],
  ['redis', redis],
  ['ssh', ssh],
  ['smtp', smtp],
  ['nats', nats],
  ['amqp', amqp],
  ['mqtt', mqtt],
  ['ldap', ldap],
  ['mssql', mssql],
  ['rdp', rdp],
  ['cassandra', cassandra],
  ['socks', socks],
  ['kafka', kafka],
  ['memcached', memcached],
  ['http', http],
  ['rtsp', rtsp],
  ['sip', sip],
  ['dns', dns],
  ['mongodb', mongodb],
]);

const SERVER = byFirstByte([
  ['ssh', ssh],
  ['mysql', mysqlBanner],
  ['ftp', ftpBanner],
  ['smtp', smtpBanner],
  ['imap', imapBanner],
  ['pop3', pop3Banner],
  ['nats', natsBanner],
]);
