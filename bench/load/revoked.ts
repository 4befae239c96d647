/**
 * Load: opens connections, each of which carries a message and is then held. With a RATE, messages go on over all of them in turn at that rate, and
 * none may end; without one all of them are expected to be cut. With a DIRECT port every fourth message goes to the server itself instead: what these
 * take is what the machine adds, without the proxy. Arguments: PORT CONNECTIONS RATE [DIRECT]. Prints `held` when all are open; and then, once all
 * are gone or it is told to end (SIGTERM), the round trips and the moments of the ends as one line of JSON. Times are milliseconds since 1970, with
 * fractions.
 */
import { connect, type Socket } from 'node:net';
import { sourceAddress } from './source-address.ts';

const [port, connections, rate, direct] = process.argv.slice(2).map(Number) as [number, number, number, number | undefined];
const CONCURRENCY = 64;
const DIRECT_CONNECTIONS = 64;
/** Of so many messages one goes to the server itself. */
const DIRECT_EVERY = 4;
const MESSAGE = Buffer.alloc(64, 'bulkhead');
const now = () => performance.timeOrigin + performance.now();

/** When the message that is under way left; 0: there is none. */
interface Entry {
  readonly socket: Socket;
  readonly trips: Trips;
  sentAt: number;
}
type Trips = (readonly [at: number, milliseconds: number])[];

const proxied: Entry[] = [];
const straight: Entry[] = [];
const trips: Trips = [];
const directTrips: Trips = [];
const ends: number[] = [];
let opened = 0;
for (let i = 0; i < CONCURRENCY; i++) next();

function next(): void {
  if (opened === connections) return;
  const entry = open(port, trips, sourceAddress(opened++), () => {
    proxied.push(entry);
    if (proxied.length < connections) next();
    else if (direct === undefined) begin();
    else for (let i = 0; i < DIRECT_CONNECTIONS; i++) openDirect(direct);
  });
}

function openDirect(server: number): void {
  const entry = open(server, directTrips, '127.0.0.1', () => {
    straight.push(entry);
    if (straight.length === DIRECT_CONNECTIONS) begin();
  });
}

/** `held`: the first message has come back. */
function open(to: number, into: Trips, localAddress: string, held: () => void): Entry {
  let missing = MESSAGE.length;
  let isHeld = false;
  const socket = connect({ host: '127.0.0.1', port: to, noDelay: true, localAddress });
  const entry: Entry = { socket, trips: into, sentAt: 0 };
  socket.on('connect', () => socket.write(MESSAGE));
  socket.on('data', (chunk) => {
    missing -= chunk.length;
    if (missing > 0) return;
    missing = MESSAGE.length;
    if (isHeld) {
      entry.trips.push([entry.sentAt, now() - entry.sentAt]);
      entry.sentAt = 0;
    } else {
      isHeld = true;
      held();
    }
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    if (rate > 0) fail('a connection that was to stay was closed');
    ends.push(now());
    if (ends.length === connections) report();
  });
  return entry;
}

/** Messages are sent when their time has come, whatever became of those before: a stall shows in all that it held up. */
function begin(): void {
  console.log('held');
  const startedAt = performance.now();
  let sent = 0;
  let turn = 0;
  let directTurn = 0;
  setInterval(() => {
    const due = ((performance.now() - startedAt) / 1_000) * rate;
    while (sent < due) {
      const goesDirect = straight.length > 0 && sent % DIRECT_EVERY === 0;
      sent++;
      const entry = goesDirect ? straight[directTurn++ % straight.length]! : proxied[turn++ % proxied.length]!;
      if (entry.sentAt !== 0) continue;
      entry.sentAt = now();
      entry.socket.write(MESSAGE);
    }
  }, 1);
}

process.on('SIGTERM', report);

function report(): void {
  process.stdout.write(`${JSON.stringify({ trips, directTrips, ends })}\n`, () => process.exit(0));
}

function fail(message: string): never {
  console.error(`revoked: ${message} (${proxied.length} held, ${ends.length} gone)`);
  process.exit(1);
}
