/** Both ends of HTTP/1.1 as bytes: a client that says exactly what a test wants said, and servers that note exactly what they were sent. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { FlowRecord } from '../../proxy/observe/view.ts';
import { freePort, type RunningNode, startNode, startServer, type TestServer, until } from '../node/harness.ts';

export interface Answer {
  readonly status: number;
  /** Lower-case names; a repeated field is joined by a comma. */
  readonly fields: Readonly<Record<string, string>>;
  /** Payload without the chunked coding. */
  readonly body: Buffer;
  /** The head as received. */
  readonly head: string;
}

/** A client connection that keeps all that it was sent. */
export class WireClient {
  readonly socket: Socket;
  bytes: Buffer = Buffer.alloc(0);
  /** How the connection ended: null while it lives. */
  ended: 'end' | 'reset' | null = null;
  private at = 0;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.bytes = this.bytes.length === 0 ? data : Buffer.concat([this.bytes, data]);
    });
    socket.on('end', () => {
      this.ended ??= 'end';
    });
    socket.on('error', () => {
      this.ended = 'reset';
    });
  }

  static async open(port: number, host = '127.0.0.1', source?: string): Promise<WireClient> {
    const socket = connect({ port, host, allowHalfOpen: true, ...(source === undefined ? {} : { localAddress: source }) });
    socket.setNoDelay(true);
    const client = new WireClient(socket);
    await once(socket, 'connect');
    return client;
  }

  send(data: string | Buffer): this {
    this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
    return this;
  }

  get text(): string {
    return this.bytes.toString('latin1');
  }

  /** The next answer, interim ones included. `head`: it answers HEAD. */
  async answer(head = false, withinMs = 5_000): Promise<Answer> {
    let found: { answer: Answer; end: number } | null = null;
    try {
      await until(() => {
        found = readAnswer(this.bytes, this.at, this.ended !== null, head);
        return found !== null;
      }, withinMs);
    } catch {
      throw new Error(`no whole answer; ended ${this.ended}; received: ${JSON.stringify(this.text.slice(this.at, this.at + 2_000))}`);
    }
    this.at = found!.end;
    return found!.answer;
  }

  /** Waits for the end, and says how it came. */
  async end(withinMs = 5_000): Promise<'end' | 'reset'> {
    await until(() => this.ended !== null, withinMs);
    return this.ended!;
  }

  close(): void {
    this.socket.destroy();
  }
}

function readAnswer(bytes: Buffer, start: number, ended: boolean, isHead: boolean): { answer: Answer; end: number } | null {
  const headEnd = bytes.indexOf('\r\n\r\n', start);
  if (headEnd < 0) return null;
  const head = bytes.toString('latin1', start, headEnd + 4);
  const status = Number(head.slice(9, 12));
  const fields: Record<string, string> = {};
  for (const line of head.split('\r\n').slice(1, -2)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    fields[name] = fields[name] === undefined ? value : `${fields[name]}, ${value}`;
  }
  const from = headEnd + 4;
  const whole = (body: Buffer, end: number) => ({ answer: { status, fields, body, head }, end });
  if (isHead || status < 200 || status === 204 || status === 304) return whole(Buffer.alloc(0), from);
  if (fields['transfer-encoding'] === 'chunked') return readChunks(bytes, from, whole);
  const length = fields['content-length'];
  if (length !== undefined) {
    const end = from + Number(length);
    return bytes.length < end ? null : whole(bytes.subarray(from, end), end);
  }
  return ended ? whole(bytes.subarray(from), bytes.length) : null;
}

function readChunks<T>(bytes: Buffer, start: number, whole: (body: Buffer, end: number) => T): T | null {
  const parts: Buffer[] = [];
  let at = start;
  for (;;) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return null;
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16);
    if (size === 0) {
      if (bytes.toString('latin1', line, line + 4) === '\r\n\r\n') return whole(Buffer.concat(parts), line + 4);
      const end = bytes.indexOf('\r\n\r\n', line);
      return end < 0 ? null : whole(Buffer.concat(parts), end + 4);
    }
    if (bytes.length < line + 4 + size) return null;
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = line + 4 + size;
  }
}

