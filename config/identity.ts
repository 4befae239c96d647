/**
 * Identities: what a client has proved to be, as texts that begin with their kind. A flow may have many. `spiffe://` is a URI name of a
 * certificate by itself; its other names are `uri:`, `dns:` (lower case), `email:` and `ip:`; `cn:`, `subject:` and `issuer:` (RFC 4514)
 * are read from its distinguished names; `jwt:` is the subject of a token, beside `jwt-issuer:`, `jwt-audience:` and `claim:NAME=VALUE`;
 * `user:` is the user of a database.
 */
export const IDENTITY_KINDS = [
  'spiffe://',
  'uri:',
  'dns:',
  'email:',
  'ip:',
  'cn:',
  'subject:',
  'issuer:',
  'jwt:',
  'jwt-issuer:',
  'jwt-audience:',
  'claim:',
  'user:',
] as const;

/** The kind that a text begins with; null for none. */
export function identityKind(text: string): (typeof IDENTITY_KINDS)[number] | null {
  return IDENTITY_KINDS.find((kind) => text.startsWith(kind)) ?? null;
}

/** An identity, or a pattern of some, in the one form that is compared: names of hosts are the same in any case. */
export function foldIdentity(text: string): string {
  return text.startsWith('dns:') ? text.toLowerCase() : text;
}
