/**
 * The admin endpoint: the one door through which people and machines look at a node and give it orders. It runs on the main thread, away from
 * the traffic, and no request and no listener error reaches beyond it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AdminTls, AdminToken, Endpoint } from '../../config/document.ts';
import type { History } from '../observe/history.ts';
import type { NodeView } from '../observe/view.ts';
import { hitNodeLimit } from '../shared/node-limits.ts';
import type { Orders } from '../versions/orders.ts';
import { type Access, Doorkeeper } from './access.ts';
import { type Answer, failure } from './answer.ts';
import { type Asset, loadAssets } from './assets.ts';
import { readBody } from './body.ts';
import { Certificate } from './certificate.ts';
import { EventHub, eventFilter } from './events.ts';
import { createFront, useCertificate } from './front.ts';
import { isOwnHost } from './host.ts';
import { type BoundAddress, type LentAddress, listen } from './listen.ts';
import { forbidden, methodsOf, type Order, orderOf } from './orders.ts';
import { EVENTS_PATH, PATHS, route } from './routes.ts';

const TARGET_BYTES_MAX = 2048;
/** A body that no order asks for is not read, but thrown away up to here, so that the answer reaches a client that is still sending. */
const DISCARD_BYTES_MAX = 1024 * 1024;

const SECURITY_FIELDS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const;

/** What it needs of a pino logger. */
export interface AdminLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What orders are given to, and who may give them over the network. */
export interface AdminControl {
  readonly orders: Orders | null;
  readonly tokens: readonly AdminToken[];
  /** null: plain HTTP. */
  readonly tls?: AdminTls | null;
  /** How often the files of `tls` are looked at. */
  readonly pollMs?: number;
  /** The same address, from the process that this one follows. */
  readonly taken?: LentAddress | null;
}

export interface Admin {
  /** Where it listens: with the port that was given out where 0 was asked for. */
  address(): BoundAddress;
  /** For a process that follows this one. */
  lend(): LentAddress;
  /** Stops listening and ends every connection. */
  close(): Promise<void>;
  /** Another process has the address: ends every connection when its client has been told, within LAST_WORD_MS. */
  leave(): Promise<void>;
}

/** How long a client may still ask on a connection that it has kept open: what was sent by then has arrived. */
const LAST_WORD_MS = 1_000;

/**
 * Opens the endpoint. Rejects with an `AdminError` that says what to do where the address cannot be bound or the certificate not used; after that,
 * errors are logged.
 * A unix socket is made with mode 0600, and one that a dead process left behind is replaced.
 */