/** A server that keeps the bytes of each of its connections and answers as told whenever it has a head more. */
export interface NotingServer extends TestServer {
  /** All bytes received, by connection, in the order of their coming. */
  readonly received: Buffer[];
  readonly text: () => string;
}

/** `respond` is called with every read, the connection's bytes so far, and its number. */
export async function startNoting(
  respond: (socket: Socket, soFar: Buffer, connection: number) => void,
  port?: number,
): Promise<NotingServer> {
  const received: Buffer[] = [];
  const server = await startServer((socket) => {
    const connection = received.push(Buffer.alloc(0)) - 1;
    socket.on('data', (data: Buffer) => {
      received[connection] = Buffer.concat([received[connection]!, data]);
      respond(socket, received[connection]!, connection);
    });
    socket.on('end', () => socket.end());
  }, port);
  return { ...server, received, text: () => Buffer.concat(received).toString('latin1') };
}

/** Answers each head with `OK` of the path; bodies are taken for none. */
export function startPlain(port?: number): Promise<NotingServer> {
  const answered = new WeakMap<Socket, number>();
  return startNoting((socket, soFar) => {
    let at = answered.get(socket) ?? 0;
    for (let end = soFar.indexOf('\r\n\r\n', at); end >= 0; end = soFar.indexOf('\r\n\r\n', at)) {
      const path = soFar.toString('latin1', at, end).split(' ', 2)[1]!;
      at = end + 4;
      answered.set(socket, at);
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`);
    }
  }, port);
}

export interface Proxied {
  readonly running: RunningNode;
  readonly port: number;
  open(source?: string): Promise<WireClient>;
  stop(): Promise<void>;
}

/** A node with one HTTP application, `web`, in front of the ports. `more` goes into the application, `pool` into its pool. */
export async function startProxy(
  servers: readonly number[],
  more = '',
  pool = '',
  rules = '[{ name: all, action: allow }]',
): Promise<Proxied> {
  const port = await freePort();
  const running = await startNode(proxyText(port, servers, more, pool, rules));
  return {
    running,
    port,
    open: (source) => WireClient.open(port, '127.0.0.1', source),
    stop: async () => {
      await running.stop();
    },
  };
}

export function proxyText(
  port: number,
  servers: readonly number[],
  more = '',
  pool = '',
  rules = '[{ name: all, action: allow }]',
): string {
  return `
version: 1
process: { workers: 1 }
pools:
  web:
    servers: [${servers.map((server) => `127.0.0.1:${server}`).join(', ')}]
    ${pool}
applications:
  web:
    vips: [127.0.0.1:${port}]
    mode: http
    pool: web
    ${more}
    rules: ${rules}
`;
}

/** Hits of a limit of `web`. */
export function hits(running: RunningNode, limit: string): number {
  return running.node.counters().limits.find((entry) => entry.application === 'web' && entry.limit === limit)?.hits ?? 0;
}

/** The journal's record of a flow, once the flow is over. */
export async function ended(running: RunningNode, receipt: string): Promise<FlowRecord> {
  let record: FlowRecord | null = null;
  await until(async () => {
    record = await running.node.flow(receipt);
    return record !== null && record.ended_by !== null;
  });
  return record!;
}

/** Waits until nothing is under way; what was opened has been closed. */
export async function settled(running: RunningNode): Promise<void> {
  await until(() => {
    const counters = running.application('web');
    return (
      counters.flowsActive === 0 && counters.connectionsActive === 0 && running.node.servers().every((server) => server.flowsActive === 0)
    );
  });
  const { flowsOpened, flowsClosed } = running.application('web');
  if (flowsOpened !== flowsClosed) throw new Error(`opened ${flowsOpened}, closed ${flowsClosed}`);
}
