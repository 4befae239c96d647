/** Words that are right elsewhere, and what they mean here: the nearest spelling of such a word would be another thing. */

export interface Elsewhere {
  /** The word to write instead. */
  readonly means?: string;
  /** A sentence on what to do, where no word alone says it. */
  readonly hint?: string;
}

/** Keys in lower case. */
export type ElsewhereWords = Readonly<Record<string, Elsewhere>>;

const each = (words: readonly string[], means: string): ElsewhereWords => Object.fromEntries(words.map((word) => [word, { means }]));

const H2 = { http2: { means: 'h2' }, 'http/2': { means: 'h2' }, 'http/2.0': { means: 'h2' }, h2c: { means: 'h2' } };
const H1 = { http1: { means: 'http' }, 'http/1.1': { means: 'http' }, 'http/1.0': { means: 'http' } };
const H3: Elsewhere = { hint: 'HTTP/3 runs over UDP, which is not served here.' };
const UDP: Elsewhere = { hint: 'UDP is not served here.' };

/** For `protocols:` of rules and `protocol:` of tests. */
export const PROTOCOL_WORDS: ElsewhereWords = {
  ...H1,
  ...H2,
  h3: H3,
  http3: H3,
  'http/3': H3,
  quic: H3,
  udp: UDP,
  https: { hint: 'Inside TLS that ends here it is http or h2; TLS that passes through is tls.' },
  ssl: { means: 'tls' },
  postgresql: { means: 'postgres' },
  mariadb: { means: 'mysql' },
  valkey: { means: 'redis' },
  sqlserver: { means: 'mssql' },
  rabbitmq: { means: 'amqp' },
  ws: { means: 'websocket' },
  wss: { means: 'websocket' },
  any: { hint: 'Leave protocols: out, and every protocol matches.' },
  tcp: { hint: 'Leave protocols: out, and whatever comes by TCP matches.' },
};

/** For `protocol:` of pools. */
export const SERVER_PROTOCOL_WORDS: ElsewhereWords = {
  ...H1,
  ...H2,
  grpc: { means: 'h2' },
  h3: H3,
  http3: H3,
  https: { hint: 'That servers speak TLS is said by tls: beside it.' },
};

const TLS_MODE: Elsewhere = {
  hint: 'Write mode: tcp with tls: passthrough, which lets TLS through, or mode: http with certificates under tls:, which ends it here.',
};

/** For `mode:` of applications. */
export const MODE_WORDS: ElsewhereWords = {
  ...each(['http1', 'http/1.1', 'http2', 'http/2', 'h2', 'grpc', 'websocket', 'l7', 'layer7'], 'http'),
  l4: { means: 'tcp' },
  layer4: { means: 'tcp' },
  stream: { means: 'tcp' },
  tls: TLS_MODE,
  ssl: TLS_MODE,
  https: { hint: 'Write mode: http with certificates under tls:, which ends TLS here, or mode: tcp with tls: passthrough.' },
  passthrough: { hint: 'Write mode: tcp with tls: passthrough.' },
  http3: H3,
  h3: H3,
  quic: H3,
  udp: UDP,
};

/** For `action:` of rules. */
export const ACTION_WORDS: ElsewhereWords = {
  ...each(['accept', 'permit', 'yes'], 'allow'),
  ...each(['drop', 'reject', 'block', 'refuse', 'forbid', 'no'], 'deny'),
  redirect: { hint: 'A rule only allows or denies; clients are sent elsewhere by routes: of the application, with redirect: in one.' },
  log: { hint: 'A rule with log: true logs what it decides.' },
  limit: { hint: 'A rule that allows may have limits:.' },
};

/** For `balance:` of pools. */
export const BALANCE_WORDS: ElsewhereWords = {
  rr: { means: 'round-robin' },
  ...each(['leastconn', 'least-conn', 'least_conn', 'least-request', 'least_request'], 'least-connections'),
  ...each(['random', 'p2c', 'power-of-two'], 'random-two'),
  ...each(['source', 'ip-hash', 'ip_hash', 'hash', 'ring-hash', 'ring_hash', 'sticky'], 'source-hash'),
};

/** For `per:` of limits. */
export const PER_WORDS: ElsewhereWords = {
  ...each(['ip', 'client', 'client-ip', 'address', 'src'], 'source'),
  ...each(['global', 'total', 'rule', 'application'], 'all'),
};

const SHARED: Elsewhere = {
  hint: 'Whoever checks a signature with a shared secret could have made it as well. Have the issuer sign with a key pair: ES256, EdDSA or RS256.',
};

/** For `algorithms:` of tokens. */
export const TOKEN_ALGORITHM_WORDS: ElsewhereWords = {
  hs256: SHARED,
  hs384: SHARED,
  hs512: SHARED,
  none: { hint: 'A token without a signature is whatever its bearer says.' },
  ed25519: { means: 'EdDSA' },
  rsa: { means: 'RS256' },
  ecdsa: { means: 'ES256' },
};
