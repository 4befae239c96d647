/** Which paths there are, and what each answers from the node's view. Nothing here knows sockets. */
import type { History } from '../observe/history.ts';
import { METRICS_CONTENT_TYPE, metricsText } from '../observe/metrics.ts';
import type { NodeView } from '../observe/view.ts';
import { type Answer, failure, json, text } from './answer.ts';
import { openApiDocument } from './openapi.ts';
import type { Flows, PolicyAnswer } from './schemas.ts';
import { nodeStatus, within } from './status.ts';

const FLOWS_LIMIT_DEFAULT = 100;
const FLOWS_LIMIT_MAX = 1000;
/** Longer than any receipt that is ever given out. */
const RECEIPT_LENGTH_MAX = 128;
/** A receipt may be looked for in the whole journal on disk. */
const FLOWS_TIMEOUT_MS = 8000;

export interface Subject {
  readonly view: NodeView;
  readonly history: History;
}

type Route = (subject: Subject, query: URLSearchParams) => Answer | Promise<Answer>;

const ROUTES: Readonly<Record<string, Route>> = {
  '/metrics': async ({ view }) => ({ status: 200, type: METRICS_CONTENT_TYPE, body: await metricsText(view) }),
  '/healthz': () => text(200, 'alive'),
  '/readyz': ({ view }) => {
    const { ready, reason } = view.readiness();
    return ready ? text(200, 'ready') : text(503, `not ready: ${reason}`);
  },
  '/api/v1/policy': ({ view }) => {
    const { generation, appliedAt, document } = view.policy();
    return json(200, { generation, applied_at: new Date(appliedAt).toISOString(), document: document.source } satisfies PolicyAnswer);
  },
  '/api/v1/status': async ({ view, history }) => json(200, await nodeStatus(view, history)),
  '/api/v1/flows': ({ view }, query) => flows(view, query),
  '/api/v1/openapi.json': ({ view }) => json(200, openApiDocument(view.version)),
};

const RECEIPT_PATH = '/api/v1/flows/';

/** For the answer to a path that is not there. */
export const PATHS: readonly string[] = ['/', ...Object.keys(ROUTES), `${RECEIPT_PATH}RECEIPT`];

/** The answer to a GET, or null where there is no such path. Throws what the view throws. */
export async function route(subject: Subject, path: string, query: URLSearchParams): Promise<Answer | null> {
  const exact = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
  if (exact !== undefined) return exact(subject, query);
  if (path.startsWith(RECEIPT_PATH)) return oneFlow(subject.view, path.slice(RECEIPT_PATH.length));
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
  const found = await within(FLOWS_TIMEOUT_MS, live ? view.liveFlows(limit) : view.recentFlows(limit, denied));
  return json(200, { live, flows: [...found] } satisfies Flows);
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
