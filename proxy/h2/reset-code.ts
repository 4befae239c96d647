/**
 * Why a server gave a stream up, on its way to the client: as an errno of the stream's wire, which is all that lies between the two. What speaks of the
 * call goes on to a client of HTTP/2 as it is; what speaks of the server's connection, or of how we spoke on it, is a fault of this side.
 */
import type { Wire } from '../wire/wire.ts';
import { CANCEL, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, NO_ERROR, REFUSED_STREAM } from './frame.ts';
import { Stream } from './stream.ts';

/** EAGAIN: the peer has not looked at the request, which can be sent again whatever it is (RFC 9113 §8.7). */
export const UNTOUCHED_ERRNO = -11;

/** Below it, the codes of RST_STREAM (0 to 2^32 - 1). No errno of a system comes near. */
const RESET_ERRNO = -100_000;

/** By the gRPC protocol over HTTP/2, "HTTP2 Transport Mapping, Errors"; every other code is INTERNAL (13). */
const GRPC_STATUS: ReadonlyMap<number, number> = new Map([
  [CANCEL, 1], // CANCELLED
  [INADEQUATE_SECURITY, 7], // PERMISSION_DENIED
  [ENHANCE_YOUR_CALM, 8], // RESOURCE_EXHAUSTED
  [REFUSED_STREAM, 14], // UNAVAILABLE
]);
const GRPC_INTERNAL = 13;

const PASSED_ON: ReadonlySet<number> = new Set([CANCEL, CONNECT_ERROR, ENHANCE_YOUR_CALM]);

const WORDS: ReadonlyMap<number, string> = new Map([
  [NO_ERROR, 'no error'],
  [REFUSED_STREAM, 'refused'],
  [CANCEL, 'cancel'],
  [CONNECT_ERROR, 'connect error'],
  [ENHANCE_YOUR_CALM, 'enhance your calm'],
  [INADEQUATE_SECURITY, 'inadequate security'],
]);

/** What a wire on the stream fails with. */
export function errnoOfReset(code: number): number {
  return code === REFUSED_STREAM ? UNTOUCHED_ERRNO : RESET_ERRNO - code;
}

/** The code of a reset; null where it was none of HTTP/2. */
function codeOf(errno: number): number | null {
  if (errno === UNTOUCHED_ERRNO) return REFUSED_STREAM;
  return errno <= RESET_ERRNO ? RESET_ERRNO - errno : null;
}

/** The status of a gRPC call that no head has answered; null where the server's connection broke, or does not speak HTTP/2. */
export function grpcStatusOfError(errno: number): number | null {
  const code = codeOf(errno);
  return code === null ? null : (GRPC_STATUS.get(code) ?? GRPC_INTERNAL);
}

/**
 * A client of HTTP/2 whose response cannot go on is told what the server said, once its wire is reset. Answers what that was, in the journal's words;
 * null where it was no reset of HTTP/2.
 */
export function passReset(errno: number, client: Wire): string | null {
  const code = codeOf(errno);
  if (code === null) return null;
  if (PASSED_ON.has(code) && client.handle instanceof Stream) client.handle.resetCode = code;
  return `reset: ${WORDS.get(code) ?? `code ${code}`}`;
}
