/** Backend: after the first byte from the client it sends without end, as fast as the client takes it. Argument: PORT. */
import { createServer } from 'node:net';

const CHUNK = Buffer.alloc(256 * 1024, 'bulkhead');

createServer({ noDelay: true }, (socket) => {
  const fill = () => {
    while (socket.writable && socket.write(CHUNK));
  };
  socket.once('data', fill);
  socket.on('drain', fill);
  socket.on('error', () => socket.destroy());
}).listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
