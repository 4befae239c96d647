/**
 * Answers of our own to gRPC: a call fails by its `grpc-status`, which comes where trailers do; an answer without messages has them in its
 * head ("Trailers-Only", gRPC over HTTP/2).
 */
import { type ReplyError, SAYS } from './reply.ts';

/** What the status of an HTTP answer is to a gRPC client (doc/http-grpc-status-mapping.md of gRPC), but for those that we can tell more of. */
const GRPC_STATUS: ReadonlyMap<number, number> = new Map([
  [400, 13], // INTERNAL
  [401, 16], // UNAUTHENTICATED
  [403, 7], // PERMISSION_DENIED
  [408, 1], // CANCELLED: the client did not send on
  [414, 8], // RESOURCE_EXHAUSTED
  [429, 8],
  [431, 8],
  [502, 14], // UNAVAILABLE
  [503, 14],
  [504, 4], // DEADLINE_EXCEEDED
]);
const UNKNOWN = 2;

/** What a call fails with that is answered with this status of HTTP otherwise. */
export function grpcStatusOf(status: number): number {
  return GRPC_STATUS.get(status) ?? UNKNOWN;
}

/** The lines by which a call fails so: trailers. `detail` is one of ours, never bytes from the network. */
export function grpcTrailers(grpcStatus: number, error: ReplyError, receipt: string, detail: string | null): Buffer {
  return Buffer.from(`${trailerLines(grpcStatus, error, receipt, detail).join('\r\n')}\r\n`, 'latin1');
}

function trailerLines(grpcStatus: number, error: ReplyError, receipt: string, detail: string | null): string[] {
  const message = `${SAYS[error]}${detail === null ? '' : ` (${detail})`} receipt: ${receipt}`;
  return [
    `grpc-status: ${grpcStatus}`,
    // Visible ASCII but the percent sign goes as it is.
    `grpc-message: ${message.replaceAll('%', '%25')}`,
    `bulkhead-receipt: ${receipt}`,
    ...(error === 'denied' ? [] : [`bulkhead-error: ${detail === null ? error : `${error}; ${detail}`}`]),
  ];
}

/** The whole response to a call that fails so. */
export function replyGrpc(grpcStatus: number, error: ReplyError, receipt: string, detail: string | null, keepAlive: boolean): Buffer {
  const lines = [
    'HTTP/1.1 200 OK',
    'Content-Type: application/grpc',
    'Content-Length: 0',
    ...trailerLines(grpcStatus, error, receipt, detail),
    `Connection: ${keepAlive ? 'keep-alive' : 'close'}`,
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}
