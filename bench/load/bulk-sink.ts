/**
 * Load: reads what bulk-source sends. Arguments: PORT CONNECTIONS SECONDS. Prints `{ units, seconds }`, where a unit is a byte.
 * At the end it resets its connections: what is under way then counts for nobody.
 */
import { connect, type Socket } from 'node:net';

const [port, connections, seconds] = process.argv.slice(2).map(Number) as [number, number, number];
const READ_BYTES = 256 * 1024;

let bytes = 0;
let started = 0;
const sockets: Socket[] = [];
for (let i = 0; i < connections; i++) {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  const socket = connect({
    host: '127.0.0.1',
    port,
    noDelay: true,
    onread: {
      buffer,
      callback: (count: number) => {
        if (started === 0) begin();
        bytes += count;
        return true;
      },
    },
  });
  socket.on('connect', () => socket.write('go'));
  socket.on('error', fail);
  socket.on('end', () => fail(new Error('the source ended')));
  sockets.push(socket);
}

function begin(): void {
  started = performance.now();
  setTimeout(() => {
    console.log(JSON.stringify({ units: bytes, seconds: (performance.now() - started) / 1000 }));
    for (const socket of sockets) {
      socket.removeAllListeners('error').on('error', () => {});
      socket.resetAndDestroy();
    }
  }, seconds * 1000);
}

function fail(error: Error): never {
  console.error(`bulk-sink: ${error.message}`);
  process.exit(1);
}
