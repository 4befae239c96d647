/**
 * The language of the file, said once: what validates it and what the JSON Schema is made of. Shapes only; names that must exist,
 * lanes and conflicts are the resolver's.
 */
import * as z from 'zod';
import {
  ADMIN_LISTEN_DEFAULT,
  ANSWERS_DEFAULT,
  CONNECTIONS_DEFAULT,
  JOURNAL_SEGMENT_BYTES_DEFAULT,
  JOURNAL_SIZE_BYTES_DEFAULT,
  LANE_DEFAULT_TEXTS,
  LOG_LEVEL_DEFAULT,
  STATE_FOLDER_DEFAULT,
} from './defaults.ts';
import { ADMIN_ROLES, ANSWERS } from './document.ts';
import { PROTOCOL_WORDS } from './elsewhere.ts';
import { FILE_KEYS, SEGMENT_KEYS } from './elsewhere-keys.ts';
import { PROTOCOLS } from './protocols.ts';
import { application, guardrail, rule } from './schema-applications.ts';
import { connectionFields, identityPatterns } from './schema-connection.ts';
import { databaseFields } from './schema-databases.ts';
import { dnsName, host, method, path, requestHeaders } from './schema-http.ts';
import type { Note } from './schema-leaves.ts';
import {
  address,
  choice,
  count,
  durationText,
  endpoint,
  NAME_EXPECTS,
  NAME_PATTERN,
  name,
  noted,
  notes,
  off,
  prefix,
  reference,
  refuse,
  required,
  size,
  sourceTerm,
  withDefault,
} from './schema-leaves.ts';
import { pool } from './schema-pools.ts';
import { silences } from './schema-silence.ts';
import { timestamp } from './schema-when.ts';

const filePath = noted(z.string().regex(/^[^\u0000]{1,4096}$/), {
  expects: 'the path of a file',
  type: 'path of a file',
  example: './file.pem',
});

const token = z.strictObject({
  name: required(name, 'token', 'Whose token it is: audit and versions tell this name.'),
  role: required(choice(ADMIN_ROLES), 'viewer', 'What it may do: look; operate servers and quarantines and go back; apply documents.'),
  hash: noted(
    z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/)
      .describe('SHA-256 of the token, as bulkhead token prints it.'),
    {
      expects: '"sha256:" and 64 hexadecimal digits in lower case, as bulkhead token prints them',
      standIn: `sha256:${'0'.repeat(64)}`,
      example: `sha256:${'0'.repeat(64)}`,
    },
  ),
});

const adminTls = z.strictObject({
  certificate: required(
    filePath,
    'admin.pem',
    'The certificate chain in PEM, that of the endpoint first; read again when the file changes.',
  ),
  key: required(filePath, 'admin.key', 'The private key in PEM, without a passphrase; read again when the file changes.'),
});

const admin = z.strictObject({
  listen: noted(endpoint(0).prefault(ADMIN_LISTEN_DEFAULT).describe('Where metrics, health, API and dashboard answer.'), {
    default: ADMIN_LISTEN_DEFAULT,
  }),
  tokens: noted(z.array(token).max(256).default([]).describe('Who may write through the API; without a token only a unix socket may.'), {
    expects: 'a list of tokens such as { name: ana, role: admin, hash: "sha256:…" }, as bulkhead token prints them',
    default: [],
  }),
  tls: noted(adminTls.optional().describe('HTTPS for the whole endpoint; an address that others can reach needs it.'), {
    expects: 'a mapping such as { certificate: admin.pem, key: admin.key }',
  }),
});

