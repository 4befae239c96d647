/** The schema of applications and their rules. */
import * as z from 'zod';
import {
  CONNECT_TIMEOUT_MS_DEFAULT,
  DETECT_TIMEOUT_MS_DEFAULT,
  FLOW_IDLE_TIMEOUT_MS_DEFAULT,
  HALF_CLOSED_TIMEOUT_MS_DEFAULT,
  HEAD_BYTES_DEFAULT,
  HEAD_FIELDS_DEFAULT,
  KEEP_ALIVE_TIMEOUT_MS_DEFAULT,
  REQUEST_BODY_TIMEOUT_MS_DEFAULT,
  REQUEST_HEAD_TIMEOUT_MS_DEFAULT,
  RESPONSE_TIMEOUT_MS_DEFAULT,
  STREAMS_DEFAULT,
  TARGET_BYTES_DEFAULT,
  TLS_HANDSHAKE_TIMEOUT_MS_DEFAULT,
} from './defaults.ts';
import { DENY_WITH } from './document.ts';
import { ACTION_WORDS, MODE_WORDS, PROTOCOL_WORDS } from './elsewhere.ts';
import { APPLICATION_KEYS, RULE_KEYS } from './elsewhere-keys.ts';
import { PROTOCOLS } from './protocols.ts';
import { identityPatterns, tls } from './schema-connection.ts';
import { mysql, postgres, redis } from './schema-databases.ts';
import { headers, hostPattern, method, pathPattern } from './schema-http.ts';
import { jwt } from './schema-jwt.ts';
import {
  choice,
  count,
  duration,
  durationText,
  endpointRange,
  flag,
  name,
  noted,
  off,
  ports,
  reference,
  required,
  size,
  sourceTerm,
  withDefault,
} from './schema-leaves.ts';
import { ruleLimits } from './schema-limits.ts';
import { proxyProtocolIn } from './schema-proxy.ts';
import { onRevoke } from './schema-revoke.ts';
import { forwarded, routes } from './schema-routes.ts';
import { silences } from './schema-silence.ts';
import { applicationTls } from './schema-tls.ts';
import { schedule, timestamp } from './schema-when.ts';

const WITHOUT = '; without the key, everything matches';

const sources = (absent: string) =>
  noted(z.array(sourceTerm).min(1).optional(), { expects: `a list such as [office, 10.0.0.0/8] with at least one entry${absent}` });

const http = z.strictObject({
  methods: noted(z.array(method).min(1).optional().describe('Methods, upper case as on the wire.'), {
    expects: `a list such as [GET, HEAD] with at least one entry${WITHOUT}`,
  }),
  hosts: noted(
    z.array(hostPattern).min(1).optional().describe('Host names without port; *.example.com stands for every name below example.com.'),
    {
      expects: `a list such as [shop.example.com] with at least one entry${WITHOUT}`,
    },
  ),
  paths: noted(z.array(pathPattern).min(1).optional().describe('Paths; "*" at the end stands for any rest.'), {
    expects: `a list such as [/admin/*] with at least one entry${WITHOUT}`,
  }),
  headers: headers.optional().describe('Fields that must be there: exact values, "*" at the end for any rest, "*" alone for any value.'),
});

function ruleWith<const A extends readonly [string, ...string[]]>(actions: A) {
  const fields = z.strictObject({
    name: required(name, '-', 'Unique in its list; names the rule in verdicts, metrics and the journal.'),
    from: sources('; without the key, any source matches').describe('Sources: "any", segments, pools, addresses, prefixes.'),
    except: sources('; without the key, nothing is taken away').describe('Sources that the rule does not speak of after all.'),
    ports: noted(z.array(ports).min(1).optional().describe("The VIP's port: numbers and ranges such as 8000-8099."), {
      expects: `a list such as [8080, 8000-8099] with at least one entry${WITHOUT}`,
    }),
    protocols: noted(z.array(choice(PROTOCOLS, PROTOCOL_WORDS)).min(1).optional().describe('Protocols as found in the bytes.'), {
      expects: `a list such as [http] with at least one entry${WITHOUT}`,
    }),
    tls: tls.optional().describe('What the ClientHello of a TLS connection must say.'),
    identities: identityPatterns
      .optional()
      .describe('Who the client must have proved to be: one of these; "*" at the end stands for any rest, "*" alone for anybody.'),
    http: http.optional().describe('What a request must be.'),
    postgres: postgres.optional().describe('What a flow to PostgreSQL must be; the rule is then for this protocol alone.'),
    mysql: mysql.optional().describe('What a flow to MySQL must be; the rule is then for this protocol alone.'),
    redis: redis.optional().describe('What a Redis command must be; the rule is then for this protocol alone.'),
    until: timestamp.optional().describe('The moment from which on the rule no longer holds; absent: it never ends.'),
    schedule: schedule.optional().describe('When the rule holds; absent: always.'),
    silence: silences,
    shadow: flag('The rule decides and is counted, but is not enforced: the rules after it decide.'),
    log: flag('Every flow that the rule decides is logged.'),
    'deny-with': choice(DENY_WITH).optional().describe('What a denied client gets; absent: the error of its protocol, or else a reset.'),
    'on-revoke': onRevoke
      .optional()
      .describe(
        'What becomes of open flows that a changed policy denies: cut at once, finish, or drain for a while (30s). It is read from the rule that denies them now, and where no rule does, from the rule that had admitted them. Absent: cut.',
      ),
    limits: ruleLimits
      .optional()
      .describe(
        'How much of what the rule allows there may be, on all workers together; each source address has as much for itself, unless per: says otherwise (an IPv6 source is counted as its /64).',
      ),
    action: required(choice(actions, ACTION_WORDS), 'deny', 'What the rule decides.'),
  });
  return noted(fields, { keys: RULE_KEYS });
}

