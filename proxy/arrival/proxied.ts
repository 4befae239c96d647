/** What a PROXY header says of a connection: who is at its ends, and what the proxy in front has learnt of the client. */
import type { Address } from '../../config/address.ts';

export interface HostPort {
  readonly address: Address;
  readonly port: number;
}

export type ProxiedEnds =
  | { readonly kind: 'tcp'; readonly source: HostPort; readonly destination: HostPort }
  /** Paths as bytes, each one a character; abstract names begin with NUL. */
  | { readonly kind: 'unix'; readonly source: string; readonly destination: string };

/** TLVs of version 2. null: not there. */
export interface ProxiedFacts {
  /** The protocol agreed on, each byte a character. */
  readonly alpn: string | null;
  /** The name that the client asked for: lower case, without a dot at the end. */
  readonly authority: string | null;
  /** At most 128 bytes of no meaning to us. */
  readonly uniqueId: Buffer | null;
  readonly netns: string | null;
  readonly ssl: ProxiedTls | null;
}

/** PP2_TYPE_SSL. */
export interface ProxiedTls {
  /** PP2_CLIENT_SSL: the client spoke TLS to the proxy. */
  readonly encrypted: boolean;
  /** The client showed a certificate, on this connection or earlier in its session. */
  readonly certificate: boolean;
  /** That certificate was verified, with success. */
  readonly verified: boolean;
  readonly version: string | null;
  readonly commonName: string | null;
  readonly cipher: string | null;
}

export interface ProxyHeader {
  readonly version: 1 | 2;
  /** The proxy speaks for itself (LOCAL), a health check most often. */
  readonly local: boolean;
  /** null where it does not say: LOCAL, UNSPEC, UNKNOWN. The connection's own ends then hold. */
  readonly ends: ProxiedEnds | null;
  readonly facts: ProxiedFacts;
}

export const NO_FACTS: ProxiedFacts = { alpn: null, authority: null, uniqueId: null, netns: null, ssl: null };

/** Why bytes are no header; goes to the journal. */
export type ProxyFault =
  | 'no header'
  | 'too long'
  | 'malformed'
  | 'unknown version'
  | 'unknown command'
  | 'unknown family'
  | 'datagrams'
  | 'bad TLV'
  | 'repeated TLV'
  | 'bad checksum';

export type ProxyReading =
  | { readonly kind: 'more' }
  | { readonly kind: 'fault'; readonly fault: ProxyFault }
  /** The client's own bytes begin at `end`. */
  | { readonly kind: 'header'; readonly header: ProxyHeader; readonly end: number };

export const MORE: ProxyReading = { kind: 'more' };

export function faulty(fault: ProxyFault): ProxyReading {
  return { kind: 'fault', fault };
}
