/** What a file says of TLS: how an application ends it or lets it through, and how a pool speaks it to its servers. */
import type { Place } from './place.ts';

export type TlsVersion = '1.2' | '1.3';

/** Groups that TLS may agree on keys in, by the names of OpenSSL. The order is the server's preference. */
export const TLS_CURVES = ['X25519MLKEM768', 'X25519', 'prime256v1', 'secp384r1', 'secp521r1', 'X448'] as const;
export type TlsCurve = (typeof TLS_CURVES)[number];

export type ApplicationTls = TlsPassthrough | TlsTermination;

/** The hello is read, the rest is the server's. */
export interface TlsPassthrough {
  readonly kind: 'passthrough';
}

export interface TlsTermination {
  readonly kind: 'terminate';
  /** At least one. The first is for clients that ask for no name, or for one that no certificate has. */
  readonly certificates: readonly CertificateFiles[];
  readonly minimum: TlsVersion;
  /** By the names of OpenSSL; those of TLS 1.3 begin with TLS_. */
  readonly ciphers: readonly string[];
  readonly curves: readonly TlsCurve[];
  /** In the order of preference; empty: nothing is agreed on. */
  readonly alpn: readonly string[];
  readonly clients: ClientCertificates | null;
  /** null: sessions are not resumed. */
  readonly tickets: { readonly rotateMs: number } | null;
  readonly place: Place;
}

/** Paths, as written. Files are read again when they change. */
export interface CertificateFiles {
  /** PEM: the certificate, then those of the authorities on the way to the root. */
  readonly certificate: string;
  readonly key: string;
  /** An OCSP response in DER, to be stapled. */
  readonly ocsp: string | null;
  readonly place: Place;
  /** Where each of them is written; the whole where one is not. */
  readonly places: { readonly certificate: Place; readonly key: Place; readonly ocsp: Place };
}

export interface ClientCertificates {
  readonly required: boolean;
  /** PEM files. */
  readonly ca: string;
  readonly crl: string | null;
  readonly place: Place;
}

/** TLS to the servers of a pool. */
export interface ServerTls {
  readonly verify: ServerVerification;
  /** The name that is asked for and that certificates must have; null: none is asked for, and certificates must have the address. */
  readonly sni: string | null;
  /** What the servers may ask for. */
  readonly client: Omit<CertificateFiles, 'ocsp'> | null;
  readonly alpn: readonly string[];
  readonly place: Place;
}

export type ServerVerification = { readonly kind: 'system' } | { readonly kind: 'file'; readonly ca: string } | { readonly kind: 'off' };
