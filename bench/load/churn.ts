/**
 * Load: new connections. Each sends 64 bytes, waits until they came back, ends with FIN and waits for the other side's FIN; then the
 * next begins. The client ends first, for every proxy alike, so TIME_WAIT of the front connection is on the client's address; many source addresses
 * keep their ports from running out. Behind the proxy, TIME_WAIT is the proxy's or the backend's, as the proxy has it.
 * Arguments: PORT CONNECTIONS SECONDS. Prints `{ units, seconds }`, where a unit is a connection.
 */
import { connect } from 'node:net';
import { sourceAddress } from './source-address.ts';

const [port, connections, seconds] = process.argv.slice(2).map(Number) as [number, number, number];
const MESSAGE = Buffer.alloc(64, 'bulkhead');

let opened = 0;
let done = 0;
let live = 0;
let over = false;
const started = performance.now();
for (let i = 0; i < connections; i++) open();
setTimeout(() => (over = true), seconds * 1000);

function open(): void {
  let missing = MESSAGE.length;
  live++;
  const socket = connect({ host: '127.0.0.1', port, noDelay: true, localAddress: sourceAddress(opened++) });
  socket.on('connect', () => socket.write(MESSAGE));
  socket.on('data', (chunk) => {
    missing -= chunk.length;
    if (missing === 0) socket.end();
  });
  socket.on('error', (error) => {
    console.error(`churn: ${error.message}`);
    process.exit(1);
  });
  socket.on('close', () => {
    if (missing !== 0) {
      console.error(`churn: a connection was closed with ${missing} bytes missing`);
      process.exit(1);
    }
    done++;
    live--;
    if (!over) open();
    else if (live === 0) console.log(JSON.stringify({ units: done, seconds: (performance.now() - started) / 1000 }));
  });
}
