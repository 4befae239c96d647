/**
 * What happens, as it happens: server-sent events (HTML Living Standard §9.2) of flows that end, denials and orders. A client that does not keep up
 * is let go; flows come sampled where there are more than anybody reads. Who listens never holds up what is listened to.
 */
import type { ServerResponse } from 'node:http';
import { isFrom, parseSource } from '../observe/flow-filter.ts';
import type { FlowRecord, FlowSource } from '../observe/view.ts';
import { hitNodeLimit } from '../shared/node-limits.ts';
import type { ControlEvent, Orders } from '../versions/orders.ts';

const CLIENTS_MAX = 16;
/** What may wait for one client. */
const BUFFER_BYTES_MAX = 256 * 1024;
/** Flows told of a block of records; blocks come about ten times a second from each worker. */
const FLOWS_A_BLOCK = 50;
const ALIVE_MS = 15_000;
const SKIPPED_MS = 1_000;
const NEWLINE = 0x0a;
const DENIED = Buffer.from('"verdict":"deny"');

export const EVENT_KINDS = ['flows', 'denials', 'applies'] as const;
type Kind = (typeof EVENT_KINDS)[number];

export interface EventFilter {
  readonly kinds: ReadonlySet<Kind>;
  readonly application: string | null;
  readonly source: FlowSource | null;
  readonly rule: string | null;
}

interface Client {
  readonly response: ServerResponse;
  readonly filter: EventFilter;
  readonly needles: readonly Buffer[];
  skipped: number;
}

export class EventHub {
  readonly #orders: Orders;
  readonly #clients = new Set<Client>();
  readonly #stopEvents: () => void;
  readonly #timers: readonly NodeJS.Timeout[];
  #stopRecords: (() => void) | null = null;
  /** Clients that were let go because they did not keep up. */
  dropped = 0;

  constructor(orders: Orders) {
    this.#orders = orders;
    this.#stopEvents = orders.onEvent((event) => this.#order(event));
    this.#timers = [setInterval(() => this.#alive(), ALIVE_MS).unref(), setInterval(() => this.#tellSkipped(), SKIPPED_MS).unref()];
  }

  get clients(): number {
    return this.#clients.size;
  }

  get full(): boolean {
    return this.#clients.size >= CLIENTS_MAX;
  }

  /** Takes over a response whose head was not written yet. */
  join(response: ServerResponse, filter: EventFilter, headers: Readonly<Record<string, string>>): void {
    const { application, rule } = filter;
    // As the workers write it: a text in JSON, in which quotes are escaped, so that traffic cannot forge a field.
    const field = (name: string, value: string | null) => (value === null ? [] : [Buffer.from(`"${name}":${JSON.stringify(value)}`)]);
    const client = { response, filter, needles: [...field('application', application), ...field('rule', rule)], skipped: 0 };
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' });
    response.write('retry: 2000\n\n');
    this.#clients.add(client);
    response.on('close', () => this.#leave(client));
    if (this.#wantsFlows(client)) this.#stopRecords ??= this.#orders.onRecords((lines) => this.#records(lines));
  }

  close(): void {
    this.#stopEvents();
    for (const timer of this.#timers) clearInterval(timer);
    for (const client of [...this.#clients]) {
      this.#leave(client);
      client.response.destroy();
    }
  }

  #leave(client: Client): void {
    this.#clients.delete(client);
    if ([...this.#clients].some((other) => this.#wantsFlows(other))) return;
    this.#stopRecords?.();
    this.#stopRecords = null;
  }

  #wantsFlows({ filter }: Client): boolean {
    return filter.kinds.has('flows') || filter.kinds.has('denials');
  }

  #order(event: ControlEvent): void {
    const text = `event: apply\ndata: ${JSON.stringify(event)}\n\n`;
    for (const client of this.#clients) if (client.filter.kinds.has('applies')) this.#send(client, text);
  }

  /** The bytes are the pump's again when this returns. */
  #records(bytes: Uint8Array): void {
    const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (const client of this.#clients) if (this.#wantsFlows(client)) this.#tellFlows(client, block);
  }

  #tellFlows(client: Client, block: Buffer): void {
    const { filter, needles } = client;
    const onlyDenied = !filter.kinds.has('flows');
    if (onlyDenied && !block.includes(DENIED)) return;
    const lines: Buffer[] = [];
    for (let start = 0; start < block.length; ) {
      const end = block.indexOf(NEWLINE, start);
      if (end < 0) break;
      const line = block.subarray(start, end);
      start = end + 1;
      if (onlyDenied && !line.includes(DENIED)) continue;
      if (needles.every((needle) => line.includes(needle))) lines.push(line);
    }
    const stride = Math.ceil(lines.length / FLOWS_A_BLOCK);
    lines.forEach((line, index) => {
      if (index % stride !== 0) client.skipped++;
      else this.#tellFlow(client, line.toString('utf8'));
    });
  }

  #tellFlow(client: Client, line: string): void {
    const { kinds, source } = client.filter;
    let flow: FlowRecord;
    try {
      flow = JSON.parse(line) as FlowRecord;
    } catch {
      return;
    }
    const denied = flow.verdict === 'deny';
    if (denied ? !kinds.has('denials') && !kinds.has('flows') : !kinds.has('flows')) return;
    if (source !== null && !isFrom(flow.source, source)) return;
    this.#send(client, `event: ${denied ? 'denial' : 'flow'}\ndata: ${line}\n\n`);
  }

  #send(client: Client, text: string): void {
    if (!this.#clients.has(client)) return;
    if (client.response.writableLength > BUFFER_BYTES_MAX) {
      this.dropped++;
      hitNodeLimit('admin-listener-buffer');
      this.#leave(client);
      client.response.destroy();
      return;
    }
    client.response.write(text);
  }

  #alive(): void {
    for (const client of this.#clients) this.#send(client, ': alive\n\n');
  }

  #tellSkipped(): void {
    for (const client of this.#clients) {
      if (client.skipped === 0) continue;
      this.#send(client, `event: skipped\ndata: {"flows":${client.skipped}}\n\n`);
      client.skipped = 0;
    }
  }
}

/** What a client asks for; the reason where it asks for what there is not. */
export function eventFilter(query: URLSearchParams): EventFilter | string {
  const kinds = (query.get('kinds') ?? EVENT_KINDS.join(',')).split(',');
  const wrong = kinds.find((kind) => !(EVENT_KINDS as readonly string[]).includes(kind));
  if (wrong !== undefined) return `kinds is a list of ${EVENT_KINDS.join(', ')}, separated by commas.`;
  const text = query.get('source');
  const source = text === null ? null : parseSource(text);
  if (text !== null && source === null) return 'source is an address, one with a port, or a prefix such as 198.51.100.0/24.';
  return { kinds: new Set(kinds as Kind[]), application: query.get('application'), source, rule: query.get('rule') };
}
