/**
 * Every protocol a rule can name. A protocol is one bit of a 32-bit set: what travels on a flow can be several things at once
 * (a WebSocket upgrade is `http` and `websocket`), and a rule's `protocols` is satisfied by any of them.
 */
export const PROTOCOLS = [
  'unknown',
  'http',
  'h2',
  'tls',
  'postgres',
  'mysql',
  'redis',
  'mongodb',
  'kafka',
  'amqp',
  'mqtt',
  'ssh',
  'smtp',
  'ftp',
  'imap',
  'pop3',
  'dns',
  'ldap',
  'rdp',
  'cassandra',
  'mssql',
  'memcached',
  'nats',
  'rtsp',
  'sip',
  'socks',
  'websocket',
  'grpc',
] as const;

export type Protocol = (typeof PROTOCOLS)[number];

/** A set of protocols: bit i stands for PROTOCOLS[i]. 0 means that nothing is known yet; `unknown` is a bit of its own. */
export type ProtocolSet = number;

const BIT_OF = new Map<string, ProtocolSet>(PROTOCOLS.map((name, index) => [name, 1 << index]));

/** The bit of one protocol name, or undefined where there is no such protocol. */
export function protocolBit(name: string): ProtocolSet | undefined {
  return BIT_OF.get(name);
}

/** The names in a set, in the order of PROTOCOLS. */
export function protocolNames(set: ProtocolSet): Protocol[] {
  return PROTOCOLS.filter((_, index) => (set & (1 << index)) !== 0);
}

export const HTTP: ProtocolSet = 1 << PROTOCOLS.indexOf('http');
export const H2: ProtocolSet = 1 << PROTOCOLS.indexOf('h2');
export const GRPC: ProtocolSet = 1 << PROTOCOLS.indexOf('grpc');
export const WEBSOCKET: ProtocolSet = 1 << PROTOCOLS.indexOf('websocket');
export const UNKNOWN: ProtocolSet = 1 << PROTOCOLS.indexOf('unknown');

/** Protocols in which the server speaks first: a client that says nothing is waiting for one of these. */
export const SERVER_FIRST: ProtocolSet = (['mysql', 'ssh', 'smtp', 'ftp', 'imap', 'pop3', 'nats'] as const).reduce(
  (set, name) => set | (1 << PROTOCOLS.indexOf(name)),
  0,
);
