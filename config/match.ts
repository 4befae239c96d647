/** What rules ask of flows beside source, port and protocol, and what questions say of them. An absent (null) part matches everything; within a part any entry may match. */

/** What a request must be. An absent (null) part matches everything; within a part any entry may match. */
export interface HttpMatch {
  /** Upper case as on the wire: methods are case-sensitive (RFC 9110 §9.1). */
  readonly methods: readonly string[] | null;
  /** Lower case, without port; `*.example.com` matches every name below example.com. */
  readonly hosts: readonly string[] | null;
  /** Matched against the normalised path; `*` at the end matches any rest, and `/admin/*` matches `/admin` and `/admin/` too. */
  readonly paths: readonly string[] | null;
  /** Each of these fields must be there with one of its values. */
  readonly headers: readonly HeaderMatch[] | null;
}

/** A field of a request: a value is matched whole and with its case; `*` at its end matches any rest, and `*` alone any value. */
export interface HeaderMatch {
  /** Lower case; `-` stands for `_` too. */
  readonly name: string;
  readonly values: readonly string[];
}

/** What the ClientHello must say. A flow without TLS has said nothing; a null part matches any hello. `*` at the end matches any rest. */
export interface TlsMatch {
  /** Lower case; `*.example.com` matches every name below example.com. */
  readonly sni: readonly string[] | null;
  /** One of these is offered. */
  readonly alpn: readonly string[] | null;
  readonly ja4: readonly string[] | null;
}

/** What a flow to a database must be. A null part matches everything; `*` at the end of a pattern matches any rest. */
export type DatabaseMatch =
  | { readonly kind: 'postgres'; readonly users: readonly string[] | null; readonly databases: readonly string[] | null }
  /** Schemas are in lower case, and match in any case: servers differ in whether case matters. */
  | { readonly kind: 'mysql'; readonly users: readonly string[] | null; readonly schemas: readonly string[] | null }
  | {
      readonly kind: 'redis';
      readonly users: readonly string[] | null;
      /** Lower case, a subcommand behind `|`; `config` matches `config|set` too. */
      readonly commands: readonly string[] | null;
      readonly keys: readonly string[] | null;
    };

/** `cut` ends a flow at once, `finish` lets it go on, `drain` lets it go on for a while. */
export type OnRevoke = { readonly kind: 'cut' } | { readonly kind: 'finish' } | { readonly kind: 'drain'; readonly withinMs: number };

/** What a question says that says nothing beside source, VIP, protocol and request. */
export const PLAIN_QUESTION = {
  sni: null,
  alpn: [],
  ja4: null,
  identities: null,
  user: null,
  database: null,
  schema: null,
  command: null,
  keys: null,
} as const;
