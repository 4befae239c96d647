/** Limits of a rule: communication patterns that flows have to keep to. */
import * as z from 'zod';
import { PER_WORDS } from './elsewhere.ts';
import { RULE_LIMIT_KEYS } from './elsewhere-keys.ts';
import { formatSize, parseByteRate, parseRate, parseSize, SIZE_BYTES_MAX } from './quantity.ts';
import { choice, count, durationText, noted, refuse } from './schema-leaves.ts';

const RATE_EXPECTS = 'a rate such as 100/s or 20/m (a whole number per s, m, h or d)';
const rate = noted(
  z
    .string()
    .transform((text, context) => parseRate(text) ?? refuse(context, text, { code: 'wrong-value', message: `must be ${RATE_EXPECTS}` })),
  { expects: RATE_EXPECTS, type: 'rate', example: '100/s' },
);

const BYTE_RATE_EXPECTS = 'a size per time such as 1MiB/s or 10GiB/d';
const byteRate = noted(
  z
    .string()
    .transform(
      (text, context) => parseByteRate(text) ?? refuse(context, text, { code: 'wrong-value', message: `must be ${BYTE_RATE_EXPECTS}` }),
    ),
  { expects: BYTE_RATE_EXPECTS, type: 'size per time', example: '1MiB/s' },
);

const bytes = noted(
  z.string().transform((text, context) => {
    const size = parseSize(text);
    if (size !== null && size > 0 && size <= SIZE_BYTES_MAX) return size;
    return refuse(context, text, { code: 'wrong-value', message: 'must be a size such as 64KiB or 1GiB' });
  }),
  { expects: 'a size such as 64KiB or 1GiB', type: 'size', bounds: `1B to ${formatSize(SIZE_BYTES_MAX)}`, example: '1GiB' },
);

const fields = z.strictObject({
  per: noted(
    choice(['source', 'segment', 'all'], PER_WORDS)
      .default('source')
      .describe('For whom it counts: each source address, each segment of from: that the source is in, or all together.'),
    { default: 'source' },
  ),
  flows: count(1, 1_000_000).optional().describe('Flows at once.'),
  'new-flows': rate.optional().describe('Flows begun per time.'),
  requests: rate.optional().describe('http: requests per time.'),
  bytes: byteRate.optional().describe('Bytes per time, both ways.'),
  'bytes-total': bytes.optional().describe('Bytes of one flow in all, both ways.'),
  duration: durationText().optional().describe('The longest life of one flow.'),
});

export const ruleLimits = noted(fields, { keys: RULE_LIMIT_KEYS }).transform((shape) => ({
  per: shape.per,
  flows: shape.flows ?? null,
  newFlows: shape['new-flows'] ?? null,
  requests: shape.requests ?? null,
  bytes: shape.bytes ?? null,
  bytesTotal: shape['bytes-total'] ?? null,
  durationMs: shape.duration ?? null,
}));
