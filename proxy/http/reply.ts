/** Answers of our own: refusals and failures. Short, plain, and they say which in a header, so that nobody takes them for the server's. */
import { STATUS_CODES } from 'node:http';

/** Why the proxy itself answered; the value of `bulkhead-error`. */
export type ReplyError =
  | 'denied'
  | 'limited'
  | 'bad-request'
  | 'request-timeout'
  | 'target-too-long'
  | 'head-too-large'
  | 'connect-not-supported'
  | 'token-keys'
  | 'no-server'
  | 'dial-failed'
  | 'dial-timeout'
  | 'server-closed'
  | 'bad-response'
  | 'response-timeout'
  | 'draining';

/** In words. */
export const SAYS: Readonly<Record<ReplyError, string>> = {
  denied: 'The policy of this application does not allow this request.',
  limited: 'The policy of this application does not allow this much.',
  'bad-request': 'The request is not well-formed HTTP/1.1.',
  'request-timeout': 'The request did not arrive in time.',
  'target-too-long': 'The request target is too long.',
  'head-too-large': 'The request head is too large.',
  'connect-not-supported': 'CONNECT is not supported here.',
  'token-keys': 'Who sends this request cannot be checked at the moment.',
  'no-server': 'No server of this application is available.',
  'dial-failed': 'The server could not be reached.',
  'dial-timeout': 'The server did not accept the connection in time.',
  'server-closed': 'The server closed the connection before it answered.',
  'bad-response': 'The answer of the server is not well-formed HTTP/1.1.',
  'response-timeout': 'The server did not answer in time.',
  draining: 'This node is about to stop.',
};

/**
 * The whole response. `detail` is one of ours, never bytes from the network. `retrySeconds`: when it may be worth trying again; null where
 * nothing is known of that.
 */
export function reply(
  status: number,
  error: ReplyError,
  receipt: string,
  detail: string | null,
  keepAlive: boolean,
  head: boolean,
  retrySeconds: number | null = status === 503 ? 1 : null,
): Buffer {
  const body = `${SAYS[error]}${detail === null ? '' : ` (${detail})`}\nreceipt: ${receipt}\n`;
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Date: ${new Date().toUTCString()}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    `bulkhead-receipt: ${receipt}`,
    ...(error === 'denied' ? [] : [`bulkhead-error: ${detail === null ? error : `${error}; ${detail}`}`]),
    // RFC 6750 §3.1.
    ...(status === 401 ? ['WWW-Authenticate: Bearer error="invalid_token"'] : []),
    ...(status === 405 ? ['Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'] : []),
    ...(retrySeconds === null ? [] : [`Retry-After: ${retrySeconds}`]),
    `Connection: ${keepAlive ? 'keep-alive' : 'close'}`,
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${head ? '' : body}`, 'latin1');
}

/** The whole answer that sends a client to `location`, which holds nothing but what a field may. */
export function redirection(status: number, location: string, receipt: string, keepAlive: boolean): Buffer {
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Date: ${new Date().toUTCString()}`,
    `Location: ${location}`,
    'Content-Length: 0',
    `bulkhead-receipt: ${receipt}`,
    `Connection: ${keepAlive ? 'keep-alive' : 'close'}`,
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}
