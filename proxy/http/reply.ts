/** Answers of our own: refusals and failures. Short, plain, and they say which in a header, so that nobody takes them for the server's. */
import { STATUS_CODES } from 'node:http';

/** Why the proxy itself answered; the value of `bulkhead-error`. */
export type ReplyError =
  | 'denied'
  | 'bad-request'
  | 'request-timeout'
  | 'target-too-long'
  | 'head-too-large'
  | 'connect-not-supported'
  | 'no-server'
  | 'dial-failed'
  | 'dial-timeout'
  | 'server-closed'
  | 'bad-response'
  | 'response-timeout'
  | 'draining';

const SAYS: Readonly<Record<ReplyError, string>> = {
  denied: 'The policy of this application does not allow this request.',
  'bad-request': 'The request is not well-formed HTTP/1.1.',
  'request-timeout': 'The request did not arrive in time.',
  'target-too-long': 'The request target is too long.',
  'head-too-large': 'The request head is too large.',
  'connect-not-supported': 'CONNECT is not supported here.',
  'no-server': 'No server of this application is available.',
  'dial-failed': 'The server could not be reached.',
  'dial-timeout': 'The server did not accept the connection in time.',
  'server-closed': 'The server closed the connection before it answered.',
  'bad-response': 'The answer of the server is not well-formed HTTP/1.1.',
  'response-timeout': 'The server did not answer in time.',
  draining: 'This node is about to stop.',
};

/** The whole response. `receipt` null where there was no verdict. `detail` is one of ours, never bytes from the network. */
export function reply(
  status: number,
  error: ReplyError,
  receipt: string,
  detail: string | null,
  keepAlive: boolean,
  head: boolean,
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
    ...(status === 405 ? ['Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'] : []),
    ...(status === 503 ? ['Retry-After: 1'] : []),
    `Connection: ${keepAlive ? 'keep-alive' : 'close'}`,
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${head ? '' : body}`, 'latin1');
}
