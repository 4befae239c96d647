/** What a TLS client says of itself in its first message. */

/** What clients of one kind have in common. */
export interface Abilities {
  /** As in the message; what counts are `versions`, where the client sent them. */
  readonly legacyVersion: number;
  /** Of supported_versions, without GREASE. */
  readonly versions: readonly number[];
  /** Without GREASE, like everything here (RFC 8701). */
  readonly ciphers: readonly number[];
  /** Kinds of the extensions, ascending: some clients send them in a new order each time. */
  readonly extensions: readonly number[];
  readonly signatures: readonly number[];
  /** Each byte a character. */
  readonly alpn: readonly string[];
  /** Bytes of the first protocol, as sent; null for none. GREASE counts here: JA4 takes it as it comes. */
  readonly firstAlpn: Buffer | null;
}

export interface ClientHello extends Abilities {
  /** Lower case, without a dot at its end; null where none was sent. */
  readonly sni: string | null;
  readonly ja4: string;
}

/** RFC 8701: 0x0a0a, 0x1a1a, … 0xfafa. */
export function isGrease(value: number): boolean {
  return (value & 0x0f0f) === 0x0a0a && value >> 8 === (value & 0xff);
}
