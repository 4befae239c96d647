/** The PROXY protocol as a document asks for it, on either side. */
import type { Prefix } from './address.ts';

/** The proxies in front of an application, whose PROXY headers are believed. */
export interface ProxyProtocolIn {
  readonly from: readonly Prefix[];
  /** Peers on a unix socket are proxies, too. */
  readonly unix: boolean;
  /** Connections of anybody else are refused. */
  readonly required: boolean;
  /** A verified client certificate's common name in a header is an identity. */
  readonly trustIdentity: boolean;
  readonly timeoutMs: number;
  readonly headerBytes: number;
}

export const PROXY_TLVS = ['alpn', 'authority', 'crc32c', 'unique-id', 'ssl'] as const;
export type ProxyTlv = (typeof PROXY_TLVS)[number];

/** The PROXY header that servers get before the first byte of a client. */
export interface ProxyProtocolOut {
  readonly version: 1 | 2;
  readonly tlvs: readonly ProxyTlv[];
}
