/** A health check by HTTP/2: one request on a connection of its own. */
import { connect } from 'node:http2';
import type { Socket } from 'node:net';

export interface Http2Check {
  readonly path: string;
  readonly authority: string;
  readonly secured: boolean;
}

/** Asks on a connection that is through, and ends it. Answers the status, or fails with what went wrong; `signal` ends the wait. */
export function askHttp2(socket: Socket, { path, authority, secured }: Http2Check, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const scheme = secured ? 'https' : 'http';
    const session = connect(`${scheme}://localhost`, { createConnection: () => socket, settings: { enablePush: false } });
    const end = (answer: () => void) => {
      answer();
      session.destroy();
    };
    session.on('error', (error) => end(() => reject(error)));
    session.on('close', () => reject(new Error('closed before it answered')));
    const stream = session.request(
      { ':path': path, ':authority': authority, ':scheme': scheme, 'user-agent': 'bulkhead-health' },
      { signal },
    );
    stream.on('response', (headers) => end(() => resolve(Number(headers[':status']))));
    stream.on('error', (error) => end(() => reject(error)));
    // A reset that says NO_ERROR or CANCEL is no error to Node, and leaves the session open.
    stream.on('close', () => end(() => reject(new Error('reset before it answered'))));
  });
}
