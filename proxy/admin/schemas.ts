/**
 * The shapes of what the admin endpoint answers. The types that the code fills in and the OpenAPI document both come from here.
 * Keys are written with underscores, as in flow records. Times are ISO 8601 in UTC, rates are per second, durations name their unit.
 */
import { z } from 'zod';
import { DIAL_RESULTS, PROBLEM_KINDS } from '../observe/view.ts';
import { InForceSchema } from './schemas-orders.ts';

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
    sni: z.string().nullable().describe('The name that a TLS client asked for.'),
    alpn: z
      .string()
      .nullable()
      .describe('The protocol agreed on where TLS ends here; those offered, with commas, where it passes through.'),
    ja4: z.string().nullable().describe('Fingerprint of the ClientHello.'),
    tls: z.string().nullable().describe('The version of TLS where it ends here: 1.2 or 1.3.'),
    verdict: z.enum(['allow', 'deny', 'would_deny']).nullable().describe('null: the bytes were no request, so nothing was decided'),
    rule: z.string().nullable(),
    tier: z.string().nullable(),
    generation: count,
    server: z.string().nullable().describe('pool/address'),
    status: z.int().nullable(),
    bytes_in: count,
    bytes_out: count,
    duration_ms: z.number().min(0),
    draining: z.boolean().optional().describe('true for a live flow that is no longer allowed and comes to its end'),
    ended_by: z.enum(['client', 'server', 'proxy', 'policy']).nullable().describe('null while the flow is live'),
    reason: z.string().nullable(),
  })
  .meta({ id: 'Flow' });

export const FlowsSchema = z
  .object({
    live: z.boolean(),
    flows: z.array(FlowSchema).describe('newest first; ended ones by the moment at which they ended'),
    next: z
      .string()
      .nullable()
      .describe(
        'the cursor of the next page: there may be older ones, also where this page holds fewer than asked for; null: there are none',
      ),
  })
  .meta({ id: 'Flows' });

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
  name: z.string().nullable().describe('the server as written, where that is a name and `server` an address of it'),
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
    in_force: InForceSchema.nullable().describe('the version in force; null where nothing can be ordered of the node'),
    applies: z.object({ applied: count, refused: count }),
    last_refusal: z.object({ at: time, problems: z.array(z.string()), problem_count: count }).nullable(),
    problems: z
      .array(z.object({ kind: z.enum(PROBLEM_KINDS), subject: z.string(), message: z.string(), since: time }))
      .describe('what is wrong now, whoever has found it; at most a hundred of a kind'),
    workers: z.array(z.object({ id: count, generation: count, connections: count })),
    worker_restarts: count,
    journal: z.object({ written: count, dropped: count, bytes: count }),
    limits: z.array(z.object({ application: z.string(), limit: z.string(), hits: count })).describe('only those that were hit'),
    node_limits: z.array(z.object({ limit: z.string(), hits: count })).describe('of the node itself, only those that were hit'),
    totals: z.object({ verdicts: VerdictsSchema, flows_active: count, connections_active: count, rates: RatesSchema }),
    applications: z.array(ApplicationSchema),
    pools: z.array(z.object({ pool: z.string(), balance: z.string().nullable(), servers: z.array(ServerSchema) })),
    admin: z
      .object({
        wrong_tokens: count.describe('orders with a token that nobody has'),
        limited: count.describe('orders not looked at, after too many wrong tokens from one address'),
        listeners: count.describe('who listens to events'),
        listeners_dropped: count.describe('listeners that did not keep up'),
        connections_dropped: count.describe('connections to the endpoint beyond those that may be open at once'),
        failed_handshakes: count.describe('TLS handshakes that came to nothing'),
        certificate_ends: time.nullable().describe('null without TLS'),
      })
      .describe('what the endpoint counts of itself'),
    versions: z
      .array(
        z.object({
          version: count,
          generation: count,
          time,
          cause: z.string(),
          author: z.string(),
          note: z.string().nullable(),
          summary: z.string(),
          confirm_by: time.nullable().describe('taken back then unless confirmed'),
        }),
      )
      .describe('the newest eight, the one in force first; empty where nothing can be ordered of the node'),
    quarantines: z.array(z.object({ name: z.string(), source: z.string(), until: time, author: z.string(), reason: z.string() })),
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
