/** The part of the OpenAPI document that speaks of orders: what each takes, carries and answers. */

type Json = Readonly<Record<string, unknown>>;

const BEARER = [{ token: [] }];

/** Paths of orders and of what is kept of them. */
export function orderPaths(): Json {
  return {
    '/api/v1/policy/confirm': { post: order('Confirm the version that waits for it', { answer: 'Applied' }) },
    '/api/v1/policy/rollback': {
      post: order('Bring an earlier version into force again', { answer: 'Applied', body: 'Rollback', parameters: [GENERATION, IF_MATCH] }),
    },
    '/api/v1/quarantines': {
      post: order('Cut a source off at once, above every rule but the cluster lane', {
        answer: 'Quarantined',
        rehearsal: 'DryRun',
        body: 'Quarantine',
        parameters: [query('dry-run', '1: change nothing, and answer what it would do (DryRun)')],
      }),
    },
    '/api/v1/quarantines/{name}': { delete: order('End a quarantine before its time', { answer: 'Applied', parameters: [path('name')] }) },
    '/api/v1/servers': { post: order('Take a server out of the balancing, or back', { answer: 'ServerSet', body: 'ServerOrder' }) },
    '/api/v1/versions': { get: read('What was in force, newest first', 'Versions') },
    '/api/v1/versions/{version}': {
      get: read('One version with its texts', 'FullVersion', [path('version')], { 404: 'No such version (any more)' }),
    },
    '/api/v1/overlay': { get: read('What holds beside the document: quarantines, server states', 'Overlay') },
    '/api/v1/audit': { get: read('Who ordered what, newest first', 'Audit', [query('limit', 'How many at most')], { 400: 'A bad limit' }) },
    '/api/v1/audit/verify': { get: read('Whether the chain of the audit holds', 'Verification') },
    '/api/v1/events': {
      get: {
        summary: 'Server-sent events: flow, denial, apply, skipped',
        parameters: [
          query('kinds', 'Of flows, denials and applies, separated by commas; all without'),
          ...['application', 'rule'].map((name) => query(name, `Only flows of this ${name}`)),
          query('source', 'Only flows from this address, address and port, or prefix'),
        ],
        responses: {
          200: { description: 'Events', content: { 'text/event-stream': { schema: { type: 'string' } } } },
          ...errors({ 400: 'A bad filter', 503: 'As many listen as may' }),
        },
      },
    },
  };
}

/** `PUT /api/v1/policy`, beside the GET of the same path. */
export function applyOperation(): Json {
  const document = { schema: { type: 'string', description: 'the document, YAML or JSON, at most 4 MiB' } };
  return {
    ...order('Apply a document, whole or not at all', {
      answer: 'Applied',
      rehearsal: 'DryRun',
      parameters: [
        query('dry-run', '1: change nothing, and answer what it would do (DryRun)'),
        GENERATION,
        IF_MATCH,
        query('confirm', 'Taken back after this duration unless confirmed'),
        query('guard', '1, or a percentage by which denials, dial failures and 5xx may rise before it is taken back'),
        query('guard-for', 'How long the guard stands'),
        query('note', 'Why, for the list of versions'),
        query('file', 'The name under which problems speak of the body'),
      ],
    }),
    requestBody: {
      required: true,
      content: {
        'application/yaml': document,
        'application/json': document,
        'application/vnd.bulkhead.sources+json': { schema: { $ref: '#/components/schemas/Sources' } },
      },
    },
  };
}

const GENERATION = query('generation', 'Only if this generation is in force still; 409 with what is in force else');
const IF_MATCH: Json = { name: 'If-Match', in: 'header', required: false, schema: { type: 'string' }, description: 'As generation' };

interface OrderWords {
  readonly answer: string;
  /** What it answers where it was only asked what it would do. */
  readonly rehearsal?: string;
  readonly body?: string;
  readonly parameters?: readonly Json[];
}

function order(summary: string, { answer, rehearsal, body, parameters }: OrderWords): Json {
  return {
    summary,
    security: BEARER,
    ...(parameters === undefined ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: body !== 'Rollback', content: content(body) } }),
    responses: {
      200: { description: 'Done', content: content(answer, ...(rehearsal === undefined ? [] : [rehearsal])) },
      ...Object.fromEntries(REFUSALS.map(([status, description]) => [status, { description, content: content('Refused') }])),
      ...errors({}),
    },
  };
}

const REFUSALS = [
  [400, 'A bad parameter or body'],
  [401, 'No token, or one that nobody has'],
  [403, 'No token is configured, or the role is not enough'],
  [404, 'No such version, quarantine or server'],
  [409, 'Another generation is in force, a version waits for its confirmation, or a quarantine is wider than asked for'],
  [413, 'A body beyond 4 MiB'],
  [422, 'The document is not good, with every problem'],
  [429, 'Too many wrong tokens from this address'],
] as const;

function read(summary: string, answer: string, parameters: readonly Json[] = [], refusals: Readonly<Record<number, string>> = {}): Json {
  return {
    summary,
    ...(parameters.length > 0 ? { parameters } : {}),
    responses: { 200: { description: 'Found', content: content(answer) }, ...errors(refusals) },
  };
}

/** What every path may answer, beside what is told of it: 404, 405, 414, 421, 500. */
export function errors(refusals: Readonly<Record<number, string>>): Json {
  const told = Object.entries({ ...refusals, default: 'Another error' });
  return Object.fromEntries(told.map(([status, description]) => [status, { description, content: content('Error') }]));
}

/** Where several are named, it is one of them. */
function content(...schemas: readonly string[]): Json {
  const references = schemas.map((schema) => ({ $ref: `#/components/schemas/${schema}` }));
  return { 'application/json': { schema: references.length === 1 ? references[0] : { oneOf: references } } };
}

function query(name: string, description: string): Json {
  return { name, in: 'query', required: false, description, schema: { type: 'string' } };
}

function path(name: string): Json {
  return { name, in: 'path', required: true, schema: { type: 'string' } };
}
