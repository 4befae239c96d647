/** What is known of a flow's connection beside its addresses: what its ClientHello said, and who the client has proved to be. */

/** A flow without TLS has said nothing: `NO_TLS`. */
export interface TlsFacts {
  /** Lower case, without trailing dot; null: none was sent. */
  readonly sni: string | null;
  /** What the client offers; where TLS ends here, what was agreed on alone. */
  readonly alpn: readonly string[];
  /** null where no rule asks for it (`asksForJa4`), or without TLS. */
  readonly ja4: string | null;
}

export interface ConnectionFacts {
  /** null: not known yet. */
  readonly tls: TlsFacts | null;
  /** With their kinds, see config/identity.ts; null: not known yet. */
  readonly identities: readonly string[] | null;
}

export const NO_TLS: TlsFacts = { sni: null, alpn: [], ja4: null };

/** A connection in clear, of a client that has proved nothing. */
export const PLAIN_CONNECTION: ConnectionFacts = { tls: NO_TLS, identities: [] };

/** Nothing is known yet. */
export const UNKNOWN_CONNECTION: ConnectionFacts = { tls: null, identities: null };
