/** A whole node in this process that takes orders: real workers, real sockets; versions in memory or in a folder. */
import { connect, type Socket } from 'node:net';
import { parseDocument } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
import { Node } from '../../proxy/node/node.ts';
import { openJournal } from '../../proxy/observe/journal-store.ts';
import type { Logger } from '../../proxy/observe/log.ts';
import type { Actor } from '../../proxy/versions/actor.ts';
import { Audit } from '../../proxy/versions/audit.ts';
import { Control } from '../../proxy/versions/control.ts';
import type { ApplyOrder, ControlEvent, Outcome } from '../../proxy/versions/orders.ts';
import { VersionStore } from '../../proxy/versions/store.ts';

export const ANA: Actor = { name: 'ana', role: 'admin', from: '127.0.0.1:40000' };

export interface Controlled {
  readonly node: Node;
  readonly control: Control;
  readonly events: ControlEvent[];
  readonly logged: { level: string; message: string }[];
  readonly started: Outcome;
  apply(yaml: string, more?: Partial<ApplyOrder>): Promise<Outcome>;
  stop(): Promise<void>;
}

/** Starts it on the text of a file. `directory` null keeps versions in memory; `retryMs`: how soon is tried again what is to end and could not. */
export async function startControlled(yaml: string, directory: string | null = null, retryMs?: number): Promise<Controlled> {
  const sources = sourcesOf(yaml);
  const loaded = parseDocument(sources, {});
  if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
  const logged: Controlled['logged'] = [];
  const note = (level: string) => (_: object, message: string) => void logged.push({ level, message });
  const log: Logger = { info: note('info'), warn: note('warn'), error: note('error'), debug: note('debug'), flush() {} };
  const journal = openJournal({ directory: null, sizeBytes: 1 << 20, segmentBytes: 1 << 18, onTrouble: () => undefined });
  const node = new Node({ node: 'test', workers: loaded.document.process.workers }, journal, log);
  const control = new Control(node, await VersionStore.open(directory), await Audit.open(directory), log, retryMs);
  const events: ControlEvent[] = [];
  control.onEvent((event) => events.push(event));
  const started = await control.start(sources, loaded.document);
  const stop = async () => {
    await control.close();
    await node.drain(0);
  };
  if (!started.ok) {
    await stop();
    throw new Error(started.message);
  }
  const base = { actor: ANA, note: null, expected: null, confirmMs: null, guard: null };
  const apply = (text: string, more: Partial<ApplyOrder> = {}) => control.apply({ sources: sourcesOf(text), ...base, ...more });
  return { node, control, events, logged, started, apply, stop };
}

export function sourcesOf(text: string) {
  return [{ file: 'bulkhead.yaml', text }];
}

export interface Client {
  readonly socket: Socket;
  readonly source: string;
  /** What came so far. */
  text(): string;
  /** When the other side has ended or reset it. */
  readonly closed: Promise<void>;
  isOpen(): boolean;
}

/** A connection from one loopback address; resolves when the kernel has connected it. */
export async function connectFrom(source: string, port: number): Promise<Client> {
  const socket = connect({ host: '127.0.0.1', port, localAddress: source });
  let text = '';
  let open = true;
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      open = false;
      resolve();
    });
  });
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => (text += chunk.toString()));
  await new Promise<void>((resolve) => {
    socket.once('connect', resolve);
    socket.once('close', () => resolve());
  });
  return { socket, source, text: () => text, closed, isOpen: () => open };
}
