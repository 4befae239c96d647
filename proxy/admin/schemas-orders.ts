/** The shapes of orders and their answers: what is read is checked by them, and the OpenAPI document is made of them. */
import { z } from 'zod';
import { ADMIN_ROLES } from '../../config/document.ts';
import { parseDuration } from '../../config/quantity.ts';
import { CAUSES, SERVER_STATES } from '../versions/record.ts';

const count = z.int().min(0);
const time = z.iso.datetime();

const names = z.object({ added: z.array(z.string()), removed: z.array(z.string()), changed: z.array(z.string()) });

const SummarySchema = z.object({
  applications: names,
  rules: names.describe('as application/rule, guardrails/rule and baseline/rule'),
  reordered: z.array(z.string()).describe('lists whose rules came into another order'),
  segments: names,
  pools: names,
  text: z.string(),
});

export const ProblemSchema = z
  .object({
    code: z.string(),
    severity: z.enum(['error', 'warning']),
    path: z.string().describe('JSON pointer into the document'),
    at: z.string().nullable().describe('file:line:column'),
    message: z.string(),
    suggestion: z.string().optional(),
  })
  .meta({ id: 'Problem' });

export const InForceSchema = z
  .object({
    generation: count,
    version: count,
    cause: z.enum(CAUSES),
    author: z.string(),
    time,
    note: z.string().nullable(),
    summary: z.string(),
    recorded: z.boolean().describe('false: the version waits in memory for a disk that takes it, and a restart would not know it'),
    over_file: z
      .object({ version: count, author: z.string(), time })
      .nullable()
      .describe('the version that brought the document in force, where the file, as it was last read, says something else'),
  })
  .meta({ id: 'InForce' });

export const AppliedSchema = z
  .object({
    changed: z.boolean().describe('false: all was as the order wants it, and no version was made of it'),
    generation: count,
    version: count,
    revoked: count.describe('flows that the new policy no longer allows, and that were ended'),
    draining: count.describe('flows that it no longer allows, and that come to their end by the on-revoke of their rule'),
    kept: count.describe('flows that were left alone'),
    milliseconds: z.number(),
    sha256: z.string(),
    summary: SummarySchema,
    recorded: z.boolean().describe('false: in force, but the version could not be written to disk yet'),
    audited: z.boolean().describe('false: in force, but its entry of the audit could not be written to disk yet'),
    confirm_by: time.nullable().describe('taken back then unless confirmed'),
    warnings: z.array(ProblemSchema),
  })
  .meta({ id: 'Applied' });

const quarantine = z.object({
  name: z.string(),
  target: z.object({ kind: z.enum(['address', 'segment']), text: z.string() }),
  reason: z.string(),
  author: z.string(),
  since: time,
  until: time,
});
const override = z.object({
  pool: z.string(),
  server: z.string(),
  state: z.enum(['drain', 'maintenance']),
  author: z.string(),
  since: time,
});

export const QuarantinedSchema = AppliedSchema.extend({ quarantine }).meta({ id: 'Quarantined' });
export const ServerSetSchema = AppliedSchema.extend({ override: override.nullable().describe('null: as the document says') }).meta({
  id: 'ServerSet',
});

export const RefusedSchema = z
  .object({ error: z.string(), code: z.string(), problems: z.array(ProblemSchema).optional(), in_force: InForceSchema.optional() })
  .meta({ id: 'Refused' });

const GroupSchema = z.object({
  application: z.string(),
  source: z.string(),
  rule: z.string().describe('which decides now'),
  tier: z.string(),
  at: z.string().nullable(),
  was: z.string().nullable().describe('the rule that decided when the flow came'),
  count,
  receipts: z.array(z.string()).describe('at most 1000'),
});

