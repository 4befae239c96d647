/** Which orders there are, what role each takes, and how what comes of one is answered. Nothing here knows sockets. */
import type { z } from 'zod';
import type { AdminRole } from '../../config/document.ts';
import type { Source } from '../../config/load.ts';
import { parseDuration, parsePercent } from '../../config/quantity.ts';
import { type Actor, isAtLeast } from '../versions/actor.ts';
import { GUARD_DEFAULT, type GuardBounds } from '../versions/guard.ts';
import type { DryRun, Orders, Outcome, Refused } from '../versions/orders.ts';
import { type Answer, failure, json } from './answer.ts';
import { QuarantineBody, RollbackBody, ServerBody, SourcesBody } from './schemas-orders.ts';
import { shownOverride, shownQuarantine } from './shown.ts';

export interface Ask {
  readonly orders: Orders;
  readonly actor: Actor;
  readonly query: URLSearchParams;
  readonly headers: { readonly 'if-match'?: string | undefined; readonly 'content-type'?: string | undefined };
  readonly body: string;
  /** What follows a path that ends in `/`. */
  readonly name: string;
}

export interface Order {
  readonly role: AdminRole;
  /** For the audit. */
  readonly action: string;
  readonly carry: (ask: Ask) => Promise<Answer>;
}

/** Several files as one document: what `bulkhead apply FOLDER` sends. */
export const SOURCES_TYPE = 'application/vnd.bulkhead.sources+json';

const ORDERS: Readonly<Record<string, Order>> = {
  'PUT /api/v1/policy': { role: 'admin', action: 'apply', carry: apply },
  'POST /api/v1/policy/confirm': {
    role: 'operator',
    action: 'confirm',
    carry: async ({ orders, actor }) => answer(await orders.confirm(actor)),
  },
  'POST /api/v1/policy/rollback': { role: 'operator', action: 'rollback', carry: rollback },
  'POST /api/v1/quarantines': { role: 'operator', action: 'quarantine', carry: quarantine },
  'DELETE /api/v1/quarantines/': {
    role: 'operator',
    action: 'release',
    carry: async ({ orders, actor, name }) => answer(await orders.release({ name, actor })),
  },
  'POST /api/v1/servers': { role: 'operator', action: 'server', carry: server },
};

/** A dry run changes nothing, yet it shows whose flows there are and costs a look at all of them. */
const DRY_RUN: Order = { role: 'operator', action: 'dry-run', carry: apply };

/** Methods that a path of orders takes, for the answer to another one. */
export function methodsOf(path: string): string[] {
  return Object.keys(ORDERS).flatMap((key) => {
    const [method = '', known = ''] = key.split(' ');
    return known === path || (known.endsWith('/') && path.startsWith(known)) ? [method] : [];
  });
}

/** The order of a request, or null where there is none. */
export function orderOf(method: string, path: string, query: URLSearchParams): { readonly order: Order; readonly name: string } | null {
  const exact = ORDERS[`${method} ${path}`];
  if (exact !== undefined && !path.endsWith('/')) return { order: exact.action === 'apply' && isDryRun(query) ? DRY_RUN : exact, name: '' };
  const slash = path.lastIndexOf('/', path.indexOf('/', '/api/v1/x'.length)) + 1;
  const named = ORDERS[`${method} ${path.slice(0, slash)}`];
  const name = decode(path.slice(slash));
  return named === undefined || name === null || name === '' ? null : { order: named, name };
}

/** Why this actor may not give this order; null where they may. */
export function forbidden(order: Order, actor: Actor): string | null {
  if (isAtLeast(actor.role, order.role)) return null;
  return `${actor.name} has the role ${actor.role}, and ${order.action} takes ${order.role}.`;
}

async function apply({ orders, actor, query, headers, body }: Ask): Promise<Answer> {
  const sources = sourcesOf(body, headers['content-type'] ?? '', query.get('file'));
  if (!Array.isArray(sources)) return sources as Answer;
  if (isDryRun(query)) return rehearsal(await orders.dryRun(sources));
  const expected = expectedOf(query.get('generation') ?? headers['if-match'] ?? null);
  if (expected === undefined) return failure(400, 'bad-generation', 'The generation (or If-Match) is a whole number.');
  const note = query.get('note');
  if (note !== null && (note === '' || note.length > 500)) return failure(400, 'bad-note', 'A note has 1 to 500 characters.');
  const confirm = query.get('confirm');
  const confirmMs = confirm === null ? null : parseDuration(confirm);
  if (confirm !== null && (confirmMs === null || confirmMs < 1_000))
    return failure(400, 'bad-duration', 'confirm is a duration of at least 1s, such as 60s.');
  const guard = guardOf(query);
  if (guard === undefined) return failure(400, 'bad-guard', 'guard is 1 or a percentage such as 5%, and guard-for a duration such as 60s.');
  return answer(await orders.apply({ sources, actor, note, expected, confirmMs, guard }));
}

