/** What a swap of policies holds a worker up, with flows open and bytes under way. The process has to be started with the probe (`--import`, in NODE_OPTIONS). */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { BroadcastChannel } from 'node:worker_threads';
import { startNode } from '../../test/node/harness.ts';
import { PROBE_CHANNEL, type ProbeMessage } from './swap-probe.ts';
import { VIP_PORT, vipAddress } from './written.ts';

/** Each would take a core of its own, beside this thread. */
const WORKERS = 1;
const FLOWS = 1_000;
/** Of the flows, those on which a message is under way at any moment. */
const BUSY = 20;
const SWAPS = 6;
const SERVER_PORT = 18_079;
const ANSWER_MS = 5_000;

export interface SwapFigures {
  /** The longest time that a worker computed without a turn for anything else: by flows alone, and in a swap. */
  readonly quietMs: number;
  readonly stallMs: number;
  /** From the order to the last worker's answer, compiling included. */
  readonly applyMs: number;
}

/** Swaps two policies to and fro under load. */
export async function measureSwap(one: string, other: string): Promise<SwapFigures> {
  const server = createServer((socket) => void socket.on('error', () => undefined).pipe(socket)).listen(SERVER_PORT, '127.0.0.1');
  await once(server, 'listening');
  const running = await startNode(withLocals(one, 'a'));
  const flows = await Promise.all(Array.from({ length: FLOWS }, openFlow));
  let over = false;
  for (const socket of flows.slice(0, BUSY)) {
    const message = Buffer.alloc(64, 'bulkhead');
    socket.on('data', () => over || socket.write(message));
    socket.write(message);
  }
  const texts = [withLocals(other, 'b'), withLocals(one, 'a')];
  // The first swaps compile code.
  for (const text of texts) await running.apply(text);
  const quietMs = await longest(() => new Promise((resolve) => setTimeout(resolve, 500)));
  let applyMs = 0;
  const stallMs = await longest(async () => {
    for (let i = 0; i < SWAPS; i++) {
      const start = performance.now();
      const applied = await running.apply(texts[i % 2]!);
      if (!applied.ok) throw new Error(applied.problems.join('\n'));
      applyMs += (performance.now() - start) / SWAPS;
    }
  });
  over = true;
  for (const socket of flows) socket.destroy();
  await running.stop();
  server.close();
  return { quietMs: tenths(quietMs), stallMs: tenths(stallMs), applyMs: Math.round(applyMs) };
}

/** The scene with one server that there is, one worker, and a rule that lets this process in. */
function withLocals(text: string, name: string): string {
  return text
    .replace('version: 1\n', `version: 1\nprocess: { workers: ${WORKERS} }\n`)
    .replace('      - 127.0.0.1:9001\n      - { address: 127.0.0.1:9002, weight: 3 }\n', `      - 127.0.0.1:${SERVER_PORT}\n`)
    .replace('\nguardrails:\n', `\nguardrails:\n  - { name: ${name}, from: [127.0.0.0/8], action: allow }\n`);
}

async function openFlow(): Promise<Socket> {
  const socket = connect({ host: vipAddress(1), port: VIP_PORT, noDelay: true });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** The greatest of what the threads tell of the time while something is done. */
async function longest(work: () => Promise<unknown>): Promise<number> {
  const channel = new BroadcastChannel(PROBE_CHANNEL);
  channel.postMessage({ type: 'begin' } satisfies ProbeMessage);
  await work();
  const answers: number[] = [];
  channel.onmessage = (event) => {
    const message = (event as { data: ProbeMessage }).data;
    if (message.type === 'longest') answers.push(message.ms);
  };
  channel.postMessage({ type: 'end' } satisfies ProbeMessage);
  const end = performance.now() + ANSWER_MS;
  while (answers.length < WORKERS && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
  channel.close();
  if (answers.length < WORKERS) throw new Error('a worker did not tell how long it was held up: the process was started without the probe');
  return Math.max(...answers);
}

function tenths(number: number): number {
  return Math.round(number * 10) / 10;
}