const process = z.strictObject({
  node: noted(
    z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,253}$/)
      .optional()
      .describe("This node's name in logs, metrics and the cluster; absent: the host name."),
    {
      expects: 'a name of 1 to 253 letters, digits, ".", "_" or "-", as text (in quotes where it reads as a number)',
      type: 'name',
      example: 'edge-1',
    },
  ),
  workers: noted(
    z
      .union([noted(z.literal('auto'), {}), count(1, 256)])
      .default('auto')
      .describe('Threads that carry traffic; auto: one per core.'),
    { expects: '"auto" or a whole number from 1 to 256', default: 'auto' },
  ),
  admin: noted(z.union([off, admin]).prefault({}).describe('The admin endpoint, or off.'), {
    expects: 'a mapping such as { listen: 127.0.0.1:9900 }, or "off"',
    default: { listen: ADMIN_LISTEN_DEFAULT },
  }),
  state: noted(
    z
      .string()
      .regex(/^[^\u0000]{1,4096}$/)
      .default(STATE_FOLDER_DEFAULT)
      .describe('Folder for policy versions and the journal, relative to the working directory, or off.'),
    {
      expects: 'a folder such as ./state, or "off"',
      type: 'folder or `off`',
      example: '/var/lib/bulkhead',
      default: STATE_FOLDER_DEFAULT,
    },
  ),
  journal: z
    .strictObject({
      size: size('What the flow journal may take on disk.', JOURNAL_SIZE_BYTES_DEFAULT, 1024 * 1024),
      segment: size(
        'Bytes after which a new file is begun; the oldest is removed when size is reached.',
        JOURNAL_SEGMENT_BYTES_DEFAULT,
        64 * 1024,
      ),
      age: noted(
        z
          .union([off, durationText(60_000)])
          .default('off')
          .describe('How long a record is kept at most; off: as long as size allows.'),
        {
          expects: 'a duration of at least 1m, such as 30d, or "off"',
          default: 'off',
        },
      ),
    })
    .prefault({})
    .describe('The journal of flows.'),
  geo: z
    .strictObject({
      country: noted(filePath.optional().describe('A MaxMind-format file (.mmdb) that knows the country of an address.'), {
        example: './country.mmdb',
      }),
      asn: noted(filePath.optional().describe('A MaxMind-format file (.mmdb) that knows the autonomous system of an address.'), {
        example: './asn.mmdb',
      }),
    })
    .prefault({})
    .describe('Databases for segments by countries: and asns:, relative to the working directory; read again when they change.'),
  resolvers: noted(
    z.array(endpoint()).max(8).default([]).describe('DNS servers for names of segments and servers; none: those of the machine.'),
    {
      expects: 'a list of at most 8 addresses with a port such as [127.0.0.1:53]',
      default: [],
    },
  ),
  log: z
    .strictObject({
      level: withDefault(
        choice(['debug', 'info', 'warn', 'error', 'silent']),
        LOG_LEVEL_DEFAULT,
        LOG_LEVEL_DEFAULT,
        'The least severity that is logged.',
      ),
    })
    .prefault({})
    .describe('The log.'),
  answers: withDefault(
    choice(ANSWERS),
    ANSWERS_DEFAULT,
    ANSWERS_DEFAULT,
    'What clients are told where a server failed (5xx): brief: which failure, and the receipt; full: the server and its address as well.',
  ),
  limits: z
    .strictObject({
      connections: withDefault(
        count(1, 1_000_000),
        CONNECTIONS_DEFAULT,
        CONNECTIONS_DEFAULT,
        'Connections open at once, over all applications.',
      ),
    })
    .prefault({})
    .describe('Bounds of the whole process.'),
});

const lane = noted(z.array(prefix), { expects: 'a list of prefixes such as [10.0.0.0/8]' });

const networks = z.strictObject({
  inbound: noted(lane.optional().describe('VIPs may be bound only here; absent: loopback only.'), { default: LANE_DEFAULT_TEXTS }),
  outbound: noted(lane.optional().describe('Servers may be dialled only here; absent: loopback only.'), { default: LANE_DEFAULT_TEXTS }),
  cluster: noted(lane.optional().describe('Sources between nodes, which no rule and no quarantine may cut; absent: none.'), {
    default: [],
  }),
});

const country = noted(
  z.string().transform((text, context) => {
    if (/^[A-Z]{2}$/.test(text)) return text;
    const upper = text.toUpperCase();
    const suggestion = /^[A-Z]{2}$/.test(upper) ? { suggestion: upper } : {};
    return refuse(context, text, { code: 'wrong-value', message: 'must be two upper-case letters such as DE (ISO 3166-1)', ...suggestion });
  }),
  { expects: 'two upper-case letters such as DE, as text (NO needs quotes)', type: 'country', pattern: '^[A-Z]{2}$' },
);

const segmentFields = z.strictObject({
  addresses: noted(z.array(prefix).optional().describe('Addresses and prefixes.'), {
    expects: 'a list of addresses such as [10.0.0.0/8]',
  }),
  pool: reference.optional().describe('A pool whose servers belong to the segment.'),
  pools: noted(z.array(reference).optional().describe('Pools whose servers belong to the segment.'), { expects: 'a list of pool names' }),
  segments: noted(z.array(reference).optional().describe('Other segments, all of whose members belong.'), {
    expects: 'a list of segment names',
  }),
  countries: noted(z.array(country).min(1).optional().describe('Countries by their two letters (ISO 3166-1); needs process.geo.country.'), {
    expects: 'a list of countries such as [DE, FR]',
  }),
  asns: noted(z.array(count(1, 4_294_967_295)).min(1).optional().describe('Autonomous systems by their numbers; needs process.geo.asn.'), {
    expects: 'a list of numbers such as [3320]',
  }),
  dns: noted(z.array(dnsName).min(1).optional().describe('Host names, whose addresses are looked up as they change.'), {
    expects: 'a list of host names such as [partner.example.com]',
  }),
  identities: identityPatterns
    .optional()
    .describe('Who the client has proved to be, such as "spiffe://example.org/*"; they belong whatever their address.'),
  unknown: withDefault(
    choice(['deny', 'ignore']),
    'deny',
    'deny',
    'What holds while a country, system or name is not known: deny: rules that allow find nobody there, and rules that deny everybody; ignore: nobody is there.',
  ),
  except: noted(z.array(sourceTerm).optional().describe('What is taken away again.'), {
    expects: 'a list such as [guests, 10.0.0.9/32]',
  }),
});

