/** Flows as people describe them: in the file's tests, on a line of a batch, on the command line. */
import type * as z from 'zod';
import type { FlowQuestion } from './document.ts';
import { shown } from './problem.ts';
import type { Protocol } from './protocols.ts';
import { H2, HTTP, protocolBit } from './protocols.ts';
import { flowShape, noteOf } from './schema.ts';
import { nearest } from './spelling.ts';

export type QuestionReading = { readonly ok: true; readonly question: FlowQuestion } | { readonly ok: false; readonly message: string };

/** Protocols whose flows are made of requests. */
const CARRY_REQUESTS: ReadonlySet<Protocol> = new Set(['http', 'h2', 'websocket', 'grpc']);

/** Fields that only flows of one protocol have, and that say it where nothing else does. */
const OF_PROTOCOL = { database: 'postgres', schema: 'mysql', command: 'redis', keys: 'redis' } as const;
const DATABASE_FIELDS = ['database', 'schema', 'command', 'keys'] as const;
const HAVE_USERS: ReadonlySet<Protocol> = new Set(['postgres', 'mysql', 'redis']);

/** Reads the fields of a test without `expect` and `by`, from whatever JSON held them. Never throws. */
export function parseQuestion(fields: unknown): QuestionReading {
  const result = flowShape.safeParse(fields);
  if (!result.success) return { ok: false, message: result.error.issues.map((issue) => explainField(issue, fields)).join(' ') };
  const fault = requestFault(result.data);
  return fault === null ? { ok: true, question: questionOf(result.data) } : { ok: false, message: fault };
}

/** Why request fields and the protocol cannot both hold; null where they can. */
export function requestFault(shape: z.output<typeof flowShape>): string | null {
  const database = databaseFault(shape);
  if (database !== null) return database;
  const protocol = protocolOf(shape);
  if (shape.over !== undefined && protocol !== 'websocket')
    return `Only a flow of protocol websocket is over: h2, and this one is ${protocol ?? 'of no protocol that is said'}. Remove over:, or write protocol: websocket.`;
  const field = (['method', 'host', 'path', 'headers'] as const).find((key) => shape[key] !== undefined);
  if (field === undefined || protocol === undefined || CARRY_REQUESTS.has(protocol)) return null;
  return `A flow of protocol ${protocol} has no requests, so ${field}: has no meaning in it. Remove ${field}:, or write protocol: http.`;
}

/** The protocol that is said, or that fields of one protocol say. */
function protocolOf(shape: z.output<typeof flowShape>): Protocol | undefined {
  return shape.protocol ?? DATABASE_FIELDS.filter((key) => shape[key] !== undefined).map((key) => OF_PROTOCOL[key])[0];
}

/** Why the fields of databases cannot all hold; null where they can. */
function databaseFault(shape: z.output<typeof flowShape>): string | null {
  const protocol = protocolOf(shape);
  for (const field of DATABASE_FIELDS) {
    const own = OF_PROTOCOL[field];
    if (shape[field] === undefined || protocol === own) continue;
    return `Only a flow of protocol ${own} has a ${field === 'keys' ? 'list of keys' : field}, and this one is ${protocol}. Remove ${field}:, or write protocol: ${own}.`;
  }
  if (shape.user === undefined || (protocol !== undefined && HAVE_USERS.has(protocol))) return null;
  const said = protocol === undefined ? 'Say which with protocol:' : `A flow of protocol ${protocol} has none: remove user:`;
  return `A user is one of postgres, mysql or redis. ${said}, or write identities: ["user:NAME"].`;
}

export function questionOf(shape: z.output<typeof flowShape>): FlowQuestion {
  const { from, to, method = null, host = null, path = null, headers = [], at = null } = shape;
  const { sni = null, alpn = [], ja4 = null, identities = null, user = null, database = null, schema = null, command = null } = shape;
  const protocol = protocolOf(shape);
  const requests = method !== null || host !== null || path !== null || headers.length > 0;
  const named = protocol === undefined ? (requests ? HTTP : 0) : protocolBit(protocol)!;
  const protocols = shape.over === undefined ? named : named | H2;
  const connection = { sni, alpn, ja4, identities };
  const query = { user, database, schema: schema?.toLowerCase() ?? null, command, keys: shape.keys ?? null };
  return { from, to, protocols, method, host, path, headers, ...connection, ...query, at };
}

function explainField(issue: z.core.$ZodIssue, fields: unknown): string {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys
      .map((key) => {
        const near = nearest(key, Object.keys(flowShape.shape));
        return `The field ${shown(key)} is not known${near === undefined ? '' : `; did you mean ${shown(near)}?`}.`;
      })
      .join(' ');
  }
  const field = issue.path[0];
  if (typeof field !== 'string') return 'A flow is an object such as {"from":"127.0.0.2","to":"127.0.0.1:8080"}.';
  const value = (fields as Record<string, unknown>)[field];
  const expects = expectationOf(field as keyof typeof flowShape.shape);
  if (value === undefined) return `The field ${shown(field)} is missing: it must be ${expects}.`;
  if (issue.code !== 'custom')
    return `${shown(field)} must be ${expects}, not ${shown(typeof value === 'object' ? JSON.stringify(value) : value)}.`;
  const near = (issue.params as { suggestion?: string } | undefined)?.suggestion;
  const said = /^(?:must|may) /.test(issue.message) ? `${shown(field)} ${issue.message}.` : issue.message;
  return near === undefined ? said : `${said} Did you mean ${shown(near)}?`;
}

function expectationOf(field: keyof typeof flowShape.shape): string {
  let schema: z.core.$ZodType = flowShape.shape[field];
  while (noteOf(schema).expects === undefined && 'innerType' in schema._zod.def) schema = schema._zod.def.innerType as z.core.$ZodType;
  return noteOf(schema).expects ?? 'text';
}
