/**
 * A whole node in this process, from the text of a file: the real workers on real sockets, with a journal in memory. Tests talk to it as
 * clients and as servers do.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { parseDocument } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
import { type ApplyResult, Node, type NodeTimes } from '../../proxy/node/node.ts';
import { openJournal } from '../../proxy/observe/journal-store.ts';
import type { Logger } from '../../proxy/observe/log.ts';
import type { ApplicationCounters, FlowRecord } from '../../proxy/observe/view.ts';

/** Below the ephemeral range, so that no outgoing connection of another test takes the port in between. */
const PORT_LOWEST = 10_000;
const PORT_HIGHEST = 31_999;
/** More than most test files ask for; beyond it a process takes a further block. */
const BLOCK_PORTS = 100;
const BLOCKS = Math.floor((PORT_HIGHEST + 1 - PORT_LOWEST) / BLOCK_PORTS);
let nextPort = 0;
let blockEnd = 0;

/**
 * Gives this process a block of ports for as long as it lives: it listens on the first. Looking alone is not enough, since nodes share their ports: two
 * processes that looked at the same time would both serve on the port, each with some of the other's clients.
 */
async function takeBlock(): Promise<void> {
  const start = Math.floor(Math.random() * BLOCKS);
  for (let tries = 0; tries < BLOCKS; tries++) {
    const first = PORT_LOWEST + ((start + tries) % BLOCKS) * BLOCK_PORTS;
    const claim = createServer();
    if (!(await listens(claim, first, '127.0.0.1'))) continue;
    claim.unref();
    nextPort = first + 1;
    blockEnd = first + BLOCK_PORTS;
    return;
  }
  throw new Error('no free block of ports');
}

/** Alone: not on a port that another socket has, whether or not it would share it. */
function listens(server: Server, port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => resolve(true));
  });
}

/** A TCP port of 127.0.0.1 (or another loopback address) that nothing listens on. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let tries = 0; tries < 500; tries++) {
    while (nextPort >= blockEnd) await takeBlock();
    const port = nextPort++;
    const probe = createServer();
    if (await listens(probe, port, host)) {
      await new Promise((resolve) => probe.close(resolve));
      return port;
    }
  }
  throw new Error('no free port');
}

export interface RunningNode {
  readonly node: Node;
  /** What the log said, newest last. */
  readonly logged: { level: string; message: string; fields: object }[];
  apply(yaml: string): Promise<ApplyResult>;
  application(name: string): ApplicationCounters;
  /** Ended flows, oldest first, once the counters show that at least `count` are there. */
  records(count: number): Promise<FlowRecord[]>;
  stop(drainMs?: number): Promise<number>;
}

/** Starts a node. `process:` may set node, workers and resolvers; anything else of it is not used here. `times`: how long answers of DNS hold, and when is tried again what failed. */
export async function startNode(yaml: string, times?: NodeTimes): Promise<RunningNode> {
  const document = documentOf(yaml);
  const logged: RunningNode['logged'] = [];
  const died = Promise.withResolvers<never>();
  died.promise.catch(() => undefined);
  const note = (level: string) => (fields: object, message: string) => {
    logged.push({ level, message, fields });
    if (message.startsWith('a worker has died')) died.reject(new Error(`a worker has died: ${(fields as { why?: string }).why}`));
  };
  const log: Logger = { info: note('info'), warn: note('warn'), error: note('error'), debug: note('debug'), flush() {} };
  const journal = openJournal({ directory: null, sizeBytes: 1 << 20, segmentBytes: 1 << 18, onTrouble: () => undefined });
  const node = new Node({ node: 'test', workers: document.process.workers, ...(times && { times }) }, journal, log);
  // A node waits for a worker that is started again; here it would keep the reason to itself until the test's time is over.
  const started = await Promise.race([node.apply(document), died.promise]).catch(async (error: unknown) => {
    await node.drain(0);
    throw error;
  });
  if (!started.ok) {
    await node.drain(0);
    throw new Error(started.problems.join('\n'));
  }
  return {
    node,
    logged,
    apply: (text) => node.apply(documentOf(text)),
    application: (name) => node.counters().applications.find((application) => application.application === name)!,
    records: async (count) => {
      await until(async () => (await node.recentFlows(count, false)).length >= count);
      return (await node.recentFlows(10_000, false)).reverse();
    },
    stop: (drainMs = 0) => node.drain(drainMs),
  };
}

export function documentOf(yaml: string) {
  const loaded = parseDocument([{ file: 'test.yaml', text: yaml }], {});
  if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
  return loaded.document;
}

/**
 * Waits until `condition` holds, looking often; fails with what it waited for after `withinMs`: to start a node, use it once and stop it has been seen
 * to take 8 s on two cores under a load of 18.
 */
export async function until(condition: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${withinMs} ms in vain for: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export interface TestServer {
  readonly port: number;
  /** Connections accepted so far, open or not. */
  readonly sockets: Socket[];
  close(): Promise<void>;
}

/** A TCP server on a free port of 127.0.0.1. Sockets are half-open capable, and errors on them are the test's business only if it listens. */
export async function startServer(serve: (socket: Socket) => void, wantedPort?: number): Promise<TestServer> {
  const port = wantedPort ?? (await freePort());
  const sockets: Socket[] = [];
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    serve(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port,
    sockets,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