const segment = noted(segmentFields, { keys: SEGMENT_KEYS });

const flowTest = z.strictObject({
  from: required(address, '0.0.0.0', 'The source address.'),
  to: required(endpoint(), 'unix:/-', 'The VIP: IP:port or unix:/path. Where there is none, the verdict is deny.'),
  protocol: choice(PROTOCOLS, PROTOCOL_WORDS).optional().describe('The protocol of the flow; http where method, host or path are given.'),
  over: choice(['h2']).optional().describe('What carries a WebSocket, where it is not HTTP/1.1 (RFC 8441).'),
  method: method.optional().describe('The method of the request.'),
  host: host.optional().describe('The host of the request.'),
  path: path.optional().describe('The path of the request.'),
  headers: requestHeaders.optional().describe('Fields of the request.'),
  ...connectionFields,
  ...databaseFields,
  at: timestamp.optional().describe('The moment of the flow; absent: now.'),
  expect: required(choice(['allow', 'deny']), 'deny', 'The verdict that must come out.'),
  by: reference.optional().describe('The rule that must decide; "default" where no rule does.'),
});

/** What a test says of its flow: also the shape of one line of a batch. */
export const flowShape = flowTest.omit({ expect: true, by: true });

const named = z.string().regex(new RegExp(NAME_PATTERN));
noted(named, { expects: NAME_EXPECTS });

export const fileSchema = z.strictObject({
  version: noted(z.literal(1).describe('The version of this language.'), { expects: 'the number 1', standIn: 1 }),
  process: process.prefault({}).describe('Read once at start.'),
  networks: networks.prefault({}).describe('The three lanes.'),
  segments: z.record(named, segment).prefault({}).describe('Who a source is, by name.'),
  pools: z.record(named, pool).prefault({}).describe('Servers, by the name of their pool.'),
  applications: z.record(named, application).prefault({}).describe('Micro-segments, by name; what no rule allows is denied.'),
  guardrails: noted(
    z.array(guardrail).default([]).describe('Rules for every application, before its own; allow and deny are final, pass goes on.'),
    {
      expects: 'a list of rules',
      default: [],
    },
  ),
  baseline: noted(z.array(rule).default([]).describe('Rules for every application, after its own; then deny.'), {
    expects: 'a list of rules',
    default: [],
  }),
  silence: silences,
  tests: noted(z.array(flowTest).default([]).describe('Flows with what is expected of them; a file whose tests fail is never applied.'), {
    expects: 'a list of tests such as { from: 10.0.0.1, to: 127.0.0.1:8080, expect: allow }',
    default: [],
  }),
});

noted(fileSchema, { keys: FILE_KEYS });

export type FileShape = z.output<typeof fileSchema>;

/** The note of a schema, for whoever explains or prints it. */
export function noteOf(schema: z.core.$ZodType): Note {
  return notes.get(schema as z.ZodType) ?? {};
}

/** Anything with a variable in it may stand where a scalar does: it is read after substitution. */
const VARIABLE_PATTERN = '\\$\\{';

/** The JSON Schema (draft 2020-12) of the file, as editors take it. */
export function jsonSchema(): object {
  const schema = z.toJSONSchema(fileSchema, {
    io: 'input',
    target: 'draft-2020-12',
    override: ({ zodSchema, jsonSchema: json }) => {
      const note = noteOf(zodSchema);
      if (note.pattern !== undefined) json.pattern = note.pattern;
      if (note.default !== undefined) json.default = note.default;
      else if (zodSchema._zod.def.type === 'prefault') delete json.default;
      allowVariables(json);
      if (zodSchema._zod.def.type === 'record') json.propertyNames = { pattern: NAME_PATTERN };
    },
  });
  return { $schema: schema.$schema, title: 'Bulkhead', description: 'The file that Bulkhead runs.', ...schema };
}

function allowVariables(json: z.core.JSONSchema.BaseSchema): void {
  if (json.type === 'integer' || json.type === 'boolean') {
    Object.assign(json, { type: [json.type, 'string'], pattern: VARIABLE_PATTERN });
  } else if (json.type === 'string' && json.enum !== undefined) {
    const { type, enum: values } = json;
    delete json.type;
    delete json.enum;
    json.anyOf = [
      { type, enum: values },
      { type: 'string', pattern: VARIABLE_PATTERN },
    ] as z.core.JSONSchema.BaseSchema[];
  } else if (json.type === 'string' && json.pattern !== undefined && !json.pattern.endsWith(VARIABLE_PATTERN)) {
    json.pattern = `${json.pattern}|${VARIABLE_PATTERN}`;
  }
}