export const rule = ruleWith(['allow', 'deny']);
export const guardrail = ruleWith(['allow', 'deny', 'pass']);

const timeouts = z.strictObject({
  connect: duration('Dialling one server.', CONNECT_TIMEOUT_MS_DEFAULT),
  idle: duration('No byte either way on a TCP or upgraded flow.', FLOW_IDLE_TIMEOUT_MS_DEFAULT),
  total: noted(z.union([off, durationText()]).default('off').describe('The whole life of a TCP or upgraded flow; off: no bound.'), {
    expects: 'a duration such as 12h, or "off"',
    default: 'off',
  }),
  'half-closed': duration('One side has ended, the other has not.', HALF_CLOSED_TIMEOUT_MS_DEFAULT),
  handshake: duration('TLS: from accept to the end of the handshake.', TLS_HANDSHAKE_TIMEOUT_MS_DEFAULT),
  detect: duration('Waiting for the first bytes that tell a protocol.', DETECT_TIMEOUT_MS_DEFAULT),
  'request-head': duration('http: from the first byte of a request head to its end.', REQUEST_HEAD_TIMEOUT_MS_DEFAULT),
  'request-body': duration('http: between two reads of a request body.', REQUEST_BODY_TIMEOUT_MS_DEFAULT),
  response: duration('http: from the end of a request to its response, and between two reads of it.', RESPONSE_TIMEOUT_MS_DEFAULT),
  'keep-alive': duration('http: an idle client connection between requests.', KEEP_ALIVE_TIMEOUT_MS_DEFAULT),
});

const limits = z.strictObject({
  connections: count(1, 1_000_000).optional().describe('Connections of the application at once; absent: only the limit of the process.'),
  'connections-per-source': count(1, 1_000_000)
    .optional()
    .describe('Connections from one source address at once; absent: no limit of its own.'),
  'head-size': size('http: bytes of a request or response head.', HEAD_BYTES_DEFAULT, 1024, 1024 * 1024),
  'head-fields': withDefault(count(1, 10_000), HEAD_FIELDS_DEFAULT, HEAD_FIELDS_DEFAULT, 'http: fields of a head.'),
  'target-size': size('http: bytes of a request target.', TARGET_BYTES_DEFAULT, 64, 1024 * 1024),
  streams: withDefault(count(1, 10_000), STREAMS_DEFAULT, STREAMS_DEFAULT, 'http: requests at once on one HTTP/2 connection.'),
});

const applicationFields = z.strictObject({
  vips: noted(
    z.array(endpointRange).min(1).describe('Where clients connect, all inside networks.inbound; a range of ports is one VIP a port.'),
    {
      expects: 'a list of addresses such as [127.0.0.1:8080], with at least one entry',
      standIn: ['unix:/-'],
    },
  ),
  mode: required(choice(['http', 'tcp'], MODE_WORDS), 'http', 'http: requests are judged and forwarded; tcp: bytes are.'),
  tls: applicationTls.optional().describe('TLS from clients: certificates to end it here, or passthrough; absent: none.'),
  pool: required(reference, '-', 'The pool that flows go to where no route says otherwise.'),
  routes,
  forwarded: forwarded.optional().describe('Proxies in front of this one.'),
  jwt,
  enforcement: withDefault(choice(['enforce', 'observe']), 'enforce', 'enforce', 'observe: decide and record, but let through.'),
  rules: noted(z.array(rule).default([]).describe('In order; the first that matches decides; none: deny.'), {
    expects: 'a list of rules, each with a name and an action',
    default: [],
  }),
  timeouts: timeouts.prefault({}).describe('How long things may take.'),
  'proxy-protocol': proxyProtocolIn.optional().describe('The proxies in front, which say who the client is; absent: there are none.'),
  limits: limits.prefault({}).describe('How much there may be.'),
});

export const application = noted(applicationFields, { keys: APPLICATION_KEYS });
