/**
 * Load: opens connections, lets each carry one message there and back, and keeps them open and idle until it is told to end (SIGTERM).
 * Arguments: PORT CONNECTIONS. Prints `held` when all have carried their message.
 */
import { connect } from 'node:net';
import { sourceAddress } from './source-address.ts';

const [port, connections] = process.argv.slice(2).map(Number) as [number, number];
/** Opened at once: below every backlog in play. */
const CONCURRENCY = 64;
const MESSAGE = Buffer.alloc(64, 'bulkhead');

let opened = 0;
let held = 0;
for (let i = 0; i < Math.min(CONCURRENCY, connections); i++) open();

function open(): void {
  let missing = MESSAGE.length;
  const socket = connect({ host: '127.0.0.1', port, noDelay: true, localAddress: sourceAddress(opened++) });
  socket.on('connect', () => socket.write(MESSAGE));
  socket.on('data', (chunk) => {
    missing -= chunk.length;
    if (missing !== 0) return;
    held++;
    if (held === connections) console.log('held');
    else if (opened < connections) open();
  });
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('a held connection was closed')));
}

function fail(error: Error): never {
  console.error(`hold: ${error.message} (${held} of ${connections} held)`);
  process.exit(1);
}
