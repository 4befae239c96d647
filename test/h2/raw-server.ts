/** A server that answers with frames, right or wrong. */
import type { Socket } from 'node:net';
import { startServer, type TestServer } from '../node/harness.ts';
import { frame, PREFACE, RawClient, TYPE } from './frames.ts';

export interface RawServer extends TestServer {
  /** What has come by each connection. */
  readonly readers: readonly RawClient[];
}

type Answer = (path: string, stream: number) => readonly Buffer[];

/** `answer` is asked once for each stream whose head has come. Nothing else is answered, not even a PING. */
export async function startRawServer(answer: Answer): Promise<RawServer> {
  const readers: RawClient[] = [];
  const server = await startServer((socket) => serve(socket, answer, readers));
  return { ...server, readers };
}

function serve(socket: Socket, answer: Answer, readers: RawClient[]): void {
  const answered = new Set<number>();
  let early = Buffer.alloc(0);
  const greet = (bytes: Buffer) => {
    early = Buffer.concat([early, bytes]);
    if (early.length < PREFACE.length) return;
    socket.off('data', greet);
    const reader = new RawClient(socket);
    readers.push(reader);
    socket.on('data', () => {
      for (const stream of reader.fields.keys()) {
        if (answered.has(stream)) continue;
        answered.add(stream);
        reader.send(...answer(reader.field(stream, ':path') ?? '', stream));
      }
    });
    socket.write(frame(TYPE.settings, 0, 0));
    socket.emit('data', early.subarray(PREFACE.length));
  };
  socket.on('data', greet);
}
