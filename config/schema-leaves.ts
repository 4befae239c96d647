/** The scalars of the file as schemas: each reads its text into the unit that the code works in. */
import * as z from 'zod';
import type { Prefix } from './address.ts';
import { parseAddress, parsePrefix } from './address.ts';
import { adviseAddress } from './advice.ts';
import type { ElsewhereWords } from './elsewhere.ts';
import type { ElsewhereKeys } from './elsewhere-keys.ts';
import type { Refusal } from './endpoint.ts';
import { parseEndpoint, parseEndpointRange, parsePortRange, parseServerEndpoint } from './endpoint.ts';
import { NAME_CHARACTERS_MAX } from './limits.ts';
import {
  DURATION_MS_MAX,
  DURATION_PATTERN,
  formatDuration,
  formatSize,
  PERCENT_PATTERN,
  parseDuration,
  parsePercent,
  parseSize,
  SIZE_BYTES_MAX,
  SIZE_PATTERN,
  suggestDuration,
  suggestSize,
} from './quantity.ts';

/** What a schema says of itself beyond zod: for messages, and for the JSON Schema. */
export interface Note {
  /** Completes "must be …". */
  readonly expects?: string;
  /** The default as people would write it. */
  readonly default?: unknown;
  /** What kind of value it is, in the reference; absent: as zod has it. */
  readonly type?: string;
  /** The least and the most, as people would write them. */
  readonly bounds?: string;
  /** A good value as people would write it; absent: what stands behind "such as" in `expects`. */
  readonly example?: string;
  /** A regular expression for the JSON Schema where the code reads the text itself. */
  readonly pattern?: string;
  /** A required key's value in a file that lacks it, so that the rest of its container can still be looked at. Never in a document. */
  readonly standIn?: unknown;
  /** What words mean here that are right elsewhere. */
  readonly elsewhere?: ElsewhereWords;
  /** What keys mean here that are right elsewhere. */
  readonly keys?: ElsewhereKeys;
  /** Keys of the language that this version does not know yet. */
  readonly later?: readonly string[];
}

export const notes = z.registry<Note>();

/** Attaches a note and returns the same schema. */
export function noted<T extends z.ZodType>(schema: T, note: Note): T {
  notes.add(schema, note);
  return schema;
}

/** A key with a default: `fallback` in the code's unit, `written` as people write it. */
export function withDefault<T extends z.ZodType>(schema: T, fallback: z.output<T>, written: unknown, about: string) {
  return noted(schema.default(fallback as z.util.NoUndefined<z.output<T>>).describe(about), { default: written });
}

/** A required key. `describe` makes a schema of its own, so that the note of the shared one is carried over. */
export function required<T extends z.ZodType>(schema: T, standIn: unknown, about: string): T {
  return noted(schema.describe(about), { ...notes.get(schema), standIn });
}

/** The reason that a text was refused travels as parameters of a custom issue. */
export function refuse(context: z.RefinementCtx, input: unknown, refusal: Omit<Refusal, 'ok'>): never {
  context.issues.push({ code: 'custom', input, message: refusal.message, params: { code: refusal.code, suggestion: refusal.suggestion } });
  return z.NEVER;
}

const DURATION_EXPECTS = 'a duration such as 250ms, 2s, 5m, 12h or 7d (a whole number and its unit)';

export function durationText(leastMs = 1, mostMs = DURATION_MS_MAX) {
  const schema = z.string().transform((text, context) => {
    const ms = parseDuration(text);
    if (ms === null)
      return refuse(context, text, { code: 'wrong-value', message: `must be ${DURATION_EXPECTS}`, ...suggested(suggestDuration(text)) });
    if (ms < leastMs || ms > mostMs)
      return refuse(context, text, {
        code: 'out-of-range',
        message: `must be a duration from ${formatDuration(leastMs)} to ${formatDuration(mostMs)}`,
      });
    return ms;
  });
  const bounds = `${formatDuration(leastMs)} to ${formatDuration(mostMs)}`;
  const example = formatDuration(Math.max(leastMs, Math.min(5_000, mostMs)));
  return noted(schema, { expects: DURATION_EXPECTS, pattern: DURATION_PATTERN, type: 'duration', bounds, example });
}

export function duration(about: string, fallbackMs: number, leastMs = 1) {
  return withDefault(durationText(leastMs), fallbackMs, formatDuration(fallbackMs), about);
}

const SIZE_EXPECTS = 'a size such as 64KiB or 1MiB, or a whole number of bytes';

export function size(about: string, fallbackBytes: number, leastBytes: number, mostBytes = SIZE_BYTES_MAX) {
  const range = `must be a size from ${formatSize(leastBytes)} to ${formatSize(mostBytes)}`;
  const text = z.string().transform((written, context) => {
    const bytes = parseSize(written);
    if (bytes === null)
      return refuse(context, written, { code: 'wrong-value', message: `must be ${SIZE_EXPECTS}`, ...suggested(suggestSize(written)) });
    if (bytes < leastBytes || bytes > mostBytes) return refuse(context, written, { code: 'out-of-range', message: range });
    return bytes;
  });
  noted(text, { pattern: SIZE_PATTERN });
  const bytes = noted(z.int().min(leastBytes).max(mostBytes), { expects: range.slice('must be '.length) });
  const sized = noted(z.union([bytes, text]), {
    expects: SIZE_EXPECTS,
    type: 'size',
    bounds: `${formatSize(leastBytes)} to ${formatSize(mostBytes)}`,
    example: formatSize(Math.min(2 * fallbackBytes, mostBytes)),
  });
  return withDefault(sized, fallbackBytes, formatSize(fallbackBytes), about);
}