export async function openAdmin(
  endpoint: Endpoint,
  view: NodeView,
  history: History,
  log: AdminLog,
  control?: AdminControl,
): Promise<Admin> {
  const assets = loadAssets();
  const certificate = control?.tls == null ? null : new Certificate(control.tls);
  const orders = control?.orders ?? null;
  const doorkeeper = new Doorkeeper(control?.tokens ?? [], endpoint.kind === 'unix');
  const hub = orders === null ? null : new EventHub(orders);
  const front = createFront(certificate, (request, response) => void serve(request, response));
  const { server } = front;

  const ownCounts = () => ({
    wrong_tokens: doorkeeper.refused,
    limited: doorkeeper.limited,
    listeners: hub?.clients ?? 0,
    listeners_dropped: hub?.dropped ?? 0,
    connections_dropped: front.dropped(),
    failed_handshakes: front.failedHandshakes(),
    certificate_ends: certificate === null ? null : new Date(certificate.notAfter).toISOString(),
  });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    let answer: Answer | null;
    try {
      answer = await answerTo(request, response);
      if (answer === null) return;
    } catch (error) {
      log.error({ err: error, path: request.url }, 'the admin endpoint failed to answer');
      answer = failure(500, 'failed', `This answer failed: ${error instanceof Error ? error.message : String(error)}. The log says more.`);
    }
    discardBody(request);
    send(request, response, answer);
  }

  /** null: the response was taken over. A body that no order has read by the first wait is thrown away. */
  async function answerTo(request: IncomingMessage, response: ServerResponse): Promise<Answer | null> {
    const target = request.url ?? '/';
    if (target.length > TARGET_BYTES_MAX) {
      hitNodeLimit('admin-target');
      return failure(414, 'long-target', `A request target may have ${TARGET_BYTES_MAX} bytes.`);
    }
    if (!isOwnHost(request.headers.host, view.node, certificate)) {
      const names = `an IP address, localhost${certificate === null ? '' : ', a name of its certificate'} or the node's name (${view.node})`;
      return failure(421, 'foreign-host', `This endpoint answers to ${names} only: use one of these in the URL.`);
    }
    const question = target.indexOf('?');
    const path = question < 0 ? target : target.slice(0, question);
    const query = new URLSearchParams(question < 0 ? '' : target.slice(question + 1));
    const found = orderOf(request.method ?? '', path, query);
    if (found !== null) return carryOut(request, response, found.order, found.name, query);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      const methods = ['GET', 'HEAD', ...methodsOf(path)].join(', ');
      return failure(405, 'method-not-allowed', `${path} answers ${methods}.`, {}, { allow: methods });
    }
    const refusal = doorkeeper.refusesReading(request, path, performance.now());
    if (refusal !== null) return turnedAway(refusal);
    if (path === EVENTS_PATH && hub !== null && request.method === 'GET') return listenIn(hub, response, query);
    const asset = assets.get(path);
    if (asset !== undefined) return assetAnswer(asset, request.headers['if-none-match']);
    return (
      (await route({ view, history, orders, admin: ownCounts }, path, query)) ??
      failure(404, 'not-found', 'There is nothing at this path.', { paths: [...PATHS] })
    );
  }

  /** Who asks is looked at before a byte of the body is read. */
  async function carryOut(
    request: IncomingMessage,
    response: ServerResponse,
    order: Order,
    name: string,
    query: URLSearchParams,
  ): Promise<Answer> {
    const access = doorkeeper.identify(request, performance.now());
    const from = `${request.socket.remoteAddress ?? 'unix'}:${request.socket.remotePort ?? 0}`;
    if (!access.ok) {
      const { code, message } = access;
      // Only these: they are bounded by address, and a client without a token must not be able to fill the disk.
      if (code === 'token-unknown') {
        log.warn({ from, action: order.action, code }, 'an order without a known token is refused');
        orders?.recordRefusal({ name: 'unknown', role: 'viewer', from }, order.action, message);
      }
      return turnedAway(access);
    }
    if (orders === null) return failure(403, 'read-only', 'This node takes no orders.');
    const { actor } = access;
    const reason = forbidden(order, actor);
    if (reason !== null) {
      orders.recordRefusal(actor, order.action, reason);
      return failure(403, 'role-too-low', reason);
    }
    if (request.headers.expect !== undefined) response.writeContinue();
    const body = await readBody(request);
    if (!body.ok) return failure(body.status, body.status === 413 ? 'large-body' : 'bad-body', body.message, {}, { connection: 'close' });
    return order.carry({ orders, actor, query, headers: request.headers, body: body.text, name });
  }

  const { address, lent, release } = await listen(server, endpoint, control?.taken);
  server.on('error', (error) => log.error({ err: error }, 'the admin listener failed'));
  certificate?.watch(
    {
      changed: (pair) => {
        useCertificate(front, pair);
        log.info({ ends: new Date(certificate.notAfter).toISOString() }, 'the certificate of the admin endpoint was read again');
      },
      trouble: (message) => log.error({}, message),
    },
    control?.pollMs,
  );
  log.info({ address: address.text, tls: certificate !== null }, 'admin endpoint open');
  const stop = () => {
    certificate?.stop();
    hub?.close();
  };
  return {
    address: () => address,
    lend: () => lent,
    close() {
      stop();
      release();
      return front.close();
    },
    leave() {
      stop();
      // A unix socket is replaced by name: until then clients come here, and wait in this socket's queue.
      return front.leave(LAST_WORD_MS, lent.socket === null);
    },
  };
}

function turnedAway({ status, code, message, retryAfterSeconds }: Exclude<Access, { ok: true }>): Answer {
  const headers = {
    ...(status === 401 ? { 'www-authenticate': 'Bearer realm="bulkhead", Basic realm="bulkhead", charset="UTF-8"' } : {}),
    ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
  };
  return failure(status, code, message, {}, headers);
}

function listenIn(hub: EventHub, response: ServerResponse, query: URLSearchParams): Answer | null {
  if (hub.full) {
    hitNodeLimit('admin-listeners');
    return failure(503, 'too-many-listeners', 'As many clients as may listen to events do so already.');
  }
  const filter = eventFilter(query);
  if (typeof filter === 'string') return failure(400, 'bad-filter', filter);
  hub.join(response, filter, SECURITY_FIELDS);
  return null;
}

function assetAnswer(asset: Asset, known: string | undefined): Answer {
  const headers = { etag: asset.etag, 'cache-control': 'no-cache' };
  if (known === asset.etag) return { status: 304, type: asset.type, body: '', headers };
  return { status: 200, type: asset.type, body: asset.body, headers };
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  if (response.destroyed) return;
  const body = typeof answer.body === 'string' ? Buffer.from(answer.body) : answer.body;
  response.writeHead(answer.status, {
    ...SECURITY_FIELDS,
    'cache-control': 'no-store',
    'content-type': answer.type,
    ...(answer.status === 304 ? {} : { 'content-length': String(body.length) }),
    ...answer.headers,
  });
  response.end(request.method === 'HEAD' || answer.status === 304 ? undefined : body);
}

function discardBody(request: IncomingMessage): void {
  let discarded = 0;
  request.on('data', (chunk: Buffer) => {
    discarded += chunk.length;
    if (discarded > DISCARD_BYTES_MAX) request.destroy();
  });
}