export const DryRunSchema = z
  .object({
    generation: count.describe('the generation in force, against which it was judged'),
    version: count,
    summary: SummarySchema,
    effect: z.object({
      live: z.object({
        flows: count,
        cut: count,
        draining: count.describe('no longer allowed, and left some time to end'),
        kept: count,
        undecided: count,
        groups: z.array(GroupSchema).describe('of those that would be cut'),
        drainingGroups: z.array(GroupSchema),
        truncated: z.boolean(),
      }),
      recent: z
        .object({
          since: time.nullable(),
          flows: count,
          denied: count.describe('let through then, and denied by this document'),
          groups: z.array(GroupSchema),
          allowed: count.describe('denied then, and allowed by this document'),
          allowedGroups: z.array(GroupSchema),
          truncated: z.boolean(),
        })
        .describe('the last hour, as far as the journal holds it'),
      notes: z.array(z.string()),
    }),
    warnings: z.array(ProblemSchema),
  })
  .meta({ id: 'DryRun' });

export const OverlaySchema = z
  .object({
    quarantines: z.array(quarantine),
    servers: z.array(override),
    confirm_by: time.nullable(),
  })
  .meta({ id: 'Overlay' });

export const VersionSchema = z
  .object({
    version: count,
    generation: count,
    time,
    cause: z.enum(CAUSES),
    author: z.string(),
    from: z.string(),
    note: z.string().nullable(),
    sha256: z.string(),
    bytes: count,
    confirm: z.object({ until: time, revertTo: count }).nullable(),
    recorded: z.boolean().describe('false: it waits in memory for a disk that takes it'),
    summary: SummarySchema,
  })
  .meta({ id: 'Version' });
export const VersionsSchema = z.object({ versions: z.array(VersionSchema) }).meta({ id: 'Versions' });
export const FullVersionSchema = VersionSchema.extend({
  sources: z.array(z.object({ file: z.string(), text: z.string() })),
}).meta({ id: 'FullVersion' });

export const AuditEntrySchema = z
  .object({
    n: count,
    time,
    who: z.string(),
    role: z.enum(ADMIN_ROLES),
    from: z.string(),
    action: z.string(),
    outcome: z.enum(['done', 'refused', 'failed']),
    version: count.nullable(),
    generation: count.nullable(),
    detail: z.string(),
    previous: z.string(),
    hash: z.string(),
    unwritten: z.literal(true).optional().describe('it waits in memory for a disk that takes it'),
  })
  .meta({ id: 'AuditEntry' });
export const AuditSchema = z.object({ entries: z.array(AuditEntrySchema) }).meta({ id: 'Audit' });
export const VerificationSchema = z
  .union([
    z.object({ ok: z.literal(true), entries: count, first: count.nullable(), head: z.string() }),
    z.object({ ok: z.literal(false), entries: count, line: count, n: count.nullable(), reason: z.string() }),
  ])
  .meta({ id: 'Verification' });

const line = z.string().min(1).max(500);
const duration = z.string().refine((text) => (parseDuration(text) ?? 0) > 0, 'must be a duration such as 30s, 10m or 1h');

/** What orders carry. */
export const SourcesBody = z
  .strictObject({
    sources: z
      .array(z.strictObject({ file: z.string().min(1).max(4096), text: z.string() }))
      .min(1)
      .max(1000),
  })
  .meta({ id: 'Sources' });
export const RollbackBody = z.strictObject({ version: z.int().min(1).optional(), note: line.optional() }).meta({ id: 'Rollback' });
export const QuarantineBody = z
  .strictObject({
    target: z.string().min(1).max(128).describe('an address, a prefix or the name of a segment'),
    for: duration,
    reason: line,
    wide: z.boolean().optional().describe('true: it may cut off more than a /8 of IPv4, or a /32 of IPv6'),
  })
  .meta({ id: 'Quarantine' });
export const ServerBody = z
  .strictObject({ pool: z.string().min(1).max(128), server: z.string().min(1).max(256), state: z.enum(SERVER_STATES) })
  .meta({ id: 'ServerOrder' });

export const ORDER_SCHEMAS = [
  ...[
    ProblemSchema,
    InForceSchema,
    AppliedSchema,
    QuarantinedSchema,
    ServerSetSchema,
    RefusedSchema,
    DryRunSchema,
    OverlaySchema,
    VersionSchema,
    VersionsSchema,
  ],
  ...[FullVersionSchema, AuditEntrySchema, AuditSchema, VerificationSchema, SourcesBody, RollbackBody, QuarantineBody, ServerBody],
] as const;
