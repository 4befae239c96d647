/** The admin endpoint as an OpenAPI 3.1 document, made from the schemas that type its answers. */
import { z } from 'zod';
import { VERDICTS } from '../observe/view.ts';
import { applyOperation, errors, orderPaths } from './openapi-orders.ts';
import { ErrorSchema, FlowSchema, FlowsSchema, PolicySchema, StatusSchema } from './schemas.ts';
import { ORDER_SCHEMAS } from './schemas-orders.ts';

type Json = Readonly<Record<string, unknown>>;

/** The document for one version of the program. */
export function openApiDocument(version: string): Json {
  return {
    openapi: '3.1.0',
    info: { title: 'Bulkhead', version, description: 'What one node carries, and by which policy.' },
    paths: {
      '/metrics': get('Prometheus text', { 200: plain('Metrics') }),
      '/healthz': get('Whether the process is alive', { 200: plain('Alive') }),
      '/readyz': get('Whether every VIP is bound and every worker is on the policy in force', {
        200: plain('Ready'),
        503: plain('Not ready, and why'),
      }),
      '/api/v1/policy': {
        ...get('The policy in force', { 200: body('The policy', 'Policy') }),
        put: applyOperation(),
      },
      ...orderPaths(),
      '/api/v1/status': get('All that the status page shows', { 200: body('The status', 'Status') }),
      '/api/v1/flows': get(
        'Live flows, or the newest ended ones',
        { 200: body('Flows, newest first', 'Flows'), 400: body('A bad query', 'Error') },
        [
          query('limit', { type: 'integer', minimum: 1, maximum: 1000, default: 100 }, 'How many at most'),
          query('denied', { type: 'string', enum: ['0', '1'] }, 'Only denials, from the journal'),
          ...['application', 'rule'].map((name) => query(name, { type: 'string' }, `Only flows of this ${name}`)),
          query('source', { type: 'string' }, 'Only flows from this address, address and port, or prefix'),
          query('verdict', { type: 'string', enum: VERDICTS }, 'Only flows with this verdict; none: the bytes were no request'),
          query('since', { type: 'string' }, 'Only flows that began then or later: 2026-12-31T18:00:00Z, or how long ago, such as 15m'),
          query('until', { type: 'string' }, 'Only flows that began before'),
          query('cursor', { type: 'string' }, 'The next page of ended flows: what next was, with the same words'),
          query('live', { type: 'string', enum: ['0', '1'] }, 'Live flows (the default without denied=1), or ended ones from the journal'),
        ],
      ),
      '/api/v1/flows/{receipt}': get('One flow, live or past', { 200: body('The flow', 'Flow'), 404: body('No such flow', 'Error') }, [
        { name: 'receipt', in: 'path', required: true, schema: { type: 'string' } },
      ]),
      '/api/v1/openapi.json': get('This document', {
        200: { description: 'OpenAPI 3.1', content: { 'application/json': { schema: { type: 'object' } } } },
      }),
      '/': get('The status page', { 200: { description: 'HTML', content: { 'text/html': { schema: { type: 'string' } } } } }),
    },
    components: { schemas: schemas(), securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  };
}

function schemas(): Json {
  const registry = z.registry<{ id: string }>();
  for (const schema of [FlowSchema, FlowsSchema, PolicySchema, StatusSchema, ErrorSchema, ...ORDER_SCHEMAS]) {
    const id = schema.meta()?.id;
    if (id !== undefined) registry.add(schema, { id });
  }
  const made = z.toJSONSchema(registry, { target: 'draft-2020-12', uri: (id) => `#/components/schemas/${id}`, io: 'output' });
  return Object.fromEntries(Object.entries(made.schemas).map(([id, { $schema: _, $id: __, ...schema }]) => [id, schema]));
}

function get(summary: string, responses: Json, parameters: readonly Json[] = []): { get: Json } {
  return { get: { summary, ...(parameters.length > 0 ? { parameters } : {}), responses: { ...errors({}), ...responses } } };
}

function query(name: string, schema: Json, description: string): Json {
  return { name, in: 'query', required: false, description, schema };
}

function body(description: string, schema: string): Json {
  return { description, content: { 'application/json': { schema: { $ref: `#/components/schemas/${schema}` } } } };
}

function plain(description: string): Json {
  return { description, content: { 'text/plain': { schema: { type: 'string' } } } };
}
