/**
 * The shapes of what the admin endpoint answers. The types that the code fills in and the OpenAPI document both come from here.
 * Keys are written with underscores, as in flow records. Times are ISO 8601 in UTC, rates are per second, durations name their unit.
 */
import { z } from 'zod';
import { DIAL_RESULTS } from '../observe/view.ts';

const count = z.int().min(0);
const rate = z.number().min(0);
const time = z.iso.datetime();

export const FlowSchema = z
  .object({
    receipt: z.string(),
    time,
    application: z.string(),
    source: z.string(),
    vip: z.string(),
    protocol: z.string().nullable(),
    method: z.string().nullable(),
    host: z.string().nullable(),
    path: z.string().nullable(),
    verdict: z.enum(['allow', 'deny', 'would_deny']).nullable().describe('null: the bytes were no request, so nothing was decided'),
    rule: z.string().nullable(),
    tier: z.string().nullable(),
    generation: count,
    server: z.string().nullable().describe('pool/address'),
    status: z.int().nullable(),
    bytes_in: count,
    bytes_out: count,
    duration_ms: z.number().min(0),
    ended_by: z.enum(['client', 'server', 'proxy', 'policy']).nullable().describe('null while the flow is live'),
    reason: z.string().nullable(),
  })
  .meta({ id: 'Flow' });

export const FlowsSchema = z.object({ live: z.boolean(), flows: z.array(FlowSchema) }).meta({ id: 'Flows' });

export const PolicySchema = z
  .object({ generation: count, applied_at: time, document: z.unknown().describe('the document in force, with the keys that people write') })
  .meta({ id: 'Policy' });

export const ErrorSchema = z.object({ error: z.string(), code: z.string(), paths: z.array(z.string()).optional() }).meta({ id: 'Error' });

const VerdictsSchema = z.object({ allow: count, deny: count, would_deny: count });

const RatesSchema = z
  .object({ opened: rate, denied: rate, requests: rate, errors: rate, bytes_in: rate, bytes_out: rate })
  .nullable()
  .describe('Means of the last ten seconds; null before two samples exist. errors: answers of class 5xx');

const ApplicationSchema = z.object({
  application: z.string(),
  mode: z.enum(['http', 'tcp']).nullable().describe('null: no longer in the document'),
  enforcement: z.enum(['enforce', 'observe']).nullable(),
  vips: z.array(z.string()).describe('the first eight'),
  vip_count: count,
  pool: z.string().nullable(),
  verdicts: VerdictsSchema,
  rule_count: count,
  top_rules: z.array(z.object({ rule: z.string(), ...VerdictsSchema.shape })).describe('the five that decided most flows'),
  flows_opened: count,
  flows_active: count,
  flows_revoked: count,
  connections_active: count,
  bytes_in: count,
  bytes_out: count,
  rates: RatesSchema,
  error_share: z.number().min(0).max(1).nullable().describe('of the answers of the last minute, the share of class 5xx; null without any'),
  latency: z
    .object({ of: z.enum(['requests', 'flows']), p50_seconds: z.number(), p99_seconds: z.number() })
    .nullable()
    .describe('of what ended in the last minute'),
});

const ServerSchema = z.object({
  server: z.string(),
  state: z.enum(['up', 'down', 'ejected', 'draining']),
  detail: z.string(),
  ejected_for_seconds: z.number().min(0),
  weight: count,
  flows_active: count,
  dials: z.object(Object.fromEntries(DIAL_RESULTS.map((result) => [result, count])) as Record<(typeof DIAL_RESULTS)[number], typeof count>),
});

export const StatusSchema = z
  .object({
    node: z.string(),
    version: z.string(),
    pid: count,
    now: time,
    started_at: time,
    uptime_seconds: rate,
    ready: z.boolean(),
    reason: z.string(),
    generation: count,
    applied_at: time,
    applies: z.object({ applied: count, refused: count }),
    last_refusal: z.object({ at: time, problems: z.array(z.string()), problem_count: count }).nullable(),
    workers: z.array(z.object({ id: count, generation: count, connections: count })),
    worker_restarts: count,
    journal: z.object({ written: count, dropped: count, bytes: count }),
    limits: z.array(z.object({ application: z.string(), limit: z.string(), hits: count })).describe('only those that were hit'),
    totals: z.object({ verdicts: VerdictsSchema, flows_active: count, connections_active: count, rates: RatesSchema }),
    applications: z.array(ApplicationSchema),
    pools: z.array(z.object({ pool: z.string(), balance: z.string().nullable(), servers: z.array(ServerSchema) })),
    admin: z
      .object({ wrong_tokens: count, limited: count, listeners: count, listeners_dropped: count })
      .describe('orders with a token that nobody has, those not looked at after too many, and who listens to events'),
    flows: z.object({
      live: z.array(FlowSchema).describe('the newest fifty'),
      denied: z.array(FlowSchema).describe('the newest twenty-five'),
      error: z.string().nullable().describe('why the flows are missing, where they are'),
    }),
    history: z
      .object({
        times: z.array(z.number()).describe('seconds since the epoch'),
        allowed: z.array(rate.nullable()),
        denied: z.array(rate.nullable()),
        bytes_in: z.array(rate.nullable()),
        bytes_out: z.array(rate.nullable()),
      })
      .describe('rates of the whole node over the last ten minutes'),
  })
  .meta({ id: 'Status' });

export type Status = z.infer<typeof StatusSchema>;
export type ApplicationStatus = z.infer<typeof ApplicationSchema>;
export type ServerStatus = z.infer<typeof ServerSchema>;
export type Flows = z.infer<typeof FlowsSchema>;
export type PolicyAnswer = z.infer<typeof PolicySchema>;
export type ErrorAnswer = z.infer<typeof ErrorSchema>;
