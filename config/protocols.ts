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

/** The names in a set, in the order of PROTOCOLS: what is spoken within another stands behind it. */
export function protocolNames(set: ProtocolSet): Protocol[] {
  return PROTOCOLS.filter((_, index) => (set & (1 << index)) !== 0);
}

export const HTTP: ProtocolSet = 1 << PROTOCOLS.indexOf('http');
export const H2: ProtocolSet = 1 << PROTOCOLS.indexOf('h2');
export const GRPC: ProtocolSet = 1 << PROTOCOLS.indexOf('grpc');
export const WEBSOCKET: ProtocolSet = 1 << PROTOCOLS.indexOf('websocket');
export const UNKNOWN: ProtocolSet = 1 << PROTOCOLS.indexOf('unknown');

/** Protocols whose flows are made of requests: in `mode: http` there are no others, since bytes that are no HTTP are answered with 400. */
export const REQUEST_PROTOCOLS: ProtocolSet = HTTP | H2 | GRPC | WEBSOCKET;

/**
 * What is found on a flow of a protocol in an application of a mode; `WEBSOCKET | H2` is a WebSocket over HTTP/2 (RFC 8441). The data plane
 * and everything that foretells it ask this one function. In `mode: http` every request is `http` beside what else it is, and gRPC is
 * spoken over HTTP/2 alone. In `mode: tcp` only first bytes are seen: those of HTTP/2 are its preface, which is no request of HTTP/1.1, and
 * of what is spoken in it no more than gRPC can be told. Asked about its own answer, it gives that again.
 */
export function protocolsOn(mode: 'http' | 'tcp', named: ProtocolSet): ProtocolSet {
  if (mode === 'http') {
    const carried = named & GRPC ? named | H2 : named;
    return carried & REQUEST_PROTOCOLS ? carried | HTTP : carried;
  }
  if (named & (H2 | GRPC)) return (named & ~(HTTP | WEBSOCKET)) | H2;
  return named & WEBSOCKET ? named | HTTP : named;
}

/** Protocols in which the server speaks first: a client that says nothing is waiting for one of these. */
export const SERVER_FIRST: ProtocolSet = (['mysql', 'ssh', 'smtp', 'ftp', 'imap', 'pop3', 'nats'] as const).reduce(
  (set, name) => set | (1 << PROTOCOLS.indexOf(name)),
  0,
);
