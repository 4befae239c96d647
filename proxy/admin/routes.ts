/** Which paths there are, and what each answers from the node's view. Nothing here knows sockets. */

import { FILTER_WORDS, type FilterWords, flowMatcher, readFilter } from '../observe/flow-filter.ts';
import type { History } from '../observe/history.ts';
import { isCursor } from '../observe/journal-search.ts';
import { METRICS_CONTENT_TYPE, metricsText } from '../observe/metrics.ts';
import type { FlowFilter, FlowRecord, NodeView } from '../observe/view.ts';
import type { Orders } from '../versions/orders.ts';
import { summaryOf } from '../versions/record.ts';
import { type Answer, failure, json, text } from './answer.ts';
import { openApiDocument } from './openapi.ts';
import type { Flows, PolicyAnswer, Status } from './schemas.ts';
import { shownOverlay, shownVersion } from './shown.ts';
import { nodeStatus, within } from './status.ts';

const FLOWS_LIMIT_DEFAULT = 100;
const FLOWS_LIMIT_MAX = 1000;
/** Live flows among which a filter looks. */
const LIVE_FLOWS_SEARCHED = 20_000;
/** Longer than any receipt that is ever given out. */
const RECEIPT_LENGTH_MAX = 128;
/** A receipt may be looked for in the whole journal on disk. */
const FLOWS_TIMEOUT_MS = 8000;

export interface Subject {
  readonly view: NodeView;
  readonly history: History;
  /** null where nothing can be ordered of the node, and so nothing is kept of orders. */
  readonly orders: Orders | null;
  /** What the endpoint counts of itself. */
  readonly admin: () => Status['admin'];
}

type Route = (subject: Subject, query: URLSearchParams) => Answer | null | Promise<Answer | null>;

const ROUTES: Readonly<Record<string, Route>> = {
  '/metrics': async ({ view, admin, orders }) => {
    const body = await metricsText(view, admin(), orders?.archive.unwritten() ?? null);
    return { status: 200, type: METRICS_CONTENT_TYPE, body };
  },
  '/healthz': () => text(200, 'alive'),
  '/readyz': ({ view }) => {
    const { ready, reason } = view.readiness();
    return ready ? text(200, 'ready') : text(503, `not ready: ${reason}`);
  },
  '/api/v1/policy': ({ view }) => {
    const { generation, appliedAt, document } = view.policy();
    const shown = withoutHashes({
      generation,
      applied_at: new Date(appliedAt).toISOString(),
      document: document.source,
    } satisfies PolicyAnswer);
    return json(200, shown, { etag: `"${generation}"` });
  },
  '/api/v1/status': async ({ view, history, admin, orders }) => json(200, await nodeStatus(view, history, admin(), orders)),
  '/api/v1/flows': ({ view }, query) => flows(view, query),
  '/api/v1/versions': ({ orders }) => (orders === null ? null : json(200, { versions: orders.archive.versions().map(shownVersion) })),
  '/api/v1/overlay': ({ orders }) =>
    orders === null ? null : json(200, { ...shownOverlay(orders.overlay()), confirm_by: orders.confirmBy() }),
  '/api/v1/audit': async ({ orders }, query) => {
    const limit = readLimit(query.get('limit'));
    if (limit === null) return failure(400, 'bad-limit', `limit is a whole number from 1 to ${FLOWS_LIMIT_MAX}.`);
    return orders === null ? null : json(200, { entries: await orders.archive.audit(limit) });
  },
  '/api/v1/audit/verify': async ({ orders }) => (orders === null ? null : json(200, await orders.archive.verifyAudit())),
  '/api/v1/openapi.json': ({ view }) => json(200, openApiDocument(view.version)),
};

const RECEIPT_PATH = '/api/v1/flows/';
const VERSION_PATH = '/api/v1/versions/';
export const EVENTS_PATH = '/api/v1/events';

/** For the answer to a path that is not there. */
export const PATHS: readonly string[] = ['/', ...Object.keys(ROUTES), `${RECEIPT_PATH}RECEIPT`, `${VERSION_PATH}VERSION`, EVENTS_PATH];

