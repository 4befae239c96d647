/** The schema of TLS: of applications, and of pools. */
import { getCiphers } from 'node:tls';
import * as z from 'zod';
import { TLS_CIPHERS_DEFAULT, TLS_CURVES_DEFAULT, TLS_MINIMUM_DEFAULT, TLS_TICKET_ROTATION_MS_DEFAULT } from './defaults.ts';
import { SERVER_TLS_KEYS, TLS_KEYS } from './elsewhere-keys.ts';
import { host } from './schema-http.ts';
import { choice, duration, noted, off, refuse, required, withDefault } from './schema-leaves.ts';
import { nearest } from './spelling.ts';
import { TLS_CURVES } from './tls.ts';

const filePath = noted(z.string().regex(/^[^\u0000]{1,4096}$/), {
  expects: 'the path of a file',
  type: 'path of a file',
  example: './file.pem',
});

/** A day is the longest that a client may come back with a ticket, by the usual advice; keys live for two periods. */
const ROTATION_MS_LEAST = 60_000;

/** As OpenSSL spells them; those that need a secret shared beforehand have none to use here. */
const CIPHERS: ReadonlySet<string> = new Set(
  getCiphers()
    .filter((name) => !/psk|srp/.test(name))
    .map((name) => name.toUpperCase()),
);

const cipher = noted(
  z.string().transform((text, context) => {
    if (CIPHERS.has(text)) return text;
    const suggestion = nearest(text, CIPHERS);
    const message = 'must be the name of a cipher suite by OpenSSL, such as ECDHE-RSA-AES128-GCM-SHA256 or TLS_AES_128_GCM_SHA256';
    return refuse(context, text, { code: 'wrong-value', message, ...(suggestion === undefined ? {} : { suggestion }) });
  }),
  { expects: 'the name of a cipher suite such as ECDHE-RSA-AES128-GCM-SHA256', type: 'cipher suite' },
);

/** RFC 7301 §3.1: at most 255 bytes; all that are registered are visible ASCII. */
const alpnName = noted(z.string().regex(/^[\u0021-\u007e]{1,255}$/), {
  expects: 'the name of a protocol such as h2 or http/1.1',
  type: 'name of a protocol',
  example: 'h2',
});

const alpn = (about: string) =>
  noted(z.array(alpnName).max(16).optional().describe(about), { expects: 'a list of protocols such as [http/1.1]' });

const certificate = z.strictObject({
  certificate: required(filePath, '-', 'The chain in PEM, the certificate of the application first; read again when the file changes.'),
  key: required(filePath, '-', 'Its private key in PEM, without a passphrase; read again when the file changes.'),
  ocsp: filePath.optional().describe('An OCSP response in DER that is stapled; read again when the file changes.'),
});

const clients = z.strictObject({
  verify: withDefault(
    choice(['required', 'optional']),
    'required',
    'required',
    'required: no connection without a certificate; optional: one that is shown has to be good.',
  ),
  ca: required(filePath, '-', 'The authorities in PEM that certificates of clients must come from.'),
  crl: filePath
    .optional()
    .describe(
      'Revocation lists in PEM, one of every authority on the way; once a list has ended, every client of its authority is refused.',
    ),
});

const tickets = z.strictObject({
  rotate: duration(
    'How long a key for session tickets is used; it opens tickets for as long again.',
    TLS_TICKET_ROTATION_MS_DEFAULT,
    ROTATION_MS_LEAST,
  ),
});

const terminationFields = z.strictObject({
  certificates: noted(
    z.array(certificate).min(1).max(1_024).describe('By the names that they have; the first is for clients that ask for none of them.'),
    {
      expects: 'a list such as [{ certificate: chain.pem, key: key.pem }] with at least one entry',
      standIn: [{ certificate: '-', key: '-' }],
    },
  ),
  minimum: withDefault(choice(['1.2', '1.3']), TLS_MINIMUM_DEFAULT, TLS_MINIMUM_DEFAULT, 'The oldest version that is spoken.'),
  ciphers: withDefault(
    z.array(cipher).min(1),
    [...TLS_CIPHERS_DEFAULT],
    [...TLS_CIPHERS_DEFAULT],
    'Cipher suites by the names of OpenSSL, the preferred first.',
  ),
  curves: withDefault(
    z.array(choice(TLS_CURVES)).min(1),
    [...TLS_CURVES_DEFAULT],
    [...TLS_CURVES_DEFAULT],
    'Groups for the exchange of keys, the preferred first.',
  ),
  alpn: alpn('Protocols to agree on, the preferred first; absent: h2 and http/1.1 in mode http, none in mode tcp.'),
  clients: clients.optional().describe('Certificates of clients; absent: none are asked for.'),
  tickets: noted(z.union([off, tickets]).prefault({}).describe('Sessions that clients resume, on any worker; off: none.'), {
    expects: 'a mapping such as { rotate: 12h }, or "off"',
    default: { rotate: '12h' },
  }),
});

const termination = noted(terminationFields, { keys: TLS_KEYS });

/** Of an application. */
export const applicationTls = noted(z.union([noted(z.literal('passthrough'), { expects: '"passthrough"' }), termination]), {
  expects: 'a mapping such as { certificates: [{ certificate: chain.pem, key: key.pem }] }, or "passthrough" in mode tcp',
});

const verify = noted(z.union([z.literal(true), off, filePath]), {
  expects: 'true (by the authorities of the system), the path of a PEM file with authorities, or "off"',
  type: '`true`, path of a file, or `off`',
  example: './ca.pem',
});

const serverFields = z.strictObject({
  verify: withDefault(verify, true, true, 'Whose certificates are believed: true, a PEM file of authorities, or off for anybody.'),
  sni: host
    .optional()
    .describe(
      'The name that is asked for, and that certificates must have; absent: they must have the address, or the name where the server has one.',
    ),
  certificate: filePath.optional().describe('The chain in PEM that is shown to servers that ask; read again when the file changes.'),
  key: filePath.optional().describe('Its private key in PEM, without a passphrase.'),
  alpn: alpn('Protocols that are offered; absent: h2 where the pool has protocol: h2, none elsewhere.'),
});

/** Of a pool. */
export const serverTls = noted(serverFields, { keys: SERVER_TLS_KEYS });