const PERCENT_EXPECTS = 'a percentage from 0% to 100%';

/** A share, from 0 to 1. */
export const percentText = noted(
  z
    .string()
    .transform(
      (text, context) => parsePercent(text) ?? refuse(context, text, { code: 'wrong-value', message: `must be ${PERCENT_EXPECTS}` }),
    ),
  { expects: PERCENT_EXPECTS, pattern: PERCENT_PATTERN, type: 'percentage', bounds: '0% to 100%', example: '10%' },
);

export function percent(about: string, fallback: number) {
  return withDefault(percentText, fallback, `${fallback * 100}%`, about);
}

export function count(least: number, most: number) {
  return noted(z.int().min(least).max(most), {
    expects: `a whole number from ${least} to ${most}`,
    type: 'whole number',
    bounds: `${least} to ${most}`,
    example: String(Math.max(least, Math.min(100, most))),
  });
}

/** `elsewhere`: words that somebody may bring along, and what they mean here. */
export function choice<const T extends readonly [string, ...string[]]>(values: T, elsewhere?: ElsewhereWords) {
  return noted(z.enum(values), {
    expects: values.length === 1 ? `"${values[0]}"` : `one of ${values.join(', ')}`,
    ...(elsewhere && { elsewhere }),
  });
}

export function flag(about: string) {
  return noted(z.boolean().default(false).describe(about), { expects: 'true or false', default: false });
}

/** `off` as it is written: YAML 1.2 reads it as text, unlike `false`. */
export const off = noted(z.literal('off'), { expects: '"off"' });

export const NAME_PATTERN = `^[A-Za-z0-9._-]{1,${NAME_CHARACTERS_MAX}}$`;
export const NAME_EXPECTS = `a name of 1 to ${NAME_CHARACTERS_MAX} letters, digits, ".", "_" or "-"`;
export const name = noted(z.string().regex(new RegExp(NAME_PATTERN)), { expects: NAME_EXPECTS, type: 'name', example: 'customers' });

/** A name that refers to something elsewhere in the file. */
export const reference = noted(z.string().min(1), {
  expects: 'a name, as text (a name that reads as a number or a truth value needs quotes)',
  type: 'name',
  example: 'web',
});

/** What a list of sources may hold; names are looked up later. */
export const sourceTerm = noted(z.string().min(1), {
  expects: '"any", the name of a segment or pool, or an address such as 10.0.0.0/8, as text',
  type: '`any`, name of a segment or pool, address or prefix',
});

export const prefix = noted(
  z.string().transform((text, context): Prefix => parsePrefix(text) ?? refuse(context, text, adviseAddress(text, true))),
  {
    expects: 'an address or prefix such as 10.0.0.0/8 or 2001:db8::/32 (with quotes where it begins or ends with ":")',
    type: 'address or prefix',
    example: '10.0.0.0/8',
  },
);

export const address = noted(
  z.string().transform((text, context) => parseAddress(text) ?? refuse(context, text, adviseAddress(text))),
  { expects: 'an address such as 10.0.0.1 or 2001:db8::1', type: 'address', example: '10.0.0.1' },
);

const ENDPOINT_EXPECTS = 'an address with a port such as 127.0.0.1:8080, "[::1]:8080" (in quotes), or unix:/path';

export function endpoint(lowestPort: 0 | 1 = 1) {
  const schema = z.string().transform((text, context) => {
    const reading = parseEndpoint(text, lowestPort);
    return reading.ok ? reading.endpoint : refuse(context, text, reading);
  });
  return noted(schema, { expects: ENDPOINT_EXPECTS, type: 'address:port or unix:/path', example: '127.0.0.1:8080' });
}

const SERVER_EXPECTS =
  'an address or a host name with a port such as 127.0.0.1:8080, "[::1]:8080" (in quotes) or web.internal:8080, or unix:/path';

/** Where a server is. */
export function serverEndpoint() {
  const schema = z.string().transform((text, context) => {
    const reading = parseServerEndpoint(text);
    return reading.ok ? reading.endpoint : refuse(context, text, reading);
  });
  return noted(schema, { expects: SERVER_EXPECTS, type: 'address:port, name:port or unix:/path', example: '127.0.0.1:9001' });
}

export const endpointRange = noted(
  z.string().transform((text, context) => {
    const range = parseEndpointRange(text);
    return range.ok ? range : refuse(context, text, range);
  }),
  {
    expects: `${ENDPOINT_EXPECTS}; a range of ports is 127.0.0.1:8000-8099`,
    type: 'address:port, address:first-last or unix:/path',
    example: '127.0.0.1:8080',
  },
);

const portRange = z.string().transform((text, context): readonly [number, number] => {
  const range = parsePortRange(text);
  return range.ok ? [range.first, range.last] : refuse(context, text, range);
});
noted(portRange, { pattern: '^[0-9]{1,5}(-[0-9]{1,5})?$' });

/** A port or a range of ports, as a range. */
export const ports = noted(z.union([count(1, 65_535).transform((port): readonly [number, number] => [port, port]), portRange]), {
  expects: 'a port from 1 to 65535, or a range such as 8000-8099',
  type: 'port or range of ports',
});

function suggested(suggestion: string | undefined): { suggestion?: string } {
  return suggestion === undefined ? {} : { suggestion };
}
