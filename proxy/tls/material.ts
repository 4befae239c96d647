/** What workers need to speak TLS: the contents of files, read and looked at by the main thread. Plain data, sent with a plan. */
import type { TicketChain } from './tickets.ts';

export type PlannedTls = { readonly kind: 'passthrough' } | ServerMaterial;

/** For connections of clients. */
export interface ServerMaterial {
  readonly kind: 'terminate';
  /** Tells one from another: the same text, the same context. */
  readonly id: string;
  readonly certificates: readonly CertificateMaterial[];
  readonly minimum: 'TLSv1.2' | 'TLSv1.3';
  /** As OpenSSL takes them: with colons in between. */
  readonly ciphers: string;
  readonly curves: string;
  readonly alpn: readonly string[];
  readonly clients: { readonly required: boolean; readonly ca: string; readonly crl: string | null } | null;
  /** Sessions are resumed where this is the same. */
  readonly realm: string;
  readonly tickets: TicketChain | null;
}

export interface CertificateMaterial {
  /** PEM. */
  readonly certificate: string;
  readonly key: string;
  readonly ocsp: Uint8Array | null;
  /** Milliseconds since 1970: from here on the OCSP response is stapled no more. Infinity where it says no end, or there is none. */
  readonly ocspUntil: number;
  /** Lower case: names, and `*.example.com` for every name one label below. */
  readonly names: readonly string[];
  /** What a client has to be able to verify. */
  readonly kind: 'ecdsa' | 'rsa' | 'eddsa';
  /** Signature schemes (RFC 8446 §4.2.3) that this key can make under TLS 1.3. */
  readonly schemes: readonly number[];
}

/** For connections to servers. */
export interface ClientMaterial {
  readonly id: string;
  /** null: the authorities of the system. */
  readonly ca: string | null;
  readonly verifies: boolean;
  readonly sni: string | null;
  readonly certificate: string | null;
  readonly key: string | null;
  readonly alpn: readonly string[];
}
