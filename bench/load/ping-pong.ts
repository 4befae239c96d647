/**
 * Load: one message of 64 bytes at a time on each connection, the next when it has come back.
 * Arguments: PORT CONNECTIONS SECONDS. Prints `{ units, seconds }`, where a unit is a round trip.
 */
import { connect, type Socket } from 'node:net';

const [port, connections, seconds] = process.argv.slice(2).map(Number) as [number, number, number];
const MESSAGE = Buffer.alloc(64, 'bulkhead');

let roundTrips = 0;
let over = false;
const started = performance.now();
const sockets: Socket[] = [];
for (let i = 0; i < connections; i++) {
  let missing = MESSAGE.length;
  const socket = connect({
    host: '127.0.0.1',
    port,
    noDelay: true,
    onread: {
      buffer: Buffer.allocUnsafe(4096),
      callback: (count: number) => {
        missing -= count;
        if (missing > 0) return true;
        roundTrips++;
        missing = MESSAGE.length;
        if (!over) socket.write(MESSAGE);
        return true;
      },
    },
  });
  socket.on('connect', () => socket.write(MESSAGE));
  socket.on('error', (error) => fail(error));
  socket.on('end', () => over || fail(new Error('the peer ended')));
  sockets.push(socket);
}

setTimeout(() => {
  over = true;
  console.log(JSON.stringify({ units: roundTrips, seconds: (performance.now() - started) / 1000 }));
  for (const socket of sockets)
    socket
      .removeAllListeners('error')
      .on('error', () => {})
      .end();
}, seconds * 1000);

function fail(error: Error): never {
  console.error(`ping-pong: ${error.message}`);
  process.exit(1);
}
