/**
 * Load: TLS handshakes. Each connection says its hello, asks once, reads the answer, and ends; then the next begins. TLS 1.3 with X25519, which all
 * peers know. Arguments: PORT CONNECTIONS SECONDS RESUMED. RESUMED 1: each goes on with the session of the one before. Prints `{ units, seconds }`,
 * where a unit is a connection.
 */
import { type ConnectionOptions, connect } from 'node:tls';
import { sourceAddress } from './source-address.ts';

const [port, connections, seconds, resumed] = process.argv.slice(2).map(Number) as [number, number, number, number];
const REQUEST = 'GET / HTTP/1.1\r\nhost: bench.example\r\nconnection: close\r\n\r\n';
const OPTIONS: ConnectionOptions = {
  port,
  host: '127.0.0.1',
  servername: 'bench.example',
  rejectUnauthorized: false,
  minVersion: 'TLSv1.3',
  ecdhCurve: 'X25519',
};

let opened = 0;
let done = 0;
let live = 0;
let over = false;
const started = performance.now();
for (let i = 0; i < connections; i++) open(null);
setTimeout(() => (over = true), seconds * 1000);

function open(session: Buffer | null): void {
  live++;
  let kept: Buffer | null = null;
  let answered = false;
  const localAddress = sourceAddress(opened++);
  const socket = connect({ ...OPTIONS, localAddress, ...(session === null ? {} : { session }) } as ConnectionOptions, () => {
    if (session !== null && !socket.isSessionReused()) fail('a session was not resumed');
    socket.write(REQUEST);
  });
  if (resumed === 1)
    socket.on('session', (bytes: Buffer) => {
      kept ??= bytes;
    });
  socket.on('data', (bytes: Buffer) => {
    if (!answered && bytes.toString('latin1', 0, 12) !== 'HTTP/1.1 200') fail(`an answer was ${bytes.toString('latin1', 0, 12)}`);
    answered = true;
  });
  socket.on('error', (error) => fail(error.message));
  socket.on('close', () => {
    if (!answered) fail('a connection was closed without an answer');
    done++;
    live--;
    // A ticket may serve again where the peer gave no other.
    if (!over) open(kept ?? session);
    else if (live === 0) console.log(JSON.stringify({ units: done, seconds: (performance.now() - started) / 1000 }));
  });
}

function fail(why: string): void {
  console.error(`handshakes: ${why}`);
  process.exit(1);
}
