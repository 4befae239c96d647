/**
 * Load: HTTP requests at a given rate, with arrivals at random (a Poisson process) that don't wait for answers, and the latency of each.
 * A second thread writes the requests, so that pauses shorter than a timer's millisecond are possible and reading never waits for a pause; it
 * writes straight to the socket's descriptor. Where every connection is busy at an arrival, the wait for one counts as latency.
 * Arguments: PORT CONNECTIONS SECONDS RATE. Prints `{ units, seconds, p50, p99, rate }`, latencies in microseconds.
 */
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { percentile } from '../statistics.ts';

interface Shared {
  readonly descriptors: readonly number[];
  /** One number a connection: 1 while a request is under way. */
  readonly busy: Int32Array;
  /** One number a connection: when its request arrived, by the monotonic clock in nanoseconds. */
  readonly since: BigInt64Array;
  readonly request: string;
  readonly rate: number;
  readonly seconds: number;
}

/** The first part of a run fills caches and compiles code on both sides: not counted. */
const WARM_SHARE = 0.25;

if (isMainThread) await main();
else emit(workerData as Shared);

async function main(): Promise<void> {
  const [port, connections, seconds, rate] = process.argv.slice(2).map(Number) as [number, number, number, number];
  const request = `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
  const busy = new Int32Array(new SharedArrayBuffer(4 * connections));
  const since = new BigInt64Array(new SharedArrayBuffer(8 * connections));
  const latencies: number[] = [];
  const responseBytes = await lengthOfResponse(port, request);
  const sockets = await Promise.all(Array.from({ length: connections }, (_, slot) => open(port, responseBytes, () => answered(slot))));
  // The descriptor stands in a private field of Node's; a load tool may, where a proxy should not.
  const descriptors = sockets.map((socket) => (socket as unknown as { _handle: { fd: number } })._handle.fd);
  const started = performance.now();
  const shared: Shared = { descriptors, busy, since, request, rate, seconds };
  const worker = new Worker(new URL(import.meta.url), { workerData: shared });
  await once(worker, 'message');
  const elapsed = (performance.now() - started) / 1000;
  const counted = latencies.slice(Math.floor(latencies.length * WARM_SHARE)).sort((a, b) => a - b);
  const result = { units: latencies.length, seconds: elapsed, p50: percentile(counted, 0.5), p99: percentile(counted, 0.99) };
  console.log(JSON.stringify({ ...result, rate: latencies.length / seconds }));
  process.exit(0);

  function answered(slot: number): void {
    latencies.push(Number(process.hrtime.bigint() - since[slot]!) / 1000);
    Atomics.store(busy, slot, 0);
  }
}

/** Every response of a run has the same length: that of the first one. */
async function lengthOfResponse(port: number, request: string): Promise<number> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.write(request);
  let head = '';
  for await (const chunk of socket) {
    head += (chunk as Buffer).toString('latin1');
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) continue;
    const length = /^content-length: *(\d+)\r?$/im.exec(head);
    if (length === null || !head.startsWith('HTTP/1.1 200')) throw new Error(`pace: not a 200 with a length: ${head.slice(0, 200)}`);
    return end + 4 + Number(length[1]);
  }
  throw new Error('pace: the connection ended without a response');
}

async function open(port: number, responseBytes: number, answered: () => void): Promise<Socket> {
  let got = 0;
  const callback = (count: number) => {
    got += count;
    if (got > responseBytes) throw new Error('pace: a response of another length');
    if (got === responseBytes) {
      got = 0;
      answered();
    }
    return true;
  };
  const socket = connect({ host: '127.0.0.1', port, noDelay: true, onread: { buffer: Buffer.allocUnsafe(4096), callback } });
  socket.on('error', (error) => {
    throw error;
  });
  socket.on('end', () => {
    throw new Error('pace: the proxy closed a connection');
  });
  await once(socket, 'connect');
  return socket;
}

/** The second thread: sends at the arrivals until the time is over, then says so. */
function emit({ descriptors, busy, since, request, rate, seconds }: Shared): void {
  const bytes = Buffer.from(request);
  const clock = new Int32Array(new SharedArrayBuffer(4));
  const pause = (ms: number) => Atomics.wait(clock, 0, 0, ms);
  const start = process.hrtime.bigint();
  const end = start + BigInt(Math.round(seconds * 1e9));
  let due = start;
  let slot = 0;
  while (due < end) {
    const now = process.hrtime.bigint();
    if (now > end) break;
    if (now < due) {
      pause(Number(due - now) / 1e6);
      continue;
    }
    const free = nextFree();
    if (free < 0) {
      pause(0.05);
      continue;
    }
    slot = free;
    // An arrival that waited for a connection counts from when it was due; one that merely woke late counts from now.
    const waited = now - due > 1_000_000n;
    since[slot] = waited ? due : now;
    Atomics.store(busy, slot, 1);
    writeSync(descriptors[slot]!, bytes);
    due += BigInt(Math.round((-Math.log(1 - Math.random()) / rate) * 1e9));
  }
  parentPort!.postMessage('over');

  function nextFree(): number {
    for (let step = 1; step <= descriptors.length; step++) {
      const candidate = (slot + step) % descriptors.length;
      if (Atomics.load(busy, candidate) === 0) return candidate;
    }
    return -1;
  }
}
