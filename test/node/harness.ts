/**
 * A whole node in this process, from the text of a file: the real workers on real sockets, with a journal in memory. Tests talk to it as
 * clients and as servers do.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { parseDocument } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
import { type ApplyResult, Node } from '../../proxy/node/node.ts';
import { openJournal } from '../../proxy/observe/journal-store.ts';
import type { Logger } from '../../proxy/observe/log.ts';
import type { ApplicationCounters, FlowRecord } from '../../proxy/observe/view.ts';

/** Below the ephemeral range, so that no outgoing connection of another test takes the port in between. */
const PORT_LOWEST = 10_000;
const PORT_HIGHEST = 31_999;
let nextPort = PORT_LOWEST + Math.floor(Math.random() * (PORT_HIGHEST - PORT_LOWEST));

/** A TCP port of 127.0.0.1 (or another loopback address) that nothing listens on. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let tries = 0; tries < 500; tries++) {
    const port = nextPort++;
    if (nextPort > PORT_HIGHEST) nextPort = PORT_LOWEST;
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen({ port, host, exclusive: true }, () => resolve(true));
    });
    if (free) {
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

/** Starts a node. `process:` may set node and workers; anything else of it is not used here. */
export async function startNode(yaml: string): Promise<RunningNode> {
  const document = documentOf(yaml);
  const logged: RunningNode['logged'] = [];
  const note = (level: string) => (fields: object, message: string) => void logged.push({ level, message, fields });
  const log: Logger = { info: note('info'), warn: note('warn'), error: note('error'), debug: note('debug'), flush() {} };
  const journal = openJournal({ directory: null, sizeBytes: 1 << 20, segmentBytes: 1 << 18, onTrouble: () => undefined });
  const node = new Node({ node: 'test', workers: document.process.workers }, journal, log);
  const started = await node.apply(document);
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

/** Waits until `condition` holds, looking often; fails with what it waited for after `withinMs`. */
export async function until(condition: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<void> {
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
