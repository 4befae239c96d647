/**
 * Load: opens connections, each of which carries a message and is then held. With a RATE, messages go on over all of them in turn at that rate, and
 * none may end; without one all of them are expected to be cut. Arguments: PORT CONNECTIONS RATE. Prints `held` when all are open; and then, once all
 * are gone or it is told to end (SIGTERM), the round trips and the moments of the ends as one line of JSON. Times are milliseconds since 1970, with
 * fractions.
 */
import { connect, type Socket } from 'node:net';
import { sourceAddress } from './source-address.ts';

const [port, connections, rate] = process.argv.slice(2).map(Number) as [number, number, number];
const CONCURRENCY = 64;
const MESSAGE = Buffer.alloc(64, 'bulkhead');
const now = () => performance.timeOrigin + performance.now();

const entries: { socket: Socket; sentAt: number }[] = [];
const trips: (readonly [at: number, milliseconds: number])[] = [];
const ends: number[] = [];
let opened = 0;
for (let i = 0; i < CONCURRENCY; i++) open();

function open(): void {
  if (opened === connections) return;
  let missing = MESSAGE.length;
  let isHeld = false;
  const socket = connect({ host: '127.0.0.1', port, noDelay: true, localAddress: sourceAddress(opened++) });
  const entry = { socket, sentAt: 0 };
  socket.on('connect', () => socket.write(MESSAGE));
  socket.on('data', (chunk) => {
    missing -= chunk.length;
    if (missing > 0) return;
    missing = MESSAGE.length;
    if (isHeld) {
      trips.push([entry.sentAt, now() - entry.sentAt]);
      entry.sentAt = 0;
      return;
    }
    isHeld = true;
    entries.push(entry);
    if (entries.length === connections) begin();
    else open();
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    if (rate > 0) fail('a connection that was to stay was closed');
    ends.push(now());
    if (ends.length === connections) report();
  });
}

/** Messages are sent when their time has come, whatever became of those before: a stall shows in all that it held up. */
function begin(): void {
  console.log('held');
  const startedAt = performance.now();
  let sent = 0;
  setInterval(() => {
    const due = ((performance.now() - startedAt) / 1_000) * rate;
    while (sent < due) {
      const entry = entries[sent++ % entries.length]!;
      if (entry.sentAt !== 0) continue;
      entry.sentAt = now();
      entry.socket.write(MESSAGE);
    }
  }, 1);
}

process.on('SIGTERM', report);

function report(): void {
  process.stdout.write(`${JSON.stringify({ trips, ends })}\n`, () => process.exit(0));
}

function fail(message: string): never {
  console.error(`revoked: ${message} (${entries.length} held, ${ends.length} gone)`);
  process.exit(1);
}