function sourcesOf(body: string, type: string, file: string | null): readonly Source[] | Answer {
  if (!type.toLowerCase().startsWith(SOURCES_TYPE)) return [{ file: file ?? 'body', text: body }];
  const read = parsed(SourcesBody, body);
  return read.ok ? read.value.sources : read.answer;
}

async function rollback({ orders, actor, query, headers, body }: Ask): Promise<Answer> {
  const read = parsed(RollbackBody, body === '' ? '{}' : body);
  if (!read.ok) return read.answer;
  const expected = expectedOf(query.get('generation') ?? headers['if-match'] ?? null);
  if (expected === undefined) return failure(400, 'bad-generation', 'The generation (or If-Match) is a whole number.');
  const { version = null, note = null } = read.value;
  return answer(await orders.rollback({ version, note, expected, actor }));
}

async function quarantine({ orders, actor, query, body }: Ask): Promise<Answer> {
  const read = parsed(QuarantineBody, body);
  if (!read.ok) return read.answer;
  const { target, for: text, reason, wide = false } = read.value;
  const order = { target, forMs: parseDuration(text)!, reason, actor, wide };
  if (isDryRun(query)) return rehearsal(await orders.dryQuarantine(order));
  const outcome = await orders.quarantine(order);
  return outcome.ok ? answer(outcome, { quarantine: shownQuarantine(outcome.quarantine) }) : refusal(outcome);
}

async function server({ orders, actor, body }: Ask): Promise<Answer> {
  const read = parsed(ServerBody, body);
  if (!read.ok) return read.answer;
  const outcome = await orders.setServer({ ...read.value, actor });
  if (!outcome.ok) return refusal(outcome);
  return answer(outcome, { override: outcome.override === null ? null : shownOverride(outcome.override) });
}

/** `more`: what stands in the place of parts that are not shown as they are. */
function answer(outcome: Outcome, more: object = {}): Answer {
  if (!outcome.ok) return refusal(outcome);
  const { ok: _, ...shown } = outcome;
  return json(200, { ...shown, ...more }, { etag: `"${outcome.generation}"` });
}

function rehearsal(run: DryRun | Refused): Answer {
  if (!run.ok) return refusal(run);
  const { ok: _, ...shown } = run;
  return json(200, shown);
}

function refusal({ code, message, problems, in_force }: Refused): Answer {
  const more = { ...(problems === undefined ? {} : { problems }), ...(in_force === undefined ? {} : { in_force }) };
  return json(STATUS[code], { error: message, code, ...more });
}

const STATUS: Readonly<Record<Refused['code'], number>> = {
  'stale-generation': 409,
  unconfirmed: 409,
  'nothing-to-confirm': 409,
  'bad-document': 422,
  refused: 422,
  'no-such-version': 404,
  'no-such-source': 422,
  'no-such-quarantine': 404,
  'no-such-server': 404,
  'too-many': 409,
  'too-wide': 409,
};

function parsed<T>(
  schema: z.ZodType<T>,
  body: string,
): { readonly ok: true; readonly value: T } | { readonly ok: false; readonly answer: Answer } {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return { ok: false, answer: failure(400, 'bad-json', 'The body is not JSON.') };
  }
  const result = schema.safeParse(value);
  if (result.success) return { ok: true, value: result.data };
  const first = result.error.issues[0]!;
  const where = first.path.length === 0 ? 'The body' : first.path.join('.');
  return { ok: false, answer: failure(400, 'bad-body', `${where}: ${first.message}.`) };
}

/** null: whatever is in force; undefined: no number. If-Match carries an entity tag (RFC 9110 §13.1.1). */
function expectedOf(text: string | null): number | null | undefined {
  if (text === null || text.trim() === '*') return null;
  const digits = /^\s*(?:W\/)?"?([0-9]{1,15})"?\s*$/.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function guardOf(query: URLSearchParams): GuardBounds | null | undefined {
  const text = query.get('guard');
  if (text === null || text === '0') return null;
  const rise = text === '1' || text === '' ? GUARD_DEFAULT.rise : parsePercent(text);
  const forText = query.get('guard-for');
  const forMs = forText === null ? GUARD_DEFAULT.forMs : parseDuration(forText);
  return rise === null || forMs === null || forMs < 1_000 ? undefined : { rise, forMs };
}

function isDryRun(query: URLSearchParams): boolean {
  const text = query.get('dry-run');
  return text === '' || text === '1' || text === 'true';
}

function decode(encoded: string): string | null {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return null;
  }
}
