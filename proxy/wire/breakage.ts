/** How a connection broke, in words for the journal. Not hot: connections that end in order have no need of it. */
import { getSystemErrorName } from 'node:util';
import { refusalOf } from '../tls/reason.ts';
import type { Wire } from './wire.ts';

const UV_ECONNRESET = -104;
const UV_EPIPE = -32;
const UV_EPROTO = -71;
/** Below are no errnos of the system. */
const ERRNO_LEAST = -4_095;

/** `errno` is what the wire failed with. */
export function breakageOf({ handle }: Wire, errno: number): string {
  if (errno === UV_ECONNRESET || errno === UV_EPIPE) return 'reset';
  if (errno === UV_EPROTO && handle.fault) return refusalOf(handle.fault);
  return `error ${errno < ERRNO_LEAST || errno >= 0 ? errno : getSystemErrorName(errno)}`;
}
