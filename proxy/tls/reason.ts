/** Why TLS came to nothing, in words for the journal. */

/** What OpenSSL has to say is shorter; a bound all the same, since a record is no place for more. */
const REASON_CHARACTERS_MAX = 120;

/** `ERR_SSL_TLSV1_ALERT_UNKNOWN_CA` as `tlsv1 alert unknown ca`. */
export function reasonOf(code: string): string {
  return code
    .replace(/^ERR_(?:SSL_)?/, '')
    .toLowerCase()
    .replaceAll('_', ' ')
    .slice(0, REASON_CHARACTERS_MAX);
}

/** The same of one whom we asked for something, or who was content at first. An alert is its own doing: it did not like us. */
export function refusalOf(code: string): string {
  if (code === 'CLOSED') return 'closed in its TLS handshake';
  const reason = reasonOf(code);
  const [, alert] = reason.split(' alert ');
  return alert === undefined ? reason : `refused by TLS alert: ${alert}`;
}

/** What is wrong with a certificate. Behind a semicolon Node advises its own options, which are of no use here. */
export function faultOfCertificate({ message }: Error): string {
  return message.replace(/;.*$/, '').slice(0, REASON_CHARACTERS_MAX);
}
