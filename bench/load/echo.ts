/** Backend: sends back what it gets. Argument: PORT. Ends its half when the client has ended its own. */
import { createServer } from 'node:net';

createServer({ noDelay: true }, (socket) => {
  socket.on('data', (chunk) => socket.write(chunk));
  socket.on('error', () => socket.destroy());
}).listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
