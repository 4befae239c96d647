/** The schema of the PROXY protocol: of whom an application takes a header, and which one a pool's servers get. */
import * as z from 'zod';
import { PROXY_HEADER_BYTES_DEFAULT, PROXY_HEADER_TIMEOUT_MS_DEFAULT } from './defaults.ts';
import { PROXY_TLVS } from './proxy-protocol.ts';
import { choice, duration, flag, noted, prefix, required, size } from './schema-leaves.ts';

/** The fixed part of version 2 with two unix paths, and the longest header that its length can say. */
const HEADER_BYTES_LEAST = 256;
const HEADER_BYTES_MOST = 16 + 65_535;

const proxySource = noted(z.union([z.literal('unix'), prefix]), {
  expects: 'an address or prefix such as 10.0.0.0/8, or "unix" for peers on a unix socket; segments cannot stand here',
});

/** Of an application. */
export const proxyProtocolIn = z.strictObject({
  from: required(
    noted(z.array(proxySource).min(1), { expects: 'a list of addresses such as [10.0.0.0/8] with at least one entry' }),
    ['unix'],
    'The proxies in front: of these, a header must come first, and its source is believed. Everybody else is who they are.',
  ),
  require: flag('true: connections of anybody else are refused; false: they come without a header, as themselves.'),
  'trust-identity': flag('true: the common name of a verified client certificate in the header is an identity (cn:NAME).'),
  timeout: duration('From accept to the end of the header.', PROXY_HEADER_TIMEOUT_MS_DEFAULT),
  'header-size': size('Bytes of a header.', PROXY_HEADER_BYTES_DEFAULT, HEADER_BYTES_LEAST, HEADER_BYTES_MOST),
});

const version = choice(['v1', 'v2']);

const detailed = z.strictObject({
  version: noted(z.literal(2), { expects: 'the number 2, the version that has TLVs', standIn: 2 }).describe('The version of the protocol.'),
  tlvs: noted(z.array(choice(PROXY_TLVS)).min(1).describe('What goes along with the addresses, as far as it is known of a client.'), {
    expects: `a list such as [${PROXY_TLVS.join(', ')}]`,
    standIn: ['crc32c'],
  }),
});

/** Of a pool. */
export const proxyProtocolOut = noted(z.union([version, detailed]), {
  expects: 'v1, v2, or a mapping such as { version: 2, tlvs: [authority, crc32c] }',
});
