/** The body of a request that writes: whole, bounded, and text. */
import type { IncomingMessage } from 'node:http';
import { hitNodeLimit } from '../shared/node-limits.ts';

export const BODY_BYTES_MAX = 4 * 1024 * 1024;

export type Body =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly status: 400 | 413; readonly message: string };

/** Never rejects; a client that goes away in the middle has sent a body that is not whole. */
export function readBody(request: IncomingMessage): Promise<Body> {
  const { promise, resolve } = Promise.withResolvers<Body>();
  const tooLarge = { ok: false, status: 413, message: `A body may have ${BODY_BYTES_MAX} bytes.` } as const;
  if (Number(request.headers['content-length'] ?? 0) > BODY_BYTES_MAX) {
    hitNodeLimit('admin-body');
    request.resume();
    return Promise.resolve(tooLarge);
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) {
      if (bytes - chunk.length <= BODY_BYTES_MAX) hitNodeLimit('admin-body');
      chunks.length = 0;
      resolve(tooLarge);
    } else chunks.push(chunk);
  });
  request.on('end', () => resolve(decoded(Buffer.concat(chunks))));
  request.on('close', () => resolve({ ok: false, status: 400, message: 'The body ended before it was whole.' }));
  return promise;
}

function decoded(bytes: Buffer): Body {
  try {
    return { ok: true, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { ok: false, status: 400, message: 'The body is not UTF-8.' };
  }
}
