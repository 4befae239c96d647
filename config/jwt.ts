/** Tokens by which clients show who they are (JWT, RFC 7519), as the document holds them. */

export interface TokenIssuer {
  /** The value of `iss`. */
  readonly issuer: string;
  /** A token must be meant for one of them (`aud`). */
  readonly audiences: readonly string[];
  /** Where its key set (RFC 7517) comes from: an http or https URL, or a file. */
  readonly keys: string;
  /** The field or the cookie that a request brings the token in; a field may say `Bearer` before it. */
  readonly carrier: { readonly kind: 'header' | 'cookie'; readonly name: string };
  readonly algorithms: readonly string[];
  /** How far clocks may be apart, in milliseconds. */
  readonly clockSkewMs: number;
  /** Claims that become identities beside subject, issuer and audience. */
  readonly claims: readonly string[];
}

/** Signatures with public keys (RFC 7518 §3.1, RFC 8037): a shared secret would be in every server that checks it. */
export const TOKEN_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const;