/** The answer to a GET, or null where there is no such path. Throws what the view throws. */
export async function route(subject: Subject, path: string, query: URLSearchParams): Promise<Answer | null> {
  const exact = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
  if (exact !== undefined) return exact(subject, query);
  if (path.startsWith(RECEIPT_PATH)) return oneFlow(subject.view, path.slice(RECEIPT_PATH.length));
  if (path.startsWith(VERSION_PATH) && subject.orders !== null) return oneVersion(subject.orders, path.slice(VERSION_PATH.length));
  return null;
}

async function flows(view: NodeView, query: URLSearchParams): Promise<Answer> {
  const limit = readLimit(query.get('limit'));
  if (limit === null) return failure(400, 'bad-limit', `limit is a whole number from 1 to ${FLOWS_LIMIT_MAX}.`);
  const denied = readFlag(query.get('denied'), false);
  if (denied === null) return failure(400, 'bad-flag', 'denied is 1 or 0.');
  const live = readFlag(query.get('live'), !denied);
  if (live === null) return failure(400, 'bad-flag', 'live is 1 or 0.');
  if (live && denied) return failure(400, 'never-live', 'A denied flow is never live: leave out live=1, or denied=1.');
  const words: FilterWords = Object.fromEntries(FILTER_WORDS.map((word) => [word, query.get(word) ?? undefined]));
  if (denied && words.verdict !== undefined && words.verdict !== 'deny')
    return failure(400, 'bad-filter', 'denied=1 asks for the verdict deny: leave one of the two out.');
  const filter = readFilter(denied ? { ...words, verdict: 'deny' } : words, Date.now());
  if (typeof filter === 'string') return failure(400, 'bad-filter', filter);
  const cursor = query.get('cursor');
  if (cursor !== null && (live || !isCursor(cursor)))
    return failure(
      400,
      'bad-cursor',
      'cursor is what an answer about ended flows has had for next: send it with the words of that question.',
    );
  if (live) return json(200, { live, flows: await within(FLOWS_TIMEOUT_MS, liveFlows(view, limit, filter)), next: null } satisfies Flows);
  return json(200, { live, ...(await within(FLOWS_TIMEOUT_MS, view.searchFlows({ limit, filter, cursor }))) } satisfies Flows);
}

async function oneVersion(orders: Orders, text: string): Promise<Answer> {
  const record = /^[1-9][0-9]{0,8}$/.test(text) ? await orders.archive.version(Number(text)) : null;
  if (record === null)
    return failure(404, 'no-such-version', 'There is no such version (any more): /api/v1/versions lists those that there are.');
  const recorded = orders.archive.isRecorded(record.version);
  return json(200, withoutHashes({ ...shownVersion({ ...summaryOf(record), recorded }), sources: record.sources }));
}

/** Who may look need not know what tokens are checked against; zeros are nobody's hash, and can be applied again. */
function withoutHashes<T>(shown: T): T {
  return JSON.parse(JSON.stringify(shown).replace(/sha256:[0-9a-f]{64}/g, `sha256:${'0'.repeat(64)}`)) as T;
}

async function liveFlows(view: NodeView, limit: number, filter: FlowFilter): Promise<FlowRecord[]> {
  if (Object.keys(filter).length === 0) return view.liveFlows(limit);
  return (await view.liveFlows(LIVE_FLOWS_SEARCHED)).filter(flowMatcher(filter)).slice(0, limit);
}

async function oneFlow(view: NodeView, encoded: string): Promise<Answer> {
  const receipt = decode(encoded);
  if (receipt === null || receipt === '' || receipt.length > RECEIPT_LENGTH_MAX || receipt.includes('/')) {
    return failure(404, 'no-such-flow', 'That is not a receipt.');
  }
  const flow = await within(FLOWS_TIMEOUT_MS, view.flow(receipt));
  if (flow !== null) return json(200, flow);
  return failure(404, 'no-such-flow', 'No live flow has this receipt, and the journal does not hold it (any more).');
}

function readLimit(value: string | null): number | null {
  if (value === null) return FLOWS_LIMIT_DEFAULT;
  if (!/^[0-9]{1,6}$/.test(value)) return null;
  const limit = Number(value);
  return limit >= 1 && limit <= FLOWS_LIMIT_MAX ? limit : null;
}

function readFlag(value: string | null, absent: boolean): boolean | null {
  if (value === null) return absent;
  if (value === '1' || value === 'true' || value === '') return true;
  return value === '0' || value === 'false' ? false : null;
}

function decode(encoded: string): string | null {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return null;
  }
}
