/** The schema of pools: servers, health, ejection, retries. */
import * as z from 'zod';
import {
  BALANCE_DEFAULT,
  EJECTION_FAILURES_DEFAULT,
  EJECTION_FOR_MS_DEFAULT,
  HEALTH_FALL_DEFAULT,
  HEALTH_INTERVAL_MS_DEFAULT,
  HEALTH_PATH_DEFAULT,
  HEALTH_RISE_DEFAULT,
  HEALTH_TIMEOUT_MS_DEFAULT,
  IDLE_CONNECTIONS_DEFAULT,
  IDLE_TIMEOUT_MS_DEFAULT,
  RETRY_ATTEMPTS_DEFAULT,
  RETRY_BUDGET_DEFAULT,
  SERVER_PROTOCOL_DEFAULT,
  SERVER_WEIGHT_DEFAULT,
} from './defaults.ts';
import { BALANCE_WORDS, SERVER_PROTOCOL_WORDS } from './elsewhere.ts';
import { HEALTH_KEYS, POOL_KEYS, SERVER_KEYS } from './elsewhere-keys.ts';
import { host, path } from './schema-http.ts';
import { choice, count, duration, noted, off, percent, refuse, required, serverEndpoint, withDefault } from './schema-leaves.ts';
import { proxyProtocolOut } from './schema-proxy.ts';
import { serverTls } from './schema-tls.ts';

const serverFields = z.strictObject({
  address: serverEndpoint().describe(
    'Where the server listens: 127.0.0.1:9001, "[::1]:9001" or unix:/path; or a host name such as web.internal:9001, each of whose addresses is a server.',
  ),
  weight: withDefault(
    count(0, 256),
    SERVER_WEIGHT_DEFAULT,
    SERVER_WEIGHT_DEFAULT,
    'Share of new flows against the other servers; 0 takes none.',
  ),
  drain: withDefault(z.boolean(), false, false, 'true: takes no new flows and keeps the ones it has.'),
});

const serverMapping = noted(serverFields, { keys: SERVER_KEYS });

const serverText = serverEndpoint();

const server = noted(z.union([serverText, serverMapping]), {
  expects: 'an address such as 127.0.0.1:9001, or a mapping such as { address: 127.0.0.1:9002, weight: 3 }',
});

const STATUS_EXPECTS = 'a status code from 100 to 599, or a range such as 200-299';
const statusRange = z.string().transform((text, context): readonly [number, number] => {
  const match = /^([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?$/.exec(text);
  const [first, last] = match === null ? [1, 0] : [Number(match[1]), Number(match[2] ?? match[1])];
  return first <= last ? [first, last] : refuse(context, text, { code: 'wrong-value', message: `must be ${STATUS_EXPECTS}` });
});
noted(statusRange, { pattern: '^[1-5][0-9]{2}(-[1-5][0-9]{2})?$' });
const status = noted(
  z.union([
    noted(z.int().min(100).max(599), { expects: STATUS_EXPECTS }).transform((code): readonly [number, number] => [code, code]),
    statusRange,
  ]),
  {
    expects: STATUS_EXPECTS,
    type: 'status code or range',
    example: '200-299',
  },
);

const healthFields = z.strictObject({
  type: required(choice(['tcp', 'http']), 'http', 'tcp: the server accepts a connection; http: it answers a request as expected.'),
  path: noted(path.optional().describe('http: what is asked for.'), { default: HEALTH_PATH_DEFAULT }),
  host: host.optional().describe('http: the Host field; absent: the address of the server, or its name.'),
  expect: noted(z.array(status).min(1).optional().describe('http: the status codes that count as success.'), {
    expects: 'a list of status codes such as [200-299, 404]',
    default: ['200-299'],
  }),
  interval: duration('Time between two checks of a server.', HEALTH_INTERVAL_MS_DEFAULT, 10),
  timeout: duration('How long one check may take.', HEALTH_TIMEOUT_MS_DEFAULT),
  rise: withDefault(count(1, 100), HEALTH_RISE_DEFAULT, HEALTH_RISE_DEFAULT, 'Successes in a row after which a server is up.'),
  fall: withDefault(count(1, 100), HEALTH_FALL_DEFAULT, HEALTH_FALL_DEFAULT, 'Failures in a row after which a server is down.'),
});

const health = noted(healthFields, { keys: HEALTH_KEYS });

const ejection = z.strictObject({
  failures: withDefault(
    count(1, 1_000),
    EJECTION_FAILURES_DEFAULT,
    EJECTION_FAILURES_DEFAULT,
    'Failures in a row after which a server is ejected.',
  ),
  for: duration('How long it then takes no new flows.', EJECTION_FOR_MS_DEFAULT),
});

const retries = z.strictObject({
  attempts: withDefault(count(0, 10), RETRY_ATTEMPTS_DEFAULT, RETRY_ATTEMPTS_DEFAULT, 'Further servers tried after a failed dial.'),
  budget: percent('Share of dials that may be retries; a small number is always allowed.', RETRY_BUDGET_DEFAULT),
});

const idle = z.strictObject({
  connections: withDefault(
    count(0, 10_000),
    IDLE_CONNECTIONS_DEFAULT,
    IDLE_CONNECTIONS_DEFAULT,
    'Idle connections to one server that a worker keeps.',
  ),
  timeout: duration('How long it keeps them; shorter than what the server does.', IDLE_TIMEOUT_MS_DEFAULT),
});

const poolFields = z.strictObject({
  balance: withDefault(
    choice(['round-robin', 'least-connections', 'random-two', 'source-hash', 'maglev'], BALANCE_WORDS),
    BALANCE_DEFAULT,
    BALANCE_DEFAULT,
    'How a server is picked for a new flow.',
  ),
  servers: noted(z.array(server).describe('The servers, all inside networks.outbound, whatever DNS says.'), {
    expects: 'a list of addresses such as [127.0.0.1:9001, 127.0.0.1:9002]',
    standIn: [],
  }),
  health: health.optional().describe('Active checks; absent: every server counts as up.'),
  ejection: noted(z.union([off, ejection]).prefault({}).describe('Passive: takes a server out after failures in a row, or off.'), {
    expects: 'a mapping such as { failures: 5, for: 10s }, or "off"',
    default: { failures: EJECTION_FAILURES_DEFAULT, for: '10s' },
  }),
  retries: retries.prefault({}).describe('Dials of another server after a failed one.'),
  protocol: withDefault(
    choice(['http', 'h2'], SERVER_PROTOCOL_WORDS),
    SERVER_PROTOCOL_DEFAULT,
    SERVER_PROTOCOL_DEFAULT,
    'What the servers speak to applications of mode http: http is HTTP/1.1; h2 is HTTP/2, without an upgrade from HTTP/1.1.',
  ),
  idle: idle.prefault({}).describe('Kept-alive connections to servers.'),
  tls: serverTls.optional().describe('TLS to the servers; absent: none.'),
  'proxy-protocol': proxyProtocolOut.optional().describe('The PROXY header that servers get before the bytes of a client; absent: none.'),
});

export const pool = noted(poolFields, { keys: POOL_KEYS });
