/** Alerts of TLS (RFC 8446 §6) that are sent before OpenSSL has a say: for a hello that it never sees. */

export type Alert = number;

export const UNEXPECTED_MESSAGE: Alert = 10;
export const RECORD_OVERFLOW: Alert = 22;
export const ILLEGAL_PARAMETER: Alert = 47;
export const DECODE_ERROR: Alert = 50;
export const PROTOCOL_VERSION: Alert = 70;

const ALERT_RECORD = 21;
const FATAL = 2;

/** A fatal alert in a record of its own, in the clear. */
export function alertBytes(alert: Alert): Buffer {
  return Buffer.from([ALERT_RECORD, 3, 3, 0, 2, FATAL, alert]);
}
